"""Private: what a graph is traced and tried with where no images are given."""

import numpy as np
import numpy.typing as npt

COUNT = 3


def pictures(count: int = COUNT, height: int = 240, width: int = 320) -> list[npt.NDArray[np.uint8]]:
    """Coloured pictures of waves and noise (h, w, 3), always the same."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    made = []
    for _ in range(count):
        waves = sum(
            np.sin((x[..., None] * random.normal(size=3) + y[..., None] * random.normal(size=3)) / length)
            for length in (4, 15, 60)
        )
        noisy = 127.5 + 35 * waves + random.normal(0, 20, (height, width, 3))
        made.append(noisy.clip(0, 255).astype(np.uint8))
    return made
