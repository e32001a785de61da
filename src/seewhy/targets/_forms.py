"""The forms in which users write targets, and their scores."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
import numpy.typing as npt

from seewhy.errors import OutputError, TargetError
from seewhy.outputs import is_array, namespace
from seewhy.targets._mixture import Mixture, mixtures_of
from seewhy.targets.class_score import Column, class_score, scores_of
from seewhy.targets.top import top
from seewhy.types import Array, BoundTarget, Classes, Rows, Scores, Target

FORMS = (
    "None (the predicted class), a class index, a class name, seewhy.top(k), a target or callable: the same for all; "
    "a list with one of these for each image; or a list of lists, several for each image"
)


@dataclass(frozen=True)
class _Custom:
    function: Callable[[Any], Array]

    def bind(self, classes: Classes) -> Sequence[BoundTarget]:
        return [BoundTarget(self.function, getattr(self.function, "__name__", type(self.function).__name__))]


def as_target(item: Any) -> Target:
    """One thing asked for as a Target; TargetError that shows the right forms otherwise."""
    if item is None:
        return top(1)
    if isinstance(item, str):
        return class_score(item)
    if isinstance(item, int | np.integer) and not isinstance(item, bool):
        return class_score(int(item))
    if isinstance(item, Target) and not isinstance(item, type):
        return item
    if callable(item):
        return _Custom(item)
    raise TargetError(f"{item!r} ({type(item).__name__}) is no target; expected {FORMS}")


def as_rows(target: Any, n: int) -> list[list[Target]]:
    """What was asked for as one row of targets for each of n images; nothing is ever cut to fit."""
    if is_array(target):
        target = target.tolist()
    if not isinstance(target, list | tuple):
        return [[as_target(target)]] * n
    nested = [isinstance(item, list | tuple) for item in target]
    if n == 1 and not any(nested) and target:
        return [[as_target(item) for item in target]]
    if len(target) != n or (any(nested) and not all(nested)) or not target:
        raise TargetError(
            f"{len(target)} targets for {n} image{'s' * (n != 1)}: expected {FORMS}. "
            f"For several targets for each image write [[a, b]] * {n}"
        )
    if not any(nested):
        return [[as_target(item)] for item in target]
    if not all(target):
        raise TargetError("a row of targets is empty: each image needs at least one")
    return [[as_target(item) for item in row] for row in target]


def bind_rows(
    rows: Sequence[Sequence[Target]],
    names: Sequence[str] | None,
    values: npt.NDArray[np.float32] | None,
    last: bool = False,
) -> list[list[BoundTarget]]:
    """The numbers to explain for each image, (n, k), now that class scores (n, classes) are known."""
    bound = []
    for i, row in enumerate(rows):
        classes = Classes(names, values[i] if values is not None else None, last)
        bound.append([b for target in row for b in target.bind(classes)])
    lengths = {len(row) for row in bound}
    if len(lengths) > 1:
        raise TargetError(
            "every image needs the same number of targets, got " + ", ".join(str(len(row)) for row in bound)
        )
    return bound


@dataclass
class Question:
    """What is asked of one batch: its rows of targets, bound once the first pass has told the class scores."""

    rows: Sequence[Sequence[Target]]
    names: Callable[[npt.NDArray[np.float32] | None], Sequence[str] | None]
    """From the class scores to the classes' names."""
    last: bool = False
    """Are classes the last axis of the model's outputs?"""
    bound: list[list[BoundTarget]] = field(default_factory=list)

    def __call__(self, outputs: Any, classes: npt.NDArray[np.float32] | None) -> Scores:
        self.bind(classes)
        return score_rows(self.bound, outputs)

    def indices(self, classes: npt.NDArray[np.float32] | None) -> npt.NDArray[np.int64] | None:
        """The class that each score is of (n, k); None where one is of something else, or depends on the classes."""
        try:
            bound = bind_rows(self.rows, self.names(classes), classes, self.last)
        except OutputError:  # the best classes, before there are scores
            return None
        found = [[t.score.index if isinstance(t.score, Column) else -1 for t in row] for row in bound]
        return None if any(index < 0 for row in found for index in row) else np.asarray(found, np.int64)

    def bind(self, classes: npt.NDArray[np.float32] | None) -> None:
        """Find what is asked of each image from its class scores."""
        self.bound = bind_rows(self.rows, self.names(classes), classes, self.last)

    def again(self, outputs: Any, of: Rows) -> Scores:
        return score_rows([self.bound[i] for i in of], outputs)

    def settle(self, outputs: Any) -> None:
        """Hold on to what targets read from the outputs of the first pass, so that further passes ask the same."""
        self.bound = [[_settled(target, outputs, i) for target in row] for i, row in enumerate(self.bound)]

    def of(self, images: Rows, *, moved: bool) -> "_Repeated":
        """The same, asked of a batch of variants: the first are the images as they are, which decide what is asked.

        `moved`: do things lie elsewhere in some of them?
        """
        return _Repeated(self, images, moved)


