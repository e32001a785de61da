"""The Keras adapter: what it sees is what plain maths sees, in whatever way a model's layers hang together."""

import keras
import numpy as np
import pytest
import torch
from keras import layers, ops
from keras_nets import CHANNELS, CLASSES, Plain, act, chain, conv, functional, image, tail, with_numbers

import seewhy
from seewhy.maps import to_numpy

pytestmark = pytest.mark.usefixtures("double")

BACKEND = keras.config.backend()


def close(maps, expected):
    np.testing.assert_allclose(to_numpy(maps), expected, rtol=1e-4, atol=1e-6)


def grad_cam(A, G):
    return np.maximum((G.mean((2, 3), keepdims=True) * A).sum(1), 0)


# ---- inputs and targets ----------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [dict, lambda parts: list(parts.values())], ids=["dict", "list"])
def test_several_inputs(wrap):
    plain = Plain()
    net, x, numbers = plain.fill(with_numbers(plain, wrap)), plain.batch(), np.ones((2, 2))
    weights = net.get_layer("of_numbers").get_weights()
    asked = [{"image": x, "numbers": numbers}, {"numbers": numbers, "image": x}]
    asked += [(x, numbers), [x, numbers]] if wrap is not dict else []
    for inputs in asked:
        explanation = seewhy.explain(net, inputs, 1)
        assert explanation.layer == "act"
        close(explanation.maps[:, 0], plain.maps(x, lambda y: y[:, 1]))
        close(explanation.scores[:, 0], (plain.logits(x) + numbers @ weights[0] + weights[1])[:, 1])
    assert explanation.heatmap(0, 0).shape == (6, 7)


def test_a_callable_gets_the_outputs_as_the_model_returns_them():
    plain = Plain()
    x = image(plain)
    net = plain.fill(keras.Model(x, {"more": [chain(x, conv(), act(), *tail()), x]}))
    explanation = seewhy.explain(net, plain.batch(), lambda outputs: outputs["more"][0][:, 3], layer="act")
    close(explanation.maps[:, 0], plain.maps(plain.batch(), lambda y: y[:, 3]))
    assert explanation.labels == [["<lambda>"], ["<lambda>"]]
    np.testing.assert_allclose(to_numpy(explanation.outputs["more"][1]), plain.batch())


def test_targets_for_each_image_and_several_for_each():
    plain = Plain()
    net, x = plain.fill(functional(plain)), plain.batch(3)
    each = [plain.maps(x, lambda y, c=c: y[:, c]) for c in range(CLASSES)]
    mixed = seewhy.explain(net, x, [0, seewhy.negative(3), lambda y: y[:, 2]])
    close(mixed.maps[:, 0], [each[0][0], plain.maps(x, lambda y: -y[:, 3])[1], each[2][2]])
    many = seewhy.explain(net, x, [[0, 1], [2, 3], [3, 0]])
    close(many.maps, [[each[a][i], each[b][i]] for i, (a, b) in enumerate([(0, 1), (2, 3), (3, 0)])])
    best = plain.logits(x).argmax(1)
    close(seewhy.explain(net, x).maps[:, 0], [each[c][i] for i, c in enumerate(best)])
    assert [row[0].index for row in seewhy.explain(net, x).targets] == best.tolist()


def test_a_target_of_maths_in_keras():
    plain = Plain()
    explanation = seewhy.explain(plain.fill(functional(plain)), plain.batch(), lambda y: ops.logsumexp(y, axis=1))
    close(explanation.maps[:, 0], plain.maps(plain.batch(), lambda y: y.logsumexp(1)))


def test_several_outputs_that_could_be_the_class_scores():
    plain = Plain()
    x = image(plain)
    features = chain(x, conv(), act())
    net = plain.fill(keras.Model(x, [layers.GlobalAveragePooling2D()(features), chain(features, *tail())]))
    with pytest.warns(seewhy.SeewhyWarning, match="several arrays"):
        explanation = seewhy.explain(net, plain.batch(), lambda outputs: outputs[1][:, 2])
    close(explanation.maps[:, 0], plain.maps(plain.batch(), lambda y: y[:, 2]))


# ---- how layers hang together ----------------------------------------------------------------------------


