"""Keras on JAX: the forward pass and its way back, each compiled once.

A zero array is added to the layer's output: the gradient with respect to it is the gradient with respect to the
output. `jax.vjp` inside the compiled forward pass gives the outputs and the way back through the tail, with what it
needs to remember; the question is asked in between. So the target is an input: another class does not compile again.
The weights are inputs too: those of the moment are explained.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial, wraps
from typing import Any
from weakref import ref

import jax
import jax.numpy as jnp
import keras

from seewhy.adapter import Ask
from seewhy.adapters._checks import NO_GRADIENT
from seewhy.adapters._keras_pass import Pass, Seen, call, class_values, compiled, flatten, form, pack, tracing, watch
from seewhy.adapters._layout import is_floating
from seewhy.errors import InputError, LayerError
from seewhy.outputs import before_heads, map_arrays
from seewhy.types import Capture

HEADS = {"softmax": "softmax", "log_softmax": "log-softmax", "sigmoid": "sigmoid"}
"""The functions of jax.nn that can be a final activation."""


def full_precision() -> AbstractContextManager[None]:
    """Matrix products in float32 where the accelerator would take fewer bits."""
    context: AbstractContextManager[None] = jax.default_matmul_precision("highest")
    return context


def run(net: Any, inputs: Any, restart: Callable[[], None]) -> Any:
    """The shapes of a pass; nothing is computed."""
    structure: dict[str, Any] = {}

    def forward(weights: Any, flat: list[Any]) -> list[Any]:
        structure["outputs"] = outputs = _call(net, weights, pack(inputs, flat))
        return flatten(outputs)

    try:
        shapes = jax.eval_shape(forward, _weights(net), flatten(inputs))
    except Exception as error:
        if not _looks_at_values(error):
            raise
        restart()
        return call(net, inputs)
    return pack(structure["outputs"], shapes)


def _looks_at_values(error: BaseException | None) -> bool:
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


def capture(this: Pass, ask: Ask) -> Capture:
    """One pass, see seewhy.adapters.keras.capture."""
    flat = flatten(this.inputs)
    signature = (*form(this.inputs), *((array.shape, str(array.dtype)) for array in flat))
    weights = _weights(this.net)
    forward = compiled(this, signature, lambda: _compile(this, weights, flat))
    try:
        activations, outputs, asked, back = forward.run(weights, flat)
    except jax.errors.UnexpectedTracerError as error:
        raise LayerError(_OUT_OF_REACH.format(this.name)) from error
    except Exception as error:
        if not _looks_at_values(error):
            raise
        raise LayerError(
            f"after the layer {this.name!r} the model looks at values (`if x > 0`, float(x)), through which JAX takes "
            "no gradient: choose a later layer, or a method without gradients"
        ) from error
    facts = forward.facts
    floats = [i for i, array in enumerate(asked) if is_floating(array)]
    classes = class_values(pack(facts.asked, asked), activations.shape, this.n)

    def scored(arrays: Sequence[Any]) -> Any:
        given = list(asked)
        for i, array in zip(floats, arrays, strict=True):
            given[i] = _full_precision(array)
        return ask(pack(facts.asked, given), classes)

    gradients = None
    if this.gradients:
        try:
            scores, slopes = jax.vjp(scored, [asked[i] for i in floats])
        except jax.errors.TracerArrayConversionError as error:  # a target that goes by way of NumPy
            raise LayerError(NO_GRADIENT) from error
        n, k = scores.shape
        seeds = jnp.broadcast_to(jnp.eye(k, dtype=scores.dtype)[:, None], (k, n, k))
        (seeds,) = jax.vmap(slopes)(seeds)
        gradients = forward.pull_back(back, seeds)
        if not bool(jnp.any(gradients)):
            blotted = _blotted(this, weights, flat)
            if not bool(jnp.isnan(scored([blotted[i] for i in floats])).any()):
                raise LayerError(NO_GRADIENT)
    else:
        scores = scored([asked[i] for i in floats])
    return Capture(activations, gradients, _full_precision(scores), pack(facts.raw, outputs), classes, facts.head)


@dataclass
class _Facts:
    """What tracing told of the model: the structure of its outputs, and its final activation."""

    raw: Any = None
    asked: Any = None
    """The outputs, with logits in place of the class scores where they are asked for."""
    head: str | None = None


@dataclass(frozen=True)
class _Forward:
    run: Callable[[Any, list[Any]], Any]
    """(weights, inputs) -> activations (n, c, *s), outputs, asked outputs, the way back from these to the layer."""
    pull_back: Callable[[Any, list[Any]], Any]
    """Seeds (k, *output) taken back through the tail: d scores / d activations, (n, k, c, *s)."""
    facts: _Facts


def _compile(this: Pass, weights: Any, flat: list[Any]) -> _Forward:
    """The compiled forward pass; a model that looks at values can only run as it is."""
    facts, turned = _Facts(), this.channels_last
    run = jax.jit(_body(this, facts, jax.eval_shape))
    try:
        run.trace(weights, flat)
    except jax.errors.UnexpectedTracerError as error:
        raise LayerError(_OUT_OF_REACH.format(this.name)) from error
    except Exception as error:
        if not _looks_at_values(error):
            raise
        return _Forward(_body(this, facts, lambda function: function()), partial(_pull_back, turned), facts)
    # a function of its own for each model: what JAX keeps of it is freed with it
    return _Forward(run, jax.jit(partial(_pull_back, turned)), facts)


_OUT_OF_REACH = (
    "the layer {!r} runs inside a loop or a function compiled of its own, where it cannot be reached: "
    "choose one outside"
)


def _body(this: Pass, facts: _Facts, shape_of: Callable[[Callable[[], Any]], Any]) -> Callable[[Any, list[Any]], Any]:
    net_ref, layer_ref, structure = ref(this.net), ref(this.layer), map_arrays(this.inputs, _slot)
    name, space, logit, gradients, turned = this.name, this.space, this.logit, this.gradients, this.channels_last

    def body(weights: Any, flat: list[Any]) -> Any:
        net, layer, inputs, runs = net_ref(), layer_ref(), pack(structure, flat), 0

        def first() -> Any:
            nonlocal runs
            with watch(Seen(name, layer, space, lambda array, run: array)) as seen:
                _call(net, weights, inputs)
            runs = seen.runs
            return seen.found()

        zero = shape_of(first) if gradients else None

        def tail(delta: Any) -> Any:
            def follow(array: Any, run: int) -> Any:
                return array + delta if gradients and run == runs else array

            with _watch_heads() as heads, watch(Seen(name, layer, space, follow)) as seen:
                outputs = _call(net, weights, inputs)
            facts.head, asked = before_heads(outputs, heads.of, logit=logit)
            facts.raw, facts.asked = map_arrays(outputs, _slot), map_arrays(asked, _slot)
            arrays = flatten(asked)
            return [a for a in arrays if is_floating(a)], (seen.found(), flatten(outputs), arrays)

        if zero is not None:
            _, back, found = jax.vjp(tail, jnp.zeros(zero.shape, zero.dtype), has_aux=True)
        else:
            back, (_, found) = None, tail(None)
        activations, outputs, asked = found
        activations = _full_precision(activations)
        return jnp.moveaxis(activations, -1, 1) if turned else activations, outputs, asked, back

    return body


def _blotted(this: Pass, weights: Any, flat: list[Any]) -> list[Any]:
    """The asked outputs where the layer's own is NaN.

    A gradient of zeros is what JAX has for a score that does not depend on the layer, too: NaN tells which it is.
    """

    def blot(array: Any, run: int) -> Any:
        return jnp.full_like(array, jnp.nan)

    with _watch_heads() as heads, watch(Seen(this.name, this.layer, this.space, blot)):
        outputs = _call(this.net, weights, pack(this.inputs, flat))
    return flatten(before_heads(outputs, heads.of, logit=this.logit)[1])


def _pull_back(turned: bool, back: Any, seeds: list[Any]) -> Any:
    (slopes,) = jax.vmap(back)(seeds)
    slopes = jnp.moveaxis(_full_precision(slopes), 0, 1)
    return jnp.moveaxis(slopes, -1, 2) if turned else slopes


# ---- small things ----------------------------------------------------------------------------------------


def _weights(net: Any) -> tuple[list[Any], list[Any]]:
    if isinstance(net, keras.Model):
        net.jax_state_sync()  # within a callback of `fit` Keras holds the weights elsewhere
    if any(v._value is None for v in net.variables):
        raise InputError(
            f"the weights of {net.name!r} are out of reach while Keras trains on JAX a model that it is a part of: "
            "explain that one, or wait for on_epoch_end"
        )
    return [v.value for v in net.trainable_variables], [v.value for v in net.non_trainable_variables]


def _call(net: Any, weights: Any, inputs: Any) -> Any:
    # what Keras calls stateless_call is the model's `call` alone, which need not take `training`
    variables = [*net.trainable_variables, *net.non_trainable_variables]
    return call(net, inputs, zip(variables, [*weights[0], *weights[1]], strict=True))


@dataclass
class _Heads:
    """The calls of softmax and its like: kind, what went in, what came out."""

    seen: list[tuple[str, Any, Any]] = field(default_factory=list)

    def of(self, scores: Any) -> tuple[str, Any] | None:
        """The kind of the activation that made these scores, and what went into it."""
        found = ((kind, before) for kind, before, after in reversed(self.seen) if after is scores)
        return next(found, None)


@contextmanager
def _watch_heads() -> Iterator[_Heads]:
    """Note what goes through jax.nn's softmax and its like in this thread, while the model is traced."""
    heads, thread = _Heads(), threading.get_ident()

    def noting(kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def noted(*args: Any, **kwargs: Any) -> Any:
            after = function(*args, **kwargs)
            if threading.get_ident() == thread and args and len(after.shape) == 2:
                heads.seen.append((kind, args[0], after))
            return after

        return noted

    with tracing:
        before = {name: getattr(jax.nn, name) for name in HEADS}
        try:
            for name, function in before.items():
                setattr(jax.nn, name, noting(HEADS[name], function))
            yield heads
        finally:
            for name, function in before.items():
                setattr(jax.nn, name, function)


def _slot(array: Any) -> Any:
    """The place of an array in a structure, without its values."""
    return jax.ShapeDtypeStruct(array.shape, array.dtype)


def _full_precision(array: Any) -> Any:
    return array.astype(jnp.float32) if array.dtype in (jnp.float16, jnp.bfloat16) else array
