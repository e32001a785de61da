"""What is asked in a pass of Keras on TensorFlow, in the midst of the graph."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from seewhy.adapter import Ask
from seewhy.adapters._checks import NO_GRADIENT
from seewhy.adapters._keras_pass import class_values, pack
from seewhy.errors import LayerError
from seewhy.types import Rows


@dataclass
class Facts:
    """What tracing told of the model: the structure of its outputs, and how they hang together."""

    raw: Any = None
    asked: Any = None
    """The outputs, with logits in place of the class scores where they are asked for."""
    head: str | None = None
    connected: Sequence[int] = ()
    """Which of the asked outputs are floats that the layers have a part in."""
    runs: Sequence[int] = ()
    """How often each layer ran."""
    eager: bool = False
    """Does the code run as it is, since it can be no graph? Then all of the model runs, also what is not needed."""


_numbers = itertools.count()
_questions: dict[int, "Question"] = {}
"""What the passes that run now ask, by the number that each pass takes along."""


@dataclass
class Question:
    """What is asked in a pass, and what came of it."""

    ask: Ask
    n: int
    gradients: bool
    of: Rows | None = None
    """In a further pass: which image of the batch each row was made from."""
    column: int | None = None
    """Which target's curvature is wanted."""
    scores: Any = None
    classes: npt.NDArray[np.float32] | None = None
    error: BaseException | None = None

    @contextmanager
    def numbered(self) -> Iterator[int]:
        """A number by which the graph finds the question for the time of a pass."""
        number = next(_numbers)
        _questions[number] = self
        try:
            yield number
        finally:
            del _questions[number]

    def answer(self, facts: Facts, shapes: Sequence[Any], arrays: Sequence[Any]) -> list[Any]:
        """d scores (n, k) / d each connected output, as (k, *its shape)."""
        try:
            if self.of is None:
                came = (tuple(shape.numpy().tolist()) for shape in shapes)
                self.classes = class_values(pack(facts.asked, arrays), came, self.n)
            floats = [arrays[i] for i in facts.connected]
            with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
                tape.watch(floats)
                self.scores = scores = self._asked(facts, arrays)
            if not self.gradients:
                return []
            seeds = tf.eye(scores.shape[1], batch_shape=scores.shape[:1], dtype=scores.dtype)
            slopes = [tape.gradient(scores, floats, seeds[:, j]) for j in range(scores.shape[1])]
            if self.of is None and all(slope is None for row in slopes for slope in row):
                raise LayerError(NO_GRADIENT)
            return [
                tf.stack([tf.zeros_like(array) if row[i] is None else row[i] for row in slopes])
                for i, array in enumerate(floats)
            ]
        except BaseException as error:  # raised once the graph has run, since TensorFlow would log it at length
            self.error = error
            return [tf.zeros_like(arrays[i])[None] for i in facts.connected]

    def bend(self, facts: Facts, arrays: Sequence[Any], changes: Sequence[Any]) -> list[Any]:
        """Of one target, d score / d each connected output, and how it changes while the outputs do."""
        floats = [arrays[i] for i in facts.connected]
        try:
            with tf.GradientTape(watch_accessed_variables=False) as outer:
                outer.watch(floats)
                with tf.GradientTape(watch_accessed_variables=False) as inner:
                    inner.watch(floats)
                    score = self._asked(facts, arrays)[:, self.column]
                slopes = inner.gradient(score, floats, unconnected_gradients="zero")
            bends = outer.gradient(slopes, floats, list(changes), unconnected_gradients="zero")
            return [*slopes, *bends]
        except BaseException as error:
            self.error = error
            return [tf.zeros_like(array) for array in (*floats, *floats)]

    def bend_along(self, facts: Facts, arrays: Sequence[Any], changes: Sequence[Sequence[Any]]) -> list[Any]:
        """The second and third derivative of the scores, (m, k) each, along a way of which the outputs have these."""
        floats = [i for i, array in enumerate(arrays) if array.dtype.is_floating]

        def at(t: Any) -> list[Any]:
            moved, ways = list(arrays), (t, t * t / 2, t * t * t / 6)
            for i, *orders in zip(floats, *changes, strict=True):
                for way, change in zip(ways, orders, strict=True):
                    moved[i] += tf.reshape(tf.cast(way, change.dtype), [-1, *[1] * (len(change.shape) - 1)]) * change
            return [self._asked(facts, moved)]

        t = tf.zeros([arrays[0].shape[0]], full_precision(changes[0][0]).dtype)
        return [order[0].numpy() for order in derivatives(at, t)[1:]]

    def _asked(self, facts: Facts, arrays: Sequence[Any]) -> Any:
        outputs = pack(facts.asked, [full_precision(array) for array in arrays])
        scores = self.ask(outputs, self.classes) if self.of is None else self.ask.again(outputs, self.of)
        return tf.convert_to_tensor(scores)


def asked(number: Any) -> Question:
    """The question of this number."""
    return _questions[int(number)]


def derivatives(at: Callable[[Any], list[Any]], t: Any) -> list[list[Any]]:
    """The first three derivatives of what comes of numbers t (m,), each in a row of its own."""
    # of y and numbers w, the derivatives of w . y by t are linear in w: their derivatives by w are those of y
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as linear:
        with _by(t) as third:
            with _by(t) as second:
                with _by(t) as first:
                    outputs = at(t)
                    weights = [tf.zeros_like(y) for y in outputs]
                    linear.watch(weights)
                    total = sum(tf.cast(tf.reduce_sum(y * w), t.dtype) for y, w in zip(outputs, weights, strict=True))
                once = first.gradient(total, t, unconnected_gradients="zero")
            twice = second.gradient(once, t, unconnected_gradients="zero")
        thrice = third.gradient(twice, t, unconnected_gradients="zero")
    return [linear.gradient(order, weights, unconnected_gradients="zero") for order in (once, twice, thrice)]


@contextmanager
def _by(t: Any) -> Iterator[Any]:
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(t)
        yield tape


def full_precision(tensor: Any) -> Any:
    return tf.cast(tensor, tf.float32) if tensor.dtype in (tf.float16, tf.bfloat16) else tensor
