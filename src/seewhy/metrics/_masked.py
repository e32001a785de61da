"""What the model makes of the highlighted part of a photo."""

import numpy as np
import numpy.typing as npt

from seewhy.maps import scale
from seewhy.measure import Case


def scaled(case: Case) -> npt.NDArray[np.float32]:
    """The map divided by its maximum, (*s): all zeros where it is blank."""
    return scale(case.evidence, 0.0, float(case.evidence.max()))


def masked_probability(case: Case) -> float:
    """The target's probability where the photo is multiplied with its map in [0, 1]."""
    return _shown(case, scaled(case))


def rest_probability(case: Case) -> float:
    """The target's probability where the photo is multiplied with 1 - its map in [0, 1]."""
    return _shown(case, 1 - scaled(case))


def _shown(case: Case, mask: npt.NDArray[np.float32]) -> float:
    return float(case.model(np.asarray(case.image * mask, np.float32)[None])[0])
