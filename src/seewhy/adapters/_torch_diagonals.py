"""Second and third derivatives of scores by one activation of each row, on PyTorch.

What follows the layer runs on many rows, and in each one activation is moved by a number t of its own: three times
the derivative by t, at t = 0. Rows do not know one another, so one backward pass serves all of them.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from seewhy.errors import LayerError
from seewhy.types import Rows


def diagonals(
    activations: Tensor, of: Rows, element: Rows, tail: Callable[[Tensor, Rows], Tensor]
) -> tuple[Tensor, Tensor]:
    """d2 score / dA_e^2 and d3 score / dA_e^3, (m, k) each, of scores (m, k) = tail(activations (m, c, *s), of).

    Raises LayerError where an operation of the model has no further derivatives.
    """
    m = len(activations)
    t = torch.zeros(m, dtype=activations.dtype, device=activations.device, requires_grad=True)
    moves = torch.zeros_like(activations).flatten(1)
    moves[torch.arange(m), torch.from_numpy(element)] = 1
    scores = tail(activations + (t[:, None] * moves).reshape(activations.shape), of)
    second, third = [], []
    for score in scores.unbind(1):
        orders = [score]
        for _ in range(3):
            orders.append(_derivative(orders[-1], t))
        second.append(orders[2].detach())
        third.append(orders[3].detach())
    return torch.stack(second, dim=1), torch.stack(third, dim=1)


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
