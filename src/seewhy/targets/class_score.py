"""The score of one class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from array_api_compat import is_torch_array

from seewhy.outputs import class_scores, namespace
from seewhy.types import Array, BoundTarget, Classes, Scores


@dataclass(frozen=True)
class _ClassScore:
    which: int | str

    def bind(self, classes: Classes) -> Sequence[BoundTarget]:
        index = classes.index(self.which)
        return [BoundTarget(Column(index), classes.label(index), index)]


@dataclass(frozen=True)
class Column:
    index: int

    def __call__(self, outputs: object) -> Array:
        return scores_of(outputs, [[self.index]] * len(class_scores(outputs)))[:, 0]


def scores_of(outputs: object, indices: Sequence[Sequence[int]]) -> Scores:
    """The scores (n, k) of k classes for each of n images: one step, whose gradient is one step for each target.

    The indices are an array: JAX would compile anew for other numbers.
    """
    scores, wanted = class_scores(outputs), np.asarray(indices)
    xp = namespace(scores)
    if xp.__name__.startswith("tensorflow"):  # its take_along_axis takes ten times longer
        chosen = wanted[:, None, :] == np.arange(scores.shape[1])[:, None]  # (n, classes, k)
        return xp.sum(scores[:, :, None] * xp.asarray(chosen, scores.dtype), axis=1)
    taken = xp.asarray(wanted)
    return xp.take_along_axis(scores, taken.to(scores.device) if is_torch_array(scores) else taken, axis=1)


def class_score(which: int | str) -> _ClassScore:
    """The score of one class, given by index or by name: y_c.

    `target=282` and `target="tiger cat"` are short for it. Raises UnknownNameError for a name that no class has,
    TargetError for an index out of range or a name that several classes share.

    >>> [bound] = class_score("dog").bind(Classes(["cat", "dog"], None))
    >>> bound.label, bound.index
    ('dog', 1)
    """
    return _ClassScore(which)
