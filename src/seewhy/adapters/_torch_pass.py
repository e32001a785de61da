"""One forward pass on PyTorch, cut at layers: their outputs, and a graph of what follows the first of them.

The part of the model before the first layer runs without grad. A tap on it cuts the graph there: its output becomes
a leaf, and what follows, and only that, is recorded. No parameter gets a gradient, no flag is touched.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from seewhy.adapters import _torch_head as head
from seewhy.adapters._checks import did_not_run
from seewhy.adapters._layout import spatial
from seewhy.adapters._torch_biases import Watch
from seewhy.errors import LayerError
from seewhy.outputs import as_fields, with_fields
from seewhy.types import Rows

Change: TypeAlias = Callable[[Any], Any]
"""From what a layer returns to what shall take its place; None: nothing."""


@dataclass(frozen=True)
class Point:
    """Where a pass is cut: a layer, or the input."""

    layer: Any
    """A module; in Keras also an operation, such as an addition; INPUT for the first image input."""
    name: str
    is_channels_last: Callable[[Tensor], bool]


@dataclass(frozen=True)
class Pass:
    """A model that is ready to run on its inputs, and how to reach into its layers meanwhile."""

    net: nn.Module
    points: Sequence[Point]
    input: Point
    n: int
    space: tuple[int, ...]
    """The spatial axes of the inputs."""
    image: Tensor
    """The first image input as floats, in the model's own layout."""
    inputs: Callable[[Tensor, Rows | None], Any]
    """The inputs with other images in place of these; the other inputs are those of the images that the rows name."""
    call: Callable[[Any], Any]
    tap: Callable[[Mapping[Any, Change]], AbstractContextManager[None]]
    """For a time, the outputs of layers go through these functions."""
    quiet: Callable[[], AbstractContextManager[None]]
    """A context in which the model is in eval mode and runs eagerly."""
    watch_biases: Callable[[], AbstractContextManager[Watch]]
    """For a time, the layers that have a bias are noted."""


@dataclass
class Run:
    """What one forward pass leaves behind."""

    activations: list[Tensor]
    """At each point, in the model's own layout."""
    outputs: Any
    heads: head.Heads


_runs: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
"""How often a layer ran in the last pass: of an activation that a whole model shares, only the last run need be cut."""


def expect_runs(layer: nn.Module, runs: int) -> None:
    """Tell how often a layer runs in one pass; only a hint, it is checked."""
    _runs[layer] = runs


def expected_runs(layer: object) -> int:
    return _runs.get(layer, 1)


def run(
    this: Pass, points: Sequence[Point], image: Tensor, of: Rows | None = None, *, gradients: bool, watch: bool
) -> Run:
    """The forward pass, cut at the points; where a no_grad inside the model hides the tail, once more with grad on."""
    found = _cut_run(this, points, image, of, gradients=gradients, watch=watch, prefix_grad=False)
    if gradients and not _any_grad(found.outputs):
        found = _cut_run(this, points, image, of, gradients=gradients, watch=watch, prefix_grad=True)
    return found


def _cut_run(
    this: Pass, points: Sequence[Point], image: Tensor, of: Rows | None, *, gradients: bool, watch: bool,
    prefix_grad: bool,
) -> Run:  # fmt: skip
    cuts = {point.layer: Cut(gradients, this.space, expected_runs(point.layer)) for point in points if at_layer(point)}
    with ExitStack() as stack:
        stack.enter_context(this.tap(cuts))
        heads = stack.enter_context(head.watch(this.net, functions=watch))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.set_grad_enabled(prefix_grad))  # restores what the taps switch on
        if len(cuts) < len(points):
            image = _leaf(image) if gradients else image.detach()
            torch.set_grad_enabled(gradients)
        outputs = this.call(this.inputs(image.clone(), of))  # the first operation may be one in place
    again = False
    for layer, cut in cuts.items():
        again |= 0 < cut.runs < cut.expected  # less often than last time, so nothing was cut
        _runs[layer] = max(cut.runs, 1)
    if again:
        return _cut_run(this, points, image, of, gradients=gradients, watch=watch, prefix_grad=prefix_grad)
    activations = []
    for point in points:
        if not at_layer(point):
            activations.append(image)
            continue
        cut = cuts[point.layer]
        if cut.activations is None:
            raise did_not_run(point.name, point.layer, cut.problem)
        activations.append(cut.activations)
    return Run(activations, outputs, heads)


def at_layer(point: Point) -> bool:
    """Is this a layer, and not the input?"""
    return not isinstance(point.layer, str)


@dataclass
class Cut:
    """Keeps the layer's output, where the graph begins unless it has begun; the last run counts.

    Runs without spatial axes do not count: an activation that a model shares may run after the pooling too.
    """

    gradients: bool
    space: tuple[int, ...]
    expected: int
    """How often the layer will run: what comes before its last run is let through."""
    place: Callable[[Tensor], Tensor] | None = None
    """From the layer's output to what shall take its place."""
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
        following = self._following(tensor)
        if following is None or key is None:
            return following
        return with_fields(output, {**(as_fields(output) or {}), key: following})

    def _following(self, tensor: Tensor) -> Tensor | None:
        """What goes on into the model in place of the layer's output; an in-place op after the layer changes it."""
        if self.place is not None:
            return self.place(tensor)
        if not self.gradients:
            self.activations = tensor.detach().clone()
            return None
        # after another cut the graph goes on
        self.activations = tensor if tensor.requires_grad and torch.is_grad_enabled() else _leaf(tensor)
        torch.set_grad_enabled(True)
        return self.activations.clone()


def _leaf(tensor: Tensor) -> Tensor:
    return (tensor.clone() if tensor.is_inference() else tensor.detach()).requires_grad_(True)


def _any_grad(outputs: Any) -> bool:
    if isinstance(outputs, Tensor):
        return outputs.requires_grad
    return any(_any_grad(value) for value in (as_fields(outputs) or {}).values())
