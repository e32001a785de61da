"""From outlines to pixels: polygons and run lengths as COCO has them, and masks as pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from seewhy.errors import InputError

Mask = npt.NDArray[np.bool_]


def polygon_mask(corners: Sequence[float], size: tuple[int, int]) -> Mask:
    """The pixels (H, W) whose centre lies inside a polygon x1, y1, x2, y2 ..., on the edges of pixels.

    >>> polygon_mask([1, 0, 3, 0, 3, 1, 1, 1], (2, 4)).astype(int).tolist()
    [[0, 1, 1, 0], [0, 0, 0, 0]]
    """
    from matplotlib.path import Path as Polygon

    points = np.asarray(corners, np.float64).reshape(-1, 2)
    height, width = size
    left, top = np.floor(points.min(axis=0)).astype(int).clip(0, (width, height))
    right, bottom = np.ceil(points.max(axis=0)).astype(int).clip(0, (width, height))
    rows, columns = np.mgrid[top:bottom, left:right]
    centres = np.stack([columns.ravel(), rows.ravel()], axis=1) + 0.5
    mask = np.zeros(size, np.bool_)
    if centres.size:
        closed = np.concatenate([points, points[:1]])
        mask[top:bottom, left:right] = Polygon(closed).contains_points(centres).reshape(rows.shape)
    return mask


def run_length_mask(counts: Sequence[int] | str, size: tuple[int, int]) -> Mask:
    """The pixels (H, W) of COCO's run lengths: how many are not, are, are not ... the object's, column by column.

    Counts are numbers, or the string that COCO's own tools make of them.

    >>> run_length_mask([1, 2, 1], (2, 2)).astype(int).tolist()
    [[0, 1], [1, 0]]
    >>> run_length_mask("121", (2, 2)).astype(int).tolist()
    [[0, 1], [1, 0]]
    """
    runs = np.asarray(_counts_of(counts) if isinstance(counts, str) else list(counts), np.int64)
    if (runs < 0).any() or runs.sum() != size[0] * size[1]:
        raise InputError(f"expected run lengths that add up to {size[0]} x {size[1]} pixels, got {int(runs.sum())}")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size[1], size[0]).T


def _counts_of(text: str) -> list[int]:
    """COCO's string: numbers in groups of 5 bits, the 6th says that more follow; from the third, less the one two
    before."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise InputError(f"expected COCO's run lengths as a string, got the character {character!r} in it")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        raise InputError("expected COCO's run lengths as a string, got one that is cut off")
    return counts


def picture_mask(path: Path) -> Mask:
    """The pixels (H, W) of a mask's picture that are not 0, and not transparent.

    Raises InputError where it cannot be read.
    """
    try:
        with Image.open(path) as image:
            image.load()
            seen = np.asarray(image.getchannel("A")) != 0 if "A" in image.getbands() else np.True_
            values: npt.NDArray[Any] = np.asarray(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"the mask {path} cannot be read: {error}") from error
    if values.ndim == 3:
        colours = values[..., : len(image.getbands()) - ("A" in image.getbands())]
        values = (colours != 0).any(axis=-1)
    return np.asarray((values != 0) & seen, np.bool_)
