"""Noisy linear imputation: pixels taken away are made up from their neighbours (Rong et al. 2022)."""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from seewhy.metrics._variants import Images

SIDE, CORNER = 1 / 6, 1 / 12
"""What the four neighbours at the sides of a pixel, and the four at its corners, count for."""
LEAF = 16
"""Pixels that are not divided further."""


def imputed(image: Images, missing: npt.NDArray[np.bool_]) -> Images:
    """The image (c, h, w) with each missing pixel (h, w) as the weighted mean of its neighbours.

        x_p = sum over neighbours q of w_pq x_q / sum over neighbours q of w_pq

    with 1/6 for the neighbours at its sides and 1/12 for those at its corners; outside the image there are none. One
    sparse linear solve for all channels; at least one pixel must be known.

    >>> imputed(np.asarray([[[1.0, 9.0, 3.0]]], np.float32), np.asarray([[False, True, False]])).tolist()
    [[[1.0, 2.0, 3.0]]]
    """
    from scipy.sparse.linalg import splu  # here, so that `import seewhy` stays quick

    order, laplacian = _grid(*missing.shape)
    pixels = image.reshape(len(image), -1).T[order].astype(np.float64)  # (h * w, c)
    gone = missing.ravel()[order]
    (rows,) = np.nonzero(gone)
    if not rows.size:
        return image.copy()
    system = laplacian[:, rows][rows]
    known = -(laplacian @ np.where(gone[:, None], 0.0, pixels))[rows]
    # symmetric, diagonally dominant, and in an order that leaves few entries to fill in: no pivots are looked for;
    # columns one by one, as most are too short for panels to pay
    solver = splu(system, permc_spec="NATURAL", diag_pivot_thresh=0.0, panel_size=1, options={"SymmetricMode": True})
    pixels[rows] = solver.solve(known)
    filled = np.empty_like(image).reshape(len(image), -1)
    filled[:, order] = pixels.T
    return filled.reshape(image.shape)


@lru_cache(maxsize=4)
def _grid(height: int, width: int) -> tuple[npt.NDArray[np.intp], Any]:
    """An order of all pixels, and the matrix D - W in that order: W the neighbours' weights, D their sums."""
    from scipy.sparse import coo_array, diags_array

    order = _dissected(height, width)
    place = np.empty(order.size, np.int32)  # the solver's own kind of index
    place[order] = np.arange(order.size)
    grid = place.reshape(height, width)
    pairs = [
        (grid[:, 1:], grid[:, :-1], SIDE),
        (grid[1:], grid[:-1], SIDE),
        (grid[1:, 1:], grid[:-1, :-1], CORNER),
        (grid[1:, :-1], grid[:-1, 1:], CORNER),
    ]
    one = np.concatenate([a.ravel() for a, _, _ in pairs])
    other = np.concatenate([b.ravel() for _, b, _ in pairs])
    weights = np.concatenate([np.full(a.size, weight) for a, _, weight in pairs])
    near = coo_array(
        (np.concatenate([weights, weights]), (np.concatenate([one, other]), np.concatenate([other, one]))),
        shape=(order.size, order.size),
    ).tocsc()
    return order, (diags_array(near.sum(axis=1)) - near).tocsc()


def _dissected(height: int, width: int) -> npt.NDArray[np.intp]:
    """All pixels, halves first and the line between them last, the halves alike (George 1973: nested dissection)."""
    found: list[npt.NDArray[np.intp]] = []

    def divide(block: npt.NDArray[np.intp]) -> None:
        if block.size <= LEAF or max(block.shape) < 3:
            found.append(block.ravel())
            return
        block = block if len(block) >= len(block.T) else block.T
        middle = len(block) // 2
        divide(block[:middle])
        divide(block[middle + 1 :])
        found.append(block[middle])

    divide(np.arange(height * width).reshape(height, width))
    return np.concatenate(found)
