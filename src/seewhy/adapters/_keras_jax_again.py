"""Keras on JAX: further passes."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from weakref import ref

import jax
import jax.numpy as jnp
import numpy as np

from seewhy.adapter import Ask
from seewhy.adapters._checks import NO_GRADIENT
from seewhy.adapters._copies import rows_of_copies
from seewhy.adapters._keras_biases import Biases, watch_biases
from seewhy.adapters._keras_jax_functions import watch_heads
from seewhy.adapters._keras_jax_graph import (
    Facts,
    Found,
    ShapeOf,
    call_with,
    channels_first,
    full_precision,
    jitted,
    noted,
    passed,
    scores_of,
    seeds_for,
    shapes,
    weights_of,
)
from seewhy.adapters._keras_pass import Pass, Place, compiled, runner, steps
from seewhy.adapters._layout import is_floating
from seewhy.errors import LayerError
from seewhy.stream import slices
from seewhy.types import INPUT, Gradients, Rows


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

    def gradients(self, images: Any, of: Rows, *, at_input: bool = False, guided: bool = False) -> Any:
        places = (Place(INPUT, INPUT, self.this.batch.channels_last),) if at_input else self.this.places
        found = self._passed(replace(self.this, places=places, gradients=True, guided=guided), images, of)
        assert found.gradients
        return found.gradients[0]

    def tail(self, activations: Any, of: Rows) -> Any:
        run, facts = self._ready("tail", lambda tail: tail, activations, of)
        step = len(of)
        if facts.eager:  # what came before the layer is computed too
            step = rows_of_copies(len(of), activations[0].nbytes, self.this.image_bytes)
        scores = []
        for part in slices(len(of), step):
            asked = run(part)
            floats = [array for array in asked if is_floating(array)]
            scores.append(full_precision(scores_of(facts, self.ask, asked, None, of[part], floats)))
        return jnp.concatenate(scores)

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

    def diagonals(self, activations: Any, of: Rows, element: Rows) -> tuple[Any, Any]:
        moves = jnp.asarray(steps(activations.shape, element), activations.dtype)
        moves = jnp.moveaxis(moves, 1, -1) if self.this.places[0].channels_last else moves
        (asked, changes), facts = self._from_layer("moved", _moved, activations, of, [moves])
        scored = partial(scores_of, facts, self.ask, asked, None, of)
        floats = [array for array in asked if is_floating(array)]
        _, second, third = _derivatives(partial(_on_the_way, scored, floats, changes), len(moves))
        return full_precision(second), full_precision(third)

    def biases(self) -> list[Any]:
        this = replace(self.this, places=(), gradients=True, guided=False)
        weights, flat, of = weights_of(this.net), this.flat(), np.arange(this.n)

        def compile() -> tuple[Callable[..., Any], Callable[..., Any], Facts, list[bool]]:
            facts, lasts = Facts(), list[bool]()
            run, is_compiled = jitted(this, lambda shape_of: _biases(this, facts, lasts, shape_of), weights, flat)
            back = partial(_times, lasts)
            return run, jax.jit(back) if is_compiled else back, facts, lasts

        run, times, facts, lasts = compiled(this, ("biases", *this.signature, *shapes(flat)), compile)
        asked, back, biases = run(weights, flat)
        if not lasts:
            return []
        floats = [array for array in asked if is_floating(array)]
        scores, slopes = jax.vjp(partial(scores_of, facts, self.ask, asked, None, of), floats)
        (seeds,) = jax.vmap(slopes)(seeds_for(scores))
        return [product for product in times(back, seeds, biases) if bool(jnp.any(product))]

    def _passed(self, this: Pass, images: Any, of: Rows) -> Found:
        """One pass with other images."""
        turned = jnp.moveaxis(images, 1, -1) if this.batch.channels_last else images
        return passed(this, self.ask, this.changed(turned, lambda array: array[of]), of)

    def _from_layer(
        self, what: str, make: Callable[..., Any], activations: Any, of: Rows, *more: Any
    ) -> tuple[Any, Facts]:
        """What a compiled function finds that goes on from these in place of the layer's output."""
        run, facts = self._ready(what, make, activations, of, *more)
        return run(slice(None)), facts

    def _ready(
        self, what: str, make: Callable[..., Any], activations: Any, of: Rows, *more: Any
    ) -> tuple[Callable[[slice], Any], Facts]:
        """A function from some of these rows (all, if it is compiled) to what is found that goes on from them."""
        this = replace(self.this, gradients=False, guided=False)
        given = jnp.moveaxis(activations, 1, -1) if this.places[0].channels_last else activations
        weights, flat, rows = weights_of(this.net), this.flat(), jnp.asarray(of)

        def compile() -> tuple[Callable[..., Any], Facts]:
            facts = Facts()
            tail = _tail(this, facts, self.runs)
            run, is_compiled = jitted(this, lambda _: make(tail), weights, flat, rows, given, *more)
            facts.eager = not is_compiled
            return run, facts

        counts = [len(part) for part in more]
        signature = (what, *this.signature, *shapes([*flat, rows, given, *(a for part in more for a in part)]), *counts)
        run, facts = compiled(this, signature, compile)
        return lambda part: run(weights, flat, rows[part], given[part], *more), facts


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


