"""Max-sensitivity."""

from functools import partial

import numpy as np

from seewhy.errors import InputError
from seewhy.measure import Case, Metric, mean_of, metric
from seewhy.metrics._explained import explained
from seewhy.options import check_count, check_seed

_CHUNK = 16
"""Images that are changed and explained at once."""


@metric(paper="Yeh et al. 2019, arXiv:1901.09392", better="lower", needs=("explain",), passes=10)
def max_sensitivity(*, radius: float = 0.02, samples: int = 10, seed: int = 0) -> Metric:
    """How much a map can change where noise that nobody sees is added to the photo.

        max over y of |L(y) - L(x)| / |L(x)|, with every |y_i - x_i| <= radius; the mean over photos

    Euclidean norms; the largest of `samples` random y, evenly distributed, so what is found is a lower bound that
    grows with their number. `radius` is in units of the model's input (after mean and std: 0.02 is about one grey
    level of 255 on ImageNet models); 0.02 and 10 are captum's. The division by the map's own norm, as in the authors'
    code and captum's, makes maps of any size comparable. From 0 (nothing changes); no upper end. The noise is drawn
    from `seed` and the photo's: the same for all methods. A blank map has no size to compare with: it does not count.

    Raises InputError for a radius that is not above 0, a number of samples below 1, or a seed below 0.

    >>> max_sensitivity().compute(np.asarray([0.5, 2.0]))
    0.25
    """
    if isinstance(radius, bool) or not isinstance(radius, int | float) or not 0 < radius < float("inf"):
        raise InputError(f"expected radius= as a number above 0, got {radius!r}")
    check_count("samples", samples)
    check_seed(seed)
    return mean_of(partial(_largest, radius, samples, seed))


def _largest(radius: float, samples: int, seed: int, case: Case) -> float:
    size = float(np.linalg.norm(case.evidence.astype(np.float64)))
    if not size > 0:
        return float("nan")
    generator, largest = np.random.default_rng([seed, case.seed]), 0.0
    for start in range(0, samples, _CHUNK):
        shape = (min(_CHUNK, samples - start), *case.image.shape)
        noise = generator.uniform(-radius, radius, shape).astype(np.float32)
        changes = explained(case, case.image + noise) - case.evidence
        largest = max(largest, float(np.linalg.norm(changes.reshape(len(changes), -1), axis=1).max()))
    return largest / size
