"""Keras on PyTorch: as in the torch adapter, but that Keras calls its layers without forward hooks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

from seewhy.adapter import Ask
from seewhy.adapters import _keras_biases, _torch_capture, _torch_pass
from seewhy.adapters._keras_pass import Pass, Place, call, pack
from seewhy.adapters._keras_taps import tapped
from seewhy.adapters._torch_biases import Bias, Watch, along, watch_biases
from seewhy.adapters._torch_precision import full_precision
from seewhy.adapters._torch_quiet import undisturbed
from seewhy.outputs import map_arrays
from seewhy.types import INPUT, Capture, Rows

__all__ = ["capture", "full_precision", "keep", "run"]


def run(net: Any, inputs: Any, restart: Callable[[], None]) -> Any:
    with undisturbed(_wrapped(net)), torch.inference_mode(False), torch.no_grad():
        return call(net, map_arrays(inputs, torch.clone))  # a module of PyTorch may change them in place


def capture(this: Pass, ask: Ask) -> list[Capture]:
    """One pass, see seewhy.adapters.keras.capture."""
    cut = _cut(this)
    with cut.quiet():
        return _torch_capture.capture(cut, ask, gradients=this.gradients, logit=this.logit, guided=this.guided)


def keep(this: Pass) -> Callable[[Ask], list[Capture]]:
    """One pass that is kept, see seewhy.adapters.keras.keep."""
    return _torch_capture.keep(_cut(this), gradients=this.gradients, logit=this.logit, guided=this.guided)


def _cut(this: Pass) -> _torch_pass.Pass:
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

    return _torch_pass.Pass(
        this.net, [_point(place) for place in this.places], _point(Place(INPUT, INPUT, this.batch.channels_last)),
        this.n, this.space, this.cast(this.batch.image), inputs, partial(call, this.net), tapped,
        lambda: undisturbed(_wrapped(this.net)), partial(_biases, this),
    )  # fmt: skip


def _point(place: Place) -> _torch_pass.Point:
    return _torch_pass.Point(place.layer, place.name, lambda tensor: place.channels_last)


@contextmanager
def _biases(this: Pass) -> Iterator[Watch]:
    """Note every bias that Keras's layers and the modules of PyTorch among them add, in a pass with grad on."""
    in_keras = _keras_biases.watch_biases(
        this.net, this.space, lambda i, output: output, lambda f, x: along(f, x.detach())
    )
    with watch_biases(_wrapped(this.net), this.n, this.space) as watch, in_keras as seen:
        yield watch
    watch.layers += len(seen.places)
    for output, bias, last in zip(seen.places, seen.biases, seen.lasts, strict=True):
        if bool((bias != 0).any()):
            watch.found.append(Bias(get_gradient_edge(output), bias.detach(), last))


def _wrapped(net: Any) -> torch.nn.ModuleList:
    """The modules of PyTorch within the model, which Keras switches between train and eval mode when it calls them.

    A functional model of Keras does not have its layers among its `modules()`.
    """
    wrappers = [layer for layer in net._flatten_layers() if isinstance(layer, keras.layers.TorchModuleWrapper)]
    return torch.nn.ModuleList(wrappers)
