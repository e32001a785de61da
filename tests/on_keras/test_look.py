"""Images that were shown once, on each backend of Keras: another class is not another pass."""

import keras
import numpy as np
import pytest
from keras import layers
from keras_nets import Plain

import seewhy
from seewhy.look import Look


def net_of(plain: Plain) -> keras.Model:
    x = keras.Input((*plain.size, 3))
    y = layers.Conv2D(5, 3, activation="softsign", name="conv")(x)
    y = layers.Dense(5, activation="softsign", name="hidden")(layers.Flatten()(y))
    return plain.fill(keras.Model(x, layers.Dense(4, activation="softmax", name="head")(y)))


@pytest.mark.parametrize("method", ["grad-cam", "layer-cam", "grad-cam-plus-plus", "gradient", "eigen-cam"])
def test_other_classes_are_what_they_would_be(double, method):
    plain = Plain()
    net, x = net_of(plain), plain.batch(2)
    look = Look(seewhy.Explainer(net, layer="conv"), x)
    look.explain(0)
    layer = {} if method == "gradient" else {"layer": "conv"}
    for target in (1, [2, 3], seewhy.class_difference(0, 3), seewhy.top(2)):
        asked = target if not isinstance(target, list) else [target] * 2
        found, alone = look.explain(asked, method), seewhy.explain(net, x, asked, method=method, **layer)
        np.testing.assert_allclose(np.asarray(found.maps), np.asarray(alone.maps), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(np.asarray(found.scores), np.asarray(alone.scores), rtol=1e-9)
        np.testing.assert_allclose(np.asarray(found.outputs), np.asarray(alone.outputs), rtol=1e-9)


def test_what_comes_before_the_layer_does_not_run_again(double):
    plain = Plain()
    net, x = net_of(plain), plain.batch(1)
    look = Look(seewhy.Explainer(net, layer="conv"), x)
    first = look.explain(0)
    for variable in net.get_layer("conv").variables:
        variable.assign(variable * 0 + np.nan)  # whoever runs it will know
    again = look.explain([1, 2], "layer-cam")
    assert np.isfinite(np.asarray(again.maps)).all() and np.isfinite(np.asarray(again.scores)).all()
    np.testing.assert_array_equal(np.asarray(look.explain(0).maps), np.asarray(first.maps))
