"""Class sensitivity."""

from seewhy.measure import Metric, metric
from seewhy.metrics._similarity import likeness


@metric(
    paper="after the random logit test of Sixt et al. 2020, arXiv:1912.09818",
    better="lower",
    needs=("scores of classes",),
)
def class_sensitivity(*, by: str = "spearman") -> Metric:
    """How much the map for the asked class is like the maps for other classes in the same photo.

        mean over other classes o of s(L_c, L_o), the mean over photos

    s is Spearman's rank correlation ("spearman") or SSIM ("ssim"). 1: the map is the same whatever is asked, as that of
    a method that looks at no class; about 0: each class has a map of its own. From -1 to 1. Two classes may well have
    the same evidence, so no method should be expected to reach -1. A blank map for the asked class, or one that is
    the same everywhere, does not count; a blank one for another class is as unlike as can be told: 0.

    Raises InputError for another measure, MissingPackageError for SSIM where scikit-image is not installed.

    >>> import numpy as np
    >>> class_sensitivity().compute(np.asarray([0.5, 2.0]))
    0.25
    """
    return likeness(by, lambda case: case.others)
