"""Keras on TensorFlow: one graph with the forward pass, the question, and the way back to the layers.

See _keras_tensorflow_graph.py for how, and _keras_tensorflow_again.py for what follows the first pass.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from seewhy.adapter import Ask
from seewhy.adapters._keras_pass import Pass, call, pack
from seewhy.adapters._keras_tensorflow_again import Again
from seewhy.adapters._keras_tensorflow_graph import passed
from seewhy.adapters._keras_tensorflow_question import Question
from seewhy.outputs import map_arrays
from seewhy.types import Capture


def full_precision() -> AbstractContextManager[None]:
    """Methods get NumPy arrays: nothing to set."""
    return nullcontext()


def run(net: Any, inputs: Any, restart: Callable[[], None]) -> Any:
    return call(net, inputs)


def capture(this: Pass, ask: Ask) -> list[Capture]:
    """One pass, see seewhy.adapters.keras.capture."""
    question = Question(ask, this.n, this.gradients)
    found = passed(this, this.flat(), question)
    scores, outputs = np.asarray(question.scores), map_arrays(pack(found.facts.raw, found.outputs), _numpy)
    return [
        Capture(
            found.activations[i],
            found.gradients[i] if this.gradients else None,
            scores,
            outputs,
            question.classes,
            found.facts.head,
            Again(replace(this, places=(place,)), ask, found.activations[i], scores.shape[1], found.facts.runs[i]),
        )
        for i, place in enumerate(this.places)
    ]


def keep(this: Pass) -> Callable[[Ask], list[Capture]]:
    """One pass that is kept, see seewhy.adapters.keras.keep; it is made by the first question.

    A graph gives nothing out of its midst: further questions go from the kept activations to the scores and back.
    """
    if this.guided or any(place.is_input for place in this.places):
        return partial(capture, this)  # what follows is all of the model
    kept: list[Capture] = []

    def ask_again(ask: Ask) -> list[Capture]:
        if not kept:
            kept.extend(capture(this, ask))
            return list(kept)
        return [_asked(this, one, ask) for one in kept]

    return ask_again


def _asked(this: Pass, capture: Capture, ask: Ask) -> Capture:
    """What a pass tells of another question."""
    again = cast(Again, capture.again)
    scores, gradients = again.asked(ask, gradients=this.gradients)
    return replace(capture, gradients=gradients, scores=scores, again=replace(again, ask=ask, k=scores.shape[1]))


def _numpy(tensor: Any) -> npt.NDArray[Any]:
    return cast(npt.NDArray[Any], tensor.numpy())
