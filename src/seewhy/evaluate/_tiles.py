"""Grids of four photos, for metrics that need no annotation: the truth is the cell of each photo."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from seewhy.maps import Box, interpolation
from seewhy.measure import Truth


def groups(classes: Sequence[int | None]) -> Iterator[list[int]]:
    """Groups of four photos of four different classes, each photo in one group at most, in order.

    >>> list(groups([3, 3, 5, 7, None, 9, 11]))
    [[0, 2, 3, 5]]
    """
    left = [i for i, index in enumerate(classes) if index is not None]
    while True:
        group: list[int] = []
        for i in left:
            if len(group) < 4 and classes[i] not in {classes[member] for member in group}:
                group.append(i)
        if len(group) < 4:
            return
        left = [i for i in left if i not in group]
        yield group


def tile(images: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Four inputs (c, h, w) as one of the same size, each at half its height and width: two above, two below."""
    _, h, w = images[0].shape
    halves = [_resized(image, (part, other)) for image, (part, other) in zip(images, _sizes(h, w), strict=True)]
    above, below = np.concatenate(halves[:2], axis=2), np.concatenate(halves[2:], axis=2)
    return np.concatenate([above, below], axis=1)


def cells(h: int, w: int) -> list[Truth]:
    """Where each of the four lies on the grid, on the input's pixels."""
    top, left = h // 2, w // 2
    boxes = [Box(0, 0, left, top), Box(left, 0, w, top), Box(0, top, left, h), Box(left, top, w, h)]
    return [Truth((box,)) for box in boxes]


def _sizes(h: int, w: int) -> list[tuple[int, int]]:
    return [(box.bottom - box.top, box.right - box.left) for truth in cells(h, w) for box in truth.boxes]


def _resized(image: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """The mean of the pixels that fall on each pixel of the smaller image."""
    down, across = (_means(have, want) for have, want in zip(image.shape[1:], size, strict=True))
    return np.asarray(down @ image @ across.T, np.float32)


def _means(have: int, want: int) -> npt.NDArray[np.float64]:
    fine = interpolation(want, have, 0.0, float(have)).T  # (want, have): each pixel's share in the smaller ones
    return np.asarray(fine / fine.sum(axis=1, keepdims=True), np.float64)
