"""Seconds."""

from seewhy.measure import Case, Metric, mean_of, metric


@metric(paper="", better="neither")
def seconds() -> Metric:
    """How long an explanation takes, on this machine and while nothing else is measured.

        seconds from photo to map, the mean over photos

    As measured when the map was made; compare only what was measured on the same machine in the same run. 0 or more.
    No method is called the best by it: each map is timed once, and what else the machine does is in the number.

    >>> import numpy as np
    >>> seconds().compute(np.asarray([3.0, 2.0]))
    1.5
    """
    return mean_of(_taken)


def _taken(case: Case) -> float:
    return case.seconds
