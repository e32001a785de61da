"""Changed copies of a photo, and what the model makes of them: in chunks, whatever their number."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from seewhy.measure import Asked, Case
from seewhy.stream import slices

CHUNK = 128 * 2**20
"""Bytes of changed copies that are held at once; how many the model takes at a time is the model's affair."""

Images = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def answers(
    case: Case, total: int, build: Callable[[slice], Images], asked: Asked = "probability"
) -> npt.NDArray[np.float64]:
    """What the model says of each of `total` changed copies, (total,); `build` makes those of a slice (m, c, *s)."""
    chunks = max(-(-total * case.image.nbytes // CHUNK), 1)
    rows = max(-(-total // chunks), 1)  # all chunks of a size: no pass for a last few
    found = [case.model(build(part), asked) for part in slices(total, rows)]
    return np.concatenate([np.zeros(0), *found])


def mixed(shown: Mask, image: Images, other: Images | float) -> Images:
    """The image (c, *s) where each mask (m, *s) is True, and the other elsewhere: (m, c, *s)."""
    return np.where(shown[:, None], image, np.asarray(other, np.float32))


def ranks(evidence: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
    """The place of each pixel from the strongest, 0, to the weakest; of equal ones the first in reading order is first.

    >>> ranks(np.asarray([[0.0, 3.0], [3.0, 1.0]], np.float32)).tolist()
    [[3, 0], [1, 2]]
    """
    places = np.empty(evidence.size, np.intp)
    places[np.argsort(-evidence.ravel(), kind="stable")] = np.arange(evidence.size)
    return places.reshape(evidence.shape)
