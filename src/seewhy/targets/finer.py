"""Finer-CAM: a class against its look-alikes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seewhy.errors import OutputError, TargetError
from seewhy.targets._forms import as_target
from seewhy.targets._mixture import Mixture, one_class
from seewhy.types import BoundTarget, Classes, Target


@dataclass(frozen=True)
class _Finer:
    target: Target
    against: int | tuple[int | str, ...]
    alpha: float

    def bind(self, classes: Classes) -> Sequence[BoundTarget]:
        return [self._bind(bound, classes) for bound in self.target.bind(classes)]

    def _bind(self, bound: BoundTarget, classes: Classes) -> BoundTarget:
        this = one_class(bound)
        others = nearest(this, self.against, classes) if isinstance(self.against, int) else self._named(classes)
        if this in others:
            raise TargetError(f"finer compares a class with others, got {bound.label!r} among those it is against")
        share = self.alpha / len(others)
        names = ", ".join(classes.label(i) for i in others)
        return BoundTarget(Mixture(((this, 1.0), *((i, -share) for i in others))), f"{bound.label} rather than {names}")

    def _named(self, classes: Classes) -> list[int]:
        assert not isinstance(self.against, int)
        found = [classes.index(which) for which in self.against]
        if len(set(found)) < len(found):
            raise TargetError(f"finer got a class to be against twice: {list(self.against)}")
        return found


def nearest(this: int, count: int, classes: Classes) -> list[int]:
    """The classes whose scores are nearest to that of `this`, nearest first."""
    values = classes.values
    if values is None:
        raise OutputError(
            "the model's outputs hold no array (n, classes) with one score for each class, so no class has "
            "look-alikes: pass target=CALLABLE, a function from the outputs to (n,) scores"
        )
    if count > len(values) - 1:
        raise TargetError(
            f"finer(against={count}) asks for more look-alikes than the model of {len(values)} classes has: "
            f"{len(values) - 1}"
        )
    order = np.argsort(np.abs(values - values[this]), kind="stable")
    return [int(i) for i in order if i != this][:count]


def finer(target: Any = None, against: int | Sequence[int | str] = 3, alpha: float = 1.0) -> _Finer:
    """What tells a class from its look-alikes, each image its own (Finer-CAM): y_c - alpha times the mean of y_d.

        score = y_c - alpha / |D| sum over d in D of y_d

    D are the `against` classes whose scores are nearest to y_c (as in the authors' code), or the classes that it
    names. `alpha` is the paper's strength of comparison gamma: 0 is the class alone, 1 the difference to the mean.
    The authors' code weighs the look-alikes by their probabilities, here all count alike, so that the score stays a
    difference of class scores. Works with every method; `target` is a class by index or name, None, the predicted
    class, or seewhy.top(k).

    Zhang, Gu, Chowdhury, Mai, Carlyn, Berger-Wolf, Su, Chao: Finer-CAM: Spotting the Difference Reveals Finer Details
    for Visual Explanation, CVPR 2025, arXiv:2501.11309.

    Raises TargetError for a count below 1 or above the other classes, an alpha below 0, the class itself among those
    it is against, and a target that is no class; UnknownNameError for a name that no class has.

    >>> scores = np.asarray([3.0, 0.0, 2.9, 2.5], np.float32)
    >>> [bound] = finer(against=2).bind(Classes(["lynx", "cup", "tabby", "tiger cat"], scores))
    >>> bound.label
    'lynx rather than tabby, tiger cat'
    """
    whole = isinstance(against, int | np.integer) and not isinstance(against, bool)
    if (whole and against < 1) or (not whole and not (isinstance(against, list | tuple) and against)):  # type: ignore[operator]
        raise TargetError(
            "finer(against=...) is how many look-alikes, a whole number of 1 or more, or a list of classes, got "
            f"{against!r}"
        )
    if not isinstance(alpha, int | float) or not (math.isfinite(alpha) and alpha >= 0):
        raise TargetError(f"finer(alpha=...) is the strength of the comparison, 0 or more, got {alpha!r}")
    return _Finer(as_target(target), int(against) if whole else tuple(against), float(alpha))  # type: ignore[arg-type]
