"""Deletion."""

from functools import partial

from seewhy.measure import Case, Metric, mean_of, metric
from seewhy.metrics._curve import deleted_area
from seewhy.options import check_count


@metric(paper="Petsiuk et al. 2018, arXiv:1806.07421", better="lower", passes=224)
def deletion(*, step: int = 224) -> Metric:
    """How long the target stays probable while the strongest pixels of the photo are taken away, step by step.

        area under f(X without its first i pixels), over i / pixels from 0 to 1, the mean over photos

    Petsiuk, Das, Saenko: RISE: Randomized Input Sampling for Explanation of Black-box Models, BMVC 2018, and the
    authors' code: `step` pixels at a time, one row of a photo of 224 x 224, are set to zero, in the units of the
    model's input; the area is taken by the trapezoid rule. Where the last step has fewer pixels it is as wide as it is;
    theirs counts it as a whole one.

    f is the target's probability, so the area is between 0 and 1, and less is better; for a target that is no class it
    is its score. Of pixels of equal evidence the first in reading order goes first: what a map leaves at zero goes row
    by row from the top, and so does all of a blank map. Takes positions on any number of axes. What zeros the photo is
    left with are unlike any photo: a low area can also come from that. Raises InputError for a step below 1.

    >>> import numpy as np
    >>> deletion(step=512).compute(np.asarray([0.5, 2.0]))
    0.25
    """
    check_count("step", step)
    return mean_of(partial(_area, step))


def _area(step: int, case: Case) -> float:
    return deleted_area(case, 0.0, step)
