"""PyTorch: activations and gradients at one layer, for the cost of the forward pass.

The part of the model before the layer runs without grad. A hook on the layer cuts the graph there: its output becomes
a leaf, and what follows, and only that, is recorded. The gradient with respect to that leaf runs back through the tail
alone; no parameter gets a gradient, no flag is touched.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from seewhy.adapter import Ask
from seewhy.adapters import _torch_head as head
from seewhy.adapters._torch_inputs import is_batch, pictures, place, place_photos, size
from seewhy.adapters._torch_layers import layers as search_layers
from seewhy.adapters._torch_layout import is_channels_last, spatial
from seewhy.adapters._torch_quiet import undisturbed
from seewhy.errors import InputError, LayerError, OutputError, unknown
from seewhy.outputs import as_fields, class_scores, map_arrays, with_class_scores, with_fields
from seewhy.types import Capture, LayerInfo
from seewhy.vision_model import VisionModel

__all__ = [
    "capture",
    "describe",
    "find_layer",
    "full_precision",
    "is_batch",
    "layers",
    "pictures",
    "place",
    "place_photos",
    "size",
]


def describe(net: nn.Module) -> VisionModel:
    """The model as it is: a torch.nn.Module does not say how its inputs are made, nor what its classes are."""
    return VisionModel(net, name=type(net).__name__)


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


def layers(net: nn.Module, inputs: Any) -> list[LayerInfo]:
    """Every layer with spatial axes that ran in one forward pass, in order; one is marked as the default."""
    net = _unwrap(net)
    with undisturbed(net), torch.inference_mode(False), torch.no_grad():
        found = search_layers(net, lambda: _call(net, inputs), *size(inputs))
    for info in found:
        _runs[net.get_submodule(info.name)] = info.runs
    return found


# ---- capture ---------------------------------------------------------------------------------------------

_functional_heads: WeakSet[nn.Module] = WeakSet()
"""Models seen to end in a functional softmax or sigmoid: they are watched from the start, to save a second pass."""
_runs: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()
"""How often a layer ran in the last pass: of an activation that a whole model shares, only the last run need be cut."""


def capture(net: nn.Module, layer: nn.Module, inputs: Any, ask: Ask, *, gradients: bool, logit: bool) -> Capture:
    """One pass through the model, see seewhy.types.Capture.

    Raises LayerError where the layer did not run, has no spatial axes or does not reach the score,
    OutputError where the outputs hold NaN or infinite values.
    """
    net = _unwrap(net)
    with undisturbed(net):
        watch = not gradients or net in _functional_heads
        run = _run(net, layer, inputs, gradients=gradients, watch=watch)
        if run.head is None and not watch and head.is_functional(run.outputs):
            # a softmax called as a function is seen only while function calls are watched, which costs 2 %:
            _functional_heads.add(net)
            run = _run(net, layer, inputs, gradients=gradients, watch=True)
        outputs = run.outputs
        if logit and run.head is not None:
            outputs = with_class_scores(outputs, run.head.logits)
        classes = _classes(outputs)
        _check(run, classes, inputs)

        with torch.set_grad_enabled(gradients), torch.inference_mode(False):
            scores = ask(map_arrays(outputs, _full_precision), classes, torch.stack)
            slopes = _gradients(scores, run.activations) if gradients else None
        if is_channels_last(run.activations, size(inputs)[1]):
            run.activations = run.activations.movedim(-1, 1)
            slopes = slopes.movedim(-1, 2) if slopes is not None else None
        return Capture(
            _full_precision(run.activations.detach()),
            slopes,
            _full_precision(scores.detach()),
            map_arrays(run.outputs, Tensor.detach),
            classes,
            run.head.kind if run.head else None,
        )


@contextmanager
def full_precision() -> Iterator[None]:
    """Without autocast, which would do a method's matrix products in half precision, and without a graph."""
    with torch.no_grad(), ExitStack() as stack:
        for device_type in ("cpu", "cuda", "mps", "xpu"):
            if torch.is_autocast_enabled(device_type):
                stack.enter_context(torch.autocast(device_type, enabled=False))
        yield


@dataclass
class _Run:
    """What one forward pass leaves behind."""

    activations: Tensor
    outputs: Any
    head: head.Head | None


def _run(net: nn.Module, layer: nn.Module, inputs: Any, *, gradients: bool, watch: bool) -> _Run:
    """The forward pass, cut at the layer; where a no_grad inside the model hides the tail, once more with grad on."""
    run = _cut_run(net, layer, inputs, gradients=gradients, watch=watch, prefix_grad=False)
    if gradients and not _any_grad(run.outputs):
        run = _cut_run(net, layer, inputs, gradients=gradients, watch=watch, prefix_grad=True)
    return run


