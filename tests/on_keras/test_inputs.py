"""What people pass: photos, batches in any array type, several inputs; and what is said of those that do not fit."""

import runpy

import keras
import numpy as np
import pytest
import torch
from keras import layers, ops
from keras_nets import (
    Plain,
    Subclassed,
    act,
    chain,
    channels_first,
    conv,
    functional,
    image,
    tail,
    with_numbers,
)
from PIL import Image

import seewhy
from seewhy.adapters import keras as adapter
from seewhy.maps import to_numpy

BACKEND = keras.config.backend()


def batch(n=2, seed=0):
    return Plain().batch(n, seed).astype("float32")


def close(maps, expected):
    np.testing.assert_allclose(to_numpy(maps), expected, rtol=1e-3, atol=1e-5)


# ---- batches ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["numpy", "float64", "backend", "torch", "variable", "not contiguous"])
def test_arrays_of_any_kind_are_taken(kind):
    plain = Plain()
    x = batch()
    given = {
        "numpy": lambda: x,
        "float64": lambda: plain.batch(),
        "backend": lambda: ops.convert_to_tensor(x),
        "torch": lambda: torch.from_numpy(x),
        "variable": lambda: keras.Variable(x).value,
        "not contiguous": lambda: x[:, ::-1][:, ::-1],
    }[kind]()
    explanation = seewhy.explain(plain.fill(functional(plain)), given, 1)
    close(explanation.maps[:, 0], plain.maps(x, lambda y: y[:, 1]))
    if BACKEND == "tensorflow":
        assert isinstance(explanation.maps, np.ndarray)
    else:
        assert type(explanation.maps) is type(ops.convert_to_tensor(x))


WRAPS = {"bare": lambda t: t, "list": lambda t: [t], "dict": lambda t: {"image": t}, "own key": lambda t: {"photo": t}}


@pytest.mark.parametrize(
    ("built", "given"),
    [("list", "bare"), ("list", "dict"), ("bare", "list"), ("bare", "dict"), ("dict", "bare"), ("own key", "own key")],
)
@pytest.mark.filterwarnings("ignore:When providing `inputs` as a dict:UserWarning")  # of "own key", when it is built
def test_the_one_input_in_whatever_structure(built, given):
    """As the article builds its second model, keras.Model(model.inputs, ...), which is on a list."""
    plain = Plain()
    x = image(plain)
    net = plain.fill(keras.Model(WRAPS[built](x), chain(x, conv(), act(), *tail())))
    explanation = seewhy.explain(net, WRAPS[given](batch()), 1, layer="act")
    close(explanation.scores[:, 0], plain.logits(batch())[:, 1])


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_integers_are_taken_as_numbers(dtype):
    plain = Plain()
    pixels = np.random.default_rng(0).integers(0, 5, (2, *plain.size, 3)).astype(dtype)
    net = plain.fill(functional(plain))
    explanation = seewhy.explain(net, ops.convert_to_tensor(pixels), 1)
    close(explanation.maps[:, 0], plain.maps(pixels.astype("float64"), lambda y: y[:, 1]))


def test_the_picture_of_a_ready_batch_is_upright_and_in_its_colours():
    plain = Plain()
    x = np.zeros((2, *plain.size, 3), "float32")
    x[1, 0, :, 0] = 1  # a red line along the top
    x[1, :, 0, 2] = 1  # a blue line down the left
    first = np.moveaxis(x, -1, 1)
    nets = [(plain.fill(functional(plain)), x)]
    if BACKEND != "tensorflow":  # which has no channels-first convolutions on a CPU
        nets.append((plain.fill(channels_first(plain)), first))
    for net, given in nets:
        explanation = seewhy.explain(net, given, 1)
        seen = explanation.views[1].picture()
        assert seen.shape == (6, 7, 3)
        assert (seen[0, 1:] == [255, 0, 0]).all()
        assert (seen[1:, 0] == [0, 0, 255]).all()
        assert (seen[0, 0] == [255, 0, 255]).all()
        assert (seen[1:, 1:] == 0).all()
        assert explanation.overlay(1).size == (7, 6)
        assert explanation.heatmap(1).shape == (6, 7)


class Pixel(layers.Layer):
    """A pixel at the upper right as class scores, so that what the model was shown can be read."""

    def call(self, x):
        return x[:, 1, 6]


