"""One model in both worlds: lite0 on PyTorch and as a Keras model, on this process's backend."""

import keras
import numpy as np
import pytest

import seewhy
from seewhy.photos import embedded_photo


@pytest.fixture(scope="module")
def keras_lite0():
    return seewhy.load("keras:lite0")


def numbers(array):
    return np.asarray(keras.ops.convert_to_numpy(array))


@pytest.mark.parametrize("photo", ["coffee", "cat", "rocket"])
def test_same_map_and_same_best_classes(lite0, keras_lite0, photo):
    picture = embedded_photo(photo)
    there, here = seewhy.explain(lite0, picture), seewhy.explain(keras_lite0, picture)
    wanted, maps = there.maps.numpy(), numbers(here.maps)
    assert maps.shape == wanted.shape == (1, 1, 7, 7)
    assert np.abs(maps - wanted).max() <= 1e-3 * wanted.max()
    assert [p.label for p in here.predictions()] == [p.label for p in there.predictions()]
    np.testing.assert_allclose(here.heatmap(), there.heatmap(), atol=1e-3)
    assert here.describe() == there.describe()


PAIRS = [
    ("grad-cam", "coffee"),
    ("grad-cam", "cat"),
    ("layer-cam", "cat"),
    ("recipro-cam", "coffee"),
    ("full-grad", "cat"),
]


@pytest.mark.parametrize(("method", "photo"), PAIRS)
def test_methods_agree(lite0, keras_lite0, method, photo):
    picture = embedded_photo(photo)
    there, here = (seewhy.explain(net, picture, seewhy.top(5), method=method) for net in (lite0, keras_lite0))
    assert here.labels == there.labels
    wanted, maps = there.maps.numpy()[0], numbers(here.maps)[0]
    bound = 1e-3 if method == "full-grad" else 1e-4  # in float64 they agree to 1e-15: float32 rounds at every layer
    for j in range(5):  # each by its own maximum; seen: below 1e-5 on every backend
        assert wanted[j].max() > 0
        assert np.abs(maps[j] - wanted[j]).max() <= bound * wanted[j].max()
    np.testing.assert_allclose(numbers(here.scores), there.scores.numpy(), rtol=1e-4)
    np.testing.assert_allclose(here.probabilities, there.probabilities, atol=1e-5)
