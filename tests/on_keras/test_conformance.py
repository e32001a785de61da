"""Methods x targets x axes, and x the forms of a model, against replicas in scalar loops; the truth is PyTorch's."""

from functools import cache

import keras
import numpy as np
import pytest
from keras_nets import FORMS, Plain, PlainMaps, score_maps

import seewhy
from replicas import REPLICAS
from seewhy.maps import to_numpy

pytestmark = pytest.mark.usefixtures("double")


def sum_of_two(outputs):
    return outputs[:, 0] * 2 + outputs[:, 3]


def nearest_two(y, c):
    """The two scores of other classes that are nearest to that of class c."""
    return y.gather(1, (y - y[:, c : c + 1]).abs().argsort(1)[:, 1:3])


# each target, and the same as a function from class scores (n, classes) to (n,) scores, for each place j
TARGETS = {
    "class-score": (2, [lambda y: y[:, 2]]),
    "top": (seewhy.top(2), [lambda y, j=j: y.sort(descending=True).values[:, j] for j in range(2)]),
    "negative": (seewhy.negative(1), [lambda y: -y[:, 1]]),
    "class-difference": (seewhy.class_difference(3, 1), [lambda y: y[:, 3] - y[:, 1]]),
    "finer": (seewhy.finer(2, against=2, alpha=0.5), [lambda y: y[:, 2] - 0.25 * nearest_two(y, 2).sum(1)]),
    "region": (seewhy.region(3), [lambda y: (y[:, 3] * (y.argmax(1) == 3)).flatten(1).sum(1)]),
    "callable": (sum_of_two, [lambda y: 2 * y[:, 0] + y[:, 3]]),
}


@cache
def built(form, axes=2):
    """A model for all tests that want it: it is compiled once."""
    plain = Plain(axes, seed=axes)
    return plain, plain.fill(FORMS[form][0](plain))


@cache
def built_for(target, axes):
    """The model that this target can be asked of."""
    if target != "region":
        return built("functional", axes)
    maps = PlainMaps(axes, seed=axes)
    return maps, maps.fill(score_maps(maps))


IN_FLOAT32 = ("operations", "normalised")
# since TensorFlow has no channels-first convolutions in 1-D and 2-D on a CPU
IN_3D = ("channels first", "turned within", "turned within itself")


def batch_for(form, plain):
    x = plain.batch()
    return np.moveaxis(x, -1, 1) if form == "channels first" else x


def check(explanation, plain, x, method, scores, form="functional"):
    # Keras does some of its maths in float32 even if all is float64, but on TensorFlow
    exact = keras.config.backend() == "tensorflow" or (keras.config.backend() == "jax" and form not in IN_FLOAT32)
    rtol = 1e-9 if exact else 1e-5
    assert explanation.maps.shape == (len(x), len(scores), *(length - 2 for length in plain.size))
    maps, values = to_numpy(explanation.maps), to_numpy(explanation.scores)
    for j, score in enumerate(scores):
        A, G = plain.truth(x, score)
        expected = np.stack([REPLICAS[method](A[i], G[i], j) for i in range(len(x))])
        np.testing.assert_allclose(maps[:, j], expected, rtol=rtol, atol=rtol / 10)
        np.testing.assert_allclose(values[:, j], score(plain.tail(plain.features(x))), rtol=rtol)
        assert explanation.blank[:, j].tolist() == [not (m > 0).any() for m in expected]


def test_every_target_has_a_row():
    assert set(TARGETS) - {"callable"} == set(seewhy.targets())


@pytest.mark.filterwarnings("ignore:.*nowhere the best")  # region
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("method", ["grad-cam", "hires-cam", "random-cam"])  # test_all_methods.py has all others
def test_equals_its_replica(method, target, axes):
    plain, net = built_for(target, axes)
    x = plain.batch()
    asked, scores = TARGETS[target]
    check(seewhy.explain(net, x, asked, method=method, layer="act"), plain, x, method, scores)


@pytest.mark.parametrize("form", FORMS)
def test_however_the_model_is_written(form):
    plain, net = built(form, 3 if form in IN_3D else 2)
    asked, scores = TARGETS["top"]
    explanation = seewhy.explain(net, batch_for(form, plain), asked, layer=FORMS[form][1])
    check(explanation, plain, plain.batch(), "grad-cam", scores, form)


@pytest.mark.parametrize("form", ["nested", "dict of outputs"])
def test_however_the_model_is_written_without_gradients(form):
    plain, net = built(form)
    explanation = seewhy.explain(net, plain.batch(), 2, method="random-cam", layer=FORMS[form][1])
    check(explanation, plain, plain.batch(), "random-cam", TARGETS["class-score"][1], form)
