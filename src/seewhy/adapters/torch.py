"""PyTorch: activations and gradients at one layer, for the cost of the forward pass; see _torch_capture.py."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from seewhy.adapter import Ask
from seewhy.adapters import _torch_capture
from seewhy.adapters._torch_biases import watch_biases
from seewhy.adapters._torch_inputs import (
    as_floats,
    image_of,
    is_batch,
    pictures,
    place,
    place_photos,
    size,
    with_images,
)
from seewhy.adapters._torch_layers import layers as search_layers
from seewhy.adapters._torch_layout import is_channels_last
from seewhy.adapters._torch_pass import Change, Pass, Point, expect_runs
from seewhy.adapters._torch_precision import full_precision
from seewhy.adapters._torch_quiet import undisturbed
from seewhy.adapters._torch_randomised import randomised as randomised_copy
from seewhy.errors import InputError, LayerError, unknown
from seewhy.types import INPUT, Capture, LayerInfo, Own, Rows
from seewhy.vision_model import VisionModel

__all__ = [
    "capture",
    "classes_last",
    "describe",
    "find_layer",
    "full_precision",
    "is_batch",
    "keep",
    "layers",
    "own",
    "pictures",
    "place",
    "place_photos",
    "randomised",
    "size",
    "vary",
]


def describe(net: nn.Module) -> VisionModel:
    """The model as it is: a torch.nn.Module does not say how its inputs are made, nor what its classes are."""
    return VisionModel(net, name=type(net).__name__)


def own(net: nn.Module) -> Own | None:
    """None: its layers can be explained."""
    return None


def vary(net: nn.Module, inputs: Any, images: npt.NDArray[np.float32], of: Rows) -> Any:
    """Placed inputs with these images (m, c, *s) in place of the first image input, and the others to match.

    Where the images were integers these are floats: they need be no whole numbers, nor above zero.
    """
    like = as_floats(net, image_of(inputs))
    return with_images(inputs, torch.from_numpy(images).to(like.device, like.dtype), of)


def randomised(net: nn.Module, share: float, seed: int) -> nn.Module:
    """A copy of the model whose last layers' weights are shuffled; see _torch_randomised.py."""
    return randomised_copy(_unwrap(net), share, seed)


# ---- layers ----------------------------------------------------------------------------------------------


def find_layer(net: nn.Module, layer: object) -> tuple[str, nn.Module]:
    """The layer of this dotted name, or the name of this module; UnknownNameError with the nearest names."""
    named = dict(_unwrap(net).named_modules())
    if isinstance(layer, nn.Module):
        name = next((n for n, module in named.items() if module is _unwrap(layer)), None)
        if name is None:
            raise LayerError(f"the layer {type(layer).__name__} is not part of this model: pass one of its own modules")
        return name, named[name]
    if not isinstance(layer, str):
        raise LayerError(f"expected a layer as its name or as a module of the model, got {type(layer).__name__}")
    if layer not in named:  # as it is called in the wrapper
        layer = layer.removeprefix("module.").removeprefix("_orig_mod.")
    if layer not in named or not layer:
        raise unknown("layer", layer, [n for n in named if n], "(seewhy.layers(model, images) lists them)")
    return layer, named[layer]


def classes_last(net: nn.Module) -> bool:
    """Score maps are (n, classes, h, w)."""
    return False


def layers(net: nn.Module, inputs: Any) -> list[LayerInfo]:
    """Every layer with spatial axes that ran in one forward pass, in order; one is marked as the default."""
    net = _unwrap(net)
    with undisturbed(net), torch.inference_mode(False), torch.no_grad():
        own = with_images(inputs, image_of(inputs).clone(), None)  # an in-place op may change it
        found = search_layers(net, lambda: _call(net, own), *size(inputs))
    for info in found:
        expect_runs(net.get_submodule(info.name), info.runs)
    return found


# ---- capture ---------------------------------------------------------------------------------------------


def capture(
    net: nn.Module,
    layers: Sequence[Any],
    inputs: Any,
    ask: Ask,
    *,
    gradients: bool,
    logit: bool,
    guided: bool = False,
) -> list[Capture]:
    """One pass through the model, cut at each of the layers; see seewhy.types.Capture.

    Raises LayerError where a layer did not run, has no spatial axes or does not reach the score,
    OutputError where the outputs hold NaN or infinite values.
    """
    this = prepared(net, layers, inputs)
    with this.quiet():
        return _torch_capture.capture(this, ask, gradients=gradients, logit=logit, guided=guided)


def keep(
    net: nn.Module, layers: Sequence[Any], inputs: Any, *, gradients: bool, logit: bool, guided: bool = False
) -> Callable[[Ask], list[Capture]]:
    """One pass that any number of questions can be asked of, for what goes back through the tail alone.

    What the tail remembers of the pass is held in memory as long as this is.
    """
    return _torch_capture.keep(prepared(net, layers, inputs), gradients=gradients, logit=logit, guided=guided)


def prepared(net: nn.Module, layers: Sequence[Any], inputs: Any) -> Pass:
    """The model, ready to run on these inputs, cut at each of the layers."""
    net = _unwrap(net)
    n, space = size(inputs)
    names = {module: name for name, module in net.named_modules()}
    at_input = Point(INPUT, INPUT, lambda image: False)
    points = [
        at_input if layer is INPUT else Point(layer, names.get(layer, ""), lambda a: is_channels_last(a, space))
        for layer in layers
    ]
    image = image_of(inputs)

    def given(images: Tensor, of: Rows | None) -> Any:
        if of is None and INPUT not in layers and not image.is_floating_point():
            images = image.clone()  # as they came: only what is changed, or differentiated, has to be floats
        return with_images(inputs, images, of)

    return Pass(
        net, points, at_input, n, space, as_floats(net, image), given, partial(_call, net), _tapped,
        partial(undisturbed, net), partial(watch_biases, net, n, space),
    )  # fmt: skip


@contextmanager
def _tapped(changes: Mapping[Any, Change]) -> Iterator[None]:
    with ExitStack() as stack:
        for layer, change in changes.items():
            handle = layer.register_forward_hook(lambda module, args, output, change=change: change(output))
            stack.callback(handle.remove)
        yield


def _call(net: nn.Module, inputs: Any) -> Any:
    if isinstance(inputs, Mapping):
        return net(**inputs)
    return net(*inputs) if isinstance(inputs, tuple) else net(inputs)


def _unwrap(net: nn.Module) -> nn.Module:
    """The model inside DataParallel, DistributedDataParallel or torch.compile."""
    if isinstance(net, torch.jit.ScriptModule):
        raise InputError(
            "no hook fires inside a TorchScript module, so its layers cannot be seen: save it, and load it "
            "with seewhy.load('file:PATH'), which opens it up"
        )
    while True:
        if isinstance(net, nn.DataParallel | nn.parallel.DistributedDataParallel):
            net = net.module
        elif (inner := getattr(net, "_orig_mod", None)) is not None:
            net = inner
        else:
            return net
