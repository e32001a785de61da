"""Keras on TensorFlow: further passes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from weakref import ref

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from seewhy.adapter import Ask
from seewhy.adapters._copies import rows_of_copies
from seewhy.adapters._keras_biases import watch_biases
from seewhy.adapters._keras_pass import Pass, Place, call, compiled, runner, steps
from seewhy.adapters._keras_tensorflow_graph import (
    Found,
    Graph,
    channels_first,
    connected_outputs,
    noted,
    passed,
    pull_back,
    relaxed,
    trace,
)
from seewhy.adapters._keras_tensorflow_question import Facts, Question, asked, derivatives, full_precision
from seewhy.errors import LayerError
from seewhy.stream import slices
from seewhy.types import INPUT, Gradients, Rows


@dataclass(frozen=True)
class Again:
    """Further passes, see seewhy.types.MorePasses."""

    this: Pass
    """The first pass, of the one layer."""
    ask: Ask
    activations: npt.NDArray[Any]
    k: int
    runs: int
    """How often the layer ran."""

    @property
    def images(self) -> Any:
        return channels_first(full_precision(self.this.cast(self.this.batch.image)), self.this.batch.channels_last, 1)

    def scores(self, images: Any, of: Rows) -> Any:
        question, _ = self._passed(replace(self.this, places=(), gradients=False, guided=False), images, of)
        return np.asarray(question.scores)

    def gradients(self, images: Any, of: Rows, *, at_input: bool = False, guided: bool = False) -> Any:
        places = (Place(INPUT, INPUT, self.this.batch.channels_last),) if at_input else self.this.places
        _, found = self._passed(replace(self.this, places=places, gradients=True, guided=guided), images, of)
        return found.gradients[0]

    def tail(self, activations: Any, of: Rows) -> Any:
        graph, flat, rows = self._graph("tail", _tail, activations, of)
        step = len(of)
        if graph.facts.eager:  # nothing is cut away
            step = rows_of_copies(len(of), activations[0].nbytes, self.this.image_bytes)
        scores = []
        for part in slices(len(of), step):
            question = Question(self.ask, self.this.n, False, of[part])
            graph.ask(question, flat, *(tensor[part] for tensor in rows))
            scores.append(np.asarray(question.scores))
        return np.concatenate(scores)

    def asked(self, ask: Ask, *, gradients: bool) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
        """The scores of another question, and their gradients at the layer's output as it was."""
        question = Question(ask, self.this.n, gradients)
        of = np.arange(self.this.n)
        if not gradients:
            self._from_layer("tail", _tail, self.activations, of, question)
            return np.asarray(question.scores), None
        slopes, _ = self._from_layer("slopes", _slopes, self.activations, of, question)
        return np.asarray(question.scores), channels_first(slopes, self.this.places[0].channels_last, 2)

    def curvature(self) -> Gradients:
        of, last = np.arange(self.this.n), self.this.places[0].channels_last
        columns = []
        with _derivatives():
            for column in range(self.k):
                question = Question(self.ask, self.this.n, True, of, column)
                bent, _ = self._from_layer("curvature", _curvature, self.activations, of, question)
                columns.append(channels_first(bent, last, 1))
        return np.stack(columns, axis=1)

    def diagonals(self, activations: Any, of: Rows, element: Rows) -> tuple[Any, Any]:
        moves = steps(activations.shape, element)
        question = Question(self.ask, self.this.n, False, of)
        with _derivatives():
            (arrays, changes), facts = self._from_layer("moved", _moved, activations, of, question, moves)
            second, third = question.bend_along(facts, arrays, changes)
        return second, third

    def biases(self) -> list[Any]:
        this = replace(self.this, places=(), gradients=True, guided=False)
        flat, facts = this.flat(), Facts()
        graph = compiled(
            this,
            ("biases", *this.signature, *relaxed(flat)),
            lambda: trace(this, _biases(this, facts), facts, flat, []),
        )
        found = graph.ask(Question(self.ask, this.n, True, np.arange(this.n)), flat)
        return [values for tensor in found if (values := tensor.numpy()).any()]

    def _passed(self, this: Pass, images: Any, of: Rows) -> tuple[Question, Found]:
        """One pass with other images."""
        question = Question(self.ask, this.n, this.gradients, of)
        turned = np.moveaxis(images, 1, -1) if this.batch.channels_last else images
        return question, passed(this, this.changed(turned, partial(tf.gather, indices=of)), question)

    def _from_layer(
        self, what: str, make: Callable[..., Any], activations: Any, of: Rows, question: Question, *more: Any
    ) -> tuple[Any, Facts]:
        """What a graph finds that goes on from these in place of the layer's output."""
        graph, flat, rows = self._graph(what, make, activations, of, *more)
        return graph.ask(question, flat, *rows), graph.facts

    def _graph(
        self, what: str, make: Callable[..., Any], activations: Any, of: Rows, *more: Any
    ) -> tuple[Graph, list[Any], list[Any]]:
        """The graph that goes on from these in place of the layer's output, and what it takes: inputs and rows."""
        this = replace(self.this, gradients=False, guided=False)
        last, dtype = this.places[0].channels_last, self.activations.dtype
        given = (tf.constant(np.moveaxis(a, 1, -1) if last else a, dtype) for a in (activations, *more))
        flat, rows = this.flat(), [tf.constant(of, tf.int64), *given]
        facts = Facts()
        graph = compiled(
            this,
            (what, *this.signature, *relaxed(flat), *relaxed(rows)),
            lambda: trace(this, make(this, facts, self.runs), facts, flat, rows),
        )
        return graph, flat, rows


