"""MaxBoxAcc and MaxBoxAccV2."""

from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from seewhy.errors import InputError
from seewhy.maps import Box, scale
from seewhy.measure import Case, Metric, Sums, metric
from seewhy.metrics._truth import overlaps, true_boxes
from seewhy.options import check_count

_REACHED = {1: (0.5,), 2: (0.3, 0.5, 0.7)}
"""The IoU that a box must reach to be correct, for each version."""


@metric(paper="Choe et al. 2020, arXiv:2001.07437; V2: arXiv:2007.04178", better="higher", needs=("truth",))
def max_box_acc(*, version: Literal[1, 2] = 2, thresholds: int = 100) -> Metric:
    """How often a box from the map is right, at the threshold on heatmaps that is best for all photos together.

        BoxAcc(t, d) = share of photos with IoU(box(L > t), B) >= d for a true box B
        version 1: max over t of BoxAcc(t, 0.5), the box round the largest connected part
        version 2: mean over d in 0.3, 0.5, 0.7 of max over t of BoxAcc(t, d), the best of the boxes round all parts

    L is scaled from its lowest to its highest value in the photo, as the paper has it, and t takes `thresholds`
    values, 0, 1/100, 2/100 ... (the authors' code takes 1000). Above t is strictly above, as in that code; the paper
    writes at least t. The largest part is that of the most pixels; photos keep their own size, where the authors'
    have 224 x 224. From 0 to 1. A blank map, or one that is the same everywhere, has no box: never right.

    Raises InputError for another version, or a number of thresholds below 1.

    >>> metric = max_box_acc(version=1, thresholds=2)
    >>> metric.compute(np.asarray([1.0, 3.0, 4.0]))  # of 4 photos, 1 right at t = 0 and 3 at t = 0.5
    0.75
    """
    if isinstance(version, bool) or not isinstance(version, int) or version not in _REACHED:
        raise InputError(f"expected version=1 or version=2, got {version!r}")
    check_count("thresholds", thresholds)
    return Metric(partial(_right, version, thresholds), partial(_best, version, thresholds))


def _right(version: int, thresholds: int, case: Case) -> Sums:
    """Is a box right, for each IoU to be reached and each threshold; and 1 for the case."""
    true = true_boxes(case)
    low, high = float(case.heatmap.min()), float(case.heatmap.max())
    steps = (np.arange(thresholds) / thresholds).astype(np.float32)  # as heatmaps are: equal is not above
    best = _best_overlaps(scale(case.heatmap, low, high), true, steps, version == 2)
    right = best[None, :] >= np.asarray(_REACHED[version])[:, None]
    return np.append(right.astype(np.float64).ravel(), 1.0)


def _best(version: int, thresholds: int, sums: Sums) -> float:
    if not sums[-1]:
        return float("nan")
    return float(np.mean(sums[:-1].reshape(len(_REACHED[version]), thresholds).max(axis=1)) / sums[-1])


def _best_overlaps(
    heatmap: npt.NDArray[np.float32], true: tuple[Box, ...], thresholds: npt.NDArray[np.float32], all_parts: bool
) -> npt.NDArray[np.float64]:
    """The IoU with the best true box at each threshold, of all parts' boxes or the largest part's: (thresholds,)."""
    from scipy import ndimage

    best = np.zeros(len(thresholds))
    top = left = 0
    for i, threshold in enumerate(thresholds):
        mask = heatmap > threshold
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not rows.size:
            break
        # the higher the threshold, the less there is: all that follows lies within
        inner = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        heatmap, mask = heatmap[inner], mask[inner]
        top, left = top + int(rows[0]), left + int(columns[0])
        numbered, _ = ndimage.label(mask, structure=np.ones((3, 3)))
        boxes = [
            Box(left + across.start, top + down.start, left + across.stop, top + down.stop)
            for down, across in ndimage.find_objects(numbered)
        ]
        if not all_parts:
            boxes = [boxes[int(np.bincount(numbered.ravel())[1:].argmax())]]
        best[i] = overlaps(boxes, true).max()
    return best
