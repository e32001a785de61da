"""Private: a Keras model that runs on PyTorch, as one that can be traced."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from seewhy.adapters._keras_inputs import Batch
from seewhy.adapters._keras_layers import channels_last
from seewhy.adapters._keras_pass import call, pack
from seewhy.adapters._keras_taps import tapped
from seewhy.adapters._keras_torch import _wrapped as wrapped
from seewhy.adapters._torch_biases import watch_biases
from seewhy.adapters._torch_pass import Pass, Point
from seewhy.adapters._torch_quiet import undisturbed
from seewhy.errors import InputError
from seewhy.types import INPUT


def subject(net: Any, layer: tuple[str, Any], batch: Batch) -> tuple[Tensor, Tensor, Callable[[Tensor], Pass]]:
    """The batch as the model takes it, the same channels first, as all graphs take it, and the pass on such images."""
    image = batch.image
    if image is not batch.inputs or image.ndim != 4 or not image.is_floating_point():
        raise InputError("a graph takes one image input of floats, and this model takes another, or several")
    own = image if len(image) > 1 else torch.cat([image, image.flip(-2)])  # several are to stay apart
    name, module = layer
    last = channels_last(net)[name]
    point, at_input = Point(module, name, lambda _: last), Point(INPUT, INPUT, lambda _: batch.channels_last)

    def quiet() -> AbstractContextManager[None]:
        return undisturbed(wrapped(net))

    def prepare(images: Tensor) -> Pass:
        placed = images.movedim(1, -1) if batch.channels_last else images
        n = images.shape[0]  # len() would fix it
        return Pass(
            net, [point], at_input, n, batch.space, placed, lambda image, _: pack(batch.inputs, [image]),
            partial(call, net), tapped, quiet, partial(watch_biases, wrapped(net), n, batch.space),
        )  # fmt: skip

    return own, own.movedim(-1, 1) if batch.channels_last else own, prepare
