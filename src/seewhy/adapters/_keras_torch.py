"""Keras on PyTorch: as in the torch adapter, but that Keras calls its layers without forward hooks."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import keras
import torch

from seewhy.adapter import Ask
from seewhy.adapters import _torch_capture
from seewhy.adapters._keras_pass import Pass, call
from seewhy.adapters._keras_taps import tapped
from seewhy.adapters._torch_capture import full_precision
from seewhy.adapters._torch_quiet import undisturbed
from seewhy.types import Capture

__all__ = ["capture", "full_precision", "run"]


def run(net: Any, inputs: Any, restart: Callable[[], None]) -> Any:
    with undisturbed(_wrapped(net)), torch.inference_mode(False), torch.no_grad():
        return call(net, inputs)


def capture(this: Pass, ask: Ask) -> Capture:
    """One pass, see seewhy.adapters.keras.capture."""

    def tap(change: Callable[[Any], Any]) -> AbstractContextManager[None]:
        return tapped({this.layer: change})

    with undisturbed(_wrapped(this.net)):
        cut = _torch_capture.Pass(
            this.net, this.layer, this.name, this.n, this.space,
            lambda: call(this.net, this.inputs), tap, lambda tensor: this.channels_last,
        )  # fmt: skip
        return _torch_capture.capture(cut, ask, gradients=this.gradients, logit=this.logit)


def _wrapped(net: Any) -> torch.nn.ModuleList:
    """The modules of PyTorch within the model, which Keras switches between train and eval mode when it calls them.

    A functional model of Keras does not have its layers among its `modules()`.
    """
    wrappers = [layer for layer in net._flatten_layers() if isinstance(layer, keras.layers.TorchModuleWrapper)]
    return torch.nn.ModuleList(wrappers)
