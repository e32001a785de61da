"""What speaks against a target."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from seewhy.targets._forms import as_target
from seewhy.types import Array, BoundTarget, Classes, Target


@dataclass(frozen=True)
class _Negative:
    target: Target

    def bind(self, classes: Classes) -> Sequence[BoundTarget]:
        return [BoundTarget(_Minus(b.score), f"not {b.label}") for b in self.target.bind(classes)]


@dataclass(frozen=True)
class _Minus:
    score: Callable[[Any], Array]

    def __call__(self, outputs: object) -> Array:
        return -self.score(outputs)

    def settled(self, outputs: Any, i: int, label: str) -> "_Minus":
        settled = getattr(self.score, "settled", None)
        return self if settled is None else _Minus(settled(outputs, i, label))


def negative(target: Any = None) -> _Negative:
    """What speaks against a target: the counterfactual, the gradient of -y_c (Selvaraju et al. 2017, section 3.3).

    `target` is anything that can be asked for: a class by index or name, None for the predicted class, a callable,
    another target. The score is that of the target times -1.

    >>> [bound] = negative("dog").bind(Classes(["cat", "dog"], None))
    >>> bound.label
    'not dog'
    """
    return _Negative(as_target(target))
