"""Further passes on Keras: several layers, changed images, changed layers; the truth is the same net in PyTorch."""

import keras
import numpy as np
import pytest
import torch
from keras import layers, ops
from keras_nets import CLASSES, FORMS, Plain, act, chain, channels_first, conv, image, tail, with_numbers
from torch.nn import functional as F

import seewhy
from seewhy.errors import LayerError
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


MADE = ["functional", "subclassed", "nested", "dict of outputs"]
MADE += ["channels first"] if BACKEND != "tensorflow" else []  # through which TensorFlow does not go back on a CPU


@pytest.fixture(params=MADE)
def made(request):
    """A net, the path of its softsign, and a batch in its own layout and channels first."""
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
        close(again.gradients(arrays(given), OF, at_input=True), slopes(from_images(plain), given, asked))
    close(at_act.again.gradients(arrays(given), OF), slopes(plain.tail, A, asked))
    changed = torch.from_numpy(np.random.default_rng(1).normal(size=A.shape))
    close(at_act.again.tail(arrays(changed.numpy()), OF), chosen(plain.tail(changed), asked))
    close(at_input.again.tail(arrays(given), OF), chosen(plain.tail(A), asked))


def _moved(A, place, t):
    at = torch.zeros_like(A)
    at[place] = 1
    return A + t * at


def diagonals(capture):
    A = to_numpy(capture.activations)
    of, element = np.divmod(np.arange(A.size), A[0].size)
    found = capture.again.diagonals(arrays(A[of]), of, element)
    return [np.moveaxis(to_numpy(order).reshape(*A.shape, -1), -1, 1) for order in found]


def test_curvature_and_diagonals():
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
        second, third = diagonals(capture)
        assert found.shape == (2, 2, *A.shape[1:])
        for i, j in np.ndindex(2, 2):

            def asked(a, c=ASKED[i][j], logit=logit):
                every = torch.stack([score(a, d) for d in range(CLASSES)])
                return every[c] if logit else every.softmax(0)[c]

            H = torch.autograd.functional.hessian(asked, A[i])
            close(found[i, j], torch.tensordot(H, A[i], dims=A[i].ndim).numpy())
            close(second[i, j], torch.diagonal(H.flatten(3).flatten(0, 2)).reshape(A[i].shape).numpy())
            for place in ((0, 0, 0), (4, 2, 3)):
                once = torch.func.grad(lambda t, place=place, a=A[i]: asked(_moved(a, place, t)))
                close(third[i, j][place], torch.func.grad(torch.func.grad(once))(torch.zeros((), dtype=A.dtype)))


def test_the_general_form_of_grad_cam_plus_plus_in_chunks():
    plain = Plain()
    x = image(plain)
    net = plain.fill(
        keras.Model(x, chain(x, conv(), act(), layers.Flatten(), layers.Dense(5, "tanh", name="hidden"),
                             layers.Dense(CLASSES, "softmax", name="head")))
    )  # fmt: skip
    [capture] = captured(net, plain.batch(), ["act"])
    inner = seewhy.catalog.get("methods", "grad-cam++")
    A, G = to_numpy(capture.activations), to_numpy(capture.gradients)
    second, third = diagonals(capture)
    below = 2 * second + A.sum((2, 3))[:, None, :, None, None] * third
    weights = (np.where(below != 0, second / np.where(below != 0, below, 1), 0) * np.maximum(G, 0)).sum((3, 4))
    expected = np.einsum("nkc,nchw->nkhw", weights, A)
    chunk = 41 * A[0].size * 4 * 50 / 2**20  # fifty rows, of which no image has a whole number
    for memory in (256.0, chunk):
        close(inner(capture, form="general", memory=memory), expected)


def test_curvature_of_a_straight_tail_is_zero():
    x = image(Plain())
    y = chain(x, conv(), act(), layers.GlobalAveragePooling2D(), layers.Dense(CLASSES))
    [capture] = captured(keras.Model(x, y), Plain().batch(), ["act"])
    assert not to_numpy(capture.again.curvature()).any()
    assert not any(found.any() for found in diagonals(capture))


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
    close(capture.again.gradients(arrays(first(given)), OF), slopes(lambda A: plain.tail(A) + more, A, asked))
    close(capture.again.tail(arrays(A.numpy()), OF), chosen(plain.tail(A) + more, asked))


