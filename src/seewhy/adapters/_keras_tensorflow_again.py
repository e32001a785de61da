"""Keras on TensorFlow: further passes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from seewhy.adapter import Ask
from seewhy.adapters._keras_pass import Pass, Place, call, compiled, runner
from seewhy.adapters._keras_tensorflow_graph import (
    Facts,
    Found,
    Question,
    asked,
    channels_first,
    full_precision,
    noted,
    passed,
    relaxed,
    trace,
)
from seewhy.errors import LayerError
from seewhy.types import INPUT, Gradients, Rows, Variant


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

    def gradients(self, images: Any, of: Rows, *, at_input: bool = False, guided: bool = False) -> Variant:
        places = (Place(INPUT, INPUT, self.this.batch.channels_last),) if at_input else self.this.places
        question, found = self._passed(replace(self.this, places=places, gradients=True, guided=guided), images, of)
        return Variant(found.activations[0], found.gradients[0], np.asarray(question.scores))

    def tail(self, activations: Any, of: Rows) -> Any:
        question = Question(self.ask, self.this.n, False, of)
        self._from_layer("tail", _tail, activations, of, question)
        return np.asarray(question.scores)

    def curvature(self) -> Gradients:
        of, last = np.arange(self.this.n), self.this.places[0].channels_last
        try:
            found = [
                self._from_layer("curvature", _curvature, self.activations, of,
                                 Question(self.ask, self.this.n, True, of, column))
                for column in range(self.k)
            ]  # fmt: skip
        except LookupError as error:
            raise LayerError(f"TensorFlow has no second derivative of what follows the layer: {error}") from error
        return np.stack([channels_first(bent, last, 1) for bent in found], axis=1)

    def biases(self) -> list[Any]:
        raise NotImplementedError

    def _passed(self, this: Pass, images: Any, of: Rows) -> tuple[Question, Found]:
        """One pass with other images."""
        question = Question(self.ask, this.n, this.gradients, of)
        turned = np.moveaxis(images, 1, -1) if this.batch.channels_last else images
        return question, passed(this, this.changed(turned, partial(tf.gather, indices=of)), question)

    def _from_layer(self, what: str, make: Callable[..., Any], activations: Any, of: Rows, question: Question) -> Any:
        """What a graph finds that goes on from these in place of the layer's output."""
        this = replace(self.this, gradients=False, guided=False)
        given = np.moveaxis(activations, 1, -1) if this.places[0].channels_last else activations
        flat, more = this.flat(), [tf.constant(of, tf.int64), tf.constant(given, self.activations.dtype)]
        facts = Facts()
        graph = compiled(
            this,
            (what, *this.signature, *relaxed(flat), *relaxed(more)),
            lambda: trace(this, make(this, facts, self.runs), facts, flat, more),
        )
        return graph.ask(question, flat, *more)


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
