"""Private: a PyTorch model and what explains it as one graph of operators.

The pass that every explanation makes is made once, on tensors without values: the model, cut at the layer, the way back
from the score to the layer, and the method's own function. What they do is written down.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch._dispatch.python import enable_python_dispatcher
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext
from torch.nn.attention import SDPBackend, sdpa_kernel

from seewhy.adapters import torch as adapter
from seewhy.adapters._checks import NO_GRADIENT
from seewhy.adapters._onnx_metadata import PREDICTED
from seewhy.adapters._torch_layout import first, full
from seewhy.adapters._torch_pass import Pass, run
from seewhy.catalog import NamedMethod
from seewhy.errors import LayerError, ModelError, SeewhyError
from seewhy.export._torch_operations import Traceable, taken_apart
from seewhy.maps import rectify, upsample
from seewhy.models._nets import short
from seewhy.outputs import before_heads, class_scores
from seewhy.types import Capture

_DEPENDS = ("GuardOnDataDependentSymNode", "DataDependentOutputException", "DynamicOutputShapeException", "UserError")


@dataclass(frozen=True)
class Question:
    """What the graph is to answer."""

    net: nn.Module
    layer: nn.Module
    methods: tuple[NamedMethod, ...]
    logit: bool
    classes: int | None
    """How many classes of each image at once; None: one, without an axis for them."""
    upsampled: bool
    prepare: Callable[[Tensor], Pass] | None = None
    """The model, ready to run on images (n, c, h, w), cut at the layer; None: as the adapter of PyTorch makes it."""


@dataclass
class Noted:
    """What was seen while the graph was traced."""

    head: str | None = None
    shape: tuple[int, ...] = field(default=())
    """Of the layer's output, (c, *s)."""


def traced(ask: Question, images: Tensor) -> tuple[GraphModule, Tensor, Noted]:
    """The graph from (images, class indices) to (class scores, scores, a heatmap for each method, the same upsampled
    where asked for, is it flat for each method that takes gradients), an example of the indices, and what was noted.

    Raises ModelError where the model decides by its values what it computes, or cannot be traced for another reason.
    """
    noted = Noted()
    n, k = len(images), ask.classes
    index = torch.zeros(n if k is None else (n, k), dtype=torch.int64)

    def explained(images: Tensor, index: Tensor) -> tuple[Tensor, ...]:
        return _explained(ask, noted, images, index)

    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of torch, on its own ways
            mode = FakeTensorMode(shape_env=ShapeEnv(), allow_non_fake_inputs=True)
            empty = [_without_values(mode, tensor) for tensor in (images, index)]
            with mode, enable_python_dispatcher():  # else some operators would fix the number of images
                graph = make_fx(explained, decomposition_table=taken_apart(), _allow_non_fake_inputs=True)(*empty)
    except SeewhyError:
        raise
    except Exception as error:  # whatever the model's code, a method's or the tracer meets
        raise ModelError(_why(error)) from error
    return graph, index, noted


def _explained(ask: Question, noted: Noted, images: Tensor, index: Tensor) -> tuple[Tensor, ...]:
    needed = any(method.info.gradients for method in ask.methods)
    this = adapter.prepared(ask.net, [ask.layer], images) if ask.prepare is None else ask.prepare(images)
    [point] = this.points
    with this.quiet(), Traceable(), sdpa_kernel(SDPBackend.MATH):  # other attention has a derivative of its own
        found = run(this, this.points, this.image, gradients=needed, watch=True)
    noted.head, outputs = before_heads(found.outputs, found.heads.of, logit=ask.logit)
    raw = full(class_scores(found.outputs))
    wanted = index[:, None] if ask.classes is None else index
    predicted = raw.detach().argmax(dim=1, keepdim=True)
    wanted = wanted + 0 * predicted  # one for all images becomes one of each, before a runtime counts on that
    [activations] = found.activations
    with torch.set_grad_enabled(needed):
        unknown = torch.where(wanted < 0, raw.shape[1], wanted)  # as far out as one too large
        scores = full(class_scores(outputs)).gather(1, torch.where(wanted == PREDICTED, predicted, unknown))
        slopes = _slopes(scores, activations) if needed else None
    turned = point.is_channels_last(activations)
    capture = Capture(
        activations=full(first(activations.detach(), turned)),
        gradients=None if slopes is None else first(slopes, turned, axis=2),
        scores=scores.detach(),
        outputs=raw.detach(),
        classes=None,
        head=noted.head,
    )
    noted.shape = tuple(int(length) for length in capture.activations.shape[1:])
    with adapter.full_precision():
        maps = [rectify(method.function(capture, **method.options)) for method in ask.methods]
        large = [upsample(coarse, this.space) for coarse in maps] if ask.upsampled else []
    kinds = zip(ask.methods, maps, strict=True)
    flat = [_is_zero(coarse) & _is_zero(capture.gradients) for method, coarse in kinds if method.info.gradients]
    answers = (capture.scores, *maps, *large, *flat)
    return (capture.outputs, *(answers if ask.classes is not None else (answer[:, 0] for answer in answers)))


def _is_zero(array: Tensor | None) -> Tensor:
    """True for each image and target of which all is 0: (n, k, ...) -> (n, k)."""
    assert array is not None
    return array.abs().flatten(2).amax(2) == 0


def _slopes(scores: Tensor, activations: Tensor) -> Tensor:
    """d scores (n, k) / d activations as (n, k, ...): a way back for each of the k, since none can be repeated."""
    if not scores.requires_grad:
        raise LayerError(NO_GRADIENT)
    parts = []
    for column in scores.split(1, dim=1):
        seed = torch.ones_like(column)
        [slope] = torch.autograd.grad(column, [activations], [seed], retain_graph=True, allow_unused=True)
        if slope is None:
            raise LayerError(NO_GRADIENT)
        parts.append(full(slope))
    return torch.stack(parts, dim=1)


def _without_values(mode: FakeTensorMode, tensor: Tensor) -> Tensor:
    """A tensor of any number of images, and of the other axes as they are."""
    axes = [DimDynamic.DUCK, *[DimDynamic.STATIC] * (tensor.ndim - 1)]
    unbound: list[Any] = [None] * tensor.ndim
    context: Any = StatelessSymbolicContext(dynamic_sizes=axes, constraint_sizes=unbound)
    return mode.from_tensor(tensor, symbolic_context=context)


def _why(error: Exception) -> str:
    kinds = {type(link).__name__ for link in (error, error.__cause__, error.__context__)}
    if kinds & set(_DEPENDS) or "data-dependent" in str(error).lower():
        return (
            "what this model, or the method, computes depends on the values of the image (an `if` or a loop over "
            f"them), and a graph has one way through it for all images ({short(error)})"
        )
    return (
        f"this model, or the method, cannot be traced into a graph ({short(error) or type(error).__name__}): export a "
        "part of it that computes with PyTorch's own operations alone"
    )
