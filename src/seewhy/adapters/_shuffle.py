"""Weights drawn anew from the top down: which layers, and what their arrays become."""

from collections.abc import Iterator, Sequence
from math import ceil
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from seewhy.errors import InputError

T = TypeVar("T")


def topmost(layers: Sequence[T], share: float) -> list[T]:
    """The last `share` of the layers, the last one first, rounded up; InputError unless it lies in [0, 1].

    Raises InputError too where there are no layers: a copy with nothing drawn anew would be the model itself.

    >>> topmost(["stem", "body", "head"], 0.5), topmost(["stem", "body", "head"], 0)
    (['head', 'body'], [])
    """
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise InputError(f"expected share= as a number from 0 (no layer) to 1 (all layers), got {share!r}")
    if not layers:
        raise InputError("the model has no weights that could be drawn anew")
    count = ceil(share * len(layers) - 1e-9)  # a third of three layers is one
    return list(reversed(layers))[:count]


def orders(sizes: Sequence[int], seed: int) -> Iterator[npt.NDArray[np.intp]]:
    """A permutation for each array of these sizes: the more arrays, the more of them, the first ones alike.

    >>> [order.tolist() for order in orders([3, 1], 0)] == [order.tolist() for order in orders([3, 1, 5], 0)][:2]
    True
    """
    draw = np.random.default_rng(seed)
    return (draw.permutation(size) for size in sizes)
