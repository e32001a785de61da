"""Keras on PyTorch: as in the torch adapter, but that Keras calls its layers without forward hooks."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import torch
from torch import Tensor

from seewhy.adapter import Ask
from seewhy.adapters import _torch_capture, _torch_pass
from seewhy.adapters._keras_layers import channels_last, named_layers
from seewhy.adapters._keras_pass import Pass, Place, call, pack
from seewhy.adapters._keras_taps import Witness, tapped
from seewhy.adapters._torch_biases import Watch, watch_biases
from seewhy.adapters._torch_precision import full_precision
from seewhy.adapters._torch_quiet import undisturbed
from seewhy.types import INPUT, Capture, Rows

__all__ = ["capture", "full_precision", "run"]


def run(net: Any, inputs: Any, restart: Callable[[], None]) -> Any:
    with undisturbed(_wrapped(net)), torch.inference_mode(False), torch.no_grad():
        return call(net, inputs)


def capture(this: Pass, ask: Ask) -> list[Capture]:
    """One pass, see seewhy.adapters.keras.capture."""
    structure = this.batch.inputs

    def inputs(image: Tensor, of: Rows | None) -> Any:
        if of is None:
            flat = this.flat()
            if torch.is_floating_point(flat[this.image]):  # else it is explained at no integers
                flat[this.image] = image
        else:
            rows = torch.from_numpy(of)
            flat = this.changed(image, lambda array: array[rows.to(array.device)])
        return pack(structure, flat)

    cut = _torch_pass.Pass(
        this.net, [_point(place) for place in this.places], _point(Place(INPUT, INPUT, this.batch.channels_last)),
        this.n, this.space, this.cast(this.batch.image), inputs, partial(call, this.net), tapped,
        lambda: undisturbed(_wrapped(this.net)), lambda: _watch_biases(this.net, this.n, this.space),
    )  # fmt: skip
    with cut.quiet():
        return _torch_capture.capture(cut, ask, gradients=this.gradients, logit=this.logit, guided=this.guided)


def _point(place: Place) -> _torch_pass.Point:
    return _torch_pass.Point(place.layer, place.name, lambda tensor: place.channels_last)


@contextmanager
def _watch_biases(net: Any, n: int, space: Sequence[int]) -> Iterator[Watch]:
    """Note the layers that have weights and no layers inside, and those of the modules of PyTorch in the model."""
    lasts = channels_last(net)
    with watch_biases(_wrapped(net), n, space) as watch:

        def witness(name: str, layer: Any) -> Witness:
            def told(call: Callable[..., Any], args: Any, kwargs: Any, output: Any) -> None:
                watch.note(name, layer, call, args, kwargs, output, lasts[name])

            return Witness(told)

        layers = {
            layer: witness(name, layer)
            for name, layer in named_layers(net).items()
            if getattr(layer, "weights", None)
            and not isinstance(layer, keras.layers.TorchModuleWrapper)
            and not list(layer._flatten_layers(include_self=False))
        }
        with tapped(layers):
            yield watch


def _wrapped(net: Any) -> torch.nn.ModuleList:
    """The modules of PyTorch within the model, which Keras switches between train and eval mode when it calls them.

    A functional model of Keras does not have its layers among its `modules()`.
    """
    wrappers = [layer for layer in net._flatten_layers() if isinstance(layer, keras.layers.TorchModuleWrapper)]
    return torch.nn.ModuleList(wrappers)
