"""Small Keras nets: one function in the many forms in which people write their models.

What the function computes is known without Keras: `Plain` has the weights, drawn from a seed, and the same in PyTorch.
"""

import keras
import numpy as np
import torch
from keras import layers, ops
from torch.nn import functional as F

SIZES = {1: (9,), 2: (6, 7), 3: (5, 4, 6)}
CHANNELS, CLASSES = 5, 4


class Plain:
    """Convolution, softsign, two dense layers: gradients of both signs, different at every position."""

    def __init__(self, axes: int = 2, seed: int = 0) -> None:
        draw = np.random.default_rng(seed).normal
        self.axes, self.size = axes, SIZES[axes]
        inside = int(np.prod([length - 2 for length in self.size])) * CHANNELS
        self.arrays = {
            "conv": [draw(size=(*[3] * axes, 3, CHANNELS)) / 2, draw(size=CHANNELS) / 2],
            "hidden": [draw(size=(inside, 5)) / 2, draw(size=5) / 2],
            "head": [draw(size=(5, CLASSES)), draw(size=CLASSES)],
        }

    def batch(self, n: int = 2, seed: int = 0) -> np.ndarray:
        return np.random.default_rng(seed).normal(size=(n, *self.size, 3))

    def features(self, x: np.ndarray) -> torch.Tensor:
        """(n, *s, 3) -> A (n, c, *s)."""
        kernel, bias = map(torch.from_numpy, self.arrays["conv"])
        image = torch.from_numpy(np.moveaxis(x, -1, 1).astype(np.float64))
        return F.softsign(getattr(F, f"conv{self.axes}d")(image, kernel.movedim((-1, -2), (0, 1)), bias))

    def tail(self, A: torch.Tensor) -> torch.Tensor:
        """A (n, c, *s) -> class scores (n, classes)."""
        hidden, hidden_bias, head, head_bias = map(torch.from_numpy, self.arrays["hidden"] + self.arrays["head"])
        return F.softsign(A.movedim(1, -1).flatten(1) @ hidden + hidden_bias) @ head + head_bias

    def logits(self, x: np.ndarray) -> np.ndarray:
        return self.tail(self.features(x)).numpy()

    def maps(self, x: np.ndarray, score) -> np.ndarray:
        """Grad-CAM (n, *s), in one line."""
        A, G = self.truth(x, score)
        space = tuple(range(2, A.ndim))
        return np.maximum((G.mean(space, keepdims=True) * A).sum(1), 0)

    def truth(self, x: np.ndarray, score) -> tuple[np.ndarray, np.ndarray]:
        """A and G (n, c, *s) of a function from class scores (n, classes) to (n,) scores, by PyTorch's autograd."""
        A = self.features(x).requires_grad_(True)
        (G,) = torch.autograd.grad(score(self.tail(A)).sum(), A)
        return A.detach().numpy(), G.numpy()

    def fill(self, net):
        """The net with these weights in its layers of these names, wherever in it they are."""
        for layer in net._flatten_layers():
            if layer.name in self.arrays:
                layer.set_weights(self.arrays[layer.name])
        return net


class PlainMaps(Plain):
    """The same up to its softsign, then score maps (n, *s, classes), as segmentation models return them."""

    def __init__(self, axes: int = 2, seed: int = 0) -> None:
        super().__init__(axes, seed)
        draw = np.random.default_rng(seed + 10).normal
        ones = [1] * axes
        self.arrays["hidden"] = [draw(size=(*ones, CHANNELS, 5)), draw(size=5) / 2]
        self.arrays["head"] = [draw(size=(*ones, 5, CLASSES)), draw(size=CLASSES)]

    def tail(self, A: torch.Tensor) -> torch.Tensor:
        """A (n, c, *s) -> score maps (n, classes, *s)."""
        hidden, hidden_bias, head, head_bias = map(torch.from_numpy, self.arrays["hidden"] + self.arrays["head"])
        y = F.softsign(A.movedim(1, -1) @ hidden.reshape(CHANNELS, 5) + hidden_bias)
        return (y @ head.reshape(5, CLASSES) + head_bias).movedim(-1, 1)


def score_maps(plain: PlainMaps):
    convolution = getattr(layers, f"Conv{plain.axes}D")
    x = image(plain)
    hidden = convolution(5, 1, activation="softsign", name="hidden")
    return keras.Model(x, chain(x, conv(plain.axes), act(), hidden, convolution(CLASSES, 1, name="head")))


def conv(axes: int = 2, **options):
    return getattr(layers, f"Conv{axes}D")(CHANNELS, 3, name="conv", **options)


def act():
    return layers.Activation("softsign", name="act")


def tail(end=None, **options) -> list:
    """From the map to the class scores, which go through an activation at the end if asked."""
    head = layers.Dense(CLASSES, end, name="head")
    return [layers.Flatten(**options), layers.Dense(5, "softsign", name="hidden"), head]


def chain(x, *parts):
    for part in parts:
        x = part(x)
    return x


def image(plain: Plain):
    return keras.Input((*plain.size, 3), name="image")


