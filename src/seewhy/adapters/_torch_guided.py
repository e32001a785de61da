"""Guided gradients on PyTorch: for the time of a backward pass, what goes back through a ReLU is its positive part.

Nothing of the model is touched: the graph of the pass is walked from the scores down, and a hook on each node of a
ReLU changes the gradient before the ReLU masks it. So modules, functions and in-place ones are all found, and only
those that ran in this pass.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor

from seewhy.errors import LayerError

ACTIVATIONS = {
    "Celu": "CELU", "Elu": "ELU", "Gelu": "GELU", "Glu": "GLU", "Hardsigmoid": "Hardsigmoid", "Hardswish": "Hardswish",
    "Hardtanh": "Hardtanh", "LeakyRelu": "LeakyReLU", "Mish": "Mish", "PreluKernel": "PReLU",
    "RreluWithNoise": "RReLU", "Sigmoid": "Sigmoid", "Silu": "SiLU", "Softplus": "Softplus", "Tanh": "Tanh",
}  # fmt: skip
"""Activations that are no ReLU, as the graph calls them and as people do."""


@contextmanager
def guided_backward(scores: Tensor) -> Iterator[None]:
    """Within it, `torch.autograd.grad` from these scores goes back through a ReLU only where it is positive.

        R_l = (A_l > 0) (R_{l+1} > 0) R_{l+1}      (Springenberg et al. 2015, fig. 1c)

    A ReLU is what is zero below zero and the identity above: relu, clamp(min=0), threshold(0, 0), and with a ceiling
    ReLU6, where the identity ends. Other activations (leaky ones, SiLU, GELU, Hardswish) let negative values through,
    the paper says nothing of them, and gradients pass them as they are.

    Raises LayerError where no ReLU lies between the scores and where the graph begins; it says what did.
    """
    nodes = list(_nodes(scores))
    relus = [node for node in nodes if is_relu(node)]
    if nodes and not relus:
        raise LayerError(no_relu({word for node in nodes if (word := ACTIVATIONS.get(_kind(node)))}))
    with ExitStack() as stack:
        for node in relus:
            stack.callback(node.register_prehook(_positive).remove)
        yield


def no_relu(met: set[str]) -> str:
    """The message where gradients met no ReLU, but these activations."""
    came = f"only {', '.join(sorted(met))}" if met else "and no other activation either"
    return (
        "guided gradients are changed at each ReLU (or ReLU6) that they go back through, and between the score and "
        f"the input of this model none ran, {came}: choose a method that needs none, such as 'gradient', "
        "'smooth-grad' or 'integrated-gradients'"
    )


def is_relu(node: Any) -> bool:
    """Is this node of a graph the backward of a ReLU, with or without a ceiling?"""
    match _kind(node):
        case "Relu":
            return True
        case "Threshold":
            return bool(node._saved_threshold == 0)
        case "ClampMin":
            return _is_zero(node._saved_min)
        case "Clamp":
            return _is_zero(node._saved_min) and _is_above(node._saved_max)
        case "Hardtanh":
            return _is_zero(node._saved_min_val) and _is_above(node._saved_max_val)
    return False


def _is_zero(bound: Any) -> bool:
    return not isinstance(bound, Tensor) and bound is not None and bound == 0


def _is_above(bound: Any) -> bool:
    return not isinstance(bound, Tensor) and (bound is None or bound > 0)


def _kind(node: Any) -> str:
    return str(node.name()).partition("Backward")[0]


def _positive(gradients: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    return tuple(None if gradient is None else gradient.clamp(min=0) for gradient in gradients)


def _nodes(scores: Tensor) -> Iterator[Any]:
    """Every node of the graph that these scores came out of."""
    seen, waiting = set(), [scores.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        waiting.extend(following for following, _ in node.next_functions)
