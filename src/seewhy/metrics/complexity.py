"""Complexity."""

import numpy as np

from seewhy.measure import Case, Metric, mean_of, metric


@metric(paper="Bhatt et al. 2020, arXiv:2005.00631", better="lower")
def complexity() -> Metric:
    """How widely a map's evidence is spread.

        -sum over i of p_i ln p_i, with p_i = L_i / sum of L; the mean over photos

    The entropy of each position's share, in nats. From 0 (all in one position) to ln N for N positions of the model's
    input (all alike): 10.8 at 224 x 224. It says nothing of whether the map is right. A blank map has no shares: it
    does not count.

    >>> complexity().compute(np.asarray([4.5, 3.0]))
    1.5
    """
    return mean_of(_entropy)


def _entropy(case: Case) -> float:
    evidence = case.evidence[case.evidence > 0].astype(np.float64)
    if not evidence.size:
        return float("nan")
    shares = evidence / evidence.sum()
    return float(max(0.0, -(shares * np.log(shares)).sum()))
