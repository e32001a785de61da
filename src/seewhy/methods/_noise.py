"""Normal noise for methods that average over it."""

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace, device

from seewhy.types import Array


def noise(seed: int, numbers: npt.NDArray[np.intp], shape: tuple[int, ...], like: Array) -> Array:
    """A draw of this shape for each row of numbers (m, d): (m, *shape), of the kind of `like`.

    It depends on the seed and the row's numbers alone, not on what else is drawn: so a map depends neither on what else
    is in its batch nor on how the work is cut into chunks.

    >>> rows = noise(0, np.asarray([[3], [4], [3]]), (2,), np.ones(1))
    >>> rows.shape, bool((rows[0] == rows[2]).all()), bool((rows[0] == rows[1]).any())
    ((3, 2), True, False)
    """
    rows = [(seed, *row) for row in numbers.tolist()]
    drawn = {row: np.random.default_rng(row).standard_normal(shape, np.float32) for row in set(rows)}
    return array_namespace(like).asarray(np.stack([drawn[row] for row in rows]), dtype=like.dtype, device=device(like))


def deviation(images: Array, share: float) -> Array:
    """A share of each image's range, (n, 1, ...).

    >>> deviation(np.asarray([[[0.0, 4.0]], [[1.0, 3.0]]]), 0.5).tolist()
    [[[2.0]], [[1.0]]]
    """
    xp = array_namespace(images)
    flat = xp.reshape(images, (images.shape[0], -1))
    return xp.reshape(share * (xp.max(flat, axis=1) - xp.min(flat, axis=1)), (-1, *[1] * (images.ndim - 1)))