def test_a_tail_channels_first():
    plain = Plain(3)  # in 2-D TensorFlow has no such convolutions on a CPU
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


def test_where_the_whole_model_runs_its_images_keep_to_what_the_rows_were_reckoned_to_take():
    plain, lengths = Plain(), []

    class Lengths(layers.Layer):
        def call(self, x):
            if float(ops.mean(x)) < 1e9:  # what is traced gets no further than here
                lengths.append(len(x))
            return x

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.look, self.conv, self.act, self.after = Lengths(), conv(), act(), tail()

        def call(self, x):
            return chain(x, self.look, self.conv, self.act, *self.after)

    net, x = Net(), plain.batch()
    net(x)
    plain.fill(net)
    [capture] = captured(net, x, ["act"])
    A, of = plain.features(plain.batch(40, seed=7)), np.arange(40) % 2
    lengths.clear()
    close(capture.again.tail(arrays(A.numpy()), of), chosen(plain.tail(A), [ASKED[i] for i in of]))
    rows = arrays(A.numpy())
    # reckoned: 5 times what a row of the layer's output takes, 17 times what an image takes
    images = 40 * rows[0].nbytes * 5 // (x[0].size * 4 * 17)
    assert lengths and 1 < images < 40
    if BACKEND == "torch":  # there one image goes as far as the layer, and the rows from there on
        assert max(lengths) <= 2
    else:
        assert max(lengths) == images and sum(lengths) == 40


@pytest.mark.skipif(BACKEND != "torch", reason="memory formats of PyTorch's")
def test_images_that_are_channels_last_lie_in_memory_as_they_are_counted(monkeypatch):
    from seewhy.adapters import _torch_again

    monkeypatch.setattr(_torch_again, "LARGE", 1)
    formats = []

    class Strides(layers.Layer):
        def call(self, x):
            formats.append(x.is_contiguous())
            return x

    plain = Plain()
    inputs, x = image(plain), plain.batch()
    net = keras.Model(inputs, chain(inputs, Strides(), conv(), act(), *tail()))
    [capture] = captured(net, x, ["act"])
    formats.clear()
    capture.again.scores(arrays(first(x)), np.arange(2))
    assert formats == [True]


@pytest.mark.skipif(BACKEND != "torch", reason="a module of PyTorch's")
def test_the_search_for_layers_leaves_the_batch_as_it_was():
    import seewhy

    class Subtract(torch.nn.Module):
        def forward(self, x):
            return x.sub_(0.5)

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.conv, self.act = layers.TorchModuleWrapper(Subtract()), conv(), act()
            self.after = tail()

        def call(self, x):
            return chain(x, self.first, self.conv, self.act, *self.after)

    net, x = Net(), torch.from_numpy(Plain().batch()).double()
    net(x.clone())
    given = x.clone()
    seewhy.layers(net, given)
    seewhy.explain(net, given, 1)
    torch.testing.assert_close(given, x, rtol=0, atol=0)


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


# ---- guided gradients, biases ----------------------------------------------------------------------------


class Guided(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, slope):
        (x,) = ctx.saved_tensors
        return slope * (x > 0) * (slope > 0)


def relus(kind):
    """Two convolutions, each with its ReLU; the second one with a normalisation before it."""
    x = image(Plain())
    call = {"layer": lambda y: layers.ReLU()(y), "operation": ops.relu, "activation": layers.Activation("relu")}
    first = layers.Conv2D(4, 3, activation="relu" if kind == "inside" else None, name="first")
    y = first(layers.Rescaling(2.0, 0.5)(x))
    y = y if kind == "inside" else call[kind](y)
    norm = layers.BatchNormalization(name="norm")
    y = norm(layers.Conv2D(5, 3, padding="same", name="second")(y))
    y = layers.ReLU(name="last")(y)
    net = keras.Model(x, layers.Dense(CLASSES, name="head")(layers.GlobalAveragePooling2D()(y)))
    draw = np.random.default_rng(3)
    for variable in net.variables:
        low = 0.5 if "variance" in variable.path else -1
        variable.assign(draw.uniform(low, 1, size=variable.shape))
    return net


