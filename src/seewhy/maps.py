"""Pure array maths on maps: combine, rectify, scale, upsample, segments. No framework, no picture."""

from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace, device, is_torch_array, to_device

from seewhy.types import Activations, Array, Bool, Float, Maps


def combine(weights: Float[Array, "n k c *_"], activations: Activations) -> Maps:
    """Weigh the channels and add them up: L = sum over c of w_c A_c (Selvaraju et al. 2017, eq. 2, inside ReLU).

    Weights are one number for each channel (n, k, c), or one for each channel and position (n, k, c, *s).

    >>> combine(np.ones((1, 1, 2), "f"), np.asarray([[[1, 2, 3], [10, 20, 30]]], "f")).tolist()
    [[[11.0, 22.0, 33.0]]]
    """
    xp = array_namespace(weights, activations)
    n, c, *s = activations.shape
    if weights.ndim == 3:
        flat = xp.reshape(activations, (n, c, -1))
        return xp.reshape(xp.matmul(weights, flat), (n, weights.shape[1], *s))
    return xp.sum(weights * activations[:, None, ...], axis=2)


def spatial_mean(array: Float[Array, "n k c *s"]) -> Float[Array, "n k c"]:
    """The mean over all positions: (n, k, c, *s) -> (n, k, c)."""
    xp = array_namespace(array)
    return xp.mean(xp.reshape(array, (*array.shape[:3], -1)), axis=-1)


def for_every_target(maps: Float[Array, "n *s"], k: int) -> Maps:
    """The maps of a method that looks at no class, (n, *s), once for each of k targets: (n, k, *s).

    >>> for_every_target(np.ones((2, 5, 6)), 3).shape
    (2, 3, 5, 6)
    """
    xp = array_namespace(maps)
    return xp.repeat(maps[:, None, ...], k, axis=1)


def strongest(gradients: Float[Array, "n k c *s"]) -> Maps:
    """The strongest channel at every position, of either sign: max over c of |G_c| (Simonyan et al. 2014, section 3.1).

    >>> strongest(np.asarray([[[[0.5, -1.0], [0.25, 0.0]]]])).tolist()
    [[[0.5, 1.0]]]
    """
    xp = array_namespace(gradients)
    return xp.max(xp.abs(gradients), axis=2)


def rectify(maps: Maps) -> Maps:
    """Keep what speaks for the target: max(0, L) (Selvaraju et al. 2017, eq. 2)."""
    xp = array_namespace(maps)
    return xp.where(maps > 0, maps, xp.zeros_like(maps))


def is_blank(maps: Maps) -> Bool[Array, "n k"]:
    """True where no position of a map speaks for its target."""
    xp = array_namespace(maps)
    return ~xp.any(xp.reshape(maps > 0, (*maps.shape[:2], -1)), axis=-1)


def is_zero(maps: Maps) -> Bool[Array, "n k"]:
    """True where a map is 0 at every position."""
    xp = array_namespace(maps)
    return ~xp.any(xp.reshape(maps != 0, (*maps.shape[:2], -1)), axis=-1)


def is_finite(array: Array) -> bool:
    """True where nothing is NaN or infinite."""
    xp = array_namespace(array)
    return bool(xp.all(xp.isfinite(array)))


def scale(array: npt.NDArray[Any], low: float, high: float) -> npt.NDArray[np.float32]:
    """(x - low) / (high - low), held in [0, 1]; all zeros where high is not above low."""
    if not high > low:
        return np.zeros(array.shape, np.float32)
    return np.clip((array.astype(np.float64) - low) / (high - low), 0, 1).astype(np.float32)


def scale_signed(array: npt.NDArray[Any], limit: float) -> npt.NDArray[np.float32]:
    """x / limit, held in [-1, 1]: 0 stays 0; all zeros where the limit is not above 0."""
    if not limit > 0:
        return np.zeros(array.shape, np.float32)
    return np.clip(array.astype(np.float64) / limit, -1, 1).astype(np.float32)


