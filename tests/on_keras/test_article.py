"""The well-known Keras walk-through, its steps written anew in each backend's own tools, against seewhy."""

import keras
import numpy as np
import pytest

import seewhy

LAYER = "block14_sepconv2_act"


# 299 as in the article where it is quick
SIZES = [128, 299] if keras.config.backend() == "tensorflow" else [128]


@pytest.fixture(scope="module", params=SIZES)
def xception(request):
    keras.utils.set_random_seed(3)
    return keras.applications.Xception(weights=None, input_shape=(request.param, request.param, 3))


@pytest.fixture(scope="module")
def photo(xception):
    return np.random.default_rng(5).uniform(-1, 1, (1, *xception.input_shape[1:])).astype(np.float32)


def layer_and_gradient(model, photo, c):
    """The layer's output A, and d p_c / dA with the backend's own automatic differentiation."""
    layer = model.get_layer(LAYER)
    grad_model = keras.Model(model.inputs, [layer.output, model.output])
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            A, predictions = grad_model([photo])
            class_channel = predictions[:, c]
        return A, tape.gradient(class_channel, A)
    if keras.config.backend() == "jax":  # which differentiates by what goes in: the model in two
        import jax

        A, _ = grad_model([photo])
        tail = keras.Model(layer.output, model.output)
        return A, jax.grad(lambda a: tail(a)[:, c].sum())(A)
    import torch

    A, predictions = grad_model([photo])
    return A.detach(), torch.autograd.grad(predictions[:, c].sum(), A)[0]


def article(model, photo, c):
    """The walk-through: the gradient pooled over (0, 1, 2), the channels weighed and added up, ReLU, / maximum."""
    A, G = (keras.ops.convert_to_numpy(array).astype(np.float64) for array in layer_and_gradient(model, photo, c))
    pooled = G.mean(axis=(0, 1, 2))
    heatmap = np.squeeze(A[0] @ pooled[..., np.newaxis])
    return np.maximum(heatmap, 0) / heatmap.max()


def test_its_heatmap_is_ours_where_the_output_is_explained(xception, photo):
    p = keras.ops.convert_to_numpy(xception(photo))[0]
    explanation = seewhy.explain(xception, photo, seewhy.top(20), score="output")
    assert explanation.layer == LAYER
    order = [target.index for target in explanation.targets[0]]
    np.testing.assert_allclose(p[order], np.sort(p)[::-1][:20], rtol=1e-5)  # random weights: many are nearly alike
    maps = np.asarray(keras.ops.convert_to_numpy(explanation.maps))[0]
    assert maps.shape == (20, *[10 if photo.shape[1] == 299 else 4] * 2)
    shown = [j for j in range(20) if not explanation.blank[0, j]][:2]  # of a blank map the article makes NaN
    assert len(shown) == 2
    for j in shown:
        np.testing.assert_allclose(maps[j] / maps[j].max(), article(xception, photo, order[j]), atol=1e-4)


def test_the_number_before_the_softmax_gives_another_map(xception, photo):
    """What the default explains: by dp_c/dy = p_c (1[c] - p), other classes pull at the output's gradient."""
    plain, output = (
        np.asarray(keras.ops.convert_to_numpy(seewhy.explain(xception, photo, seewhy.top(20), score=score).maps))[0]
        for score in ("logit", "output")
    )
    both = [j for j in range(20) if plain[j].max() > 0 and output[j].max() > 0]
    assert both and all(plain[j].max() > 100 * output[j].max() for j in both)
    assert max(np.abs(plain[j] / plain[j].max() - output[j] / output[j].max()).max() for j in both) > 1e-3


def test_the_model_still_predicts_the_same(xception, photo):
    before = keras.ops.convert_to_numpy(xception(photo))
    seewhy.explain(xception, photo)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(xception(photo)), before)
    assert "call" not in xception.get_layer(LAYER).__dict__
