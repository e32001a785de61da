"""The best classes."""

from collections.abc import Sequence
from dataclasses import dataclass

from seewhy.errors import TargetError
from seewhy.targets.class_score import class_score
from seewhy.types import BoundTarget, Classes


@dataclass(frozen=True)
class _Top:
    k: int

    def __repr__(self) -> str:
        return f"top({self.k})"

    def bind(self, classes: Classes) -> Sequence[BoundTarget]:
        return [bound for index in classes.best(self.k) for bound in class_score(index).bind(classes)]


def top(k: int = 1) -> _Top:
    """The k classes of the highest score, each image its own, best first. `target=None` is short for top(1).

    Raises TargetError where k is below 1 or above the number of classes.

    >>> import numpy as np
    >>> [bound.index for bound in top(2).bind(Classes(None, np.asarray([0.1, 2.0, 0.5], "f")))]
    [1, 2]
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise TargetError(f"top(k) needs a whole number of classes, 1 or more, got {k!r}")
    return _Top(k)
