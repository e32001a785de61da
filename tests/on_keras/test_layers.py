"""The layer that is found by itself, the names by which layers go, and those that cannot be explained."""

import warnings
from fnmatch import fnmatch

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras_nets import FORMS, Plain, act, chain, composite, conv, functional, image, nested, tail

import seewhy
from seewhy.maps import to_numpy

BACKEND = keras.config.backend()


def default(net, x):
    with warnings.catch_warnings():
        warnings.simplefilter("error", seewhy.SeewhyWarning)
        [info] = [info for info in seewhy.layers(net, x) if info.default]
    return info.name, info.shape


def batch(n=2):
    return Plain().batch(n).astype("float32")


# ---- found by itself -------------------------------------------------------------------------------------

APPLICATIONS = {
    "Xception": (128, "block14_sepconv2_act", (2048, 4, 4)),  # as in the article
    "VGG16": (64, "block5_conv3", (512, 4, 4)),  # not pooled; its activation is part of the convolution
    "ResNet50": (64, "conv5_block3_out", (2048, 2, 2)),  # after the residual sum and its activation
    "ResNet50V2": (64, "post_relu", (2048, 2, 2)),  # after the normalisation that follows the last block
    "MobileNetV2": (64, "out_relu", (1280, 2, 2)),
    "MobileNetV3Small": (64, "activation*", (576, 2, 2)),  # not the convolution that runs after the pooling
    "ConvNeXtTiny": (64, "add*", (768, 2, 2)),
}


@pytest.fixture
def quick(monkeypatch):
    """Networks without the time that drawing their weights takes: where things run does not depend on them."""

    def zeros(self, shape, dtype=None, **options):
        return np.zeros(shape, dtype or "float32")

    for kind in ("VarianceScaling", "Zeros", "Ones"):
        monkeypatch.setattr(getattr(keras.initializers, kind), "__call__", zeros)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_applications(name, quick):
    size, layer, shape = APPLICATIONS[name]
    net = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3))
    found, came = default(net, np.zeros((1, size, size, 3), "float32"))
    assert fnmatch(found, layer)
    assert came == shape


FOUND = {
    "functional": "act",
    "sequential": "act",
    "subclassed": "act",
    "composite": "features/act",
    "nested": "outer/inner/act",
    "fused": "conv",
    "normalised": "norm",
    "channels first": "act",
}


@pytest.mark.parametrize("form", FOUND)
def test_however_the_model_is_written(form):
    plain = Plain(3 if form == "channels first" else 2)
    x = plain.batch().astype("float32")
    net = plain.fill(FORMS[form][0](plain))
    x = np.moveaxis(x, -1, 1) if form == "channels first" else x
    found = seewhy.explain(net, x, 1)
    assert default(net, x)[1] == (5, *(length - 2 for length in plain.size))
    np.testing.assert_allclose(
        to_numpy(found.maps), to_numpy(seewhy.explain(net, x, 1, layer=FOUND[form]).maps), rtol=1e-4, atol=1e-6
    )


def test_infos():
    infos = seewhy.layers(composite(Plain()), batch())
    assert [(i.name, i.kind, i.shape, i.default, i.runs) for i in infos] == [
        ("features/conv", "Conv2D", (5, 4, 5), False, 1),
        ("features/act", "Activation", (5, 4, 5), True, 1),
        ("features", "Features", (5, 4, 5), False, 1),
    ]


@pytest.mark.parametrize("axes", [1, 3])
def test_signals_and_volumes(axes):
    plain = Plain(axes)
    x = plain.batch().astype("float32")
    assert default(functional(plain), x) == ("act", (5, *(length - 2 for length in plain.size)))
    assert seewhy.explain(functional(plain), x, 1).heatmap(0, 0).shape == plain.size


def test_a_layer_that_is_applied_to_each_frame():
    frames = keras.Input((3, 6, 7, 3))
    net = keras.Model(frames, chain(frames, layers.TimeDistributed(conv(), name="each"), *tail()))
    explanation = seewhy.explain(net, np.stack([batch()] * 3, 1), 1, layer="each")
    assert explanation.maps.shape == (2, 1, 3, 4, 5)