def _moved(tail: Callable[..., list[Any]]) -> Callable[..., Any]:
    """The asked outputs, and the first three derivatives of those that are floats along a direction."""

    def body(weights: Any, flat: list[Any], of: Any, given: Any, moves: list[Any]) -> Any:
        def at(t: Any) -> list[Any]:
            rows = given + t.reshape(-1, *[1] * (given.ndim - 1)) * moves[0]
            return [array for array in tail(weights, flat, of, rows) if is_floating(array)]

        return tail(weights, flat, of, given), _derivatives(at, len(given), given.dtype)

    return body


def _derivatives(at: Callable[[Any], Any], m: int, dtype: Any = None) -> list[Any]:
    """The first three derivatives, at 0, of what comes of m numbers t, each in a row of its own."""
    t, found = jnp.zeros(m, dtype), []
    for _ in range(3):
        at = partial(_derivative, at)
        found.append(at(t))
    return found


def _derivative(at: Callable[[Any], Any], t: Any) -> Any:
    return jax.jvp(at, (t,), (jnp.ones_like(t),))[1]


def _on_the_way(scored: Callable[..., Any], outputs: list[Any], changes: list[list[Any]], t: Any) -> Any:
    """The scores of outputs that have these first three derivatives by t."""
    moved = []
    for output, *orders in zip(outputs, *changes, strict=True):
        steps = t.reshape(-1, *[1] * (output.ndim - 1))
        moved.append(output + sum(steps**o / math.factorial(o) * change for o, change in enumerate(orders, 1)))
    return scored(moved)


def _biases(this: Pass, facts: Facts, lasts: list[bool], shape_of: ShapeOf) -> Callable[..., Any]:
    """A function to the asked outputs, the way back from them to where biases are added, and these."""
    run, net_ref, space, logit = runner(this), ref(this.net), this.space, this.logit

    def body(weights: Any, flat: list[Any]) -> Any:
        def forward(follow: Callable[[int, Any], Any]) -> tuple[Biases, Any]:
            with watch_biases(net_ref(), space, follow, lambda f, x: jax.jvp(f, (x,), (x,))) as seen:
                _, outputs = run(flat, lambda place, array, run: array, partial(call_with, weights))
            return seen, outputs

        zeros = [jnp.zeros(a.shape, a.dtype) for a in shape_of(lambda: forward(lambda i, output: output)[0].places)]

        def tail(deltas: list[Any]) -> Any:
            with watch_heads() as heads:
                seen, outputs = forward(lambda i, output: output + deltas[i])
            arrays = noted(facts, heads, outputs, logit)
            lasts[:] = seen.lasts
            return [a for a in arrays if is_floating(a)], (arrays, seen.biases)

        _, back, (asked, biases) = jax.vjp(tail, zeros, has_aux=True)
        return asked, back, biases

    return body


def _times(lasts: list[bool], back: Any, seeds: list[Any], biases: list[Any]) -> list[Any]:
    """d score / d b times b at every position, (n, k, c, *s), for each bias."""
    (slopes,) = jax.vmap(back)(seeds)
    products = [full_precision(s) * full_precision(b) for s, b in zip(slopes, biases, strict=True)]
    return [channels_first(jnp.moveaxis(p, 0, 1), last, 2) for p, last in zip(products, lasts, strict=True)]
