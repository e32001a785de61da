"""See a final softmax or sigmoid run, so that the score before it can be explained."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from seewhy.outputs import map_arrays

MODULES: dict[type[nn.Module], str] = {nn.Softmax: "softmax", nn.LogSoftmax: "log-softmax", nn.Sigmoid: "sigmoid"}
FUNCTIONS: dict[Any, str] = {
    F.softmax: "softmax",
    torch.softmax: "softmax",
    Tensor.softmax: "softmax",
    F.log_softmax: "log-softmax",
    torch.log_softmax: "log-softmax",
    Tensor.log_softmax: "log-softmax",
    F.sigmoid: "sigmoid",
    torch.sigmoid: "sigmoid",
    Tensor.sigmoid: "sigmoid",
    torch.special.expit: "sigmoid",
    torch.ops.aten.softmax: "softmax",
    torch.ops.aten._softmax: "softmax",
    torch.ops.aten.log_softmax: "log-softmax",
    torch.ops.aten._log_softmax: "log-softmax",
    torch.ops.aten.sigmoid: "sigmoid",
}
NODES = ("SoftmaxBackward", "LogSoftmaxBackward", "SigmoidBackward")
SAME = ("to", "to_copy", "type", "type_as", "float", "half", "bfloat16", "double",
        "reshape", "view", "flatten", "contiguous", "clone")  # fmt: skip
"""Functions that hand on the values that they are given, in another precision or shape."""
SAME_NODES = ("ToCopyBackward", "ViewBackward", "UnsafeViewBackward", "ReshapeAliasBackward", "CloneBackward")


@dataclass
class Heads:
    """The activations seen to run, and how to find the one that made the outputs."""

    seen: list[tuple[str, Tensor, Tensor]] = field(default_factory=list)

    def of(self, scores: Tensor) -> tuple[str, Tensor] | None:
        """The kind of the activation that made these scores, and what went into it."""
        found = ((kind, before) for kind, before, after in reversed(self.seen) if after is scores)
        return next(found, None)

    def miss(self, outputs: Any) -> bool:
        """Is there an output that came out of an activation which was not seen?"""
        unseen: list[Tensor] = []

        def look(array: Any) -> Any:
            if isinstance(array, Tensor) and array.ndim == 2 and self.of(array) is None and is_functional(array):
                unseen.append(array)
            return array

        map_arrays(outputs, look)
        return bool(unseen)

    def note(self, kind: str, before: Any, after: Any) -> None:
        # inside attention there are softmaxes too: class scores have two axes; an in-place one leaves no logits
        if isinstance(before, Tensor) and isinstance(after, Tensor) and after.ndim == 2 and before is not after:
            self.seen.append((kind, before, after))

    def follow(self, before: Any, after: Any) -> None:
        """Note a result of an activation that was cast or reshaped: half precision is, on its way through softmax."""
        head = self.of(before)
        if head is not None and isinstance(after, Tensor):
            kind, logits = head
            self.note(kind, logits, after)


def is_functional(scores: Tensor) -> bool:
    """Does the graph say that these scores came out of a softmax or sigmoid?"""
    node = scores.grad_fn
    while node is not None and node.name().startswith(SAME_NODES):
        node = node.next_functions[0][0]
    return node is not None and node.name().startswith(NODES)


@contextmanager
def watch(net: nn.Module, *, functions: bool) -> Iterator[Heads]:
    """Note the softmax and sigmoid modules that run in this thread, and the functions too if asked (costs 2 %)."""
    heads, thread = Heads(), threading.get_ident()

    def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if threading.get_ident() == thread and args:
            heads.note(MODULES[type(module)], args[0], output)

    handles = [module.register_forward_hook(hook) for module in net.modules() if type(module) in MODULES]
    try:
        if functions:
            with _Functions(heads):
                yield heads
        else:
            yield heads
    finally:
        for handle in handles:
            handle.remove()


class _Functions(TorchFunctionMode):
    def __init__(self, heads: Heads) -> None:
        super().__init__()
        self.heads = heads

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        # exported and traced graphs call operators in place of functions
        kind = FUNCTIONS.get(func) or FUNCTIONS.get(getattr(func, "overloadpacket", None))
        if kind is not None:
            self.heads.note(kind, args[0] if args else (kwargs or {}).get("input"), result)
        elif self.heads.seen and args and func.__name__.partition(".")[0].strip("_") in SAME:
            self.heads.follow(args[0], result)
        return result
