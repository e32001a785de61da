"""The curve of a probability while a photo is built up or taken down pixel by pixel, and the area under it."""

import numpy as np
import numpy.typing as npt

from seewhy.measure import Case
from seewhy.metrics._variants import Images, Mask, answers, mixed, ranks

Counts = npt.NDArray[np.intp]


def inserted_area(case: Case, start: Images, step: int) -> float:
    """The area while the pixels of the photo come in, the strongest first, from `start`."""
    rank, counts = ranks(case.evidence), _counts(case, step)
    curve = answers(case, len(counts) - 1, lambda part: mixed(_first(rank, counts[part]), case.image, start))
    return _area(counts, np.append(curve, case.probability))  # at the end it is the photo: known already


def deleted_area(case: Case, end: Images | float, step: int) -> float:
    """The area while the pixels of the photo go, the strongest first, until `end` is left."""
    rank, counts = ranks(case.evidence), _counts(case, step)[1:]
    curve = answers(case, len(counts), lambda part: mixed(~_first(rank, counts[part]), case.image, end))
    return _area(np.append(0, counts), np.append(case.probability, curve))


def _counts(case: Case, step: int) -> Counts:
    """How many pixels have been changed at each point of the curve: from none to all."""
    pixels = case.evidence.size
    return np.append(np.arange(0, pixels, step), pixels).astype(np.intp)


def _first(rank: Counts, counts: Counts) -> Mask:
    """The first of the pixels, as many as told, for each count: (m, *s)."""
    return rank < counts.reshape(-1, *(1,) * rank.ndim)


def _area(counts: Counts, curve: npt.NDArray[np.float64]) -> float:
    """By the trapezoid rule, over the fraction of the pixels."""
    widths = np.diff(counts) / counts[-1]
    return float(widths @ (curve[1:] + curve[:-1]) / 2)
