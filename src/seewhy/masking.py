"""Masks and what is read off them: pure array maths for the methods that perturb."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace, device

from seewhy.errors import InputError
from seewhy.maps import interpolation, to_numpy, upsample
from seewhy.options import check_count, per_axis
from seewhy.types import Activations, Array, Float, Rows

ROUNDING = 32
"""Differences of fewer units in the last place than this are taken for rounding: two passes differ by as much."""
PARTS = 8
"""Unless told, a window is an eighth of the image long."""


# ---- masks -----------------------------------------------------------------------------------------------


def min_max(rows: Float[Array, "m *s"]) -> Float[Array, "m *s"]:
    """Each row scaled to [0, 1] by its own lowest and highest value; zeros where they are the same.

    >>> min_max(np.asarray([[2.0, 3.0, 4.0], [5.0, 5.0, 5.0]])).tolist()
    [[0.0, 0.5, 1.0], [0.0, 0.0, 0.0]]
    """
    xp = array_namespace(rows)
    flat = xp.reshape(rows, (rows.shape[0], -1))
    low, high = xp.min(flat, axis=1, keepdims=True), xp.max(flat, axis=1, keepdims=True)
    spread = xp.where(high > low, high - low, xp.ones_like(low))
    return xp.reshape((flat - low) / spread, rows.shape)


def channel_masks(
    activations: Activations, of: Rows, channel: npt.NDArray[np.intp], size: Sequence[int]
) -> Float[Array, "m 1 *_"]:
    """Channels as masks of the input: upsampled, then scaled to [0, 1], once (Wang et al. 2020, section 3).

    >>> channel_masks(np.asarray([[[7.0, 7.0], [1.0, 3.0]]]), np.asarray([0]), np.asarray([1]), (4,)).tolist()
    [[[0.0, 0.25, 0.75, 1.0]]]
    """
    xp = array_namespace(activations)
    c, *s = activations.shape[1:]
    coarse = take(xp.reshape(activations, (-1, *s)), of * c + channel)
    return min_max(upsample(coarse, size))[:, None, ...]


def separable(matrices: Sequence[npt.NDArray[Any]], like: Array) -> Float[Array, "m 1 *_"]:
    """m masks, each the product of one row of every matrix (m, length): (m, 1, *lengths), of the kind of `like`.

    >>> separable([np.asarray([[0, 1]]), np.asarray([[1, 1, 0]])], np.ones(1)).tolist()
    [[[[0.0, 0.0, 0.0], [1.0, 1.0, 0.0]]]]
    """
    xp = array_namespace(like)
    masks = None
    for axis, matrix in enumerate(matrices):
        side = xp.asarray(matrix, dtype=like.dtype, device=device(like))
        side = xp.reshape(side, (len(matrix), 1, *(1,) * axis, -1, *(1,) * (len(matrices) - axis - 1)))
        masks = side if masks is None else masks * side
    return masks


def windows_over(
    size: Sequence[int], window: int | Sequence[int] | None, stride: int | Sequence[int] | None
) -> list[npt.NDArray[np.float64]]:
    """Which positions the windows along each axis cover: 1 or 0, (windows, length) for each.

    Unless told, a window is an eighth of the image long and moves by half its length; the last is cut off at the
    border. Raises InputError for windows that do not fit or leave a pixel out.

    >>> [side.tolist() for side in windows_over((3,), 2, 2)]
    [[[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]]
    """
    axes = len(size)
    sides = per_axis("window", window if window is not None else [max(-(-one // PARTS), 1) for one in size], axes)
    moves = per_axis("stride", stride if stride is not None else [max(side // 2, 1) for side in sides], axes)
    if any(move > side for move, side in zip(moves, sides, strict=True)):
        raise InputError(f"expected a stride of at most the window, which leaves no pixel out, got {moves} for {sides}")
    if any(side > length for side, length in zip(sides, size, strict=True)):
        raise InputError(f"expected a window within the image of {tuple(size)}, got {sides}")
    return [_covers(*axis) for axis in zip(size, sides, moves, strict=True)]


def _covers(length: int, side: int, move: int) -> npt.NDArray[np.float64]:
    starts = np.arange(-(-(length - side) // move) + 1) * move
    apart = np.arange(length) - starts[:, None]
    return ((apart >= 0) & (apart < side)).astype(np.float64)


def shifted(
    grids: npt.NDArray[np.bool_], shifts: npt.NDArray[np.intp], size: Sequence[int], like: Array
) -> Float[Array, "m 1 *_"]:
    """Grids (m, *cells) laid on one cell more than `size` takes, bilinear, and cut to it where the shifts (m, axes) say
    (Petsiuk et al. 2018, section 3.2): masks (m, 1, *size) in [0, 1], of the kind of `like`.

    >>> shifted(np.asarray([[False, True]]), np.asarray([[1]]), (4,), np.ones(1)).round(2).tolist()
    [[[0.0, 0.33, 0.67, 1.0]]]
    """
    xp = array_namespace(like)
    masks = xp.asarray(grids, dtype=like.dtype, device=device(like))[:, None, ...]
    for axis, (length, cells) in enumerate(zip(size, grids.shape[1:], strict=True)):
        large = (cells + 1) * cell_length(length, cells)
        rows = shifts[:, axis, None] + np.arange(length)  # (m, length)
        matrices = interpolation(cells, large, 0, large)[rows]  # (m, length, cells)
        matrices = xp.asarray(matrices, dtype=like.dtype, device=device(like))
        last = xp.moveaxis(masks, axis + 2, -1)
        flat = xp.reshape(last, (last.shape[0], -1, cells))
        laid = xp.matmul(flat, xp.permute_dims(matrices, (0, 2, 1)))
        masks = xp.moveaxis(xp.reshape(laid, (*last.shape[:-1], length)), -1, axis + 2)
    return masks


def cell_length(length: int, cells: int) -> int:
    """Pixels of one cell, where `cells` of them are to cover `length` pixels."""
    return -(-length // cells)


# ---- channels --------------------------------------------------------------------------------------------


def varying(activations: Activations) -> npt.NDArray[np.bool_]:
    """(n, c): True where a channel is not the same at all positions, beyond rounding.

    >>> varying(np.asarray([[[0.0, 0.0], [1.0, 1.0], [1.0, 2.0]]])).tolist()
    [[False, False, True]]
    """
    xp = array_namespace(activations)
    flat = xp.reshape(activations, (*activations.shape[:2], -1))
    low, high = xp.min(flat, axis=-1), xp.max(flat, axis=-1)
    largest = xp.max(xp.abs(flat), axis=-1)
    return np.asarray(to_numpy(high - low > ROUNDING * xp.finfo(flat.dtype).eps * largest), np.bool_)


def most_varying(activations: Activations, channels: int | None) -> npt.NDArray[np.bool_]:
    """(n, c): True for the channels whose activations vary most over the positions (their variance); None: for all.

    >>> most_varying(np.asarray([[[0.0, 1.0], [0.0, 3.0], [5.0, 5.0]]]), 1).tolist()
    [[False, True, False]]
    """
    n, c = activations.shape[:2]
    if channels is None:
        return np.ones((n, c), np.bool_)
    check_count("channels", channels)
    xp = array_namespace(activations)
    variance = to_numpy(xp.var(xp.reshape(activations, (n, c, -1)), axis=-1))
    first = np.argsort(-variance, axis=1, kind="stable")[:, :channels]
    chosen = np.zeros((n, c), np.bool_)
    np.put_along_axis(chosen, first, True, axis=1)
    return chosen


def by_channel(values: Float[Array, "m k"], of: Rows, channel: npt.NDArray[np.intp], n: int, c: int) -> Array:
    """Values (m, k) of some channels as (n, k, c); zero for the channels that have none.

    >>> by_channel(np.asarray([[5.0]]), np.asarray([0]), np.asarray([1]), 1, 3).tolist()
    [[[0.0, 5.0, 0.0]]]
    """
    xp = array_namespace(values)
    place = np.full((n, c), len(of))
    place[of, channel] = np.arange(len(of))
    none = xp.zeros((1, values.shape[1]), dtype=values.dtype, device=device(values))
    padded = xp.concat([values, none], axis=0)
    return xp.permute_dims(xp.reshape(take(padded, place.ravel()), (n, c, -1)), (0, 2, 1))


def softmax(scores: Float[Array, "n k c"], chosen: npt.NDArray[np.bool_]) -> Float[Array, "n k c"]:
    """exp(scores) over the channels that were chosen (n, c), scaled so that they add up to 1; zero for the others.

    >>> softmax(np.asarray([[[1.0, 1.0, 9.0]]]), np.asarray([[True, True, False]])).tolist()
    [[[0.5, 0.5, 0.0]]]
    """
    xp = array_namespace(scores)
    among = xp.asarray(chosen, device=device(scores))[:, None, :]
    held = xp.where(among, scores, xp.full_like(scores, -xp.inf))
    powers = xp.exp(held - xp.max(held, axis=-1, keepdims=True))
    return powers / xp.sum(powers, axis=-1, keepdims=True)


# ---- rows ------------------------------------------------------------------------------------------------


def take(array: Array, rows: npt.NDArray[Any]) -> Array:
    """Rows of an array along its first axis, by NumPy indices."""
    xp = array_namespace(array)
    return xp.take(array, xp.asarray(rows, device=device(array)), axis=0)


def images_of(images: Array, of: Rows) -> Array:
    """The image of each row; a single one is not copied, since it fits all rows."""
    return images if images.shape[0] == 1 else take(images, of)


def column(values: npt.NDArray[np.float64], like: Array) -> Array:
    """One number for each row (m,), as (m, 1, ...) of the kind and the number of axes of `like`."""
    xp = array_namespace(like)
    shaped = np.reshape(values, (-1, *[1] * (like.ndim - 1)))
    return xp.asarray(shaped, dtype=like.dtype, device=device(like))


def shares(of: Rows, n: int, like: Array, weights: float | npt.NDArray[np.float64] = 1.0) -> Float[Array, "n m"]:
    """The weights of rows, for each image; zero for the rows of other images. Of the kind of `like`.

    >>> shares(np.asarray([0, 1, 0]), 2, np.ones(1), np.asarray([1.0, 2.0, 3.0])).tolist()
    [[1.0, 0.0, 3.0], [0.0, 2.0, 0.0]]
    """
    each = np.where(of == np.arange(n)[:, None], weights, 0.0)
    return array_namespace(like).asarray(each, dtype=like.dtype, device=device(like))


def row_bytes(array: Array) -> int:
    """The bytes of one row of an array."""
    return int(prod(array.shape[1:]) * array_namespace(array).finfo(array.dtype).bits // 8)


def settle(differences: Array, size: Array) -> Array:
    """Differences between numbers of this size, with those that are no more than rounding set to zero.

    >>> settle(np.asarray([1e-15, 0.5]), np.asarray([1.0, 1.0])).tolist()
    [0.0, 0.5]
    """
    xp = array_namespace(differences)
    small = xp.abs(differences) <= ROUNDING * xp.finfo(differences.dtype).eps * xp.abs(size)
    return xp.where(small, xp.zeros_like(differences), differences)
