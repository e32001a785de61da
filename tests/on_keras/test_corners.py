"""Corners of models that once gave a wrong answer, or none."""

import gc
import weakref

import keras
import numpy as np
import pytest
import torch
from keras import layers

import seewhy
from seewhy.errors import InputError
from seewhy.maps import to_numpy

RANDOM = np.random.default_rng(0)


def batch(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def test_inputs_by_name_come_in_any_order():
    class Two(keras.Model):
        def __init__(self):
            super().__init__()
            self.one, self.other = layers.Conv2D(3, 3), layers.Conv2D(3, 3)
            self.pool, self.top = layers.GlobalAveragePooling2D(), layers.Dense(2)

        def call(self, inputs):
            return self.top(self.pool(self.one(inputs["a"]) - 2 * self.other(inputs["b"])))

    a, b = batch(2, 6, 6, 3), batch(2, 6, 6, 3)
    net = Two()
    wanted = keras.ops.convert_to_numpy(net({"a": a, "b": b}))
    for inputs in ({"a": a, "b": b}, {"b": b, "a": a}):
        scores = to_numpy(seewhy.explain(net, inputs, 1, layer=net.one).scores)[:, 0]
        np.testing.assert_allclose(scores, wanted[:, 1], rtol=1e-4, atol=1e-5)


def test_new_statistics_of_a_normalization_are_seen():
    normalise = layers.Normalization()
    normalise.adapt(np.full((4, 6, 6, 3), 2.0, np.float32) + batch(4, 6, 6, 3))
    net = keras.Sequential(
        [keras.Input((6, 6, 3)), normalise, layers.Conv2D(3, 3), layers.GlobalAveragePooling2D(), layers.Dense(2)]
    )
    x = batch(2, 6, 6, 3)
    seewhy.explain(net, x, 1)
    normalise.adapt(50 * batch(8, 6, 6, 3))
    scores = to_numpy(seewhy.explain(net, x, 1).scores)[:, 0]
    np.testing.assert_allclose(scores, keras.ops.convert_to_numpy(net(x))[:, 1], rtol=1e-4, atol=1e-5)


def test_siblings_of_one_name_are_told_apart():
    class Twins(keras.Model):
        def __init__(self):
            super().__init__()
            self.one, self.other = layers.Conv2D(3, 3, name="conv"), layers.Conv2D(3, 3, name="conv")
            self.pool, self.top = layers.GlobalAveragePooling2D(), layers.Dense(2)

        def call(self, x):
            return self.top(self.pool(self.other(self.one(x))))

    net, x = Twins(), batch(1, 8, 8, 3)
    net(x)
    assert seewhy.explain(net, x, 0, layer=net.one).layer == "conv#1"
    assert seewhy.explain(net, x, 0, layer="conv#2").maps.shape == (1, 1, 4, 4)
    with pytest.raises(seewhy.SeewhyError, match=r"2 layers are called 'conv'.*conv#1, conv#2"):
        seewhy.explain(net, x, 0, layer="conv")


def test_a_model_that_turns_its_input():
    """As models that were converted from PyTorch do: photos come channels first, the convolutions want them last."""
    x = image = keras.Input((3, 8, 10))
    x = layers.Conv2D(4, 3, data_format="channels_last")(layers.Permute((2, 3, 1))(x))
    net = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    explanation = seewhy.explain(net, batch(2, 3, 8, 10), 0)
    assert explanation.maps.shape == (2, 1, 6, 8)
    assert explanation.heatmap(0).shape == (8, 10)
    photo = np.zeros((30, 40, 3), np.uint8)
    prepared = seewhy.Preprocess(size=(8, 10), resize=(8, 10), mean=(0,) * 3, std=(1,) * 3)
    assert seewhy.explain(net, photo, 0, preprocess=prepared).heatmap().shape == (30, 40)


def test_a_model_whose_activation_is_its_own_method_is_freed():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv = layers.Conv2D(3, 3, activation=self.bend)
            self.pool, self.top = layers.GlobalAveragePooling2D(), layers.Dense(2)

        def bend(self, x):
            return keras.ops.softsign(x)

        def call(self, x):
            return self.top(self.pool(self.conv(x)))

    net, x = Own(), batch(1, 8, 8, 3)
    net(x)
    seewhy.explain(net, x, 0)
    gone = weakref.ref(net)
    del net
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("method", ["grad-cam", "random-cam"])
def test_a_target_that_gives_numpy(method):
    net = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(3, 3), layers.GlobalAveragePooling2D(), layers.Dense(2)]
    )

    def target(outputs):
        return np.ones(len(outputs), np.float32)

    if method == "grad-cam":
        with pytest.raises(seewhy.SeewhyError, match="does not depend on the layer"):
            seewhy.explain(net, batch(2, 8, 8, 3), target)
    else:
        assert seewhy.explain(net, batch(2, 8, 8, 3), target, method=method).scores.shape == (2, 1)


