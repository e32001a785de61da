"""Do two arrays of numbers go together? With an answer for those in which nothing varies."""

from typing import Any

import numpy as np
import numpy.typing as npt

from seewhy.masking import ROUNDING

Numbers = npt.NDArray[Any]


def pearson(reference: Numbers, other: Numbers) -> float:
    """Pearson's correlation of all positions, -1 to 1.

    NaN where the reference is the same everywhere, for then nothing could go with it; 0 where only the other is.

    >>> round(pearson(np.asarray([1.0, 2.0, 3.0]), np.asarray([2.0, 4.0, 6.0])), 6)
    1.0
    >>> pearson(np.asarray([2.0, 4.0]), np.ones(2)), pearson(np.ones(2), np.ones(2))
    (0.0, nan)
    """
    if is_even(reference):
        return float("nan")
    if is_even(other):
        return 0.0
    one, another = (x.ravel() - x.mean(dtype=np.float64) for x in (reference, other))
    return float(np.clip(one / np.linalg.norm(one) @ (another / np.linalg.norm(another)), -1, 1))


def spearman(reference: Numbers, other: Numbers) -> float:
    """Spearman's: Pearson's correlation of the ranks; equal numbers share their mean rank. NaN and 0 as there.

    >>> round(spearman(np.asarray([1.0, 2.0, 9.0]), np.asarray([5.0, 4.0, 3.0])), 6)
    -1.0
    """
    from scipy.stats import rankdata  # here, so that `import seewhy` stays quick

    if is_even(reference):
        return float("nan")
    if is_even(other):
        return 0.0
    return pearson(rankdata(reference.ravel()), rankdata(other.ravel()))


def is_even(values: Numbers) -> bool:
    """Are they all the same, up to rounding in single precision?

    >>> is_even(np.asarray([7.0, 7.000001])), is_even(np.asarray([0.0, 1e-9]))
    (True, False)
    """
    low, high = float(values.min()), float(values.max())
    return high - low <= ROUNDING * float(np.finfo(np.float32).eps) * max(abs(low), abs(high))
