"""Second and third derivatives of the scores by each activation alone, on PyTorch.

What follows the layer runs on many rows, and in each one activation is moved by a number t of its own: three times
the derivative by t, at t = 0. Rows do not know one another, so one backward pass serves all of them.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from seewhy.errors import LayerError
from seewhy.types import Rows

_NUMBERS = 2**23
"""How many activations the rows that run at once hold together."""


def diagonals(activations: Tensor, tail: Callable[[Tensor, Rows], Tensor]) -> tuple[Tensor, Tensor]:
    """d2 score / dA_i^2 and d3 score / dA_i^3, (n, k, c, *s) each, of scores (m, k) = tail(activations (m, c, *s), of).

    Raises LayerError where an operation of the model has no further derivatives.
    """
    size = activations[0].numel()
    step = max(1, _NUMBERS // size)
    second: list[Tensor] = []
    third: list[Tensor] = []
    for i in range(len(activations)):
        parts = [_some(activations[i], range(a, min(a + step, size)), i, tail) for a in range(0, size, step)]
        for whole, part in zip((second, third), zip(*parts, strict=True), strict=True):
            whole.append(torch.cat(part, dim=1).unflatten(1, activations.shape[1:]))
    return torch.stack(second), torch.stack(third)


def _some(
    activations: Tensor, elements: range, i: int, tail: Callable[[Tensor, Rows], Tensor]
) -> tuple[Tensor, Tensor]:
    """Both derivatives (k, m) by these elements of the activations (c, *s) of image i."""
    m = len(elements)
    t = torch.zeros(m, dtype=activations.dtype, device=activations.device, requires_grad=True)
    moves = torch.zeros(m, activations.numel(), dtype=t.dtype, device=t.device)
    moves[torch.arange(m), torch.arange(elements.start, elements.stop)] = 1
    rows = activations + (t[:, None] * moves).unflatten(1, activations.shape)
    scores = tail(rows, np.full(m, i))
    second, third = [], []
    for score in scores.unbind(1):
        orders = [score]
        for _ in range(3):
            orders.append(_derivative(orders[-1], t))
        second.append(orders[2].detach())
        third.append(orders[3].detach())
    return torch.stack(second), torch.stack(third)


def _derivative(values: Tensor, t: Tensor) -> Tensor:
    """The derivative of each value (m,) by its own t (m,)."""
    if not values.requires_grad:
        return torch.zeros_like(t)
    try:
        found = torch.autograd.grad(values.sum(), t, create_graph=True, allow_unused=True)[0]
    except RuntimeError as error:
        if "derivative" not in str(error):
            raise
        raise LayerError(
            "an operation between this layer and the score has no derivatives of the second and third order in PyTorch "
            f"({error}): choose a later layer, or a method that needs the gradient alone"
        ) from error
    return torch.zeros_like(t) if found is None else found
