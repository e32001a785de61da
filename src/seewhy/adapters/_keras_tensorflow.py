"""Keras on TensorFlow: one graph with the forward pass, the question, and the way back to the layer.

The model is traced once, for any number of images. Its graph asks back in the middle (`tf.py_function`): what is
asked is answered with the gradient of the scores with respect to the outputs, which the rest of the graph takes back
through the tail. So the target is an input: another class, or any function, does not trace again. A tape that watches
the layer's output alone records the tail only.
"""

import itertools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, cast
from weakref import ref

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from seewhy.adapter import Ask
from seewhy.adapters._checks import NO_GRADIENT
from seewhy.adapters._keras_pass import Pass, Seen, call, class_values, compiled, flatten, form, pack, watch
from seewhy.errors import LayerError, SeewhyError
from seewhy.outputs import before_heads, map_arrays
from seewhy.types import Capture

HEADS = {"Softmax": "softmax", "LogSoftmax": "log-softmax", "Sigmoid": "sigmoid"}
"""The graph's operations that can be a final activation."""


def full_precision() -> AbstractContextManager[None]:
    """Methods get NumPy arrays: nothing to set."""
    return nullcontext()


def run(net: Any, inputs: Any, restart: Callable[[], None]) -> Any:
    return call(net, inputs)


def capture(this: Pass, ask: Ask) -> Capture:
    """One pass, see seewhy.adapters.keras.capture."""
    flat = flatten(this.inputs)
    signature = [tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype) for tensor in flat]
    graph = compiled(this, (*form(this.inputs), *signature), lambda: _trace(this, signature))
    question = _Question(ask, this.n, this.gradients)
    number = next(_numbers)
    _questions[number] = question
    try:
        activations, gradients, outputs = graph.run(tf.constant(number, tf.int64), flat)
    finally:
        del _questions[number]
    if question.error is not None:
        raise question.error
    a, g = activations.numpy(), gradients.numpy() if this.gradients else None
    if this.channels_last:
        a, g = np.moveaxis(a, -1, 1), np.moveaxis(g, -1, 2) if g is not None else None
    scores = cast(Any, question.scores)
    return Capture(
        a, g, np.asarray(scores), map_arrays(pack(graph.facts.raw, outputs), _numpy), question.classes, graph.facts.head
    )


# ---- the question ----------------------------------------------------------------------------------------

_numbers = itertools.count()
_questions: dict[int, "_Question"] = {}
"""What the passes that run now ask, by the number that each pass takes along."""


@dataclass
class _Facts:
    """What tracing told of the model: the structure of its outputs, and how they hang together."""

    raw: Any = None
    asked: Any = None
    """The outputs, with logits in place of the class scores where they are asked for."""
    head: str | None = None
    connected: Sequence[int] = ()
    """Which of the asked outputs are floats that the layer has a part in."""


@dataclass
class _Question:
    ask: Ask
    n: int
    gradients: bool
    scores: Any = None
    classes: npt.NDArray[np.float32] | None = None
    error: BaseException | None = None

    def answer(self, facts: _Facts, shape: Any, arrays: Sequence[Any]) -> list[Any]:
        """d scores (n, k) / d each connected output, as (k, *its shape)."""
        try:
            self.classes = class_values(pack(facts.asked, arrays), tuple(shape.numpy().tolist()), self.n)
            floats = [arrays[i] for i in facts.connected]
            with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
                tape.watch(floats)
                scores = self.ask(pack(facts.asked, [_full_precision(array) for array in arrays]), self.classes)
                self.scores = scores = tf.convert_to_tensor(scores)
            if not self.gradients:
                return []
            seeds = tf.eye(scores.shape[1], batch_shape=scores.shape[:1], dtype=scores.dtype)
            slopes = [tape.gradient(scores, floats, seeds[:, j]) for j in range(scores.shape[1])]
            if all(slope is None for row in slopes for slope in row):
                raise LayerError(NO_GRADIENT)
            return [
                tf.stack([tf.zeros_like(array) if row[i] is None else row[i] for row in slopes])
                for i, array in enumerate(floats)
            ]
        except BaseException as error:  # raised once the graph has run, since TensorFlow would log it at length
            self.error = error
            return [tf.zeros_like(arrays[i])[None] for i in facts.connected]


# ---- the graph -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Graph:
    run: Callable[[Any, list[Any]], Any]
    """(number of the question, inputs) -> activations, gradients (n, k, ...), outputs."""
    facts: _Facts


