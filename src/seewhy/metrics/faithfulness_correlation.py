"""Faithfulness correlation."""

from functools import partial

import numpy as np

from seewhy.measure import Case, Metric, mean_of, metric
from seewhy.metrics._subsets import subset_correlation
from seewhy.options import check_count


@metric(paper="Bhatt et al. 2020, arXiv:2005.00631", better="higher", passes=100)
def faithfulness_correlation(*, subsets: int = 100, size: int = 224) -> Metric:
    """Does the score lose more without those pixels in which the map sees more evidence?

        corr over random S, |S| = size, of (sum of L_p over p in S,  f(X) - f(X with zeros in S)), the mean over photos

    Bhatt, Weller, Moura: Evaluating and Aggregating Feature-based Model Explanations, IJCAI 2020; Pearson's
    correlation. f is the explained score. Zero, in the units of the model's input, is the baseline. The paper leaves
    the size open; 224 pixels, a row of a photo of 224 x 224, and 100 subsets are what Quantus takes unless told. Where
    the photo has fewer pixels than twice `size`, it is half of them.

    From -1 to 1. Few pixels, spread over the photo, change most scores little: expect numbers near 0, and compare them
    with a control. A map that says the same of all subsets, as a blank one does, gets 0; photos whose score no subset
    changes do not count. The subsets depend on the photo's seed alone: all methods get the same. Takes positions on any
    number of axes. Raises InputError for options out of range.

    >>> import numpy as np
    >>> faithfulness_correlation(subsets=50).compute(np.asarray([0.5, 2.0]))
    0.25
    """
    check_count("subsets", subsets, 2)
    check_count("size", size)
    return mean_of(partial(_correlation, subsets, size))


def _correlation(subsets: int, size: int, case: Case) -> float:
    count = min(size, max(case.evidence.size // 2, 1))
    return subset_correlation(case, count, subsets, np.random.default_rng(case.seed))
