"""What is asked in one call, on Keras: layers, methods, views, and methods of one's own."""

import keras
import numpy as np
import pytest
from keras_nets import FORMS, Plain

import seewhy
from seewhy.maps import to_numpy

pytestmark = pytest.mark.usefixtures("double")


@pytest.fixture
def made():
    plain = Plain()
    return plain, plain.fill(FORMS["functional"][0](plain))


def test_layers_side_by_side_and_fused(made):
    plain, net = made
    x = plain.batch()
    several = seewhy.explain(net, x, [[0, 1], [2, 3]], layer=["conv", "act"])
    for name in several.names:
        alone = seewhy.explain(net, x, [[0, 1], [2, 3]], layer=name)
        np.testing.assert_allclose(to_numpy(several[name].maps), to_numpy(alone.maps), rtol=1e-6, atol=1e-9)
    fused = seewhy.explain(net, x, 1, layer=["conv", "act"], fuse="mean")
    assert to_numpy(fused.maps).max() <= 1 and fused.layer == "mean of conv, act"


def test_methods_of_a_layer_and_of_the_input_compared(made):
    plain, net = made
    x = plain.batch()
    several = seewhy.compare(net, x, 2, methods=["grad-cam", "gradient", "layer-cam"], layer="act")
    assert [part.layer for part in several] == ["act", "input", "act"]
    alone = seewhy.explain(net, x, 2, method="gradient")
    np.testing.assert_allclose(to_numpy(several["gradient"].maps), to_numpy(alone.maps), rtol=1e-6)


def test_views_are_laid_back(made):
    plain, net = made
    x = plain.batch()
    A, G = plain.truth(x, lambda y: y[:, 1])
    B, H = plain.truth(np.ascontiguousarray(x[:, :, ::-1]), lambda y: y[:, 1])
    there, back = ((g.mean((2, 3), keepdims=True) * a).sum(1) for a, g in ((A, G), (B, H)))
    found = seewhy.explain(net, x, 1, layer="act", augment="flips")
    np.testing.assert_allclose(
        to_numpy(found.maps)[:, 0], np.maximum((there + back[:, :, ::-1]) / 2, 0), rtol=1e-4, atol=1e-5
    )


def test_a_method_of_ones_own_may_use_kerass_operations(made):
    plain, net = made

    def mean(capture):
        return keras.ops.mean(keras.ops.convert_to_tensor(capture.activations), axis=1, keepdims=True)

    x = plain.batch()
    found = seewhy.explain(net, x, 1, method=mean, layer="act")
    expected = np.maximum(plain.features(x).numpy().mean(1), 0)
    np.testing.assert_allclose(to_numpy(found.maps)[:, 0], expected, rtol=1e-5, atol=1e-7)
