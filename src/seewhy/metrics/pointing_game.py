"""Pointing game."""

from functools import partial

import numpy as np

from seewhy.errors import InputError
from seewhy.measure import Case, Metric, mean_of, metric
from seewhy.metrics._truth import region


@metric(paper="Zhang et al. 2016 (excitation backprop), arXiv:1608.00507", better="higher", needs=("truth",))
def pointing_game(*, tolerance: float = 15) -> Metric:
    """How often a map's highest point lies on the object.

        hits / (hits + misses)

    A hit is a point on the object or within `tolerance` of it, in pixels of the photo as it is: 15 is the paper's. On
    the object means on its mask, or where none is known in one of its boxes. From 0 to 1. The paper takes the mean
    within each class and then over classes; here each photo counts the same. Where several pixels are highest, as in a
    plateau, the share of them that hit counts, so that no corner is preferred. A blank map points at nothing: a miss.

    Raises InputError for a negative tolerance.

    >>> import numpy as np
    >>> pointing_game(tolerance=0).compute(np.asarray([3.0, 4.0]))
    0.75
    """
    if not tolerance >= 0:
        raise InputError(f"pointing-game: expected a tolerance of 0 pixels or more, got {tolerance!r}")
    return mean_of(partial(_hits, float(tolerance)))


def _hits(tolerance: float, case: Case) -> float:
    from scipy.ndimage import distance_transform_edt

    inside = region(case)
    highest = float(case.heatmap.max())
    if highest <= 0 or not inside.any():
        return 0.0
    near = inside if tolerance < 1 else distance_transform_edt(~inside) <= tolerance
    return float(np.mean(near[case.heatmap == highest]))
