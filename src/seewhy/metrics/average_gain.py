"""Average gain."""

from seewhy.measure import Case, Metric, mean_of, metric
from seewhy.metrics._masked import masked_probability


@metric(paper="Zhang et al. 2023, arXiv:2301.07002", better="higher", needs=("class",), passes=1)
def average_gain() -> Metric:
    """How much of what the class's probability lacks is gained where only the highlighted part of the photo is seen.

        max(0, O_c - Y_c) / (1 - Y_c), the mean over photos

    Zhang, Torres, Sicre, Avrithis, Ayache: Opti-CAM: Optimizing saliency maps for interpretability. The counterpart of
    average drop: Y_c is the probability in the photo, O_c that in the photo times its map scaled to [0, 1]. From 0
    (nothing is gained) to 1; the paper gives it in per cent. A blank map leaves nothing of the photo to be seen. Photos
    in which the class has a probability of 1 can gain nothing, and do not count.

    >>> import numpy as np
    >>> average_gain().compute(np.asarray([0.5, 2.0]))
    0.25
    """
    return mean_of(_gain)


def _gain(case: Case) -> float:
    if case.probability >= 1:
        return float("nan")
    return max(0.0, masked_probability(case) - case.probability) / (1 - case.probability)
