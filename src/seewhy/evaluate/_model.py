"""The model as metrics ask it about one photo's target: in batches of bounded memory, from one clean pass on."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace, device

from seewhy.errors import TargetError
from seewhy.evaluate._passes import same_again
from seewhy.explain import Explainer
from seewhy.inputs import Inputs
from seewhy.maps import to_numpy
from seewhy.measure import Asked
from seewhy.outputs import class_scores, looks_like_probabilities, namespace
from seewhy.stream import memory_on, rows_within, slices
from seewhy.targets._forms import Question, as_rows
from seewhy.types import INPUT, BoundTarget, Capture, Rows, Scores, Target

Kind = Literal["as they are", "sigmoid", "softmax"]
"""How the class scores of a further pass become probabilities."""


@dataclass
class _Numbers:
    """Asks for the score, and in further passes for the probability beside it."""

    question: Question
    kind: Kind | None = None

    def __call__(self, outputs: Any, classes: npt.NDArray[np.float32] | None) -> Scores:
        return self.question(outputs, classes)

    def indices(self, classes: npt.NDArray[np.float32] | None) -> npt.NDArray[np.int64] | None:
        return self.question.indices(classes)

    def again(self, outputs: Any, of: Rows) -> Scores:
        score = self.question.again(outputs, of)[:, 0]
        return namespace(score).stack([score, self._probability(outputs, score)], axis=1)

    def _probability(self, outputs: Any, score: Any) -> Any:
        index = self.question.bound[0][0].index
        if index is None or self.kind is None:
            return score
        values = class_scores(outputs)
        xp = namespace(values)
        if self.kind == "as they are":
            return values[:, index]
        if self.kind == "sigmoid":
            return 1 / (1 + xp.exp(-values[:, index]))
        shifted = xp.exp(values - xp.max(values, axis=1, keepdims=True))
        return shifted[:, index] / xp.sum(shifted, axis=1)


@dataclass(frozen=True)
class AskedModel:
    """The target of one photo, in the photo as it is and in changed ones: see seewhy.measure.Model."""

    capture: Capture
    target: BoundTarget
    kind: Kind | None
    """None where there are no probabilities."""
    memory: float

    @property
    def asked(self) -> Target:
        return same_again(self.target)

    @cached_property
    def image(self) -> npt.NDArray[np.float32]:
        """The model's input (c, *s)."""
        assert self.capture.again is not None
        return np.asarray(to_numpy(self.capture.again.images)[0], np.float32)

    @cached_property
    def clean(self) -> tuple[float, float]:
        """Score and probability in the photo as it is, asked in the same way as in changed ones."""
        score, probability = self._numbers(self.image[None])[0]
        return float(score), float(probability)

    @property
    def probability(self) -> float | None:
        """That of the class in the photo as it is; None where there is none."""
        return None if self.target.index is None or self.kind is None else self.clean[1]

    def others(self, most: int) -> list[int]:
        """The classes of the highest score, best first, without the asked one."""
        classes = self.capture.classes
        if classes is None or self.target.index is None:
            return []
        best = np.argsort(-classes[0], kind="stable")
        return [int(i) for i in best if i != self.target.index][:most]

    def __call__(self, images: npt.NDArray[np.float32], asked: Asked = "probability") -> npt.NDArray[np.float64]:
        return self._numbers(images)[:, int(asked == "probability")]

    def _numbers(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Scores and probabilities of changed images, (m, 2)."""
        again, like = self.capture.again, self.capture.activations
        assert again is not None
        xp, found = array_namespace(like), [np.zeros((0, 2))]
        for part in slices(len(images), rows_within(self.memory, images[0].nbytes) if len(images) else 1):
            rows = xp.asarray(np.ascontiguousarray(images[part], np.float32), dtype=like.dtype, device=device(like))
            scores = again.scores(rows, np.zeros(rows.shape[0], np.intp))
            found.append(np.asarray(to_numpy(scores), np.float64))
        return np.concatenate(found)


def ask_model(explainer: Explainer, inputs: Inputs, target: Any, memory: float | None = None) -> AskedModel:
    """One clean pass over a single photo; from it the model can be asked about changed ones.

    `memory` bounds, in MiB, what is shown to the model at once; None: what suits the device.
    """
    rows = as_rows(target, 1)
    numbers = _Numbers(Question(rows, lambda classes: explainer.labels, explainer.adapter.classes_last(explainer.net)))
    [capture] = explainer.adapter.capture(
        explainer.net, [INPUT], inputs.placed, numbers, gradients=False, logit=explainer.logit
    )
    [bound] = numbers.question.bound
    if len(bound) > 1:
        raise TargetError(f"one target is measured for each photo, got {', '.join(target.label for target in bound)}")
    numbers.question.settle(capture.outputs)
    numbers.kind = _kind(capture, explainer.logit)
    memory = memory_on(device(capture.activations)) if memory is None else memory
    return AskedModel(capture, numbers.question.bound[0][0], numbers.kind, memory)


def _kind(capture: Capture, logit: bool) -> Kind | None:
    """The kind that agrees with seewhy.outputs.probabilities, for outputs that were asked for before their head."""
    if capture.classes is None:
        return None
    if logit and capture.head is not None:
        return "sigmoid" if capture.head == "sigmoid" else "softmax"
    returned = np.asarray(to_numpy(class_scores(capture.outputs)), np.float32)
    if capture.head in ("softmax", "sigmoid") or looks_like_probabilities(returned):
        return "as they are"
    return "softmax" if returned.shape[1] > 1 else None  # of log-probabilities the softmax is the probabilities