# ---- the forms -------------------------------------------------------------------------------------------


def functional(plain: Plain, *more):
    x = image(plain)
    return keras.Model(x, chain(x, conv(plain.axes), act(), *tail(), *more))


def sequential(plain: Plain):
    return keras.Sequential([image(plain), conv(plain.axes), act(), *tail()])


class Subclassed(keras.Model):
    """Layers as attributes, in a list and in a dict; ends in what it is given."""

    def __init__(self, axes: int = 2, end=None) -> None:
        super().__init__()
        self.conv, self.more = conv(axes), [act()]
        self.after = dict(zip("abc", tail(), strict=True))
        self.end = end

    def call(self, x, training=None):
        y = chain(self.more[0](self.conv(x)), *self.after.values())
        return y if self.end is None else self.end(y)


def subclassed(plain: Plain):
    net = Subclassed(plain.axes)
    net(plain.batch())
    return net


class Features(layers.Layer):
    """A layer made of layers, which sees its own values pass."""

    def __init__(self, axes: int = 2) -> None:
        super().__init__(name="features")
        self.conv, self.act = conv(axes), act()

    def build(self, shape):
        self.conv.build(shape)

    def call(self, x):
        return self.act(self.conv(x))


def composite(plain: Plain):
    x = image(plain)
    return keras.Model(x, chain(x, Features(plain.axes), *tail()))


def nested(plain: Plain):
    """A functional model in a functional model in a Sequential one."""
    x = image(plain)
    inner = keras.Model(x, chain(x, conv(plain.axes), act()), name="inner")
    x = image(plain)
    outer = keras.Model(x, layers.Dropout(0.5)(inner(x)), name="outer")
    return keras.Sequential([image(plain), outer, *tail()])


def operations(plain: Plain):
    """Bare operations between the layers of a functional model."""
    x = image(plain)
    y = ops.softsign(conv(plain.axes)(x) * 1)
    return keras.Model(x, chain(y - 0.0, *tail()))


def fused(plain: Plain):
    """The activation within the convolution, and code in a Lambda."""
    x = image(plain)
    y = conv(plain.axes, activation="softsign")(x)
    return keras.Model(x, chain(layers.Lambda(lambda a: a * 1)(y), *tail()))


def normalised(plain: Plain):
    """Layers that are others in training; the model was left in the midst of it."""
    x = image(plain)
    norm = layers.BatchNormalization(epsilon=1e-3, name="norm")
    y = chain(x, conv(plain.axes), act(), norm, layers.SpatialDropout2D(0.5), layers.GaussianNoise(1.0))
    net = keras.Model(x, chain(y, *tail(), layers.Dropout(0.5)))
    norm.set_weights([np.ones(CHANNELS), np.zeros(CHANNELS), np.zeros(CHANNELS), np.full(CHANNELS, 1 - 1e-3)])
    return net


def channels_first(plain: Plain):
    x = keras.Input((3, *plain.size), name="image")
    first = {"data_format": "channels_first"}
    return keras.Model(x, chain(x, conv(plain.axes, **first), act(), *tail(**first)))


def turned_within(plain: Plain):
    """A part that works channels first, in a model that works channels last."""
    first = {"data_format": "channels_first"}
    x = keras.Input((3, *plain.size))
    inner = keras.Model(x, chain(x, conv(plain.axes, **first), act()), name="inner")
    x = image(plain)
    y = inner(ops.moveaxis(getattr(layers, f"ZeroPadding{plain.axes}D")(0)(x), -1, 1))
    return keras.Model(x, chain(y, *tail(**first)))


def with_numbers(plain: Plain, wrap):
    """An image and a vector of numbers, as a list, or as a dict with keys of its own."""
    inputs = {"image": image(plain), "numbers": keras.Input((2,), name="numbers")}
    y = chain(inputs["image"], conv(), act(), *tail())
    return keras.Model(wrap(inputs), y + layers.Dense(CLASSES, name="of_numbers")(inputs["numbers"]))


def with_outputs(plain: Plain, wrap):
    """The class scores, and the map that they came from."""
    x = image(plain)
    features = act()(conv()(x))
    return keras.Model(x, wrap({"features": features, "logits": chain(features, *tail())}))


FORMS = {
    "functional": (functional, "act"),
    "sequential": (sequential, "act"),
    "subclassed": (subclassed, "act"),
    "composite": (composite, "features/act"),
    "composite itself": (composite, "features"),
    "nested": (nested, "outer/inner/act"),
    "nested itself": (nested, "outer/inner"),
    "operations": (operations, "softsign"),
    "fused": (fused, "conv"),
    "normalised": (normalised, "norm"),
    "channels first": (channels_first, "act"),
    "turned within": (turned_within, "inner/act"),
    "turned within itself": (turned_within, "inner"),
    "dict of outputs": (lambda plain: with_outputs(plain, dict), "act"),
    "list of outputs": (lambda plain: with_outputs(plain, lambda parts: list(parts.values())), "act"),
}
"""How a model is written, and where its softsign is."""
