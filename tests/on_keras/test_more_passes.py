"""Further passes on Keras: several layers, changed images, changed layers; the truth is the same net in PyTorch."""

import keras
import numpy as np
import pytest
import torch
from keras import layers, ops
from keras_nets import CLASSES, FORMS, Plain, act, chain, channels_first, conv, image, tail, with_numbers
from torch.nn import functional as F

from seewhy.maps import to_numpy
from seewhy.targets._forms import Question, as_rows
from seewhy.types import INPUT, MorePasses

pytestmark = pytest.mark.usefixtures("double")

BACKEND = keras.config.backend()
ASKED = [[0, 1], [2, 3]]
"""The targets of each of two images."""
OF = np.asarray([1, 0, 1], np.intp)
"""The images that three rows were made from."""


def close(found, expected):
    np.testing.assert_allclose(to_numpy(found), expected, rtol=1e-4, atol=1e-6)


def captured(net, x, names, asked=ASKED, **options):
    """What the adapter tells of layers of these names."""
    from seewhy.adapters import keras as adapter

    question = Question(as_rows(asked, len(asked)), lambda classes: None)
    found = [name if name == INPUT else adapter.find_layer(net, name)[1] for name in names]
    return adapter.capture(net, found, adapter.place(net, x), question, **{"gradients": True, "logit": True, **options})


def arrays(given):
    """An array as methods have it on this backend."""
    found = keras.ops.convert_to_tensor(np.ascontiguousarray(given))
    return np.asarray(given) if BACKEND == "tensorflow" else found


def slopes(function, at, asked):
    """d outputs[r, asked[r][j]] / d at as (n, k, ...), by PyTorch's autograd."""
    leaf = torch.as_tensor(at).detach().requires_grad_(True)
    outputs = function(leaf)
    each = [
        [torch.autograd.grad(outputs[r, c], leaf, retain_graph=True)[0][r] for c in row] for r, row in enumerate(asked)
    ]
    return torch.stack([torch.stack(row) for row in each]).numpy()


def chosen(outputs, asked):
    return np.stack([np.asarray(outputs)[r, row] for r, row in enumerate(asked)])


def first(x):
    return np.moveaxis(x, -1, 1)


def from_images(plain):
    """The net in PyTorch, of images (n, c, *s)."""
    kernel, bias = map(torch.from_numpy, plain.arrays["conv"])
    return lambda x: plain.tail(F.softsign(F.conv2d(x, kernel.movedim((-1, -2), (0, 1)), bias)))


MADE = {name: FORMS[name] for name in ("functional", "subclassed", "nested", "channels first", "dict of outputs")}


@pytest.fixture(params=MADE)
def made(request):
    """A net, the path of its softsign, and a batch in its own layout and channels first."""
    if BACKEND == "tensorflow" and request.param == "channels first":
        pytest.skip("TensorFlow goes back through no such convolution on a CPU")
    plain = Plain()
    make, name = FORMS[request.param]
    x = plain.batch()
    return plain, plain.fill(make(plain)), name, x if request.param != "channels first" else first(x), first(x)


def test_several_layers_and_the_input_in_one_pass(made):
    plain, net, name, x, images = made
    names = [name, INPUT, name.replace("act", "conv"), name]
    at_act, at_input, at_conv, twice = captured(net, x, names)
    A = plain.features(first_last(images))
    close(at_act.activations, A)
    close(at_act.gradients, slopes(plain.tail, A, ASKED))
    close(twice.gradients, to_numpy(at_act.gradients))
    before = A / (1 - abs(A))
    close(at_conv.activations, before)
    close(at_conv.gradients, slopes(lambda a: plain.tail(F.softsign(a)), before, ASKED))
    close(at_input.activations, images)
    close(at_input.gradients, slopes(from_images(plain), images, ASKED))
    close(at_input.scores, chosen(plain.logits(first_last(images)), ASKED))
    assert isinstance(at_act.again, MorePasses)


def first_last(images):
    return np.moveaxis(images, 1, -1)


def test_changed_images_and_layers(made):
    plain, net, name, x, images = made
    at_act, at_input = captured(net, x, [name, INPUT], logit=False)
    asked = [ASKED[i] for i in OF]
    given = first(plain.batch(3, seed=7))
    A = plain.features(first_last(given))
    for again in (at_act.again, at_input.again):
        close(again.images, images)
        close(again.scores(arrays(given), OF), chosen(plain.tail(A), asked))
        variant = again.gradients(arrays(given), OF, at_input=True)
        close(variant.activations, given)
        close(variant.gradients, slopes(from_images(plain), given, asked))
        close(variant.scores, chosen(plain.tail(A), asked))
    variant = at_act.again.gradients(arrays(given), OF)
    close(variant.activations, A)
    close(variant.gradients, slopes(plain.tail, A, asked))
    changed = torch.from_numpy(np.random.default_rng(1).normal(size=A.shape))
    close(at_act.again.tail(arrays(changed.numpy()), OF), chosen(plain.tail(changed), asked))
    close(at_input.again.tail(arrays(given), OF), chosen(plain.tail(A), asked))


