"""Rank correlation with an occlusion map."""

from collections.abc import Sequence
from functools import partial
from math import prod

import numpy as np

from seewhy.masking import ROUNDING, separable, windows_over
from seewhy.measure import Case, Metric, mean_of, metric
from seewhy.metrics._correlation import spearman
from seewhy.metrics._variants import Images, answers


@metric(
    paper='Selvaraju et al. 2017, "Faithfulness vs. Interpretability", arXiv:1610.02391', better="higher", passes=225
)
def occlusion_rank_correlation(
    *, window: int | Sequence[int] | None = None, stride: int | Sequence[int] | None = None
) -> Metric:
    """Are the patches whose masking changes the score most also those that the map holds to be strongest?

        Spearman's correlation over patches W of (mean of L_p over p in W,  f(X) - f(X with zeros in W))

    The mean over photos. The measure by which Grad-CAM's authors call it faithful, 0.254 on photos of PASCAL VOC 2007.
    There they give neither the patches nor how the two maps are brought to one size; here a patch is an eighth of the
    photo along each axis and the next one is half as far on, the map counts by its mean in the patch, and zero, in the
    units of the model's input, masks. f is the explained score. `window` and `stride` are in pixels, one number or one
    for each axis, as in the method occlusion.

    From -1 to 1; what is equal but for rounding shares its rank. A map that says the same of all patches, as a blank
    one does, gets 0; photos whose score no patch changes do not count. A rectified map says the same of all that speaks
    against the target, so 1 is out of reach for most. Takes positions on any number of axes. Raises InputError for
    windows that do not fit.

    >>> import numpy as np
    >>> occlusion_rank_correlation(window=16, stride=16).compute(np.asarray([0.5, 2.0]))
    0.25
    """
    return mean_of(partial(_correlation, window, stride))


def _correlation(window: int | Sequence[int] | None, stride: int | Sequence[int] | None, case: Case) -> float:
    covers = windows_over(case.evidence.shape, window, stride)
    windows = [len(cover) for cover in covers]

    def covered(part: slice) -> Images:
        places = np.unravel_index(np.arange(part.start, part.stop), windows)
        rows = [cover[place] for cover, place in zip(covers, places, strict=True)]
        return np.where(separable(rows, case.image) > 0, np.float32(0), case.image)

    means = case.evidence.astype(np.float64)
    for axis, cover in enumerate(covers):  # the mean in a patch is a mean along one axis after the other
        share = cover / cover.sum(axis=1, keepdims=True)  # (windows, length)
        means = np.moveaxis(np.tensordot(means, share, axes=([axis], [1])), -1, axis)
    lost = case.score - answers(case, prod(windows), covered, "score")
    rounding = ROUNDING * float(np.finfo(np.float32).eps) * abs(case.score)  # of two passes
    means /= max(float(means.max()), np.finfo(np.float64).tiny)
    return spearman(np.where(abs(lost) > rounding, lost, 0.0), means.ravel().round(9))