def _trace(this: Pass, signature: Sequence[Any]) -> _Graph:
    """The graph of a model, for any number of images if it can be; a model that can only run eagerly is run so."""
    facts = _Facts()
    body = _body(this, facts)
    if getattr(this.net, "run_eagerly", False) or tf.config.functions_run_eagerly():
        return _Graph(body, facts)
    function, number = tf.function(body, autograph=False), tf.TensorSpec([], tf.int64)
    try:
        return _Graph(function.get_concrete_function(number, list(signature)), facts)
    except SeewhyError:
        raise
    except Exception:  # code that counts the images, such as reshape(x, (len(x), -1)): a graph for each number of them
        exact = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in flatten(this.inputs)]
    try:
        function.get_concrete_function(number, exact)
        return _Graph(function, facts)
    except SeewhyError:
        raise
    except Exception:  # code that looks at values, such as `if x > 0` or x.numpy(), fails in Keras's own fit too
        return _Graph(body, facts)


def _body(this: Pass, facts: _Facts) -> Callable[[Any, list[Any]], Any]:
    net_ref, layer_ref, structure = ref(this.net), ref(this.layer), map_arrays(this.inputs, _slot)
    name, space, logit, gradients = this.name, this.space, this.logit, this.gradients

    def body(number: Any, flat: list[Any]) -> Any:
        net: Any = net_ref()
        layer: Any = layer_ref()
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:

            def follow(array: Any, run: int) -> Any:
                following = tf.identity(array)  # of its own: a layer may hand on what it was given
                if gradients:
                    tape.watch(following)
                return following

            with watch(Seen(name, layer, space, follow)) as seen:
                outputs = call(net, pack(structure, flat))
        activations = seen.found()
        if not tf.executing_eagerly() and activations.graph is not tf.compat.v1.get_default_graph():
            raise LayerError(
                f"the layer {name!r} runs inside a loop or a tf.function of its own, where it cannot be reached: "
                "choose one outside"
            )
        facts.head, asked = before_heads(outputs, _head, logit=logit)
        facts.raw, facts.asked = map_arrays(outputs, _slot), map_arrays(asked, _slot)
        arrays = flatten(asked)
        facts.connected = _connected(tape, arrays, activations) if gradients else ()
        types = [arrays[i].dtype for i in facts.connected]

        def ask(number: Any, shape: Any, *arrays: Any) -> list[Any]:
            return _questions[int(number)].answer(facts, shape, arrays)

        seeds = tf.py_function(ask, [number, tf.shape(activations), *arrays], types)
        slopes = tf.zeros([0])
        if gradients:
            slopes = _pull_back(tape, [arrays[i] for i in facts.connected], activations, seeds)
        return _full_precision(activations), _full_precision(slopes), flatten(outputs)

    return body


def _connected(tape: Any, arrays: Sequence[Any], activations: Any) -> list[int]:
    """Which outputs the layer has a part in; LayerError where it has none in any."""
    floats = [i for i, array in enumerate(arrays) if array.dtype.is_floating]
    found = [i for i in floats if tape.gradient(arrays[i], activations) is not None]
    if not found:
        raise LayerError(NO_GRADIENT)
    return found


def _pull_back(tape: Any, outputs: Sequence[Any], activations: Any, seeds: Sequence[Any]) -> Any:
    """Seeds (k, *output) taken back through the tail: d scores / d activations, (n, k, ...)."""
    for seed, output in zip(seeds, outputs, strict=True):
        seed.set_shape([None, *output.shape])
    slopes = tf.map_fn(
        lambda seed: tape.gradient(outputs, activations, output_gradients=list(seed)),
        tuple(seeds),
        fn_output_signature=tf.TensorSpec(activations.shape, activations.dtype),
    )
    return tf.transpose(slopes, [1, 0, *range(2, len(slopes.shape))])


def _head(scores: Any) -> tuple[str, Any] | None:
    """The kind of the activation that made these scores, and what went into it."""
    if tf.executing_eagerly():
        logits = getattr(scores, "_keras_logits", None)  # Keras leaves it on what a softmax or sigmoid of its made
        if logits is None or logits.shape != scores.shape:
            return None
        sums_to_one = bool(tf.reduce_all(abs(tf.reduce_sum(scores, axis=1) - 1) < 1e-3))
        return ("softmax" if sums_to_one else "sigmoid"), logits
    classes, operation = scores.shape[1:], scores.op
    while operation.type in ("Identity", "Cast", "Reshape"):
        operation = operation.inputs[0].op
    if operation.type not in HEADS or operation.inputs[0].shape[1:] != classes:
        return None
    return HEADS[operation.type], operation.inputs[0]


def _slot(tensor: Any) -> Any:
    """The place of a tensor in a structure, without its values."""
    return tf.TensorSpec(tensor.shape, tensor.dtype)


def _full_precision(tensor: Any) -> Any:
    return tf.cast(tensor, tf.float32) if tensor.dtype in (tf.float16, tf.bfloat16) else tensor


def _numpy(tensor: Any) -> npt.NDArray[Any]:
    return cast(npt.NDArray[Any], tensor.numpy())
