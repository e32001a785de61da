"""Keras on JAX: see _keras_jax_graph.py for how, and _keras_jax_again.py for what follows the first pass."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import jax

from seewhy.adapter import Ask
from seewhy.adapters._keras_jax_again import Again
from seewhy.adapters._keras_jax_graph import Found, call_with, looks_at_values, shown, weights_of
from seewhy.adapters._keras_pass import Pass, call, flatten, pack
from seewhy.types import Capture


def full_precision() -> AbstractContextManager[None]:
    """Matrix products in float32 where the accelerator would take fewer bits."""
    context: AbstractContextManager[None] = jax.default_matmul_precision("highest")
    return context


def run(net: Any, inputs: Any, restart: Callable[[], None]) -> Any:
    """The shapes of a pass; nothing is computed."""
    structure: dict[str, Any] = {}

    def forward(weights: Any, flat: list[Any]) -> list[Any]:
        structure["outputs"] = outputs = call_with(weights, net, pack(inputs, flat))
        return flatten(outputs)

    try:
        shapes = jax.eval_shape(forward, weights_of(net), flatten(inputs))
    except Exception as error:
        if not looks_at_values(error):
            raise
        restart()
        return call(net, inputs)
    return pack(structure["outputs"], shapes)


def capture(this: Pass, ask: Ask) -> list[Capture]:
    """One pass, see seewhy.adapters.keras.capture."""
    return keep(this)(ask)


def keep(this: Pass) -> Callable[[Ask], list[Capture]]:
    """One pass that is kept, see seewhy.adapters.keras.keep."""
    pass_ = shown(this, this.flat())
    return lambda ask: _captures(this, ask, pass_.found(ask))


def _captures(this: Pass, ask: Ask, found: Found) -> list[Capture]:
    return [
        Capture(
            found.activations[i],
            found.gradients[i] if found.gradients is not None else None,
            found.scores,
            found.outputs,
            found.classes,
            found.facts.head,
            Again(replace(this, places=(place,)), ask, found.activations[i], found.facts.runs[i]),
        )
        for i, place in enumerate(this.places)
    ]
