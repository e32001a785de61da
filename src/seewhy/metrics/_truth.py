"""Where the object is, and boxes round what is highlighted."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from seewhy.errors import InputError
from seewhy.maps import Box
from seewhy.measure import Case, Truth


def truth_of(case: Case) -> Truth:
    """What the case's map is held against; InputError where there is nothing, or no photo to hold it on."""
    if case.truth is None or not (case.truth.boxes or case.truth.mask is not None):
        raise InputError("this metric needs to know where the object is, and this photo has no box and no mask")
    if case.heatmap.ndim != 2:
        raise InputError(f"this metric is of photos, (H, W), and this map has the axes {case.heatmap.shape}")
    if case.truth.mask is not None and case.truth.mask.shape != case.heatmap.shape:
        raise InputError(
            f"expected a mask of the photo's own pixels {case.heatmap.shape}, got one of {case.truth.mask.shape}"
        )
    return case.truth


def region(case: Case) -> npt.NDArray[np.bool_]:
    """The pixels of the object (H, W): its mask where it is known, else all that lies in one of its boxes."""
    truth = truth_of(case)
    if truth.mask is not None:
        return truth.mask
    inside = np.zeros(case.heatmap.shape, np.bool_)
    for box in truth.boxes:
        inside[box.top : box.bottom, box.left : box.right] = True
    return inside


def true_boxes(case: Case) -> tuple[Box, ...]:
    """The boxes of the objects, one or more; InputError where only a mask is known."""
    truth = truth_of(case)
    if not truth.boxes:
        raise InputError("this metric needs the object's boxes, and only a mask of this photo is known")
    return truth.boxes


def share_inside(case: Case) -> float:
    """The sum of the map in the object by its sum in all of the photo; 0 for a blank map."""
    inside = region(case)
    total = float(case.heatmap.sum(dtype=np.float64))
    return float(case.heatmap[inside].sum(dtype=np.float64)) / total if total > 0 else 0.0


def overlaps(found: Sequence[Box], true: Sequence[Box]) -> npt.NDArray[np.float64]:
    """Intersection over union of each box found with each true box: (found, true).

    >>> overlaps([Box(0, 0, 2, 2)], [Box(1, 0, 3, 2), Box(2, 2, 3, 3)]).tolist()
    [[0.3333333333333333, 0.0]]
    """
    one = np.asarray(found, np.float64).reshape(-1, 1, 4)
    other = np.asarray(true, np.float64).reshape(1, -1, 4)
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    both = sides.clip(min=0).prod(-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (one, other)]
    return np.asarray(both / (areas[0] + areas[1] - both))
