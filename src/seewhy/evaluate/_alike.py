"""Maps of one photo side by side: on one grid, moved, disturbed; and the control that looks at no model."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seewhy.metrics._correlation import spearman

Map = npt.NDArray[Any]
Image = npt.NDArray[np.float32]


def edges(image: Image) -> Map:
    """An edge detector, which knows nothing of the model: how steep the mean of the channels is, (c, h, w) -> (h, w).

    >>> edges(np.asarray([[[0, 0, 1, 1]] * 2], np.float32))[0].tolist()
    [0.0, 0.5, 0.5, 0.0]
    """
    down, across = np.gradient(image.mean(axis=0))
    steep: Map = np.hypot(down, across)
    return steep


def on_grid(fine: Map, grid: Sequence[int]) -> Map:
    """The means of a map (h, w) over the cells of a coarser grid; along an axis that has no more positions, itself.

    >>> on_grid(np.asarray([[1, 3, 5, 7]]), (1, 2)).tolist()
    [[2.0, 6.0]]
    """
    for axis, cells in enumerate(grid):
        length = fine.shape[axis]
        if cells < length:
            starts = np.arange(cells) * length // cells
            widths = np.diff([*starts, length])
            fine = np.add.reduceat(fine, starts, axis) / np.expand_dims(widths, 1 - axis)
    return fine


def shared(a: Map, b: Map) -> float:
    """How much of their evidence two maps of one photo share: 0 nothing, 1 all; a blank map shares nothing.

        sum over positions of min(a / sum a, b / sum b)

    a and b are rectified and laid on the coarser of their grids. Positions where both are zero count for nothing,
    however many they are.

    >>> shared(np.asarray([[3.0, 1.0, 0.0]]), np.asarray([[3.0, 0.0, 1.0]]))
    0.75
    """
    grid = tuple(map(min, a.shape, b.shape))
    one, other = (on_grid(np.maximum(fine, 0), grid) for fine in (a, b))
    if not (one.any() and other.any()):
        return 0.0
    return float(np.minimum(one / one.sum(), other / other.sum()).sum())


def noisy(image: Image, share: float, count: int, seed: int) -> Image:
    """`count` copies of an image with normal noise, its deviation a share of the image's range: (count, c, h, w)."""
    drawn = np.random.default_rng(seed).standard_normal((count, *image.shape), np.float32)
    return image + drawn * np.float32(share * float(image.max() - image.min()))


def moved(image: Map, down: int, right: int) -> Map:
    """An image (..., h, w) some pixels further down and right; what is left free repeats the border.

    >>> moved(np.asarray([[1, 2, 3]]), 0, 1).tolist(), moved(np.asarray([[1, 2, 3]]), 0, -1).tolist()
    ([[1, 1, 2]], [[2, 3, 3]])
    """
    h, w = image.shape[-2:]
    return image[..., np.clip(np.arange(h) - down, 0, h - 1), :][..., np.clip(np.arange(w) - right, 0, w - 1)]


def unmoved(before: Map, after: Map, down: int, right: int) -> float:
    """Spearman's rank correlation of a map and the map of the moved image, where both have the same of the image."""
    h, w = before.shape
    rows, columns = (slice(max(0, -step), length - max(0, step)) for step, length in ((down, h), (right, w)))
    return spearman(before[rows, columns], moved(after, -down, -right)[rows, columns])


def along_border(coarse: Map) -> tuple[float, float] | None:
    """How dense a map is along the border, on its third-densest side, over its mean; and the most that can be.

    1 for an even map, and the second number for one that is a frame and nothing else. A thing in a corner lies on two
    sides only, and counts for nothing. None for a map too small to have a border and an inside.

    >>> frame = np.pad(np.zeros((2, 2)), 1, constant_values=1)
    >>> along_border(frame), along_border(np.eye(4) * [1, 0, 0, 0])[0]
    ((1.3333333333333333, 1.3333333333333333), 0.0)
    """
    if min(coarse.shape) < 4 or not coarse.any():
        return None
    frame = np.ones(coarse.shape)
    top, left = (max(1, round(length / 16)) for length in coarse.shape)
    frame[top:-top, left:-left] = 0
    sides = (np.s_[:top], np.s_[-top:], np.s_[:, :left], np.s_[:, -left:])
    density = sorted(float(coarse[side].mean()) for side in sides)[1]
    return density / float(coarse.mean()), float(1 / frame.mean())