@contextmanager
def _derivatives() -> Iterator[None]:
    """LayerError where TensorFlow lacks a further derivative."""
    try:
        yield
    except LookupError as error:
        raise LayerError(
            f"an operation between this layer and the score has no further derivatives in TensorFlow ({error}): choose "
            "a later layer, or a method that needs the gradient alone"
        ) from error


def _tail(this: Pass, facts: Facts, runs: int) -> Callable[..., Any]:
    """The graph from what is given in place of the layer's output to the question; what came before is cut away."""
    forward, logit = _forward(this, runs), this.logit

    def body(number: Any, flat: list[Any], of: Any, given: Any) -> Any:
        arrays = noted(facts, forward(flat, of, given), logit)

        def ask(number: Any, *arrays: Any) -> list[Any]:
            return asked(number).answer(facts, (), arrays)

        tf.py_function(ask, [number, *arrays], [])
        return arrays

    return body


def _slopes(this: Pass, facts: Facts, runs: int) -> Callable[..., Any]:
    """The graph from what is given in place of the layer's output to the question, and back, (n, k, *s, c)."""
    forward, logit = _forward(this, runs), this.logit

    def body(number: Any, flat: list[Any], of: Any, given: Any) -> Any:
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(given)
            outputs = forward(flat, of, given)
        arrays = noted(facts, outputs, logit)
        facts.connected = connected_outputs(tape, arrays, [given])

        def ask(number: Any, *arrays: Any) -> list[Any]:
            return asked(number).answer(facts, (), arrays)

        seeds = tf.py_function(ask, [number, *arrays], [arrays[i].dtype for i in facts.connected])
        [slopes] = pull_back(tape, [arrays[i] for i in facts.connected], [given], seeds)
        return full_precision(slopes)

    return body


def _curvature(this: Pass, facts: Facts, runs: int) -> Callable[..., Any]:
    """The graph to H A for one target: A is what is given, and s(y(A)) the score, with J = dy / dA.

    H A = d/dA <J^T u, A> with u = ds/dy held, and J^T (d²s/dy² J A): the second derivative of s is asked outside.
    """
    forward, logit = _forward(this, runs), this.logit

    def body(number: Any, flat: list[Any], of: Any, given: Any) -> Any:
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as outer:
            outer.watch(given)
            with tf.GradientTape(persistent=True, watch_accessed_variables=False) as inner:
                inner.watch(given)
                outputs = forward(flat, of, given)
            arrays = noted(facts, outputs, logit)
            with outer.stop_recording():
                floats = [i for i, array in enumerate(arrays) if array.dtype.is_floating]
                facts.connected = [i for i in floats if inner.gradient(arrays[i], given) is not None]
            connected = [arrays[i] for i in facts.connected]
            seeds = [tf.zeros_like(array) for array in connected]
            outer.watch(seeds)
            pulled = inner.gradient(connected, given, seeds)  # J^T w, whose derivative by w is J
            with outer.stop_recording():
                changes = outer.gradient(pulled, seeds, given, unconnected_gradients="zero")

                def ask(number: Any, *found: Any) -> list[Any]:
                    return asked(number).bend(facts, found[: len(arrays)], found[len(arrays) :])

                types = [array.dtype for array in connected] * 2
                answer = tf.py_function(ask, [number, *arrays, *changes], types)
                for tensor, array in zip(answer, [*connected, *connected], strict=True):
                    tensor.set_shape(array.shape)
            slopes, bends = answer[: len(connected)], answer[len(connected) :]
            pulled = inner.gradient(connected, given, slopes)
        bent = outer.gradient(pulled, given, given, unconnected_gradients="zero")
        return bent + inner.gradient(connected, given, bends)

    return body