@dataclass(frozen=True)
class _Repeated:
    question: Question
    images: Rows
    """For each row of the batch, the image that it is a variant of."""
    moved: bool

    def __call__(self, outputs: Any, classes: npt.NDArray[np.float32] | None) -> Scores:
        n = len(self.question.rows)
        values = classes[:n] if classes is not None else None
        self.question.bind(values)
        for label in (t.label for row in self.question.bound for t in row if getattr(t.score, "in_place", False)):
            if self.moved:
                raise TargetError(
                    f"{label!r} is a place in the image, and this augment= moves the image: leave out one of them, or "
                    "take augment='noise'"
                )
        return self.question.again(outputs, self.images)

    def indices(self, classes: npt.NDArray[np.float32] | None) -> npt.NDArray[np.int64] | None:
        found = self.question.indices(None if classes is None else classes[: len(self.question.rows)])
        return None if found is None else found[self.images]

    def again(self, outputs: Any, of: Rows) -> Scores:
        return self.question.again(outputs, self.images[of])


@runtime_checkable
class Settling(Protocol):
    """A score that depends on what was predicted."""

    def settled(self, outputs: Any, i: int, label: str) -> Callable[[Any], Array]:
        """The score of image i with what was predicted for it in these outputs."""


def _settled(target: BoundTarget, outputs: Any, i: int) -> BoundTarget:
    if not isinstance(target.score, Settling):
        return target
    return replace(target, score=target.score.settled(outputs, i, target.label))


def score_rows(bound: Sequence[Sequence[BoundTarget]], outputs: Any) -> Scores:
    """The scores (n, k) of bound targets; each different target is computed once for the whole batch."""
    n = len(bound)
    indices = [[t.score.index for t in row if isinstance(t.score, Column)] for row in bound]
    if sum(map(len, indices)) == sum(map(len, bound)):
        return scores_of(outputs, indices)
    mixed = [[_as_mixture(t.score) for t in row] for row in bound]
    if all(m is not None for row in mixed for m in row):
        return mixtures_of(outputs, cast(list[list[Mixture]], mixed))
    known: dict[object, Array] = {}
    for row in bound:
        for target in row:
            if _key(target) not in known:
                known[_key(target)] = _checked(target.score(outputs), target, n)
    xp = namespace(next(iter(known.values())))
    columns = []
    for column in zip(*bound, strict=True):
        scores = [known[_key(target)] for target in column]
        same = all(s is scores[0] for s in scores)
        columns.append(scores[0] if same else xp.stack([s[i] for i, s in enumerate(scores)]))
    return xp.stack(columns, axis=1)


def _as_mixture(score: object) -> Mixture | None:
    return (
        Mixture(((score.index, 1.0),)) if isinstance(score, Column) else score if isinstance(score, Mixture) else None
    )


def _key(target: BoundTarget) -> object:
    return target.score if isinstance(target.score, Hashable) else id(target.score)


def _checked(scores: Any, target: BoundTarget, n: int) -> Array:
    shape = getattr(scores, "shape", None)
    if shape is None or tuple(shape) != (n,):
        came = f"shape {tuple(shape)}" if shape is not None else type(scores).__name__
        raise TargetError(
            f"the target {target.label!r} must give one score for each image, an array of shape ({n},), "
            f"got {came}: for outputs (n, classes) write lambda outputs: outputs[:, 3]"
        )
    return scores
