"""Box IoU."""

from functools import partial

from seewhy.errors import InputError
from seewhy.maps import box_around, segments
from seewhy.measure import Case, Metric, mean_of, metric
from seewhy.metrics._truth import overlaps, true_boxes


@metric(paper="Selvaraju et al. 2017 (Grad-CAM), section 4.1, arXiv:1610.02391", better="higher", needs=("truth",))
def box_iou(*, threshold: float = 0.15) -> Metric:
    """How well the box round the largest highlighted part fits the object's.

        max over true boxes B of IoU(box(L > threshold * max L), B), the mean over photos

    The box is the paper's: round the largest connected part (neighbours at corners included) of what is above 15 % of
    the map's maximum. The best of the object's boxes counts, where there are several. From 0 to 1; the paper calls
    0.5 and more correct. A blank map has no box: 0.

    Raises InputError for a threshold outside [0, 1).

    >>> import numpy as np
    >>> box_iou().compute(np.asarray([1.0, 2.0]))
    0.5
    """
    if not 0 <= threshold < 1:
        raise InputError(f"box-iou: expected a threshold from 0 up to, but not, 1, got {threshold!r}")
    return mean_of(partial(_iou, threshold))


def _iou(threshold: float, case: Case) -> float:
    true = true_boxes(case)
    parts = segments(case.heatmap > threshold * case.heatmap.max())
    return float(overlaps([box_around(parts[0])], true).max()) if parts else 0.0
