"""Noisy copies of images, for methods that average over them."""

from collections.abc import Iterator

import numpy as np
from array_api_compat import array_namespace, device

from seewhy.types import Array, Float, Rows

_AT_ONCE = 4
"""How many images of a small batch go through the model at once; of a larger one all, as in the first pass."""


def noisy(
    images: Float[Array, "n c *s"], samples: int, noise: float, seed: int
) -> Iterator[tuple[Float[Array, "m c *s"], Rows]]:
    """Copies with normal noise of deviation `noise` times each image's range (max - min), and whose copies they are.

    One sample after another, each of the whole batch, some samples at a time. Sample t of every photo gets the same
    draw, which depends on the seed and t alone.
    """
    xp = array_namespace(images)
    n, shape = images.shape[0], images.shape[1:]
    flat = xp.reshape(images, (n, -1))
    deviation = noise * (xp.max(flat, axis=1) - xp.min(flat, axis=1))
    deviation = xp.reshape(deviation, (n, *[1] * len(shape)))
    step = max(1, _AT_ONCE // n)
    for start in range(0, samples, step):
        copies = []
        for t in range(start, min(start + step, samples)):
            drawn = np.random.default_rng([seed, t]).standard_normal(shape)
            copies.append(images + deviation * xp.asarray(drawn, dtype=images.dtype, device=device(images)))
        yield xp.concat(copies, axis=0), np.tile(np.arange(n, dtype=np.intp), len(copies))