def test_curvature():
    plain = Plain()
    x = image(plain)
    net = plain.fill(
        keras.Model(x, chain(x, conv(), act(), layers.Flatten(), layers.Dense(5, "tanh", name="hidden"),
                             layers.Dense(CLASSES, "softmax", name="head")))
    )  # fmt: skip
    hidden, hidden_bias, head, head_bias = map(torch.from_numpy, plain.arrays["hidden"] + plain.arrays["head"])

    def score(A, c):
        return (torch.tanh(A.movedim(0, -1).flatten() @ hidden + hidden_bias) @ head + head_bias)[c]

    for logit in (True, False):
        [capture] = captured(net, plain.batch(), ["act"], logit=logit)
        found, A = to_numpy(capture.again.curvature()), plain.features(plain.batch())
        assert found.shape == (2, 2, *A.shape[1:])
        for i, j in np.ndindex(2, 2):

            def asked(a, c=ASKED[i][j], logit=logit):
                every = torch.stack([score(a, d) for d in range(CLASSES)])
                return every[c] if logit else every.softmax(0)[c]

            H = torch.autograd.functional.hessian(asked, A[i])
            close(found[i, j], torch.tensordot(H, A[i], dims=A[i].ndim).numpy())


def test_curvature_of_a_straight_tail_is_zero():
    x = image(Plain())
    y = chain(x, conv(), act(), layers.GlobalAveragePooling2D(), layers.Dense(CLASSES))
    [capture] = captured(keras.Model(x, y), Plain().batch(), ["act"])
    assert not to_numpy(capture.again.curvature()).any()


def test_the_other_inputs_go_with_their_image():
    plain = Plain()
    net, x, numbers = plain.fill(with_numbers(plain, dict)), plain.batch(), np.asarray([[1.0, 2.0], [3.0, -1.0]])
    weight, bias = net.get_layer("of_numbers").get_weights()
    [capture] = captured(net, {"image": x, "numbers": numbers}, ["act"])
    more = torch.from_numpy(numbers[OF] @ weight + bias)
    asked = [ASKED[i] for i in OF]
    given = plain.batch(3, seed=7)
    A = plain.features(given)
    close(capture.again.scores(arrays(first(given)), OF), chosen(plain.tail(A) + more, asked))
    close(capture.again.gradients(arrays(first(given)), OF).scores, chosen(plain.tail(A) + more, asked))
    close(capture.again.tail(arrays(A.numpy()), OF), chosen(plain.tail(A) + more, asked))


def test_a_tail_channels_first():
    plain = Plain()
    net = plain.fill(channels_first(plain))
    [capture] = captured(net, first(plain.batch()), ["act"])
    A = plain.features(plain.batch(3, seed=7))
    close(capture.again.tail(arrays(A.numpy()), OF), chosen(plain.tail(A), [ASKED[i] for i in OF]))


def test_of_a_layer_that_runs_twice_the_last_run_is_changed():
    x = image(Plain())
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    y = ops.tanh(shared(ops.tanh(shared(x))))
    net = keras.Model(x, layers.Dense(CLASSES, name="linear")(layers.GlobalAveragePooling2D()(y)))
    weight, bias = net.get_layer("linear").get_weights()
    [capture] = captured(net, Plain().batch(), ["shared"])
    given = np.random.default_rng(1).normal(size=(3, 3, 6, 7))
    expected = np.tanh(given).mean((2, 3)) @ weight + bias
    close(capture.again.tail(arrays(given), OF), chosen(expected, [ASKED[i] for i in OF]))


class Looking(layers.Layer):
    def call(self, x):
        return x if float(ops.mean(x)) < 1e9 else x * 2


def test_a_model_that_looks_at_values_runs_as_it_is():
    plain = Plain()

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.look, self.conv, self.act, self.after = Looking(), conv(), act(), tail()

        def call(self, x):
            return chain(x, self.look, self.conv, self.act, *self.after)

    net, x = Net(), plain.batch()
    net(x)
    plain.fill(net)
    [capture] = captured(net, x, ["act"])
    A = plain.features(plain.batch(3, seed=7))
    asked = [ASKED[i] for i in OF]
    close(capture.again.scores(arrays(first(plain.batch(3, seed=7))), OF), chosen(plain.tail(A), asked))
    close(capture.again.tail(arrays(A.numpy()), OF), chosen(plain.tail(A), asked))


class Counting(layers.Layer):
    """Counts how many images are really computed with."""

    images = 0

    def call(self, x):
        def count(values):
            Counting.images += len(values)
            return np.asarray(values)

        if BACKEND == "tensorflow":
            import tensorflow as tf

            return tf.ensure_shape(tf.numpy_function(count, [x], x.dtype, stateful=False), x.shape)
        if BACKEND == "jax":
            import jax

            return jax.pure_callback(count, jax.ShapeDtypeStruct(x.shape, x.dtype), x)
        return torch.from_numpy(count(x.detach().numpy()))

    def compute_output_shape(self, shape):
        return shape


@pytest.mark.parametrize("form", ["functional", "subclassed"])
def test_only_the_tail_is_computed_for_changed_layers(form):
    plain = Plain()

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.count, self.conv, self.act, self.after = Counting(), conv(), act(), tail()

        def call(self, x):
            return chain(x, self.count, self.conv, self.act, *self.after)

    x = image(plain)
    net = Net() if form == "subclassed" else keras.Model(x, chain(x, Counting(), conv(), act(), *tail()))
    net(plain.batch())
    plain.fill(net)
    [capture] = captured(net, plain.batch(), ["act"], gradients=False)
    Counting.images = 0
    given = np.random.default_rng(1).normal(size=(8, *capture.activations.shape[1:]))
    of = np.asarray([0, 1] * 4, np.intp)
    close(capture.again.tail(arrays(given), of), chosen(plain.tail(torch.from_numpy(given)), ASKED * 4))
    # PyTorch compiles nothing: there one pass is run for each image, and two copies of it once to find out how
    assert Counting.images == 0 if BACKEND != "torch" else Counting.images < 8
    capture.again.scores(arrays(np.zeros((8, 3, *plain.size))), of)
    assert Counting.images >= 8
