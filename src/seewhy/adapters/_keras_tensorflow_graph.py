"""Keras on TensorFlow: one graph with the forward pass, the question, and the way back to the layers.

The model is traced once, for any number of images. Its graph asks back in the middle (`tf.py_function`): what is
asked is answered with the gradient of the scores with respect to the outputs, which the rest of the graph takes back
through the tail. So the target is an input: another class, or any function, does not trace again. A tape that watches
the layers' outputs alone records only what follows them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from seewhy.adapters._checks import NO_GRADIENT
from seewhy.adapters._keras_pass import Pass, call, compiled, flatten, runner, slot
from seewhy.adapters._keras_swapped import guiding
from seewhy.adapters._keras_tensorflow_question import Facts, Question, asked, full_precision
from seewhy.errors import LayerError, SeewhyError
from seewhy.outputs import before_heads, map_arrays

HEADS = {"Softmax": "softmax", "LogSoftmax": "log-softmax", "Sigmoid": "sigmoid"}
"""The graph's operations that can be a final activation."""


@dataclass(frozen=True)
class Found:
    """What a pass found."""

    activations: list[npt.NDArray[Any]]
    """At each place, (m, c, *s)."""
    gradients: list[npt.NDArray[Any]]
    """At each place, (m, k, c, *s); none were asked for: empty."""
    outputs: list[Any]
    facts: Facts


def passed(this: Pass, flat: list[Any], question: Question) -> Found:
    """One pass through the model with these inputs; what is asked of them is then in the question."""
    signature = relaxed(flat)
    facts = Facts()
    graph = compiled(
        this, ("pass", *this.signature, *signature), lambda: trace(this, _body(this, facts), facts, flat, [])
    )
    activations, gradients, outputs = graph.ask(question, flat)
    lasts = [place.channels_last for place in this.places]
    return Found(
        [channels_first(a, last, 1) for a, last in zip(activations, lasts, strict=True)],
        [channels_first(g, last, 2) for g, last in zip(gradients, lasts, strict=True)] if this.gradients else [],
        outputs,
        graph.facts,
    )


def channels_first(tensor: Any, last: bool, axis: int) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = tensor.numpy()
    return np.moveaxis(values, -1, axis) if last else values


# ---- the graph -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Graph:
    run: Callable[..., Any]
    """(number of the question, inputs, what the graph takes more)."""
    facts: Facts

    def ask(self, question: Question, *given: Any) -> Any:
        """What the graph makes of this while it asks this question; what is raised by those asked is raised here."""
        with question.numbered() as number:
            found = self.run(tf.constant(number, tf.int64), *given)
        if question.error is not None:
            raise question.error
        return found


def relaxed(flat: Sequence[Any]) -> list[Any]:
    """Tensors of these shapes, for any number of images."""
    return [tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype) for tensor in flat]


def trace(this: Pass, body: Callable[..., Any], facts: Facts, flat: list[Any], more: list[Any]) -> Graph:
    """The graph of a body, for any number of images if it can be; a model that can only run eagerly is run so."""
    if getattr(this.net, "run_eagerly", False) or tf.config.functions_run_eagerly():
        facts.eager = True
        return Graph(body, facts)
    function, number = tf.function(body, autograph=False), tf.TensorSpec([], tf.int64)
    try:
        return Graph(function.get_concrete_function(number, relaxed(flat), *relaxed(more)), facts)
    except SeewhyError:
        raise
    except Exception:  # code that counts the images, such as reshape(x, (len(x), -1)): a graph for each number of them
        exact = [[tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in tensors] for tensors in (flat, more)]
    try:
        function.get_concrete_function(number, exact[0], *exact[1])
        return Graph(function, facts)
    except SeewhyError:
        raise
    except Exception:  # code that looks at values, such as `if x > 0` or x.numpy(), fails in Keras's own fit too
        facts.eager = True
        return Graph(body, facts)