def _moved(this: Pass, facts: Facts, runs: int) -> Callable[..., Any]:
    """The graph to the asked outputs, and the first three derivatives of those that are floats along a direction."""
    forward, logit = _forward(this, runs), this.logit

    def body(number: Any, flat: list[Any], of: Any, given: Any, move: Any) -> Any:
        arrays: list[Any] = []

        def at(t: Any) -> list[Any]:
            rows = given + tf.reshape(t, [-1, *[1] * (len(given.shape) - 1)]) * move
            arrays[:] = noted(facts, forward(flat, of, rows), logit)
            return [array for array in arrays if array.dtype.is_floating]

        changes = derivatives(at, tf.zeros(tf.shape(given)[:1], given.dtype))
        return arrays, changes

    return body


def _biases(this: Pass, facts: Facts) -> Callable[..., Any]:
    """The graph to d score / d b times b at every position, (n, k, c, *s), for each bias."""
    run, net_ref, space, logit = runner(this), ref(this.net), this.space, this.logit

    def body(number: Any, flat: list[Any]) -> Any:
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:

            def watch(place: int, output: Any) -> Any:
                following = tf.identity(output)
                tape.watch(following)
                return following

            with watch_biases(net_ref(), space, watch, _along) as seen:
                _, outputs = run(flat, lambda place, array, run: array, call)
        arrays = noted(facts, outputs, logit)
        if not seen.places:
            return []
        each = {i: tape.gradient(a, seen.places) for i, a in enumerate(arrays) if a.dtype.is_floating}
        facts.connected = [i for i, found in each.items() if any(slope is not None for slope in found)]
        connected = [arrays[i] for i in facts.connected]

        def ask(number: Any, *arrays: Any) -> list[Any]:
            return asked(number).answer(facts, (), arrays)

        seeds = tf.py_function(ask, [number, *arrays], [array.dtype for array in connected])
        slopes = pull_back(tape, connected, seen.places, seeds)
        return [_times(*found) for found in zip(slopes, seen.biases, seen.lasts, strict=True)]

    return body


def _times(slopes: Any, bias: Any, last: bool) -> Any:
    """Gradients (n, k, ...) times a bias, for each image or for all, as (n, k, c, *s)."""
    rank = len(slopes.shape)
    if len(bias.shape) == rank - 1:
        bias = bias[:, None]
    product = full_precision(slopes) * full_precision(bias)
    return tf.transpose(product, [0, 1, rank - 1, *range(2, rank - 1)]) if last else product


def _along(function: Callable[[Any], Any], x: Any) -> tuple[Any, Any]:
    """y and J x."""
    with tf.autodiff.ForwardAccumulator(x, x) as along:
        y = function(x)
    return y, along.jvp(y, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def _forward(this: Pass, runs: int) -> Callable[..., Any]:
    """A function to the outputs with what is given in place of the layer's output, at its last run."""
    run, shared = runner(this), this.shared

    def forward(flat: list[Any], of: Any, given: Any) -> Any:
        def follow(place: int, array: Any, count: int) -> Any:
            if count != runs:
                return array
            following = tf.cast(given, array.dtype)
            following.set_shape(array.shape)
            return following

        rows = [array if one else tf.gather(array, of) for array, one in zip(flat, shared, strict=True)]
        return run(rows, follow, call)[1]

    return forward
