"""Coherency."""

from seewhy.measure import Metric, mean_of, metric
from seewhy.metrics._explained import coherence


@metric(paper="Poppi et al. 2021, arXiv:2104.10252", better="higher", needs=("explain",), passes=1)
def coherency() -> Metric:
    """How alike the map stays where only the highlighted part of the photo is seen.

        (1 + Pearson(L(x), L(x * L(x)))) / 2, the mean over photos

    L(x) is the map of the photo, and x * L(x) the photo times its map scaled to [0, 1]; both explained for the same
    class. From 0 (the opposite map) by 0.5 (no relation) to 1 (the same map). A method that looks at no model at all
    gets 1: read it beside others. 0 where either map is blank, or the same everywhere, as the authors' code gives a
    map that is not a number.

    >>> import numpy as np
    >>> coherency().compute(np.asarray([1.5, 2.0]))
    0.75
    """
    return mean_of(coherence)
