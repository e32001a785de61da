"""Energy-based pointing game."""

from seewhy.measure import Metric, mean_of, metric
from seewhy.metrics._truth import share_inside


@metric(paper="Wang et al. 2020 (Score-CAM), arXiv:1910.01279", better="higher", needs=("truth",))
def energy_pointing_game() -> Metric:
    """How much of a map's evidence lies on the object.

        sum of L in the object / sum of L in the photo, the mean over photos

    L is the heatmap on the photo, 0 or more; the object is its mask where one is known, else all that lies in one of
    its boxes (the paper's way). From 0 to 1; a map that is the same everywhere gets the object's share of the photo,
    so that large objects are easy. A blank map has no evidence on the object: 0.

    >>> import numpy as np
    >>> energy_pointing_game().compute(np.asarray([1.5, 2.0]))
    0.75
    """
    return mean_of(share_inside)
