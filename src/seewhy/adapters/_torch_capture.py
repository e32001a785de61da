"""One pass on PyTorch: activations and gradients at one layer, for the cost of the forward pass.

The part of the model before the layer runs without grad. A tap on the layer cuts the graph there: its output becomes
a leaf, and what follows, and only that, is recorded. The gradient with respect to that leaf runs back through the tail
alone; no parameter gets a gradient, no flag is touched.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from seewhy.adapter import Ask
from seewhy.adapters import _torch_head as head
from seewhy.adapters._checks import NO_GRADIENT, check_classes, check_count, did_not_run
from seewhy.adapters._layout import spatial
from seewhy.errors import LayerError, OutputError
from seewhy.outputs import as_fields, before_heads, class_scores, map_arrays, with_fields
from seewhy.types import Capture


@dataclass(frozen=True)
class Pass:
    """A model that is ready to run on its inputs, and how to reach into one of its layers meanwhile."""

    net: nn.Module
    layer: Any
    """A module; in Keras also an operation, such as an addition."""
    name: str
    n: int
    space: tuple[int, ...]
    """The spatial axes of the inputs."""
    call: Callable[[], Any]
    tap: Callable[[Callable[[Any], Any]], AbstractContextManager[None]]
    """For a time, the layer's output goes through this function; what is not None takes its place."""
    is_channels_last: Callable[[Tensor], bool]


_functional_heads: WeakSet[nn.Module] = WeakSet()
"""Models seen to end in a functional softmax or sigmoid: they are watched from the start, to save a second pass."""
_runs: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
"""How often a layer ran in the last pass: of an activation that a whole model shares, only the last run need be cut."""


def expect_runs(layer: nn.Module, runs: int) -> None:
    """Tell how often a layer runs in one pass; only a hint, it is checked."""
    _runs[layer] = runs


def capture(this: Pass, ask: Ask, *, gradients: bool, logit: bool) -> Capture:
    """One pass through the model, see seewhy.types.Capture and seewhy.adapter.Adapter.capture."""
    watch = not gradients or this.net in _functional_heads
    run = _run(this, gradients=gradients, watch=watch)
    if not watch and run.heads.miss(run.outputs):
        # a softmax called as a function is seen only while function calls are watched, which costs 2 %:
        _functional_heads.add(this.net)
        run = _run(this, gradients=gradients, watch=True)
    kind, outputs = before_heads(run.outputs, run.heads.of, logit=logit)
    classes = _classes(outputs)
    check_count(this.n, tuple(run.activations.shape), classes)
    check_classes(classes)

    with torch.set_grad_enabled(gradients), torch.inference_mode(False):
        scores = torch.as_tensor(ask(map_arrays(outputs, _full_precision), classes))
        slopes = _gradients(scores, run.activations) if gradients else None
    if this.is_channels_last(run.activations):
        run.activations = run.activations.movedim(-1, 1)
        slopes = slopes.movedim(-1, 2) if slopes is not None else None
    return Capture(
        _full_precision(run.activations.detach()),
        slopes,
        _full_precision(scores.detach()),
        map_arrays(run.outputs, Tensor.detach),
        classes,
        kind,
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
    heads: head.Heads


def _run(this: Pass, *, gradients: bool, watch: bool) -> _Run:
    """The forward pass, cut at the layer; where a no_grad inside the model hides the tail, once more with grad on."""
    run = _cut_run(this, gradients=gradients, watch=watch, prefix_grad=False)
    if gradients and not _any_grad(run.outputs):
        run = _cut_run(this, gradients=gradients, watch=watch, prefix_grad=True)
    return run


def _cut_run(this: Pass, *, gradients: bool, watch: bool, prefix_grad: bool) -> _Run:
    cut = _Cut(gradients, this.space, _runs.get(this.layer, 1))
    with ExitStack() as stack:
        stack.enter_context(this.tap(cut))
        heads = stack.enter_context(head.watch(this.net, functions=watch))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.set_grad_enabled(prefix_grad))  # restores what the tap switches on
        outputs = this.call()
    if 0 < cut.runs < cut.expected:  # less often than last time, so nothing was cut
        _runs[this.layer] = cut.runs
        return _cut_run(this, gradients=gradients, watch=watch, prefix_grad=prefix_grad)
    _runs[this.layer] = max(cut.runs, 1)
    if cut.activations is None:
        raise did_not_run(this.name, this.layer, cut.problem)
    return _Run(cut.activations, outputs, heads)


@dataclass
class _Cut:
    """Keeps the layer's output and makes it the leaf of a new graph; the last run counts.

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

    def __call__(self, output: Any) -> Any:
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


def _gradients(scores: Tensor, activations: Tensor) -> Tensor:
    """d scores (n, k) / d activations as (n, k, c, *s): one batched backward pass through the tail."""
    if not scores.requires_grad:
        raise LayerError(NO_GRADIENT)
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


def _classes(outputs: Any) -> npt.NDArray[np.float32] | None:
    try:
        scores = class_scores(outputs)
    except OutputError:
        return None
    return cast(npt.NDArray[np.float32], scores.detach().float().cpu().numpy())


def _any_grad(outputs: Any) -> bool:
    if isinstance(outputs, Tensor):
        return outputs.requires_grad
    return any(_any_grad(value) for value in (as_fields(outputs) or {}).values())


def _full_precision(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