def _cut_run(net: nn.Module, layer: nn.Module, inputs: Any, *, gradients: bool, watch: bool, prefix_grad: bool) -> _Run:
    cut = _Cut(gradients, size(inputs)[1], _runs.get(layer, 1))
    with ExitStack() as stack:
        stack.callback(layer.register_forward_hook(cut).remove)
        heads = stack.enter_context(head.watch(net, functions=watch))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.set_grad_enabled(prefix_grad))  # restores what the hook switches on
        outputs = _call(net, inputs)
    if 0 < cut.runs < cut.expected:  # less often than last time, so nothing was cut
        _runs[layer] = cut.runs
        return _cut_run(net, layer, inputs, gradients=gradients, watch=watch, prefix_grad=prefix_grad)
    _runs[layer] = max(cut.runs, 1)
    if cut.activations is None:
        name = next((name for name, module in net.named_modules() if module is layer), "")
        why = cut.problem or "it did not run in the forward pass"
        raise LayerError(
            f"the layer {name!r} ({type(layer).__name__}) cannot be explained: {why}; choose another one, "
            "seewhy.layers(model, images) lists them"
        )
    return _Run(cut.activations, outputs, heads.of(outputs))


@dataclass
class _Cut:
    """A forward hook that keeps the layer's output and makes it the leaf of a new graph; the last run counts.

    Runs without spatial axes do not count: an activation that a model shares may run after the pooling too.
    """

    gradients: bool
    space: tuple[int, ...]
    expected: int
    """How often the layer will run: what comes before its last run is let through."""
    runs: int = 0
    thread: int = field(default_factory=threading.get_ident)
    activations: Tensor | None = None
    problem: LayerError | None = None

    def __call__(self, module: nn.Module, args: Any, output: Any) -> Any:
        if threading.get_ident() != self.thread:  # another thread runs the same model
            return None
        try:
            key, tensor = spatial(output, self.space)
        except LayerError as problem:
            self.problem = problem
            return None
        self.runs += 1
        if self.runs < self.expected:
            return None
        if not self.gradients:
            self.activations = tensor.detach().clone()  # an in-place op after the layer would change it
            return None
        leaf = tensor.clone() if tensor.is_inference() else tensor.detach()
        self.activations = leaf.requires_grad_(True)
        torch.set_grad_enabled(True)
        following = self.activations.clone()  # an in-place op after the layer changes this one
        return following if key is None else with_fields(output, {**(as_fields(output) or {}), key: following})


def _call(net: nn.Module, inputs: Any) -> Any:
    if isinstance(inputs, Mapping):
        return net(**inputs)
    return net(*inputs) if isinstance(inputs, tuple) else net(inputs)


def _gradients(scores: Tensor, activations: Tensor) -> Tensor:
    """d scores (n, k) / d activations as (n, k, c, *s): one batched backward pass through the tail."""
    if not scores.requires_grad:
        raise LayerError(
            "the score does not depend on the layer, or the model or the target cuts the gradient "
            "(detach, NumPy, argmax): choose another layer, or a method without gradients"
        )
    n, k = scores.shape
    slopes: Tensor | None
    if k == 1:
        slopes = torch.autograd.grad(scores, activations, torch.ones_like(scores), allow_unused=True)[0]
        slopes = None if slopes is None else slopes[None]
    else:
        seeds = torch.eye(k, dtype=scores.dtype, device=scores.device)[:, None].expand(k, n, k)
        slopes = _batched_gradients(scores, activations, seeds)
    if slopes is None:
        raise LayerError("the score does not depend on the layer: choose one that the asked output is computed from")
    return _full_precision(slopes).movedim(0, 1)


def _batched_gradients(scores: Tensor, activations: Tensor, seeds: Tensor) -> Tensor | None:
    try:
        return torch.autograd.grad(
            scores, activations, seeds, retain_graph=True, is_grads_batched=True, allow_unused=True
        )[0]
    except RuntimeError:
        # some backward passes cannot be batched, such as those of custom autograd functions: one target at a time
        each = [torch.autograd.grad(scores, activations, s, retain_graph=True, allow_unused=True)[0] for s in seeds]
        return None if each[0] is None else torch.stack(each)


# ---- small things ----------------------------------------------------------------------------------------


def _classes(outputs: Any) -> npt.NDArray[np.float32] | None:
    try:
        scores = class_scores(outputs)
    except OutputError:
        return None
    return cast(npt.NDArray[np.float32], scores.detach().float().cpu().numpy())


def _check(run: _Run, classes: npt.NDArray[np.float32] | None, inputs: Any) -> None:
    """Raise where the pass went wrong in a way that would draw a wrong picture."""
    n, _ = size(inputs)
    if len(run.activations) != n or (classes is not None and len(classes) != n):
        raise InputError(
            f"a batch of {n} came out of the layer as {tuple(run.activations.shape)}: expected images "
            "(n, c, h, w); for a single one write image[None]"
        )
    if classes is not None and not np.isfinite(classes).all():
        bad = [i for i in range(n) if not np.isfinite(classes[i]).all()]
        raise OutputError(
            f"the model returned NaN or infinite class scores for image{'s' * (len(bad) != 1)} {bad} of "
            f"the batch of {n}: check the weights, the input's range and the precision"
        )


def _any_grad(outputs: Any) -> bool:
    if isinstance(outputs, Tensor):
        return outputs.requires_grad
    return any(_any_grad(value) for value in (as_fields(outputs) or {}).values())


def _full_precision(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


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