def test_layers_of_a_model_that_looks_at_values_run_once():
    class Looks(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv, self.pool, self.top = layers.Conv2D(3, 3), layers.GlobalAveragePooling2D(), layers.Dense(2)

        def call(self, x):
            y = self.conv(x)
            return self.top(self.pool(y if float(keras.ops.max(x)) > 0 else -y))

    net, x = Looks(), batch(1, 8, 8, 3)
    net(x)
    assert [info.runs for info in seewhy.layers(net, x)] == [1]


def test_a_quantized_layer_is_said_to_be_one():
    x = image = keras.Input((8, 8, 3))
    x = layers.Dense(4, name="mix")(x)
    net = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    net.get_layer("mix").quantize("int8")
    with pytest.raises(seewhy.SeewhyError, match=r"'mix'.*it is quantized"):
        seewhy.explain(net, batch(1, 8, 8, 3), 0, layer="mix")


def heads(**outputs):
    """A small model with Dense layers of these numbers of classes, a softmax after each, by name."""
    x = image = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 3, name="conv")(x))
    return keras.Model(image, {name: layers.Dense(k, "softmax", name=name)(x) for name, k in outputs.items()})


@pytest.mark.filterwarnings("ignore:the outputs of .* hold several arrays:seewhy.SeewhyWarning")
def test_outputs_by_name_keep_the_models_order_and_are_all_explained_before_their_softmax():
    net, x = heads(kind=4, age=2), batch(2, 8, 8, 3)
    explanation = seewhy.explain(net, x, 3)
    assert list(explanation.outputs) == ["kind", "age"]
    for name, target in (("kind", 1), ("age", lambda outputs: outputs["age"][:, 1])):
        weights, bias = net.get_layer(name).get_weights()
        pooled = keras.Model(net.input, net.get_layer(name).input)(x)
        wanted = keras.ops.convert_to_numpy(pooled) @ weights + bias
        scores = to_numpy(seewhy.explain(net, x, target).scores)[:, 0]
        np.testing.assert_allclose(scores, wanted[:, 1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("end", [layers.Reshape((4,)), layers.Activation("linear", dtype="float16")])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_softmax_that_was_reshaped_or_cast_is_found(end, dtype):
    x = image = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 3)(x))
    dense = layers.Dense(4, dtype=dtype)
    logits, x = keras.Model(image, dense(x)), batch(2, 8, 8, 3)
    if end.dtype_policy.name != dtype and keras.config.backend() == "jax":
        pytest.skip("JAX's casts are not looked through")
    net = keras.Model(image, end(layers.Softmax(dtype=dtype)(logits.output)))
    scores = to_numpy(seewhy.explain(net, x, 1).scores)[:, 0]
    np.testing.assert_allclose(scores, keras.ops.convert_to_numpy(logits(x))[:, 1], rtol=1e-2, atol=1e-2)


