"""Functions of jax.nn that are looked at, or changed, while a model is traced."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from seewhy.adapters._keras_swapped import swapped

HEADS = {"softmax": "softmax", "log_softmax": "log-softmax", "sigmoid": "sigmoid"}
"""The functions of jax.nn that can be a final activation."""


@dataclass
class Heads:
    """The calls of softmax and its like: kind, what went in, what came out."""

    seen: list[tuple[str, Any, Any]] = field(default_factory=list)

    def of(self, scores: Any) -> tuple[str, Any] | None:
        """The kind of the activation that made these scores, and what went into it."""
        found = ((kind, before) for kind, before, after in reversed(self.seen) if after is scores)
        return next(found, None)


@contextmanager
def watch_heads() -> Iterator[Heads]:
    """Note what goes through jax.nn's softmax and its like in this thread, while the model is traced."""
    heads = Heads()

    def noting(name: str, before: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, **kwargs: Any) -> Any:
            after = before(*args, **kwargs)
            if args and len(after.shape) == 2:
                heads.seen.append((HEADS[name], args[0], after))
            return after

        return noted

    with swapped(jax.nn, HEADS, noting):
        yield heads


def _guided(highest: float) -> Callable[[Any], Any]:
    """max(0, min(x, highest)), which hands back only what is positive."""

    def relu(x: Any) -> Any:
        return jnp.minimum(jnp.maximum(x, 0), highest)

    def forward(x: Any) -> Any:
        return relu(x), (x > 0) & (x < highest)

    def back(on: Any, slope: Any) -> Any:
        return (jnp.where(on & (slope > 0), slope, 0),)

    guided: Any = jax.custom_vjp(relu)
    guided.defvjp(forward, back)

    return lambda x: guided(x)


GUIDED = {"relu": _guided(float("inf")), "relu6": _guided(6.0)}
"""The twins of jax.nn's functions that hand back only what is positive."""
