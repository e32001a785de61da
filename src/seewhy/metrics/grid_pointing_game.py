"""Grid pointing game."""

from seewhy.measure import Metric, mean_of, metric
from seewhy.metrics._truth import share_inside


@metric(paper="Böhle et al. 2021 (CoDA-Nets), arXiv:2104.00032", better="higher", needs=("grid",))
def grid_pointing_game() -> Metric:
    """How much of a map's positive evidence lies in the right cell, where photos of other classes fill the others.

        sum of max(0, L) in the cell / sum of max(0, L) in the grid, the mean over cells and grids

    The photo is a 2 x 2 grid, the target the class of one cell, the case's truth that cell's box: no annotation is
    needed. From 0 to 1; chance is 0.25. The authors' code smooths the maps of all methods before (their default is a
    mean over 15 x 15 pixels); here maps are as they are. A blank map has nothing in the cell: 0, as in their code.

    >>> import numpy as np
    >>> grid_pointing_game().compute(np.asarray([1.0, 4.0]))
    0.25
    """
    return mean_of(share_inside)
