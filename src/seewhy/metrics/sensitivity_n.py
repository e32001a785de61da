"""Sensitivity-n."""

from functools import partial

import numpy as np
import numpy.typing as npt

from seewhy.errors import InputError
from seewhy.measure import Case, Metric, mean_of, metric
from seewhy.metrics._subsets import subset_correlation
from seewhy.options import check_count


@metric(paper="Ancona et al. 2018, arXiv:1711.06104", better="higher", passes=1000)
def sensitivity_n(*, sizes: int = 10, subsets: int = 100, largest: float = 0.8) -> Metric:
    """Does the evidence in n pixels go with what the score loses without them, for few pixels and for many?

        mean over n of corr over random S, |S| = n, of (sum of L_p over p in S,  f(X) - f(X with zeros in S))

    Ancona, Ceolini, Öztireli, Gross: Towards better understanding of gradient-based attribution methods for Deep Neural
    Networks, ICLR 2018. An attribution has sensitivity-n where both are equal for every S of n features. The paper
    draws Pearson's correlation over 100 random subsets as a curve over n; here it is the curve's mean, at `sizes`
    numbers from 1 to `largest` (a fraction of the pixels), evenly spaced on a logarithmic scale. Zero, in the units of
    the model's input, is the baseline, f the explained score. Then the mean over photos.

    From -1 to 1. A map that says the same of all subsets, as a blank one does, gets 0; an n for which no subset changes
    the score does not count. Subsets are as in faithfulness correlation, of which this is the mean over sizes. Takes
    positions on any number of axes. Raises InputError for options out of range.

    >>> import numpy as np
    >>> sensitivity_n(sizes=3).compute(np.asarray([0.5, 2.0]))
    0.25
    """
    check_count("sizes", sizes)
    check_count("subsets", subsets, 2)
    if isinstance(largest, bool) or not isinstance(largest, int | float) or not 0 < largest < 1:
        raise InputError(f"expected largest= as a fraction of the pixels between 0 and 1, got {largest!r}")
    return mean_of(partial(_sensitivity, sizes, subsets, largest))


def _sensitivity(sizes: int, subsets: int, largest: float, case: Case) -> float:
    counts = _counts(case.evidence.size, sizes, largest)
    found = [subset_correlation(case, int(n), subsets, np.random.default_rng((case.seed, int(n)))) for n in counts]
    known = [one for one in found if not np.isnan(one)]
    return float(np.mean(known)) if known else float("nan")


def _counts(pixels: int, sizes: int, largest: float) -> npt.NDArray[np.intp]:
    """The numbers of pixels; fewer than `sizes` where some would be the same."""
    top = max(int(largest * pixels), 1)
    return np.unique(np.rint(np.geomspace(1, top, sizes)).astype(np.intp))
