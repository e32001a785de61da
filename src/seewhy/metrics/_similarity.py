"""How much two maps of one photo are alike."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seewhy.errors import InputError, MissingPackageError
from seewhy.maps import scale
from seewhy.measure import Case, Metric, mean_of
from seewhy.metrics._correlation import is_even, spearman

WINDOW = 7
"""The side of SSIM's window; in smaller maps the largest odd one that fits."""

Similarity = Callable[[npt.NDArray[Any], npt.NDArray[Any]], float]


def similarity(by: str) -> Similarity:
    """The measure of this name; InputError for another, MissingPackageError for SSIM without scikit-image."""
    if by not in _MEASURES:
        raise InputError(f"expected by='spearman' or by='ssim', got {by!r}")
    if by == "ssim":
        _structural_similarity()
    return _MEASURES[by]


def likeness(by: str, others: Callable[[Case], Sequence[npt.NDArray[Any]]]) -> Metric:
    """The mean likeness of a case's map to others of the same photo; where there are none, the case does not count."""
    measure = similarity(by)

    def alike(case: Case) -> float:
        found = [measure(case.evidence, other) for other in others(case)]
        return float(np.mean(found)) if found else float("nan")

    return mean_of(alike)


def ssim(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """The structural similarity of two maps, each scaled to [0, 1] by its maximum: up to 1.

    Wang et al. 2004 with a flat window of 7 positions, over maps of that range. NaN where `a` is the same everywhere;
    0 where only `b` is.
    """
    if is_even(a):
        return float("nan")
    if is_even(b):
        return 0.0
    side = min(WINDOW, *a.shape)
    one, other = (scale(x, 0.0, float(x.max())).astype(np.float64) for x in (a, b))
    return float(_structural_similarity()(one, other, win_size=side - 1 + side % 2, data_range=1.0))


def _structural_similarity() -> Callable[..., Any]:
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise MissingPackageError(
            "SSIM is scikit-image's, which is not installed: pip install \"seewhy[evaluate]\", or take by='spearman'"
        ) from error
    found: Callable[..., Any] = structural_similarity
    return found


_MEASURES: dict[str, Similarity] = {"spearman": spearman, "ssim": ssim}
