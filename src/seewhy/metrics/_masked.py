"""What the model makes of the highlighted part of a photo."""

import numpy as np

from seewhy.maps import scale
from seewhy.measure import Case


def masked_probability(case: Case) -> float:
    """The target's probability where the photo is multiplied with its map in [0, 1]."""
    shown = scale(case.evidence, 0.0, float(case.evidence.max()))
    return float(case.model(np.asarray(case.image * shown, np.float32)[None])[0])
