"""Test-time augmentation: show each image in several ways, lay the maps back, and take their mean."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace, device

from seewhy.errors import InputError, unknown
from seewhy.maps import covered, upsample
from seewhy.types import Array, Float, Maps

ZOOMS = (1 / 1.2, 1.2)
"""How much larger an image is shown under "scales", beside its own size."""
SAMPLES, NOISE = 8, 0.1
"""Under "noise": how many noisy images, and their deviation as a share of the image's range."""

Images: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Variation:
    """One way to show images (n, c, *s), and the way back for their maps (n, k, *s)."""

    show: Callable[[Images], Images]
    back: Callable[[Maps], Maps]
    """Positions that it says nothing about become zero."""
    seen: Callable[[Sequence[int]], npt.NDArray[np.bool_]]
    """Which positions (*s) of a map it says something about."""
    moves: bool = True
    """Do things lie elsewhere in the image then?"""


def variations(augment: str | Sequence[str]) -> list[Variation]:
    """The ways to show an image; the first shows it as it is.

    "flips": also mirrored along its last axis, left to right. "scales": also 1.2 times smaller and larger about its
    centre, in a frame of the same size; what the smaller one leaves free is 0. "noise": eight more images with normal
    noise of a tenth of the image's range, which does not depend on what else is in the batch. Several are combined,
    each with each. Raises InputError for none, UnknownNameError for others.
    """
    kinds = [augment] if isinstance(augment, str) else list(augment)
    if not kinds:
        raise InputError(f"expected augment= as one or several of {', '.join(_KINDS)}, got none")
    for kind in kinds:
        if kind not in _KINDS:
            raise unknown("augmentation", kind, _KINDS)
    return [reduce(_then, chain, _SAME) for chain in product(*(_KINDS[kind]() for kind in dict.fromkeys(kinds)))]


def mean(maps: Float[Array, "vn k *s"], ways: Sequence[Variation]) -> Maps:
    """The mean of maps (v * n, k, *s), one block of n for each variation, each laid back to where it belongs."""
    xp = array_namespace(maps)
    n, space = maps.shape[0] // len(ways), maps.shape[2:]
    total: Any = sum(way.back(maps[v * n : (v + 1) * n]) for v, way in enumerate(ways))
    count = np.sum([way.seen(space) for way in ways], axis=0)
    return total / xp.asarray(count, dtype=maps.dtype, device=device(maps))


def _then(first: Variation, second: Variation) -> Variation:
    return Variation(
        lambda images: second.show(first.show(images)),
        lambda maps: first.back(second.back(maps)),
        lambda space: np.logical_and(first.seen(space), second.seen(space)),
        first.moves or second.moves,
    )


def _everywhere(space: Sequence[int]) -> npt.NDArray[np.bool_]:
    return np.ones(tuple(space), np.bool_)


_SAME = Variation(lambda images: images, lambda maps: maps, _everywhere, moves=False)


def _flips() -> list[Variation]:
    def back(maps: Maps) -> Maps:
        return array_namespace(maps).flip(maps, axis=-1)

    return [_SAME, Variation(lambda images: np.flip(images, -1).copy(), back, _everywhere)]


def _scales() -> list[Variation]:
    return [_SAME, *map(_zoom, ZOOMS)]


def _zoom(factor: float) -> Variation:
    def region(space: Sequence[int], factor: float) -> list[tuple[float, float]]:
        return [(length / 2 * (1 - factor), length / 2 * (1 + factor)) for length in space]

    return Variation(
        lambda images: np.asarray(upsample(images, images.shape[2:], region(images.shape[2:], factor)), np.float32),
        lambda maps: upsample(maps, maps.shape[2:], region(maps.shape[2:], 1 / factor)),
        lambda space: covered(space, region(space, 1 / factor)),
    )


def _noise() -> list[Variation]:
    return [
        _SAME,
        *(Variation(_Noisy(sample), lambda maps: maps, _everywhere, moves=False) for sample in range(SAMPLES)),
    ]


@dataclass(frozen=True)
class _Noisy:
    sample: int

    def __call__(self, images: Images) -> Images:
        drawn = np.random.default_rng(self.sample).standard_normal(images.shape[1:], np.float32)
        ranges = [float(image.max() - image.min()) for image in images]
        return images + drawn * (NOISE * np.asarray(ranges, np.float32)).reshape(-1, *[1] * drawn.ndim)


_KINDS: dict[str, Callable[[], list[Variation]]] = {"flips": _flips, "scales": _scales, "noise": _noise}
