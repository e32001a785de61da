"""The map of the same method and target in other images."""

import numpy as np
import numpy.typing as npt

from seewhy.errors import InputError
from seewhy.measure import Case
from seewhy.metrics._correlation import is_even, pearson
from seewhy.metrics._masked import scaled


def explained(case: Case, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The evidence in m other images (m, c, *s), by the same method for the same target: (m, *s)."""
    if case.explain is None:
        raise InputError("this metric explains other images too, and this case says only what one map is")
    return np.asarray(case.explain(images), np.float64)


def coherence(case: Case) -> float:
    """How much the map of the highlighted part is the map of the photo: their Pearson correlation, from 0 to 1.

    0 where it is not defined, for one of the two is the same everywhere.
    """
    shown = scaled(case)
    if not shown.any():
        return 0.0
    again = explained(case, np.asarray(case.image * shown, np.float32)[None])[0]
    if is_even(case.evidence) or is_even(again):
        return 0.0
    return (pearson(case.evidence, again) + 1) / 2
