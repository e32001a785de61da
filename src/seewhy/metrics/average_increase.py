"""Average increase."""

from seewhy.measure import Case, Metric, mean_of, metric
from seewhy.metrics._masked import masked_probability


@metric(paper="Chattopadhay et al. 2018, section 4.1, arXiv:1710.11063", better="higher", needs=("class",), passes=1)
def average_increase() -> Metric:
    """How often the class becomes more probable where only the highlighted part of the photo is seen.

        1 if Y_c < O_c, else 0, the mean over photos

    Y_c is the probability in the photo, O_c that in the photo times its map scaled to [0, 1]; also called increase in
    confidence. From 0 to 1; the paper gives it in per cent. It counts photos and does not say by how much: see average
    gain. A blank map leaves nothing of the photo to be seen.

    >>> import numpy as np
    >>> average_increase().compute(np.asarray([1.0, 4.0]))
    0.25
    """
    return mean_of(_increased)


def _increased(case: Case) -> float:
    return float(case.probability < masked_probability(case))
