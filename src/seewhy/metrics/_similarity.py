"""How much two maps of one photo are alike."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from seewhy.errors import InputError, MissingPackageError
from seewhy.maps import scale

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


def spearman(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Spearman's rank correlation of all positions, -1 to 1; ties share their mean rank.

    NaN where `a` ranks nothing, being the same everywhere; 0 where only `b` does.

    >>> spearman(np.asarray([0, 1, 2]), np.asarray([9, 5, 1])), spearman(np.asarray([0, 1]), np.zeros(2))
    (-1.0, 0.0)
    """
    from scipy.stats import rankdata  # here, so that `import seewhy` stays quick

    if is_even(a):
        return float("nan")
    if is_even(b):
        return 0.0
    one, other = (rankdata(x.ravel()) for x in (a, b))
    return float(np.clip(np.corrcoef(one, other)[0, 1], -1, 1))


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


def is_even(a: npt.NDArray[Any]) -> bool:
    """Is the map the same at every position, up to rounding?"""
    low, high = float(a.min()), float(a.max())
    return bool(high - low <= 1e-6 * max(abs(low), abs(high)))


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
