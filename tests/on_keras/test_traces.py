"""Compiled once, and yet never out of date: what runs through Python again, and what a change of the model does."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras_nets import CLASSES, Plain, act, chain, conv, functional, image, sequential, tail

import seewhy
from seewhy.maps import to_numpy

BACKEND = keras.config.backend()


def close(maps, expected):
    np.testing.assert_allclose(to_numpy(maps), expected, rtol=1e-3, atol=1e-5)


def batch(n=2, seed=0):
    return Plain().batch(n, seed).astype("float32")


# ---- no retrace ------------------------------------------------------------------------------------------


class Counting(layers.Layer):
    """Counts how often Python runs through it."""

    times = 0

    def call(self, x):
        Counting.times += 1
        return x


@pytest.fixture
def counted():
    plain = Plain()
    x = image(plain)
    net = plain.fill(keras.Model(x, chain(x, conv(), Counting(), act(), *tail("softmax"))))
    Counting.times = 0
    return net


def sum_of_two(outputs):
    return outputs[:, 0] + outputs[:, 1]


ASKED = [
    (batch(seed=1), 0),
    (batch(seed=2), 3),
    (batch(), None),
    (batch(), [1, 2]),
    (batch(), sum_of_two),
    (batch(), lambda outputs: outputs[:, 2] * 2),
    (batch(), seewhy.negative(2)),
    (batch(), seewhy.top(3)),
]


@pytest.mark.parametrize("layer", ["act", None])
@pytest.mark.parametrize("anew", [False, True], ids=["one explainer", "seewhy.explain"])
def test_another_photo_or_question_is_not_traced_again(counted, anew, layer):
    explainer = seewhy.Explainer(counted, layer=layer)
    explainer(batch(), 1)
    first = Counting.times
    assert first > 0
    for x, target in ASKED:
        explanation = seewhy.explain(counted, x, target, layer=layer) if anew else explainer(x, target)
        assert explanation.layer == "act"
    more = Counting.times - first
    if BACKEND == "torch":  # nothing is traced there: each pass runs through Python, and no more than one
        assert more == len(ASKED)
    else:
        assert more == 0


@pytest.mark.skipif(BACKEND != "tensorflow", reason="the others compile for one number of images")
def test_another_number_of_images_is_not_traced_again(counted):
    explainer = seewhy.Explainer(counted)
    explainer(batch(2), 1)
    first = Counting.times
    for n in (1, 3, 7):
        explainer(batch(n), 1)
    assert Counting.times == first


@pytest.mark.skipif(BACKEND == "torch", reason="nothing is traced there")
def test_each_way_to_explain_is_kept(counted):
    ways = [{}, {"score": "output"}, {"method": "random-cam"}, {"layer": "conv"}]
    explainers = [seewhy.Explainer(counted, **way) for way in ways]
    once = [explainer(batch(), 1) for explainer in explainers]
    first = Counting.times
    again = [explainer(batch(), 1) for explainer in explainers]
    assert Counting.times == first
    for one, other in zip(once, again, strict=True):
        np.testing.assert_array_equal(to_numpy(one.maps), to_numpy(other.maps))


# ---- changes are seen ------------------------------------------------------------------------------------


def test_new_weights_are_seen():
    plain, other = Plain(), Plain(seed=5)
    net = plain.fill(functional(plain))
    explainer = seewhy.Explainer(net)
    close(explainer(batch(), 1).maps[:, 0], plain.maps(batch(), lambda y: y[:, 1]))
    other.fill(net)
    close(explainer(batch(), 1).maps[:, 0], other.maps(batch(), lambda y: y[:, 1]))
    net.get_layer("conv").kernel.assign(plain.arrays["conv"][0])
    other.arrays["conv"][0] = plain.arrays["conv"][0]
    close(explainer(batch(), 1).maps[:, 0], other.maps(batch(), lambda y: y[:, 1]))


@pytest.mark.parametrize("frozen", [False, True])
def test_weights_after_training_are_seen(frozen):
    plain = Plain()
    net = plain.fill(functional(plain))
    explainer = seewhy.Explainer(net)
    explainer(batch(), 1)
    net.get_layer("conv").trainable = not frozen
    net.compile(keras.optimizers.SGD(0.1), "mse")
    net.fit(batch(), np.zeros((2, CLASSES)), verbose=0)
    for name in plain.arrays:
        trained = net.get_layer(name).get_weights()
        assert np.allclose(trained[0], plain.arrays[name][0]) == (frozen and name == "conv")
        plain.arrays[name] = [array.astype("float64") for array in trained]
    close(explainer(batch(), 1).maps[:, 0], plain.maps(batch(), lambda y: y[:, 1]))


def test_a_swapped_activation_is_seen():
    plain = Plain()
    x = image(plain)
    net = plain.fill(keras.Model(x, chain(x, conv(), act(), *tail("softmax"))))
    explainer = seewhy.Explainer(net, score="output")
    explainer(batch(), 1)
    net.layers[-1].activation = keras.activations.linear
    explanation = explainer(batch(), 1)
    close(explanation.scores[:, 0], plain.logits(batch())[:, 1])
    close(explanation.maps[:, 0], plain.maps(batch(), lambda y: y[:, 1]))


def test_another_last_layer_is_seen():
    plain = Plain()
    net = plain.fill(sequential(plain))
    explainer = seewhy.Explainer(net)
    explainer(batch(), 1)
    net.pop()
    net.add(layers.Dense(CLASSES + 2, name="head"))
    plain.arrays["head"] = Plain(seed=3).arrays["head"]
    plain.arrays["head"] = [np.concatenate([a, a[..., :2] * 2], -1) for a in plain.arrays["head"]]
    plain.fill(net)
    close(explainer(batch(), CLASSES + 1).maps[:, 0], plain.maps(batch(), lambda y: y[:, CLASSES + 1]))


# ---- what cannot be compiled -----------------------------------------------------------------------------


class Looking(layers.Layer):
    """Code that looks at values: of what went into the convolution, and of what comes after it."""

    def __init__(self, way) -> None:
        super().__init__()
        self.way = way

    def call(self, x):
        if self.way == "if":
            return x * 2 if ops.mean(x) > -1e9 else x
        return x * float(np.asarray(ops.convert_to_numpy(x)).max() > -1e9) * 2


@pytest.mark.parametrize(("way", "before"), [("if", True), ("if", False), ("numpy", True)])
@pytest.mark.parametrize("method", ["grad-cam", "random-cam"])
def test_code_that_looks_at_values_runs_as_it_is(way, before, method):
    plain = Plain()

    class Net(keras.Model):
        def __init__(self, look):
            super().__init__()
            self.look, self.conv, self.act, self.after = look, conv(), act(), tail("softmax")

        def call(self, x):
            x = self.look(x) if before else x
            x = self.act(self.conv(x))
            return chain(x if before else self.look(x), *self.after)

    nets = [Net(Looking(way)), Net(layers.Rescaling(2.0))]
    for net in nets:
        net(batch())
        plain.fill(net)
    for target in (1, seewhy.top(2)):
        looked, straight = (seewhy.explain(net, batch(), target, method=method, layer="act") for net in nets)
        close(looked.maps, to_numpy(straight.maps))
        close(looked.scores, to_numpy(straight.scores))
    assert float(np.max(to_numpy(looked.maps))) > 0


@pytest.mark.skipif(BACKEND != "tensorflow", reason="a setting of TensorFlow's")
@pytest.mark.parametrize("how", ["compile", "globally"])
def test_a_model_that_shall_run_eagerly_does(counted, how):
    import tensorflow as tf

    expected = seewhy.explain(counted, batch(), seewhy.top(2))
    if how == "compile":
        counted.compile(run_eagerly=True)
    else:
        tf.config.run_functions_eagerly(True)
    try:
        net = keras.models.clone_model(counted)
        Plain().fill(net)
        net.compile(run_eagerly=how == "compile")
        explainer = seewhy.Explainer(net, layer="act")
        Counting.times = 0
        for step in range(3):
            explanation = explainer(batch(), seewhy.top(2))
            assert Counting.times == step + 1
    finally:
        tf.config.run_functions_eagerly(False)
    close(explanation.maps, expected.maps)
    close(explanation.scores, expected.scores)
