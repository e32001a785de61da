"""From the scores back to the layers, on PyTorch: one batched backward pass for all targets."""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from seewhy.adapters._checks import NO_GRADIENT
from seewhy.adapters._torch_guided import guided_backward
from seewhy.adapters._torch_layout import full
from seewhy.adapters._torch_pass import Point
from seewhy.errors import LayerError


def gradients_at(
    scores: Tensor,
    activations: Sequence[Tensor],
    points: Sequence[Point],
    *,
    guided: bool = False,
    keep: bool = False,
) -> list[Tensor]:
    """d scores (n, k) / d activations at each point as (n, k, ...), in the model's own layout.

    `keep`: the graph stays, for further scores. Raises LayerError where the scores do not depend on a layer, or,
    `guided`, on no ReLU.
    """
    with guided_backward(scores) if guided else nullcontext():
        slopes = slopes_at(scores, activations, keep=keep)
    found = []
    for slope, point in zip(slopes, points, strict=True):
        if slope is None:
            which = f" {point.name!r}" if len(points) > 1 else ""
            raise LayerError(
                f"the score does not depend on the layer{which}: choose one that the asked output is computed from"
            )
        found.append(full(slope).movedim(0, 1))
    return found


def slopes_at(
    scores: Tensor, places: Sequence[Tensor] | Sequence[GradientEdge], *, keep: bool = False
) -> Sequence[Tensor | None]:
    """d scores (n, k) / d each place as (k, n, ...), in the model's own precision; None where they do not depend on it.

    Raises LayerError where they depend on nothing.
    """
    if not scores.requires_grad:
        raise LayerError(NO_GRADIENT)
    n, k = scores.shape
    if k == 1:
        seed = torch.ones_like(scores)
        return [
            None if slope is None else slope[None]
            for slope in torch.autograd.grad(scores, places, seed, retain_graph=keep, allow_unused=True)
        ]
    seeds = torch.eye(k, dtype=scores.dtype, device=scores.device)[:, None].expand(k, n, k)
    return _batched(scores, places, seeds)


def _batched(
    scores: Tensor, places: Sequence[Tensor] | Sequence[GradientEdge], seeds: Tensor
) -> Sequence[Tensor | None]:
    """One backward pass for all seeds (k, n, k)."""
    try:
        return torch.autograd.grad(scores, places, seeds, retain_graph=True, is_grads_batched=True, allow_unused=True)
    except RuntimeError:
        # some backward passes cannot be batched, such as those of custom autograd functions: one target at a time
        each = [torch.autograd.grad(scores, places, s, retain_graph=True, allow_unused=True) for s in seeds]
        return [None if column[0] is None else torch.stack(column) for column in zip(*each, strict=True)]