@pytest.mark.filterwarnings("ignore:the outputs of .* hold several arrays:seewhy.SeewhyWarning")
def test_outputs_within_outputs_are_explained_before_their_softmax_too():
    flat, x = heads(kind=4, age=2), batch(2, 8, 8, 3)
    net = keras.Model(flat.input, {"heads": flat.output, "more": [flat.output["kind"]]})
    for asked in (lambda outputs: outputs["heads"]["kind"][:, 1], lambda outputs: outputs["more"][0][:, 1]):
        scores = to_numpy(seewhy.explain(net, x, asked).scores)
        wanted = to_numpy(seewhy.explain(flat, x, lambda outputs: outputs["kind"][:, 1]).scores)
        np.testing.assert_allclose(scores, wanted, rtol=1e-4, atol=1e-5)


def test_tensors_of_bfloat16_of_another_framework_are_taken():
    given = torch.from_numpy(batch(1, 8, 8, 3)).bfloat16()
    assert tuple(seewhy.explain(heads(kind=2), given, 0).scores.shape) == (1, 1)


def test_complex_numbers_are_refused():
    with pytest.raises(InputError, match="real numbers as the model's inputs, got ndarray of complex64"):
        seewhy.explain(heads(kind=2), batch(1, 8, 8, 3).astype("complex64"), 0)


def test_a_layer_of_another_model_is_said_to_be_one():
    with pytest.raises(seewhy.SeewhyError, match="this Conv2D is not a layer of the model"):
        seewhy.explain(heads(kind=2), batch(1, 8, 8, 3), 0, layer=layers.Conv2D(3, 3))


def test_boxes_of_a_signal_are_refused():
    net = keras.Sequential([keras.Input((9, 3)), layers.Conv1D(3, 3), layers.GlobalAveragePooling1D(), layers.Dense(2)])
    with pytest.raises(InputError, match=r"boxes lie on images.*explanation.mask"):
        seewhy.explain(net, batch(1, 9, 3), 0).boxes()


def test_the_layers_inside_attention_are_not_listed():
    tokens = image = keras.Input((6, 6, 3))
    tokens = layers.Reshape((36, 4))(layers.Conv2D(4, 1)(tokens))
    x = layers.Reshape((6, 6, 4))(layers.MultiHeadAttention(6, 2, name="mha")(tokens, tokens))
    net = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(layers.Conv2D(3, 1)(x))))
    assert not [info.name for info in seewhy.layers(net, batch(1, 6, 6, 3)) if info.name.startswith("mha/")]


def test_within_a_batch_of_training():
    net = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(3, 3), layers.GlobalAveragePooling2D(), layers.Dense(2)]
    )
    said = []

    class Explain(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            said.append(tuple(seewhy.explain(net, np.ones((1, 8, 8, 3), "float32"), 0).scores.shape))

        def on_epoch_end(self, epoch, logs=None):
            said.append(tuple(seewhy.explain(net, np.ones((1, 8, 8, 3), "float32"), 0).scores.shape))

    net.compile("sgd", "mse")
    net.fit(batch(4, 8, 8, 3), np.zeros((4, 2)), batch_size=2, verbose=0, callbacks=[Explain()])
    assert said == [(1, 1)] * 3


@pytest.mark.skipif(keras.config.backend() != "jax", reason="there alone Keras holds the weights elsewhere meanwhile")
def test_a_part_of_what_is_trained():
    inner = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(3, 3), layers.GlobalAveragePooling2D(), layers.Dense(2)]
    )
    outer, said = keras.Sequential([keras.Input((8, 8, 3)), inner]), []

    class Explain(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            with pytest.raises(InputError, match="trains on JAX a model that it is a part of"):
                seewhy.explain(inner, np.ones((1, 8, 8, 3), "float32"), 0)
            said.append(batch)

    outer.compile("sgd", "mse")
    outer.fit(batch(4, 8, 8, 3), np.zeros((4, 2)), verbose=0, callbacks=[Explain()])
    assert said == [0]
