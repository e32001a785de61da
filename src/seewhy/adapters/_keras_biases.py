"""The bias of every layer of a Keras model: where it is added, so that the gradient can be taken there."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import keras

from seewhy.adapters._keras_layers import ATTENTION, CONVOLUTIONS, MATMULS, channels_last, named_layers
from seewhy.adapters._keras_taps import wrapped
from seewhy.adapters._layout import spatial
from seewhy.errors import LayerError

NORMS = tuple(
    getattr(keras.layers, name)
    for name in ("BatchNormalization", "GroupNormalization", "LayerNormalization", "RMSNormalization", "Normalization",
                 "Rescaling")
    if hasattr(keras.layers, name)
)  # fmt: skip
"""Layers with an implicit bias: what they add that does not grow with their input."""

Along: TypeAlias = Callable[[Callable[[Any], Any], Any], tuple[Any, Any]]
"""(function, x) -> y = function(x), and J x, how y changes along x."""


@dataclass
class Biases:
    """What was seen in one pass: each time that a bias was added, one."""

    places: list[Any] = field(default_factory=list)
    """The outputs to which the biases were added, before an activation, as they went on into the model."""
    biases: list[Any] = field(default_factory=list)
    """The biases, which broadcast to these."""
    lasts: list[bool] = field(default_factory=list)
    """Is it (n, *s, c) there?"""


@contextmanager
def watch_biases(net: Any, space: Sequence[int], follow: Callable[[int, Any], Any], along: Along) -> Iterator[Biases]:
    """See every layer that has a bias and an output with spatial axes, each time that it runs.

    Convolutions and dense layers, which have one of their own, are seen before their activation. For normalisations and
    rescalings the bias is y - J x: shift - mean * gain / deviation where the statistics are the layer's own; where they
    are made of the input itself it is all of y, but for the small number under the root. A bias that a layer of a
    model's own adds is not seen, nor is an addition that is no layer, nor what is within attention.

    `follow`: (number of the place, output) -> what goes on into the model in its place.
    """
    seen = Biases()
    named, lasts = named_layers(net), channels_last(net)
    inner = tuple(f"{name}/" for name, layer in named.items() if isinstance(layer, ATTENTION))

    def note(last: bool, output: Any, bias: Any) -> Any:
        following = follow(len(seen.places), output)
        seen.places.append(following)
        seen.biases.append(bias)
        seen.lasts.append(last)
        return following

    def activated(layer: Any, last: bool, activation: Callable[[Any], Any], output: Any) -> Any:
        return activation(note(last, output, _broadcast(layer, last, output)) if is_map(output) else output)

    def normalised(last: bool, call: Callable[..., Any], x: Any, *args: Any, **kwargs: Any) -> Any:
        output = call(x, *args, **kwargs)
        if not is_map(output):
            return output
        y, grown = along(lambda x: call(x, *args, **kwargs), x)
        return note(last, output, y - grown)

    def is_map(output: Any) -> bool:
        try:
            spatial(output, space)
        except LayerError:
            return False
        return len(output.shape) == 2 + len(space)

    arounds: dict[tuple[Any, str], Any] = {}
    for name, layer in named.items():
        if name.startswith(inner):
            continue
        if isinstance(layer, NORMS):
            arounds[layer, "call"] = partial(normalised, lasts[name])
        elif isinstance(layer, (*CONVOLUTIONS, *MATMULS)) and _has_bias(layer):
            arounds[layer, "activation"] = partial(activated, layer, lasts[name])
    with wrapped(arounds):
        yield seen


def _has_bias(layer: Any) -> bool:
    return getattr(layer, "bias", None) is not None and getattr(layer, "activation", None) is not None


def _broadcast(layer: Any, last: bool, output: Any) -> Any:
    """The layer's bias in the shape in which it is added to its output."""
    bias = keras.ops.convert_to_tensor(layer.bias)
    if last or isinstance(layer, MATMULS):
        return bias
    return keras.ops.reshape(bias, (-1, *[1] * (len(output.shape) - 2)))
