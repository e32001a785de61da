"""Bias-gradients of Keras layers: with input times gradient they add up to the score of a net of ReLUs."""

import keras
import numpy as np
import pytest
from keras import layers

import seewhy
from seewhy.maps import to_numpy
from seewhy.types import Capture, method

pytestmark = pytest.mark.usefixtures("double")


def foreign():
    import torch

    inner = torch.nn.Sequential(torch.nn.Conv2d(4, 3, 1), torch.nn.ReLU(inplace=True)).double()
    wrapper = layers.TorchModuleWrapper(inner, output_shape=(None, 3, 6, 6))
    return lambda x: layers.Permute((2, 3, 1))(wrapper(layers.Permute((3, 1, 2))(x)))


BODIES = {
    "fused": lambda: [layers.Conv2D(4, 3, activation="relu"), layers.Conv2D(3, 3, activation="relu")],
    "normalised": lambda: [layers.Conv2D(4, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU()],
    "layer norm": lambda: [layers.Conv2D(4, 3), layers.LayerNormalization(), layers.ReLU(), layers.Dense(5)],
    "separable": lambda: [layers.SeparableConv2D(4, 3, activation="relu"), layers.DepthwiseConv2D(3)],
    "nested": lambda: [keras.Sequential([layers.Conv2D(4, 3), layers.GroupNormalization(2), layers.ReLU()])],
}
if keras.config.backend() == "torch":
    BODIES["module of PyTorch"] = lambda: [layers.Conv2D(4, 3, activation="relu"), foreign()]


@pytest.mark.parametrize("body", BODIES)
def test_they_add_up_to_the_score(body):
    """Srinivas and Fleuret 2019, proposition 1; a layer's activation counts to the layer."""
    keras.utils.set_random_seed(0)
    x = image = keras.Input((8, 8, 3))
    for layer in BODIES[body]():
        x = layer(x)
    head = layers.Dense(4)
    net = keras.Model(image, head(layers.Flatten()(x)))
    random = np.random.default_rng(0)
    net.set_weights(
        [random.normal(size=w.shape) if np.ndim(w) != 1 else random.random(w.shape) for w in net.get_weights()]
    )
    kept = {}

    @method(paper="none", at_input=True)
    def parts(capture: Capture):
        assert capture.again is not None and capture.gradients is not None
        kept["terms"] = [capture.gradients * capture.activations[:, None], *capture.again.biases()]
        return capture.gradients.sum(2)

    explanation = seewhy.explain(net, random.normal(size=(2, 8, 8, 3)), [[0, 3]] * 2, method=parts)
    total = sum(to_numpy(term).reshape(2, 2, -1).sum(2) for term in kept["terms"])
    last = head.get_weights()[1][[0, 3]]
    np.testing.assert_allclose(total + last, to_numpy(explanation.scores), rtol=1e-4, atol=1e-5)
    assert len(kept["terms"]) > 1 and all(term.shape[:2] == (2, 2) for term in kept["terms"])
    maps = to_numpy(seewhy.explain(net, random.normal(size=(2, 8, 8, 3)), 0, method="full-grad").maps)
    assert maps.shape == (2, 1, 8, 8) and np.isfinite(maps).all() and maps.max() > 0
