"""Parameter randomisation."""

from seewhy.measure import Metric, metric
from seewhy.metrics._similarity import likeness


@metric(paper="Adebayo et al. 2018, section 4.1, arXiv:1810.03292", better="nearest 0", needs=("randomised",))
def parameter_randomisation(*, by: str = "spearman") -> Metric:
    """How much a map stays what it was while the model's weights are drawn anew, from the output down.

        mean over r of s(L, L_r), the mean over photos

    L is the map, L_r that of the model with more and more of its layers randomised (cascading randomisation). s is
    Spearman's rank correlation ("spearman", the paper's without absolute values: maps are 0 or more) or SSIM ("ssim").
    1: the map is the same whatever the model has learnt, as an edge detector's is; about 0: it depends on the weights,
    which does not make it right. From -1 to 1; the nearest to 0 is the best, for a map that is turned round follows the
    old one too (the paper shows the correlation as it is, and names no order below 0). The mean is over all stages, and
    the first, where most of the model is whole, may well be alike; a random top keeps a part of what lies below too
    (Binder et al. 2023, arXiv:2211.12486), so compare methods on one model, and do not expect 0. A blank map, or one
    that is the same everywhere, has nothing to lose and does not count; one that turns blank has kept nothing and
    counts as 0, which a method gets too whose maps are blank for any other model. A stage whose model gives no finite
    scores does not count.

    Raises InputError for another measure, MissingPackageError for SSIM where scikit-image is not installed.

    >>> import numpy as np
    >>> parameter_randomisation().compute(np.asarray([0.5, 2.0]))
    0.25
    """
    return likeness(by, lambda case: case.randomised)
