"""Sparseness."""

import numpy as np

from seewhy.measure import Case, Metric, mean_of, metric


@metric(paper="Chalasani et al. 2020, arXiv:1810.06583", better="higher")
def sparseness() -> Metric:
    """How few positions hold a map's evidence: its Gini index.

        1 - 2 sum over k of (L_(k) / sum of L) (N - k + 1/2) / N, with L_(1) <= ... <= L_(N); the mean over photos

    From 0 (all positions alike) to 1 - 1/N (all evidence in one of N positions). It says nothing of whether the map
    is right. Taken on the model's input. A blank map does not count.

    >>> sparseness().compute(np.asarray([0.5, 1.0]))
    0.5
    """
    return mean_of(_gini)


def _gini(case: Case) -> float:
    ordered = np.sort(case.evidence.astype(np.float64), axis=None)
    total, n = ordered.sum(), ordered.size
    if not total > 0:
        return float("nan")
    return float(max(0.0, 1 - 2 * (ordered / total * (n - np.arange(1, n + 1) + 0.5) / n).sum()))