def _body(this: Pass, facts: Facts) -> Callable[[Any, list[Any]], Any]:
    run, names = runner(this), [place.name for place in this.places]
    logit, gradients, guided = this.logit, this.gradients, this.guided

    def body(number: Any, flat: list[Any]) -> Any:
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:

            def follow(place: int, array: Any, run: int) -> Any:
                following = tf.identity(array)  # of its own: a layer may hand on what it was given
                if gradients:
                    tape.watch(following)
                return following

            with guiding(guided, tf.nn, GUIDED):
                seen, outputs = run(flat, follow, call)
        activations = [look.found() for look in seen]
        for name, found in zip(names, activations, strict=True):
            reachable(name, found)
        facts.runs = [look.runs for look in seen]
        arrays = noted(facts, outputs, logit)
        facts.connected = connected_outputs(tape, arrays, activations) if gradients else ()
        types = [arrays[i].dtype for i in facts.connected]
        count = len(activations)

        def ask(number: Any, *given: Any) -> list[Any]:
            return asked(number).answer(facts, given[:count], given[count:])

        seeds = tf.py_function(ask, [number, *map(tf.shape, activations), *arrays], types)
        slopes = pull_back(tape, [arrays[i] for i in facts.connected], activations, seeds) if gradients else []
        return [full_precision(a) for a in activations], [full_precision(s) for s in slopes], flatten(outputs)

    return body


def noted(facts: Facts, outputs: Any, logit: bool) -> list[Any]:
    """The outputs that are asked, and of them, and of all, what they are."""
    facts.head, asked = before_heads(outputs, _head, logit=logit)
    facts.raw, facts.asked = map_arrays(outputs, slot), map_arrays(asked, slot)
    return flatten(asked)


def reachable(name: str, found: Any) -> None:
    """Raise LayerError where a layer's output lies within another graph than that of the model."""
    if not tf.executing_eagerly() and found.graph is not tf.compat.v1.get_default_graph():
        raise LayerError(
            f"the layer {name!r} runs inside a loop or a tf.function of its own, where it cannot be reached: "
            "choose one outside"
        )


def connected_outputs(tape: Any, arrays: Sequence[Any], activations: Sequence[Any]) -> list[int]:
    """Which outputs the layers have a part in; LayerError where one has none in any."""
    floats = [i for i, array in enumerate(arrays) if array.dtype.is_floating]
    slopes = {i: tape.gradient(arrays[i], activations) for i in floats}
    for place in range(len(activations)):
        if all(found[place] is None for found in slopes.values()):
            raise LayerError(NO_GRADIENT)
    return [i for i, found in slopes.items() if any(slope is not None for slope in found)]


def pull_back(tape: Any, outputs: Sequence[Any], activations: Sequence[Any], seeds: Sequence[Any]) -> list[Any]:
    """Seeds (k, *output) taken back through the tail: at each place d scores / d activations, (n, k, ...)."""
    for seed, output in zip(seeds, outputs, strict=True):
        seed.set_shape([None, *output.shape])
    slopes = tf.map_fn(
        lambda seed: tape.gradient(
            outputs, activations, output_gradients=list(seed), unconnected_gradients=tf.UnconnectedGradients.ZERO
        ),
        tuple(seeds),
        fn_output_signature=[tf.TensorSpec(a.shape, a.dtype) for a in activations],
    )
    return [tf.transpose(found, [1, 0, *range(2, len(found.shape))]) for found in slopes]


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


def _relu(x: Any) -> Any:
    y = tf.raw_ops.Relu(features=x)
    return y, lambda slope: tf.where((y > 0) & (slope > 0), slope, 0)


def _relu6(x: Any) -> Any:
    y = tf.raw_ops.Relu6(features=x)
    return y, lambda slope: tf.where((y > 0) & (y < 6) & (slope > 0), slope, 0)


GUIDED = {"relu": tf.custom_gradient(_relu), "relu6": tf.custom_gradient(_relu6)}
"""The twins of tf.nn's functions that hand back only what is positive."""
