"""The score of one class."""

from collections.abc import Sequence
from dataclasses import dataclass

from array_api_compat import array_namespace, is_jax_array

from seewhy.outputs import class_scores
from seewhy.types import Array, BoundTarget, Classes


@dataclass(frozen=True)
class _ClassScore:
    which: int | str

    def bind(self, classes: Classes) -> Sequence[BoundTarget]:
        index = classes.index(self.which)
        return [BoundTarget(_Column(index), classes.label(index), index)]


@dataclass(frozen=True)
class _Column:
    index: int

    def __call__(self, outputs: object) -> Array:
        scores = class_scores(outputs)
        if is_jax_array(scores):  # JAX compiles anew for each index that is a Python number and no array
            xp = array_namespace(scores)
            return xp.take(scores, xp.asarray([self.index]), axis=1)[:, 0]
        return scores[:, self.index]


def class_score(which: int | str) -> _ClassScore:
    """The score of one class, given by index or by name: y_c.

    `target=282` and `target="tiger cat"` are short for it. Raises UnknownNameError for a name that no class has,
    TargetError for an index out of range or a name that several classes share.

    >>> [bound] = class_score("dog").bind(Classes(["cat", "dog"], None))
    >>> bound.label, bound.index
    ('dog', 1)
    """
    return _ClassScore(which)