def test_a_shared_activation_and_operations_count():
    relu = layers.ReLU(name="relu")
    x = image(Plain())
    features = relu(layers.Conv2D(4, 3, name="two")(relu(conv()(x))))
    net = keras.Model(x, layers.Dense(3)(layers.GlobalAveragePooling2D()(features)))
    assert [(i.name, i.shape, i.runs, i.default) for i in seewhy.layers(net, batch())] == [
        ("conv", (5, 4, 5), 1, False),
        ("two", (4, 2, 3), 1, False),
        ("relu", (4, 2, 3), 2, True),
    ]
    summed = keras.Model(x, layers.Dense(3)(ops.mean(ops.relu(conv()(x)) + 1.0, axis=(1, 2))))
    assert default(summed, batch())[0].startswith("add")


def test_squeeze_and_excitation_after_the_last_convolution():
    x = image(Plain())
    y = act()(conv()(x))
    weights = layers.Conv2D(5, 1, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(y))
    net = keras.Model(x, chain(layers.Multiply(name="excited")([y, weights]), *tail()))
    assert default(net, batch()) == ("excited", (5, 4, 5))


def test_the_class_maps_of_a_segmentation_net_do_not_count():
    x = image(Plain())
    net = keras.Model(x, chain(x, conv(), act(), layers.Conv2D(3, 1, name="maps"), layers.UpSampling2D()))
    assert default(net, batch()) == ("act", (5, 4, 5))


def test_a_transformer_says_that_its_convolution_is_its_first_layer():
    x = keras.Input((16, 16, 3))
    tokens = layers.Reshape((16, 8))(layers.Conv2D(8, 4, 4, name="patches")(x))
    tokens = layers.MultiHeadAttention(2, 4)(tokens, tokens)
    net = keras.Model(x, layers.Dense(3)(layers.GlobalAveragePooling1D()(tokens)))
    with pytest.warns(seewhy.SeewhyWarning, match="attention runs after this model's last convolution"):
        infos = seewhy.layers(net, np.zeros((1, 16, 16, 3), "float32"))
    assert [info.name for info in infos if info.default] == ["patches"]
    with pytest.raises(seewhy.SeewhyError, match="sequence, such as the tokens of a transformer"):
        seewhy.explain(net, np.zeros((1, 16, 16, 3), "float32"), 1, layer=net.layers[-3])


def test_no_convolution_is_said():
    net = keras.Sequential([image(Plain()), layers.Flatten(), layers.Dense(3)])
    with pytest.raises(seewhy.SeewhyError, match="no convolution with more than one position ran"):
        seewhy.explain(net, batch())


def test_another_size_is_searched_anew():
    x = keras.Input((None, None, 3))
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, name="two")(conv(strides=2)(x)))
    net = keras.Model(x, layers.Dense(3)(pooled))
    assert default(net, np.zeros((1, 9, 9, 3), "float32")) == ("two", (4, 2, 2))
    assert default(net, np.zeros((1, 8, 7, 3), "float32")) == ("conv", (5, 3, 3))  # where the other has one position


# ---- names -----------------------------------------------------------------------------------------------


def two_alike():
    """Two inner models with layers of the same names."""
    inner = []
    for name in ("left", "right"):
        x = image(Plain())
        inner.append(keras.Model(x, act()(conv()(x)), name=name))
    x = image(Plain())
    return keras.Model(x, chain(layers.Add(name="both")([part(x) for part in inner]), *tail()))


