"""Average drop in deletion."""

from seewhy.measure import Case, Metric, mean_of, metric
from seewhy.metrics._masked import rest_probability


@metric(paper="Jung and Oh 2021, arXiv:2102.05228", better="higher", needs=("class",), passes=1)
def drop_in_deletion() -> Metric:
    """How much of the class's probability is lost where the highlighted part of the photo is taken away.

        (Y_c - D_c) / Y_c, the mean over photos

    Jung, Oh: Towards Better Explanations of Class Activation Mapping, ICCV 2021. Y_c is the probability in the photo,
    D_c that in the photo times 1 - its map scaled to [0, 1]. At most 1 (nothing is left); below 0 where the class
    becomes more probable, which is not cut off as it is in average drop. The paper gives it in per cent. A blank map
    takes nothing away: 0.

    It has no lower bound: of a class that is hardly probable in the photo it may be -1e8, and that one photo rules the
    mean. A table names the photos whose class has a probability below 1 %.

    >>> import numpy as np
    >>> drop_in_deletion().compute(np.asarray([0.5, 2.0]))
    0.25
    """
    return mean_of(_drop)


def _drop(case: Case) -> float:
    if case.probability <= 0:
        return float("nan")
    return (case.probability - rest_probability(case)) / case.probability
