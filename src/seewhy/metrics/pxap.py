"""PxAP, pixel average precision."""

from functools import partial

import numpy as np

from seewhy.maps import scale
from seewhy.measure import Case, Metric, Sums, metric
from seewhy.metrics._truth import region
from seewhy.options import check_count


@metric(paper="Choe et al. 2020, arXiv:2001.07437", better="higher", needs=("truth",))
def pxap(*, thresholds: int = 1000) -> Metric:
    """How well a map's values tell the object's pixels from all others, over all thresholds.

        PxAP = sum over t of Prec(t) (Rec(t) - Rec(t')), t' the next higher threshold

    Prec(t) is the share of the object's pixels among those with L >= t, Rec(t) the share of the object's pixels that
    are among them, both over the pixels of all photos together. L is scaled from its lowest to its highest value in
    the photo; t takes the values 0, 1/1000, 2/1000 ... and 1, as in the authors' code. The object is its mask, which
    the paper wants, or where none is known all that lies in one of its boxes. From 0 to 1; a map that tells nothing, a
    blank one among them, gets the object's share of the photo.

    Raises InputError for a number of thresholds below 1.

    >>> metric = pxap(thresholds=1)  # pixels below 1 and at 1: first the object's, then the others
    >>> metric.compute(np.asarray([0.0, 2.0, 6.0, 0.0]))
    1.0
    """
    check_count("thresholds", thresholds)
    return Metric(partial(_histograms, thresholds), _precision)


def _histograms(thresholds: int, case: Case) -> Sums:
    """How many pixels of the object, then of all else, lie at each threshold and below the next."""
    inside = region(case)
    values = scale(case.heatmap, float(case.heatmap.min()), float(case.heatmap.max()))
    bins = np.floor(values.astype(np.float64) * thresholds).astype(np.intp)
    counts = [np.bincount(bins[where], minlength=thresholds + 1) for where in (inside, ~inside)]
    return np.concatenate(counts).astype(np.float64)


def _precision(sums: Sums) -> float:
    object_pixels, others = sums.reshape(2, -1)[:, ::-1]
    hits, seen = object_pixels.cumsum(), (object_pixels + others).cumsum()
    if not hits.size or not hits[-1]:
        return float("nan")
    precision = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
    return float((precision * object_pixels).sum() / hits[-1])