def relus_in_torch(net, relu):
    """The same of images (n, c, h, w), and what each layer with a bias makes."""
    k1, b1, k2, b2, gain, shift, mean, variance, w, b = (
        torch.from_numpy(np.asarray(array))
        for name in ("first", "second", "norm", "head")
        for array in net.get_layer(name).get_weights()
    )
    made = []

    def note(y):
        made.append(y)
        y.retain_grad()
        return y

    def forward(x):
        y = relu(note(F.conv2d(note(x * 2 + 0.5), k1.movedim((-1, -2), (0, 1)), b1)))
        y = note(F.conv2d(y, k2.movedim((-1, -2), (0, 1)), b2, padding=1))
        scale = gain / (variance + 1e-3).sqrt()
        y = relu(note((y - mean[:, None, None]) * scale[:, None, None] + shift[:, None, None]))
        return y.mean((2, 3)) @ w + b

    return forward, made, [torch.full((3,), 0.5), b1, b2, shift - mean * gain / (variance + 1e-3).sqrt()], b


@pytest.mark.parametrize("kind", ["layer", "operation", "activation", "inside"])
def test_guided_gradients(kind):
    net, x, given = relus(kind), Plain().batch(), first(Plain().batch(3, seed=7))
    [at_input, at_layer] = captured(net, x, [INPUT, "norm"], guided=True)
    guided = relus_in_torch(net, Guided.apply)[0]
    plain = relus_in_torch(net, torch.relu)[0]
    close(at_input.gradients, slopes(guided, first(x), ASKED))
    asked = [ASKED[i] for i in OF]
    close(at_layer.again.gradients(arrays(given), OF, at_input=True, guided=True), slopes(guided, given, asked))
    close(at_layer.again.gradients(arrays(given), OF, at_input=True), slopes(plain, given, asked))
    w = net.get_layer("head").get_weights()[0]
    for i, j in np.ndindex(2, 2):
        expected = (to_numpy(at_layer.activations)[i] > 0) * np.maximum(w[:, ASKED[i][j]], 0)[:, None, None] / 20
        close(at_layer.gradients[i, j], expected)


def test_guided_gradients_need_a_relu():
    plain = Plain()
    net, x = plain.fill(FORMS["functional"][0](plain)), plain.batch()
    with pytest.raises(LayerError, match="ReLU"):
        captured(net, x, [INPUT], guided=True)
    [capture] = captured(net, x, ["act"])
    with pytest.raises(LayerError, match="ReLU"):
        capture.again.gradients(arrays(first(x)), np.arange(2), guided=True)


def test_biases_and_pixels_add_up_to_the_score():
    net, x = relus("inside"), Plain().batch()
    [capture] = captured(net, x, [INPUT])
    found = [to_numpy(product) for product in capture.again.biases()]
    total = (to_numpy(capture.gradients) * to_numpy(capture.activations)[:, None]).sum((2, 3, 4))
    total += sum(product.sum((2, 3, 4)) for product in found)
    total += net.get_layer("head").get_weights()[1][np.asarray(ASKED)]
    close(total, to_numpy(capture.scores))

    forward, made, biases, _ = relus_in_torch(net, torch.relu)
    for j in range(2):
        made.clear()
        outputs = forward(torch.from_numpy(first(x)).requires_grad_(True))
        torch.stack([outputs[i, ASKED[i][j]] for i in range(2)]).sum().backward()
        for product, y, bias in zip(found, made, biases, strict=True):
            close(product[:, j], (y.grad * bias[:, None, None]).numpy())


def test_the_bias_of_a_normalisation_with_the_statistics_of_its_input_is_nearly_all_of_it():
    x = image(Plain())
    norm = layers.GroupNormalization(3, name="norm")
    net = keras.Model(x, layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(norm(x) ** 2)))
    norm.set_weights([np.asarray([1.0, 2.0, 3.0]), np.asarray([0.5, 0.0, -0.5])])
    [capture] = captured(net, Plain().batch(), ["norm"])
    [found] = capture.again.biases()
    expected = to_numpy(capture.gradients) * to_numpy(capture.activations)[:, None]
    np.testing.assert_allclose(to_numpy(found), expected, rtol=0.02, atol=1e-3)