def upsample(maps: Array, size: Sequence[int], region: Sequence[tuple[float, float]] | None = None) -> Array:
    """Lay maps (..., *s) on a larger grid (..., *size): bilinear, half-pixel centres, R_h . map . R_w^T.

    `region` says between which edges of the new grid the maps lie, for each axis, in its pixels; all of it unless
    told. Pixels whose centre is outside become zero. Within half a cell of the border the nearest value holds.

    >>> upsample(np.asarray([[0.0, 1.0]]), (1, 4)).tolist()
    [[0.0, 0.25, 0.75, 1.0]]
    >>> upsample(np.asarray([[0.0, 1.0]]), (1, 6), ((0, 1), (2, 6))).tolist()
    [[0.0, 0.0, 0.0, 0.25, 0.75, 1.0]]
    """
    xp = array_namespace(maps)
    edges = region if region is not None else [(0.0, float(length)) for length in size]
    for axis, (length, (low, high)) in enumerate(zip(size, edges, strict=True), start=maps.ndim - len(size)):
        matrix = xp.asarray(interpolation(maps.shape[axis], length, low, high), dtype=maps.dtype, device=device(maps))
        maps = xp.moveaxis(xp.tensordot(maps, matrix, axes=([axis], [1])), -1, axis)
    return maps


def interpolation(cells: int, length: int, low: float, high: float) -> npt.NDArray[np.float64]:
    """The matrix R (length, cells) that interpolates `cells` values, spread from edge `low` to `high`, linearly."""
    centres = np.arange(length) + 0.5
    place = (centres - low) / (high - low) * cells - 0.5
    inside = (centres >= low) & (centres <= high)
    # a hat function round each cell, the outermost cells held on to the border
    hats = 1 - abs(np.clip(place, 0, cells - 1)[:, None] - np.arange(cells)[None, :])
    return np.where(inside[:, None], np.maximum(hats, 0), 0.0)


def covered(size: Sequence[int], region: Sequence[tuple[float, float]]) -> npt.NDArray[np.bool_]:
    """Which pixels of the grid lie inside the region: bool (*size)."""
    sides = [interpolation(1, length, low, high)[:, 0] > 0 for length, (low, high) in zip(size, region, strict=True)]
    return reduce(np.logical_and.outer, sides)


class Box(NamedTuple):
    """A rectangle of pixels: columns left to right - 1, rows top to bottom - 1."""

    left: int
    top: int
    right: int
    bottom: int


def segments(mask: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.bool_]]:
    """The connected parts of a mask (H, W), neighbours at corners included; the largest first."""
    from scipy import ndimage

    numbered, count = ndimage.label(mask, structure=np.ones((3, 3)))
    sizes = np.bincount(numbered.ravel())[1:]
    return [numbered == i + 1 for i in np.argsort(-sizes[:count], kind="stable")]


def boxes_around(mask: npt.NDArray[np.bool_]) -> list[Box]:
    """The smallest box around each connected part of a mask (H, W), neighbours at corners included; the largest part
    first: `box_around` each of `segments`, without a mask for each.

    >>> boxes_around(np.asarray([[1, 0, 1], [0, 0, 1]], np.bool_))
    [Box(left=2, top=0, right=3, bottom=2), Box(left=0, top=0, right=1, bottom=1)]
    """
    from scipy import ndimage

    numbered, count = ndimage.label(mask, structure=np.ones((3, 3)))
    if count == 1:  # as mostly, and found faster
        return [box_around(mask)]
    sizes = np.bincount(numbered.ravel())[1:]
    found = ndimage.find_objects(numbered)
    ordered = [found[i] for i in np.argsort(-sizes[:count], kind="stable")]
    return [Box(columns.start, rows.start, columns.stop, rows.stop) for rows, columns in ordered]


def box_around(mask: npt.NDArray[np.bool_]) -> Box:
    """The smallest box around the True pixels of a mask (H, W)."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def to_numpy(array: Array) -> npt.NDArray[Any]:
    """A detached array of any framework and device as NumPy."""
    if isinstance(array, np.ndarray):
        return array
    xp = array_namespace(array)
    if str(array.dtype).endswith("float16"):  # NumPy has no bfloat16
        array = xp.astype(array, xp.float32)
    return np.asarray(to_device(array, "cpu") if is_torch_array(array) else array)
