"""Options of methods: what is no such number is told with what was expected, before any pass."""

from collections.abc import Sequence
from math import inf, isfinite
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace, device

from seewhy.errors import InputError
from seewhy.types import Array

Colour: TypeAlias = float | str | Sequence[float] | npt.NDArray[Any]
"""One number for all channels, one for each, or "mean": each image's own mean."""


def check_count(name: str, value: object, least: int = 1) -> None:
    """Raise InputError unless an option is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"expected {name}= as a whole number of {least} or more, got {value!r}")


def check_seed(seed: object) -> None:
    check_count("seed", seed, 0)


def number(
    name: str, value: object, what: str, *, least: float = -inf, above: float = -inf, below: float = inf
) -> float:
    """An option that is a finite number, Python's or NumPy's, within these bounds; InputError says `what` it is.

    >>> number("noise", np.float32(0.5), "a share of 0 or more", least=0)
    0.5
    """
    if isinstance(value, Real) and not isinstance(value, bool):
        found = float(value)
        if isfinite(found) and found >= least and above < found < below:
            return found
    raise InputError(f"expected {name}= as {what}, got {value!r}")


def per_axis(name: str, value: Any, axes: int) -> tuple[int, ...]:
    """An option that is one whole number for all spatial axes, or one for each.

    >>> per_axis("window", 3, 2), per_axis("window", (3, 5), 2)
    ((3, 3), (3, 5))
    """
    values = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,) * axes
    if len(values) != axes:
        raise InputError(f"expected {name}= as one whole number, or one for each of {axes} axes, got {value!r}")
    for one in values:
        check_count(name, one)
    return tuple(int(one) for one in values)


def colour(name: str, value: object, images: Array) -> Array:
    """An option that is a colour of images (n, c, *s): (1, c, *1), or (n, c, *1) where it is their mean.

    >>> colour("fill", (1, 2), np.ones((3, 2, 4, 4))).ravel().tolist()
    [1.0, 2.0]
    """
    xp = array_namespace(images)
    if isinstance(value, str) and value == "mean":
        return xp.mean(images, axis=tuple(range(2, images.ndim)), keepdims=True)
    c, ones = images.shape[1], (1,) * (images.ndim - 2)
    try:
        numbers = np.asarray(value)
    except ValueError:  # lists of several lengths
        numbers = np.asarray("")
    if numbers.dtype.kind not in "iuf" or numbers.shape not in ((), (c,)) or not np.isfinite(numbers).all():
        raise InputError(f"expected {name}= as a number, one for each of {c} channels, or 'mean', got {value!r}")
    each = np.broadcast_to(numbers.astype(np.float64), (c,)).reshape(1, c, *ones).copy()
    return xp.asarray(each, dtype=images.dtype, device=device(images))
