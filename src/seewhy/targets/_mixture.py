"""Sums of weighted class scores: one step for many of them, whatever classes they are of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from array_api_compat import device, is_torch_array

from seewhy.errors import TargetError
from seewhy.outputs import class_scores, namespace
from seewhy.types import Array, BoundTarget, Scores


@dataclass(frozen=True)
class Mixture:
    """sum over i of weight_i y_i, as (class index, weight) pairs."""

    parts: tuple[tuple[int, float], ...]

    def __call__(self, outputs: object) -> Array:
        return mixtures_of(outputs, [[self]] * len(class_scores(outputs)))[:, 0]


def mixtures_of(outputs: object, rows: Sequence[Sequence[Mixture]]) -> Scores:
    """The scores (n, k) of k mixtures for each of n images.

    The weights are an array: JAX would compile anew for other numbers. Classes of weight 0 add exactly nothing.
    """
    scores = class_scores(outputs)  # (n, classes)
    weights = np.zeros((len(rows), len(rows[0]), scores.shape[1]))
    for i, row in enumerate(rows):
        for j, mixture in enumerate(row):
            for index, weight in mixture.parts:
                weights[i, j, index] += weight
    xp = namespace(scores)
    on = {"device": device(scores)} if is_torch_array(scores) else {}
    return xp.sum(scores[:, None, :] * xp.asarray(weights, dtype=scores.dtype, **on), axis=2)


def one_class(bound: BoundTarget) -> int:
    """The class that a bound target is about; TargetError where it is about none."""
    if bound.index is None:
        raise TargetError(
            f"expected a class to compare (None, an index, a name, seewhy.top(k)), got {bound.label!r}, which is the "
            "score of no single class: for other differences write target=lambda outputs: outputs[:, 3] - outputs[:, 5]"
        )
    return bound.index
