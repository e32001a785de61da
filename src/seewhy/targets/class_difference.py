"""What tells one class from another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seewhy.errors import TargetError
from seewhy.targets._forms import as_target
from seewhy.targets._mixture import Mixture, one_class
from seewhy.types import BoundTarget, Classes, Target


@dataclass(frozen=True)
class _ClassDifference:
    a: Target
    b: Target

    def bind(self, classes: Classes) -> Sequence[BoundTarget]:
        others = self.b.bind(classes)
        if len(others) != 1:
            raise TargetError(f"class_difference(a, b) compares with one class b, got {len(others)}: see seewhy.finer")
        b = one_class(others[0])
        bound = []
        for this in self.a.bind(classes):
            a = one_class(this)
            if a == b:
                raise TargetError(
                    f"class_difference needs two different classes, got {this.label!r} twice: nothing tells it from "
                    "itself"
                )
            bound.append(BoundTarget(Mixture(((a, 1.0), (b, -1.0))), f"{this.label} rather than {others[0].label}"))
        return bound


def class_difference(a: Any, b: Any) -> _ClassDifference:
    """What tells class a from class b: the score y_a - y_b.

    Each is a class by index or name, or None, the predicted class; `a` may be seewhy.top(k) too. Evidence that both
    classes share cancels out. For a class against its look-alikes see `seewhy.finer`, for what speaks against a class
    `seewhy.negative`.

    Raises UnknownNameError for a name that no class has, TargetError where a and b are the same class or something
    that is no class.

    >>> [bound] = class_difference("dog", 0).bind(Classes(["cat", "dog"], None))
    >>> bound.label
    'dog rather than cat'
    """
    return _ClassDifference(as_target(a), as_target(b))