@pytest.mark.parametrize("ask", ["path", "bare name", "layer", "inner layer"])
def test_a_layer_goes_by_its_path_its_name_or_itself(ask):
    plain = Plain()
    net = plain.fill(nested(plain))
    inner = net.get_layer("outer").get_layer("inner")
    layer = {"path": "outer/inner/act", "bare name": "act", "layer": inner, "inner layer": inner.get_layer("act")}[ask]
    explanation = seewhy.explain(net, batch(), 1, layer=layer)
    assert explanation.layer == ("outer/inner" if ask == "layer" else "outer/inner/act")
    np.testing.assert_allclose(
        to_numpy(explanation.maps)[:, 0], plain.maps(batch(), lambda y: y[:, 1]), rtol=1e-4, atol=1e-6
    )


def test_a_name_that_exists_twice_names_both():
    net = two_alike()
    with pytest.raises(seewhy.SeewhyError, match=r"2 layers are called 'act': give one of .*left/act, right/act"):
        seewhy.explain(net, batch(), 1, layer="act")
    one, other = (seewhy.explain(net, batch(), 1, layer=name) for name in ("left/act", "right/act"))
    assert float(np.abs(to_numpy(one.maps) - to_numpy(other.maps)).max()) > 1e-6
    again = seewhy.explain(net, batch(), 1, layer=net.get_layer("right").get_layer("act"))
    assert again.layer == "right/act"
    np.testing.assert_array_equal(to_numpy(again.maps), to_numpy(other.maps))


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("atc", "unknown layer 'atc': did you mean 'act'"),
        ("ACT", "did you mean 'act'"),
        ("", "unknown layer ''"),
        ("outer/act", "unknown layer 'outer/act'"),
        ("image", "unknown layer 'image'"),
        (layers.Conv2D(1, 1), "this Conv2D is not a layer of the model: pass one of the model's own"),
        (3, "expected a layer or its name, got a int"),
        ("head", r"'head' \(Dense\) cannot be explained: its output has no spatial axes"),
    ],
)
def test_layers_that_are_none_of_the_model(layer, words):
    with pytest.raises(seewhy.SeewhyError, match=words):
        seewhy.explain(functional(Plain()), batch(), 0, layer=layer)


def test_the_input_is_no_layer():
    net = functional(Plain())
    with pytest.raises(seewhy.SeewhyError, match="this InputLayer is not a layer of the model"):
        seewhy.explain(net, batch(), 0, layer=net.layers[0])


class Side(keras.Model):
    """A layer that never runs, and one that does not reach the score."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act, self.after = conv(), act(), tail()
        self.unused, self.aside = layers.Conv2D(3, 1, name="unused"), layers.Conv2D(3, 1, name="aside")
        self.unused.build((None, None, None, 3))

    def call(self, x):
        return {"logits": chain(x, self.conv, self.act, *self.after), "aside": self.aside(x)}


@pytest.mark.parametrize(("layer", "words"), [("unused", "did not run"), ("aside", "does not depend on the layer")])
def test_layers_that_have_no_part_in_the_score(layer, words):
    net = Side()
    net(batch())
    with pytest.raises(seewhy.SeewhyError, match=words):
        seewhy.explain(net, batch(), 0, layer=layer)
    if layer == "aside":
        maps = seewhy.explain(
            net, batch(), lambda outputs: ops.mean(outputs["aside"], axis=(1, 2, 3)), layer=layer
        ).maps
        assert float(np.max(to_numpy(maps))) > 0


@pytest.mark.skipif(BACKEND == "torch", reason="nothing is compiled there: what runs can be reached")
def test_a_layer_within_a_loop_cannot_be_reached():
    class Loop(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv, self.same, self.after = conv(), layers.Conv2D(5, 3, padding="same", name="same"), tail()
            self.same.build((None, 4, 5, 5))

        def call(self, x):
            return chain(ops.fori_loop(0, 3, lambda i, y: self.same(y), self.conv(x)), *self.after)

    net = Loop()
    net(batch())
    with pytest.raises(seewhy.SeewhyError, match=r"'same' runs inside a loop .*choose one outside"):
        seewhy.explain(net, batch(), 0, layer="same")
    assert seewhy.explain(net, batch(), 0, layer="conv").maps.shape == (2, 1, 4, 5)