def test_a_photo_is_prepared_and_turned_for_the_model():
    x = keras.Input((8, 8, 3))
    net = keras.Model(x, Pixel()(layers.Conv2D(3, 1, use_bias=False, name="conv")(x)))
    net.get_layer("conv").set_weights([np.eye(3)[None, None]])
    photo = np.zeros((20, 40, 3), np.uint8)
    photo[:10] = [255, 0, 51]
    prepared = seewhy.Preprocess((8, 8), (8, 8), mean=(0, 0, 0), std=(1, 1, 1))
    explanation = seewhy.explain(net, photo, 0, preprocess=prepared)
    close(explanation.outputs, [[1, 0, 0.2]])
    assert explanation.heatmap().shape == (20, 40)
    bright = explanation.heatmap() > 0.5
    assert bright[:8].all()
    assert not bright[12:].any()
    two = seewhy.explain(net, [Image.fromarray(photo), photo], 2, preprocess=prepared)
    close(two.scores, [[0.2], [0.2]])
    assert two.describe().count("class 2") >= 2


def test_describe_says_what_was_predicted_and_where():
    plain = Plain()
    net = plain.fill(functional(plain, layers.Softmax()))
    explanation = seewhy.explain(net, batch(), labels=["ant", "bee", "cow", "dog"])
    for i, row in enumerate(plain.logits(batch())):
        best = ["ant", "bee", "cow", "dog"][int(row.argmax())]
        sure = np.exp(row.max()) / np.exp(row).sum()
        said = explanation.describe(i)
        assert best in said
        assert f"{sure:.2f}" in said or f"{round(100 * sure)}" in said
        assert explanation.predictions(i)[0].label == best


# ---- batches that do not fit -----------------------------------------------------------------------------

SIZED = [
    (np.zeros((2, 3, 6, 7)), r"expected image as \(n, 6, 7, 3\), got \(2, 3, 6, 7\): .*np\.moveaxis\(batch, 1, -1\)"),
    (np.zeros((6, 7, 3), "float32"), "does not say how a photo becomes its input"),
    (torch.zeros(6, 7, 3), r"got \(6, 7, 3\): for a single image write image\[None\]"),
    (np.zeros((2, 9, 9, 3)), r"got \(2, 9, 9, 3\): resize the images to this, or pass photos with a preprocess"),
    (np.zeros((2, 6, 7, 1)), r"expected image as \(n, 6, 7, 3\), got \(2, 6, 7, 1\)"),
    (np.zeros((2, 1, 6, 7, 3)), r"expected image as \(n, 6, 7, 3\), got \(2, 1, 6, 7, 3\)"),
    (np.zeros((0, 6, 7, 3)), "the batch is empty"),
    ((np.zeros((2, 6, 7, 3)),) * 2, r"takes 1 input \(image\), got 2"),
    (np.full((2, 6, 7, 3), np.nan), r"images \[0, 1\] of the batch of 2 hold NaN or infinite values"),
    (np.full((1, 6, 7, 3), np.inf), r"image \[0\] of the batch of 1 holds NaN or infinite values"),
    (np.full((2, 6, 7, 3), "a"), "expected arrays of real numbers"),
    (np.full((2, 6, 7, 3), None), "expected arrays of real numbers"),
    (7, "expected a photo .*, a list of photos, or a ready batch"),
    ([], "the list of images is empty"),
    (np.zeros((2, 6, 7, 3), np.uint8), r"functional\w* does not say how a photo becomes its input: pass preprocess="),
    ("nowhere.jpg", "nowhere.jpg"),
]


@pytest.mark.parametrize(("given", "words"), SIZED)
def test_batches_that_do_not_fit(given, words):
    with pytest.raises(seewhy.SeewhyError, match=words):
        seewhy.explain(functional(Plain()), given, 0)


def test_a_channels_last_batch_for_a_channels_first_model():
    with pytest.raises(
        seewhy.SeewhyError, match=r"expected image as \(n, 3, 6, 7\), got .*np\.moveaxis\(batch, -1, 1\)"
    ):
        seewhy.explain(channels_first(Plain()), batch(), 0)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (batch(), r"takes 2 inputs \(image, numbers\), got 1: pass a tuple in this order, or a dict by these names"),
        ((batch(), np.ones((2, 2)), np.ones(2)), "takes 2 inputs"),
        ((np.ones((2, 2), "float32"), batch()), r"expected image as \(n, 6, 7, 3\), got \(2, 2\)"),
        ({"image": batch()}, "takes 2 inputs"),
        ({"image": np.ones((2, 2)), "numbers": batch()}, r"expected image as \(n, 6, 7, 3\), got \(2, 2\)"),
        ({"image": batch(), "number": np.ones((2, 2))}, r"takes 2 inputs \(image, numbers\), got 2 \(image, number\)"),
        ((batch(2), np.ones((3, 2))), r"as many images in each .* got \(2, 6, 7, 3\), \(3, 2\)"),
    ],
)
def test_several_inputs_that_do_not_fit(inputs, words):
    net = with_numbers(Plain(), lambda parts: list(parts.values()))
    with pytest.raises(seewhy.SeewhyError, match=words):
        seewhy.explain(net, inputs, 0)