def test_of_a_layer_that_runs_several_times_the_last_run_is_explained():
    plain = Plain()
    stem, shared = layers.Conv2D(CHANNELS, 1), layers.Conv2D(CHANNELS, 3, padding="same", name="conv")
    x = image(plain)
    y = stem(x)
    for _ in range(3):
        y = ops.sin(shared(y))
    net = keras.Model(x, chain(y, layers.GlobalAveragePooling2D(), layers.Dense(CLASSES, name="linear")))
    as_torch = [[torch.from_numpy(w).double() for w in layer.get_weights()] for layer in (stem, shared, net.layers[-1])]
    (k1, b1), (k3, b3), (w, b) = as_torch
    batch = plain.batch()
    A = torch.nn.functional.conv2d(torch.from_numpy(batch).movedim(-1, 1), k1.movedim((-1, -2), (0, 1)), b1)
    for step in range(3):
        A = torch.nn.functional.conv2d(A, k3.movedim((-1, -2), (0, 1)), b3, padding=1)
        A = torch.sin(A) if step < 2 else A.requires_grad_(True)
    (G,) = torch.autograd.grad((torch.sin(A).mean((2, 3)) @ w + b)[:, 2].sum(), A)
    for _ in range(2):
        close(seewhy.explain(net, batch, 2, layer="conv").maps[:, 0], grad_cam(A.detach().numpy(), G.numpy()))
    control = seewhy.explain(net, batch, 2, layer="conv", method=lambda c: c.activations.sum(1)[:, None] ** 2)
    close(control.maps[:, 0], A.detach().numpy().sum(1) ** 2)


def test_an_activation_that_runs_after_the_pooling_too():
    plain = Plain()
    shared = act()
    x = image(plain)
    pooled = layers.GlobalAveragePooling2D()(chain(x, conv(), shared))
    net = keras.Model(x, layers.Dense(CLASSES, name="top")(shared(layers.Dense(5, name="mid")(pooled))))
    plain.fill(net)
    A = plain.features(plain.batch()).requires_grad_(True)
    (w, b), (v, d) = ([torch.from_numpy(a).double() for a in net.get_layer(n).get_weights()] for n in ("mid", "top"))
    y = torch.nn.functional.softsign(A.mean((2, 3)) @ w + b) @ v + d
    (G,) = torch.autograd.grad(y[:, 1].sum(), A)
    for _ in range(2):
        explanation = seewhy.explain(net, plain.batch(), 1)
        assert explanation.layer == "act"
        close(explanation.maps[:, 0], grad_cam(A.detach().numpy(), G.numpy()))


class Residual(layers.Layer):
    """Adds its input to what its layers make of it."""

    def __init__(self) -> None:
        super().__init__(name="residual")
        self.inner = layers.Conv2D(CHANNELS, 3, padding="same", kernel_initializer="zeros", name="same")

    def build(self, shape):
        self.inner.build(shape)

    def call(self, x):
        return x + ops.softsign(self.inner(x))


def test_a_residual_sum_within_a_layer_is_part_of_its_output():
    plain = Plain()
    x = image(plain)
    net = plain.fill(keras.Model(x, chain(x, conv(), act(), Residual(), *tail())))
    whole = seewhy.explain(net, plain.batch(), 2)
    assert whole.layer == "residual"
    close(whole.maps[:, 0], plain.maps(plain.batch(), lambda y: y[:, 2]))
    inner = seewhy.explain(net, plain.batch(), 2, layer="residual/same")
    assert float(inner.maps.max()) == 0  # its own output is all zeros


def test_a_layer_that_returns_several_arrays():
    class Two(layers.Layer):
        def call(self, x):
            return {"mean": ops.mean(x, axis=(1, 2)), "map": ops.softsign(x)}

    plain = Plain()
    x = image(plain)
    net = plain.fill(keras.Model(x, chain(Two(name="two")(conv()(x))["map"], *tail())))
    explanation = seewhy.explain(net, plain.batch(), 2, layer="two")
    close(explanation.maps[:, 0], plain.maps(plain.batch(), lambda y: y[:, 2]))


def test_a_model_from_a_file(tmp_path):
    plain = Plain()
    plain.fill(functional(plain, layers.Softmax())).save(tmp_path / "model.keras")
    net = keras.saving.load_model(tmp_path / "model.keras")
    close(seewhy.explain(net, plain.batch(), 1).maps[:, 0], plain.maps(plain.batch(), lambda y: y[:, 1]))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_and_maps_in_float32(policy):
    plain, x = Plain(), Plain().batch().astype("float32")
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    full = plain.fill(functional(plain, layers.Softmax()))
    keras.config.set_dtype_policy(policy)  # the fixture puts it back
    mixed = plain.fill(functional(plain, layers.Softmax(dtype="float32")))
    assert mixed.get_layer("act").compute_dtype == policy.removeprefix("mixed_")
    one, other = (seewhy.explain(net, x, seewhy.top(2)) for net in (full, mixed))
    assert "float32" in str(other.maps.dtype)
    assert "float32" in str(other.scores.dtype)
    assert other.targets[0][0].index == one.targets[0][0].index
    np.testing.assert_allclose(
        to_numpy(other.maps), to_numpy(one.maps), rtol=0.1, atol=0.05 * float(np.max(to_numpy(one.maps)))
    )
    np.testing.assert_allclose(to_numpy(other.scores)[:, 0], plain.logits(x).max(1), rtol=0.1)  # logits, no shares
