"""Keras on JAX: the forward pass and its way back, each compiled once.

A zero array is added to each layer's output: the gradient with respect to it is the gradient with respect to the
output. `jax.vjp` inside the compiled forward pass gives the outputs and the way back through the tail, with what it
needs to remember; the question is asked in between. So the target is an input: another class does not compile again.
The weights are inputs too: those of the moment are explained.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import numpy.typing as npt

from seewhy.adapter import Ask
from seewhy.adapters._checks import NO_GRADIENT
from seewhy.adapters._keras_jax_functions import GUIDED, Heads, watch_heads
from seewhy.adapters._keras_pass import (
    Pass,
    call,
    class_values,
    compiled,
    flatten,
    pack,
    runner,
    slot,
)
from seewhy.adapters._keras_swapped import guiding
from seewhy.adapters._layout import is_floating
from seewhy.errors import InputError, LayerError
from seewhy.outputs import before_heads, map_arrays
from seewhy.types import Rows


@dataclass
class Facts:
    """What tracing told of the model: the structure of its outputs, and its final activation."""

    raw: Any = None
    asked: Any = None
    """The outputs, with logits in place of the class scores where they are asked for."""
    head: str | None = None
    runs: Sequence[int] = ()
    """How often each layer ran."""
    eager: bool = False
    """Does the code run as it is, since it can be no graph? Then all of the model runs, also what is not needed."""


@dataclass(frozen=True)
class Found:
    """What a pass found."""

    activations: list[Any]
    """At each place, (m, c, *s)."""
    gradients: list[Any] | None
    """At each place, (m, k, c, *s)."""
    scores: Any
    outputs: Any
    classes: npt.NDArray[np.float32] | None
    facts: Facts


def passed(this: Pass, ask: Ask, flat: list[Any], of: Rows | None = None) -> Found:
    """One pass through the model with these inputs; `of` in a further one: what image each row was made from."""
    return shown(this, flat).found(ask, of)


def shown(this: Pass, flat: list[Any]) -> "_Shown":
    """One pass through the model with these inputs, which can be asked any number of questions."""
    weights = weights_of(this.net)
    forward = compiled(this, ("pass", *this.signature, *shapes(flat)), lambda: _compile(this, weights, flat))
    try:
        activations, outputs, asked, back = forward.run(weights, flat)
    except jax.errors.UnexpectedTracerError as error:
        raise LayerError(_out_of_reach(this)) from error
    except Exception as error:
        if not looks_at_values(error):
            raise
        raise LayerError(
            f"after {_names(this)} the model looks at values (`if x > 0`, float(x)), through which JAX takes no "
            "gradient: choose a later layer, or a method without gradients"
        ) from error
    return _Shown(this, flat, weights, forward, activations, outputs, asked, back)


@dataclass(frozen=True)
class _Shown:
    """A pass that was made, and the way back from its outputs to the layers."""

    this: Pass
    flat: list[Any]
    weights: Any
    forward: "_Forward"
    activations: list[Any]
    outputs: list[Any]
    asked: list[Any]
    back: Any

    def found(self, ask: Ask, of: Rows | None = None) -> Found:
        """What the pass tells of a question."""
        this, facts, asked = self.this, self.forward.facts, self.asked
        shapes_there = [a.shape for a in self.activations]
        classes = class_values(pack(facts.asked, asked), shapes_there, this.n) if of is None else None
        floats = [i for i, array in enumerate(asked) if is_floating(array)]
        scored = partial(scores_of, facts, ask, asked, classes, of)
        gradients = None
        if this.gradients:
            try:
                scores, slopes = jax.vjp(scored, [asked[i] for i in floats])
            except jax.errors.TracerArrayConversionError as error:  # a target that goes by way of NumPy
                raise LayerError(NO_GRADIENT) from error
            (seeds,) = jax.vmap(slopes)(seeds_for(scores))
            gradients = self.forward.pull_back(self.back, seeds)
            for place, found in zip(this.places, gradients, strict=True):
                if (of is None or place.is_input) and not bool(jnp.any(found)):
                    blotted = _blotted(this, place.key, self.weights, self.flat)
                    if not bool(jnp.isnan(scored([blotted[i] for i in floats])).any()):
                        raise LayerError(NO_GRADIENT)
        else:
            scores = scored([asked[i] for i in floats])
        outputs = pack(facts.raw, self.outputs)
        return Found(self.activations, gradients, full_precision(scores), outputs, classes, facts)


def scores_of(
    facts: Facts, ask: Ask, asked: Sequence[Any], classes: npt.NDArray[np.float32] | None, of: Rows | None,
    floats: Sequence[Any],
) -> Any:  # fmt: skip
    """The scores (m, k) in the outputs that are asked, with these for those of them that are floats."""
    given = list(asked)
    for i, array in zip((i for i, array in enumerate(asked) if is_floating(array)), floats, strict=True):
        given[i] = full_precision(array)
    outputs = pack(facts.asked, given)
    return ask(outputs, classes) if of is None else ask.again(outputs, of)


def seeds_for(scores: Any) -> Any:
    """(k, n, k): for each target, ones where it is."""
    n, k = scores.shape
    return jnp.broadcast_to(jnp.eye(k, dtype=scores.dtype)[:, None], (k, n, k))


def shapes(arrays: Sequence[Any]) -> list[tuple[Any, ...]]:
    return [(array.shape, str(array.dtype)) for array in arrays]


# ---- compiled --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Forward:
    run: Callable[[Any, list[Any]], Any]
    """(weights, inputs) -> activations (n, c, *s), outputs, asked outputs, the way back from these to the layers."""
    pull_back: Callable[[Any, list[Any]], Any]
    """Seeds (k, *output) taken back through the tail: at each place d scores / d activations, (n, k, c, *s)."""
    facts: Facts


def _compile(this: Pass, weights: Any, flat: list[Any]) -> _Forward:
    """The compiled forward pass; a model that looks at values can only run as it is."""
    facts, lasts = Facts(), [place.channels_last for place in this.places]
    run, is_compiled = jitted(this, lambda shape_of: _body(this, facts, shape_of), weights, flat)
    back = partial(_pull_back, lasts)
    # a function of its own for each model: what JAX keeps of it is freed with it
    return _Forward(run, jax.jit(back) if is_compiled else back, facts)


ShapeOf = Callable[[Callable[[], Any]], Any]


def jitted(this: Pass, make: Callable[[ShapeOf], Callable[..., Any]], *given: Any) -> tuple[Callable[..., Any], bool]:
    """A body compiled, if it can be; and whether it could."""
    run = jax.jit(make(jax.eval_shape))
    try:
        run.trace(*given)
    except jax.errors.UnexpectedTracerError as error:
        raise LayerError(_out_of_reach(this)) from error
    except Exception as error:
        if not looks_at_values(error):
            raise
        return make(lambda function: function()), False
    return run, True


def _names(this: Pass) -> str:
    return " and ".join(f"the layer {place.name!r}" for place in this.places) or "its input"


def _out_of_reach(this: Pass) -> str:
    return (
        f"{_names(this)} runs inside a loop or a function compiled of its own, where it cannot be reached: "
        "choose one outside"
    )


def _body(this: Pass, facts: Facts, shape_of: ShapeOf) -> Callable[[Any, list[Any]], Any]:
    run, lasts = runner(this), [place.channels_last for place in this.places]
    logit, gradients, guided = this.logit, this.gradients, this.guided

    def body(weights: Any, flat: list[Any]) -> Any:
        how, runs = partial(call_with, weights), list[int]()

        def first() -> list[Any]:
            seen, _ = run(flat, lambda place, array, run: array, how)
            runs[:] = [look.runs for look in seen]
            return [look.found() for look in seen]

        zeros = [jnp.zeros(a.shape, a.dtype) for a in shape_of(first)] if gradients else []

        def tail(deltas: Any) -> Any:
            def follow(place: int, array: Any, run: int) -> Any:
                return array + deltas[place] if gradients and run == runs[place] else array

            with watch_heads() as heads, guiding(guided, jax.nn, GUIDED):
                seen, outputs = run(flat, follow, how)
            arrays = noted(facts, heads, outputs, logit)
            facts.runs = [look.runs for look in seen]
            found = [look.found() for look in seen]
            return [a for a in arrays if is_floating(a)], (found, flatten(outputs), arrays)

        if gradients:
            _, back, found = jax.vjp(tail, zeros, has_aux=True)
        else:
            back, (_, found) = None, tail(zeros)
        activations, outputs, asked = found
        turned = [channels_first(full_precision(a), last, 1) for a, last in zip(activations, lasts, strict=True)]
        return turned, outputs, asked, back

    return body


def _blotted(this: Pass, key: Any, weights: Any, flat: list[Any]) -> list[Any]:
    """The asked outputs where what is at this place is NaN.

    A gradient of zeros is what JAX has for a score that does not depend on the layer, too: NaN tells which it is.
    """
    keys = [place.key for place in this.places]

    def follow(place: int, array: Any, run: int) -> Any:
        return jnp.full_like(array, jnp.nan) if keys[place] == key else array

    with watch_heads() as heads:
        _, outputs = runner(this)(flat, follow, partial(call_with, weights))
    return noted(Facts(), heads, outputs, this.logit)


def _pull_back(lasts: Sequence[bool], back: Any, seeds: list[Any]) -> list[Any]:
    (slopes,) = jax.vmap(back)(seeds)
    return [
        channels_first(jnp.moveaxis(full_precision(found), 0, 1), last, 2)
        for found, last in zip(slopes, lasts, strict=True)
    ]


def noted(facts: Facts, heads: Heads, outputs: Any, logit: bool) -> list[Any]:
    """The outputs that are asked, and of them, and of all, what they are."""
    facts.head, asked = before_heads(outputs, heads.of, logit=logit)
    facts.raw, facts.asked = map_arrays(outputs, slot), map_arrays(asked, slot)
    return flatten(asked)


# ---- small things ----------------------------------------------------------------------------------------


def weights_of(net: Any) -> tuple[list[Any], list[Any]]:
    if isinstance(net, keras.Model):
        net.jax_state_sync()  # within a callback of `fit` Keras holds the weights elsewhere
    if any(v._value is None for v in net.variables):
        raise InputError(
            f"the weights of {net.name!r} are out of reach while Keras trains on JAX a model that it is a part of: "
            "explain that one, or wait for on_epoch_end"
        )
    return [v.value for v in net.trainable_variables], [v.value for v in net.non_trainable_variables]


def call_with(weights: Any, net: Any, inputs: Any) -> Any:
    # what Keras calls stateless_call is the model's `call` alone, which need not take `training`
    variables = [*net.trainable_variables, *net.non_trainable_variables]
    return call(net, inputs, zip(variables, [*weights[0], *weights[1]], strict=True))


def looks_at_values(error: BaseException | None) -> bool:
    """Is this what code raises that looks at values, such as `if x > 0`, while it is traced? It is run as it is.

    Keras makes errors of its own of those that come out of its layers.
    """
    while error is not None and not isinstance(error, _VALUES_NEEDED):
        error = error.__context__
    return error is not None


_VALUES_NEEDED = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)


def channels_first(array: Any, last: bool, axis: int) -> Any:
    return jnp.moveaxis(array, -1, axis) if last else array


def full_precision(array: Any) -> Any:
    return array.astype(jnp.float32) if array.dtype in (jnp.float16, jnp.bfloat16) else array
