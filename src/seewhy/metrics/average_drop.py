"""Average drop."""

from seewhy.measure import Case, Metric, mean_of, metric
from seewhy.metrics._masked import masked_probability


@metric(paper="Chattopadhay et al. 2018, section 4.1, arXiv:1710.11063", better="lower", needs=("class",), passes=1)
def average_drop() -> Metric:
    """How much of the class's probability is lost where only the highlighted part of the photo is seen.

        max(0, Y_c - O_c) / Y_c, the mean over photos

    Y_c is the probability in the photo, O_c that in the photo times its map scaled to [0, 1]. From 0 (nothing is lost)
    to 1; the paper gives it in per cent. A blank map leaves nothing of the photo to be seen. Of a class that is hardly
    probable in the photo it says little, and counts as much as any other.

    >>> import numpy as np
    >>> average_drop().compute(np.asarray([0.5, 2.0]))
    0.25
    """
    return mean_of(_drop)


def _drop(case: Case) -> float:
    if case.probability <= 0:
        return float("nan")
    return max(0.0, case.probability - masked_probability(case)) / case.probability