def test_a_subclassed_model_fails_in_its_own_words():
    net = Subclassed()
    net(batch())
    with pytest.raises(Exception, match=r"(?s)3.*1|1.*3") as raised:
        seewhy.explain(net, np.zeros((2, 6, 7, 1), "float32"), 0)
    assert not isinstance(raised.value, AssertionError | KeyError)
    assert "call" not in net.conv.__dict__


# ---- models that cannot be explained ---------------------------------------------------------------------


def test_a_model_that_is_not_built():
    for net in (Subclassed(), keras.Sequential([conv(), act(), *tail()])):
        with pytest.raises(seewhy.SeewhyError, match=r"is not built yet.*call it once on a batch, or begin it with"):
            seewhy.explain(net, batch(), 0)
        with pytest.raises(seewhy.SeewhyError, match="is not built yet"):
            seewhy.Explainer(net, layer="conv")


def test_outputs_without_a_class_vector():
    x = image(Plain())
    net = keras.Model(x, layers.Conv2D(2, 1)(chain(x, conv(), act())))
    with pytest.raises(seewhy.SeewhyError, match="pass target=CALLABLE"):
        seewhy.explain(net, batch())
    with pytest.raises(seewhy.SeewhyError, match=r"one score for each class.*\(2, 4, 5, 2\).*pass target=CALLABLE"):
        seewhy.explain(net, batch(), 1)
    region = seewhy.explain(net, batch(), lambda y: ops.mean(y[:, 1:3, 1:3, 1], axis=(1, 2)))
    assert region.maps.shape == (2, 1, 4, 5)
    assert region.predictions(0) == []
    assert region.probabilities is None
    np.testing.assert_allclose(
        to_numpy(region.scores)[:, 0], to_numpy(region.outputs)[:, 1:3, 1:3, 1].mean((1, 2)), rtol=1e-4
    )


def test_nan_in_the_weights_is_found():
    plain = Plain()
    plain.arrays["head"][1][2] = np.nan
    with pytest.raises(seewhy.SeewhyError, match=r"NaN or infinite class scores for images \[0, 1\] of the batch of 2"):
        seewhy.explain(plain.fill(functional(plain)), batch(), 0)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (9, "class index 9 is out of range"),
        ("cat", "has no class names"),
        ([0, 1, 2], "3 targets for 2 images"),
        (lambda y: y, r"must give one score for each image, an array of shape \(2,\), got shape \(2, 4\)"),
        (lambda y: 1.0, "must give one score for each image"),
        (lambda y: y[:, 0] / (y[:, 0] * 0), "NaN or infinite"),
        (lambda y: ops.ones(2), "does not depend on the layer"),
        (lambda y: ops.cast(ops.argmax(y, axis=1), "float32"), "does not depend on the layer|cuts the gradient"),
    ],
)
def test_targets_that_do_not_fit(target, words, capfd):
    with pytest.raises(seewhy.SeewhyError, match=words):
        seewhy.explain(functional(Plain()), batch(), target)
    assert "SeewhyError" not in capfd.readouterr().err  # the error is raised, and not logged by the backend as well
    assert "Traceback" not in capfd.readouterr().err


def test_models_of_other_kinds_say_what_to_do():
    old = type("Functional", (), {"__module__": "tf_keras.src.engine.functional"})()
    with pytest.raises(seewhy.SeewhyError, match=r"tf_keras \(Keras 2\).*model\.save\('model\.h5'\).*file:model\.h5"):
        seewhy.explain(old, batch())
    with pytest.raises(seewhy.SeewhyError, match=r"expected a keras\.Model, got Adam|expected a model"):
        seewhy.explain(keras.optimizers.Adam(), batch())
    with pytest.raises(seewhy.SeewhyError, match=r"keras\.Model"):
        seewhy.explain(object(), batch())


def test_keras_2_and_a_backend_without_gradients_are_told(monkeypatch):
    net = functional(Plain())
    monkeypatch.setattr(keras.config, "backend", lambda: "numpy")
    with pytest.raises(seewhy.SeewhyError, match=r"runs on numpy, which computes no gradients: set KERAS_BACKEND to"):
        seewhy.explain(net, batch(), 0)
    monkeypatch.undo()
    monkeypatch.setattr(keras, "__version__", "2.15.0")
    with pytest.raises(seewhy.SeewhyError, match=r"Keras 2\.15\.0 is installed, and seewhy explains models of Keras 3"):
        runpy.run_path(adapter.__file__)  # said before anything is imported that Keras 2 lacks
    assert adapter.layers
