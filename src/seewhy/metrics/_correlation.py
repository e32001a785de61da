"""Do two lists of numbers go together? With an answer for lists in which nothing varies."""

import numpy as np
import numpy.typing as npt

from seewhy.masking import ROUNDING

Numbers = npt.NDArray[np.float64]


def correlation(map_says: Numbers, model_says: Numbers) -> float:
    """Pearson's correlation: 0 where the map says the same of all, NaN where the model does (no map could be right).

    What differs by less than rounding in single precision is the same.

    >>> round(correlation(np.asarray([1.0, 2.0, 3.0]), np.asarray([2.0, 4.0, 6.0])), 6)
    1.0
    >>> correlation(np.asarray([1.0, 1.0]), np.asarray([2.0, 4.0])), correlation(np.ones(2), np.ones(2))
    (0.0, nan)
    """
    if _same(model_says):
        return float("nan")
    if _same(map_says):
        return 0.0
    a, b = map_says - map_says.mean(), model_says - model_says.mean()
    return float(np.clip(a / np.linalg.norm(a) @ (b / np.linalg.norm(b)), -1, 1))


def rank_correlation(map_says: Numbers, model_says: Numbers) -> float:
    """Spearman's: Pearson's correlation of the ranks, equal numbers sharing theirs; NaN and 0 as in `correlation`.

    >>> round(rank_correlation(np.asarray([1.0, 2.0, 9.0]), np.asarray([5.0, 4.0, 3.0])), 6)
    -1.0
    """
    from scipy.stats import rankdata  # here, so that `import seewhy` stays quick

    if _same(model_says):
        return float("nan")
    if _same(map_says):
        return 0.0
    return correlation(rankdata(map_says), rankdata(model_says))


def _same(numbers: Numbers) -> bool:
    largest = float(abs(numbers).max(initial=0.0))
    return float(np.ptp(numbers)) <= ROUNDING * float(np.finfo(np.float32).eps) * largest
