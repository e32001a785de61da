"""Keras on JAX: further passes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seewhy.adapter import Ask
from seewhy.adapters._checks import NO_GRADIENT
from seewhy.adapters._keras_jax_graph import (
    Facts,
    Found,
    call_with,
    channels_first,
    full_precision,
    jitted,
    noted,
    passed,
    scores_of,
    seeds_for,
    shapes,
    watch_heads,
    weights_of,
)
from seewhy.adapters._keras_pass import Pass, Place, compiled, runner
from seewhy.adapters._layout import is_floating
from seewhy.errors import LayerError
from seewhy.types import INPUT, Gradients, Rows, Variant


@dataclass(frozen=True)
class Again:
    """Further passes, see seewhy.types.MorePasses."""

    this: Pass
    """The first pass, of the one layer."""
    ask: Ask
    activations: Any
    runs: int
    """How often the layer ran."""

    @property
    def images(self) -> Any:
        return channels_first(full_precision(self.this.cast(self.this.batch.image)), self.this.batch.channels_last, 1)

    def scores(self, images: Any, of: Rows) -> Any:
        return self._passed(replace(self.this, places=(), gradients=False, guided=False), images, of).scores

    def gradients(self, images: Any, of: Rows, *, at_input: bool = False, guided: bool = False) -> Variant:
        places = (Place(INPUT, INPUT, self.this.batch.channels_last),) if at_input else self.this.places
        found = self._passed(replace(self.this, places=places, gradients=True, guided=guided), images, of)
        return Variant(found.activations[0], found.gradients[0] if found.gradients else None, found.scores)

    def tail(self, activations: Any, of: Rows) -> Any:
        asked, facts = self._from_layer("tail", lambda tail: tail, activations, of)
        floats = [array for array in asked if is_floating(array)]
        return full_precision(scores_of(facts, self.ask, asked, None, of, floats))

    def curvature(self) -> Gradients:
        """H A = d/dA <J^T u, A> with u = ds/dy held, and J^T (d²s/dy² J A), for scores s(y(A)) and J = dy / dA."""
        of = np.arange(self.this.n)
        (asked, changes), facts = self._from_layer("straight", _straight, self.activations, of)
        floats = [array for array in asked if is_floating(array)]
        scored = partial(scores_of, facts, self.ask, asked, None, of)

        def slopes(outputs: list[Any]) -> Any:
            scores, back = jax.vjp(scored, outputs)
            return jax.vmap(back)(seeds_for(scores))[0]

        try:
            found, bends = jax.jvp(slopes, (floats,), (changes,))
        except jax.errors.TracerArrayConversionError as error:
            raise LayerError(NO_GRADIENT) from error
        bent, _ = self._from_layer("bent", _bent, self.activations, of, found, bends)
        return channels_first(jnp.moveaxis(full_precision(bent), 0, 1), self.this.places[0].channels_last, 2)

    def biases(self) -> list[Any]:
        raise NotImplementedError

    def _passed(self, this: Pass, images: Any, of: Rows) -> Found:
        """One pass with other images."""
        turned = jnp.moveaxis(images, 1, -1) if this.batch.channels_last else images
        return passed(this, self.ask, this.changed(turned, lambda array: array[of]), of)

    def _from_layer(
        self, what: str, make: Callable[..., Any], activations: Any, of: Rows, *more: Any
    ) -> tuple[Any, Facts]:
        """What a compiled function finds that goes on from these in place of the layer's output."""
        this = replace(self.this, gradients=False, guided=False)
        given = jnp.moveaxis(activations, 1, -1) if this.places[0].channels_last else activations
        weights, flat, rows = weights_of(this.net), this.flat(), jnp.asarray(of)

        def compile() -> tuple[Callable[..., Any], Facts]:
            facts = Facts()
            tail = _tail(this, facts, self.runs)
            return jitted(this, lambda _: make(tail), weights, flat, rows, given, *more)[0], facts

        counts = [len(part) for part in more]
        signature = (what, *this.signature, *shapes([*flat, rows, given, *(a for part in more for a in part)]), *counts)
        run, facts = compiled(this, signature, compile)
        return run(weights, flat, rows, given, *more), facts


def _tail(this: Pass, facts: Facts, runs: int) -> Callable[..., list[Any]]:
    """A function to the asked outputs with what is given in place of the layer's output, at its last run.

    What came before the layer is not computed once this is compiled.
    """
    run, shared, logit = runner(this), this.shared, this.logit

    def tail(weights: Any, flat: list[Any], of: Any, given: Any) -> list[Any]:
        def follow(place: int, array: Any, count: int) -> Any:
            return given.astype(array.dtype) if count == runs else array

        rows = [array if one else array[of] for array, one in zip(flat, shared, strict=True)]
        with watch_heads() as heads:
            _, outputs = run(rows, follow, partial(call_with, weights))
        return noted(facts, heads, outputs, logit)

    return tail


def _straight(tail: Callable[..., list[Any]]) -> Callable[..., Any]:
    """The asked outputs y, and J A of those of them that are floats."""

    def body(weights: Any, flat: list[Any], of: Any, given: Any) -> Any:
        asked, changes = jax.jvp(partial(tail, weights, flat, of), (given,), (given,))
        return asked, [change for array, change in zip(asked, changes, strict=True) if is_floating(array)]

    return body


def _bent(tail: Callable[..., list[Any]]) -> Callable[..., Any]:
    """How J^T u changes along A and, of u, along its change: for each target."""

    def body(weights: Any, flat: list[Any], of: Any, given: Any, slopes: list[Any], bends: list[Any]) -> Any:
        def back(activations: Any, seeds: list[Any]) -> Any:
            def floats(activations: Any) -> list[Any]:
                return [array for array in tail(weights, flat, of, activations) if is_floating(array)]

            return jax.vjp(floats, activations)[1](seeds)[0]

        def one(seeds: list[Any], changes: list[Any]) -> Any:
            return jax.jvp(back, (given, seeds), (given, changes))[1]

        return jax.vmap(one)(slopes, bends)

    return body
