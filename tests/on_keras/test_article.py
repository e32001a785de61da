"""The well-known Keras walk-through, its steps written anew in each backend's own tools, against seewhy."""

import keras
import numpy as np
import pytest

import seewhy

LAYER = "block14_sepconv2_act"


@pytest.fixture(scope="module")
def xception():
    keras.utils.set_random_seed(3)
    return keras.applications.Xception(weights=None, input_shape=(128, 128, 3))


@pytest.fixture(scope="module")
def photo():
    return np.random.default_rng(5).uniform(-1, 1, (1, 128, 128, 3)).astype(np.float32)


def gradient(tail, A, c):
    """d tail(A)[:, c] / dA with the backend's own automatic differentiation."""
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(A)
            score = tail(A)[:, c]
        return tape.gradient(score, A)
    if keras.config.backend() == "jax":
        import jax

        return jax.grad(lambda a: tail(a)[:, c].sum())(A)
    import torch

    A = A.detach().requires_grad_(True)
    return torch.autograd.grad(tail(A)[:, c].sum(), A)[0]


def article(model, photo, c):
    """The walk-through: split at the layer, pool the gradient, weigh in a loop, mean, ReLU, divide by the maximum."""
    layer = model.get_layer(LAYER)
    body = keras.Model(model.inputs, layer.output)
    tail = keras.Model(layer.output, model.output)
    A = body(keras.ops.convert_to_tensor(photo))
    G = np.asarray(keras.ops.convert_to_numpy(gradient(tail, A, c)), np.float64)
    pooled = G.mean(axis=(0, 1, 2))
    weighed = np.asarray(keras.ops.convert_to_numpy(keras.ops.stop_gradient(A)), np.float64)[0].copy()
    for i in range(pooled.shape[-1]):
        weighed[:, :, i] *= pooled[i]
    heatmap = np.maximum(weighed.mean(axis=-1), 0)
    return heatmap / heatmap.max()


def test_its_heatmap_is_ours_where_the_output_is_explained(xception, photo):
    p = keras.ops.convert_to_numpy(xception(photo))[0]
    explanation = seewhy.explain(xception, photo, seewhy.top(20), score="output")
    assert explanation.layer == LAYER
    order = [target.index for target in explanation.targets[0]]
    np.testing.assert_allclose(p[order], np.sort(p)[::-1][:20], rtol=1e-5)  # random weights: many are nearly alike
    maps = np.asarray(keras.ops.convert_to_numpy(explanation.maps))[0]
    assert maps.shape == (20, 4, 4)
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
