"""The model as metrics ask it about one photo: in batches of bounded memory, from one clean pass on."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace, device

from seewhy.explain import Explainer
from seewhy.inputs import Inputs
from seewhy.maps import to_numpy
from seewhy.measure import Asked
from seewhy.outputs import class_scores, looks_like_probabilities, namespace
from seewhy.stream import MEMORY, rows_within, slices
from seewhy.targets._forms import Question, as_rows
from seewhy.types import INPUT, BoundTarget, Capture, Rows, Scores


@dataclass
class _Both:
    """Asks for the scores, and in further passes for the probabilities beside them."""

    question: Question
    head: str | None = None
    ready: bool = False
    """Are the outputs probabilities already?"""

    def __call__(self, outputs: Any, classes: npt.NDArray[np.float32] | None) -> Scores:
        return self.question(outputs, classes)

    def again(self, outputs: Any, of: Rows) -> Scores:
        scores = self.question.again(outputs, of)
        xp = namespace(scores)
        columns = [self._probability(outputs, target, scores[:, j]) for j, target in enumerate(self.question.bound[0])]
        return xp.stack([*(scores[:, j] for j in range(len(columns))), *columns], axis=1)

    def _probability(self, outputs: Any, target: BoundTarget, score: Any) -> Any:
        if target.index is None:
            return score
        values = class_scores(outputs)
        if self.ready:
            return values[:, target.index]
        xp = namespace(values)
        if self.head == "sigmoid" or values.shape[1] == 1:
            return 1 / (1 + xp.exp(-values[:, target.index]))
        shifted = xp.exp(values - xp.max(values, axis=1, keepdims=True))
        return shifted[:, target.index] / xp.sum(shifted, axis=1)


@dataclass(frozen=True)
class AskedModel:
    """The targets of one photo, in the photo as it is and in changed ones."""

    capture: Capture
    targets: tuple[BoundTarget, ...]
    memory: float = MEMORY
    asked: list[int] = field(default_factory=lambda: [0])
    """How many changed images were shown to the model."""

    @property
    def image(self) -> npt.NDArray[np.float32]:
        """The model's input (c, *s)."""
        assert self.capture.again is not None
        return np.asarray(to_numpy(self.capture.again.images)[0], np.float32)

    def about(self, j: int) -> "OneTarget":
        return OneTarget(self, j)

    def numbers(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Scores and probabilities of changed images, (m, 2 k)."""
        again, like = self.capture.again, self.capture.activations
        assert again is not None
        xp, found = array_namespace(like), []
        self.asked[0] += len(images)
        for part in slices(len(images), rows_within(self.memory, images[0].nbytes)):
            rows = xp.asarray(np.ascontiguousarray(images[part], np.float32), dtype=like.dtype, device=device(like))
            scores = again.scores(rows, np.zeros(rows.shape[0], np.intp))
            found.append(np.asarray(to_numpy(scores), np.float64))
        return np.concatenate(found) if found else np.zeros((0, 2 * len(self.targets)))


@dataclass(frozen=True)
class OneTarget:
    """The model asked for one of the targets: see seewhy.measure.Model."""

    model: AskedModel
    j: int

    def __call__(self, images: npt.NDArray[np.float32], asked: Asked = "probability") -> npt.NDArray[np.float64]:
        column = self.j + (len(self.model.targets) if asked == "probability" else 0)
        return self.model.numbers(images)[:, column]


def ask_model(explainer: Explainer, inputs: Inputs, target: Any, memory: float = MEMORY) -> AskedModel:
    """One clean pass over a single photo; from it the model can be asked about changed ones."""
    rows = as_rows(target, 1)
    both = _Both(Question(rows, lambda classes: explainer.labels, explainer.adapter.classes_last(explainer.net)))
    [capture] = explainer.adapter.capture(
        explainer.net, [INPUT], inputs.placed, both, gradients=False, logit=explainer.logit
    )
    both.question.settle(capture.outputs)
    both.head = capture.head
    both.ready = (not explainer.logit and capture.head is not None) or (
        capture.head is None and capture.classes is not None and looks_like_probabilities(capture.classes)
    )
    return AskedModel(capture, tuple(both.question.bound[0]), memory)
