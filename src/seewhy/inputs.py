"""From what a user passes to the model's input, and where each image lies on its photo."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from seewhy.adapter import Adapter
from seewhy.augment import Variation
from seewhy.errors import InputError, SeewhyWarning
from seewhy.images import is_photo, open_photos
from seewhy.preprocess import Geometry, Locator, Preprocess
from seewhy.view import View


@dataclass(frozen=True)
class Inputs:
    """A placed batch."""

    placed: Any
    """As the model takes it."""
    views: tuple[View, ...]
    ready: bool
    """Was it a ready batch, and no photos?"""


def prepare(
    adapter: Adapter, net: Any, preprocess: Preprocess | Locator | None, model_name: str, images: Any
) -> Inputs:
    """The model's input, and for each image where it lies on its photo."""
    if isinstance(images, np.ndarray) and images.ndim == 4 and images.dtype == np.uint8:
        images = list(images)  # photos (n, h, w, 3)
    if adapter.is_batch(net, images):
        placed = adapter.place(net, images)
        n, space = adapter.size(placed)
        whole = Geometry(space, tuple((0.0, float(length)) for length in space))
        pictures = adapter.pictures(placed)
        return Inputs(placed, tuple(View(whole, None, partial(pictures, i)) for i in range(n)), True)
    photos = open_photos([images] if is_photo(images) else _as_list(images))
    if preprocess is None:
        raise InputError(
            f"{model_name} does not say how a photo becomes its input: pass "
            "preprocess=seewhy.Preprocess(size=..., mean=..., std=...), preprocess='imagenet', or your own "
            "transform; on the command line --model python:MODULE:FACTORY, a function that returns a "
            "seewhy.VisionModel with one; or pass a ready batch, with an axis for its images"
        )
    arrays, geometries = zip(*map(preprocess, photos), strict=True)
    if len({array.shape for array in arrays}) > 1:
        shapes = sorted({array.shape for array in arrays})
        raise InputError(f"the preprocess made inputs of different shapes {shapes}: explain these photos one by one")
    placed = adapter.place_photos(net, np.stack(arrays))
    return Inputs(placed, tuple(View(g, p) for g, p in zip(geometries, photos, strict=True)), False)


def warn_of_range(preprocess: Any, model_name: str, image: npt.NDArray[np.float32]) -> None:
    """Say where a ready batch does not look like what the model takes: its answers would mean nothing."""
    if not isinstance(preprocess, Preprocess):
        return
    if np.isfinite(image).all() and (words := preprocess.strange(image)) is not None:
        warnings.warn(f"the inputs of {model_name} {words}: prepare them", SeewhyWarning, stacklevel=5)


def varied(adapter: Adapter, net: Any, placed: Any, ways: Sequence[Variation]) -> Any:
    """The batch shown in each of these ways: v blocks of n images."""
    n, _ = adapter.size(placed)
    picture = adapter.pictures(placed)
    images = np.stack([picture(i) for i in range(n)])
    shown = np.concatenate([way.show(images) for way in ways])
    return adapter.vary(net, placed, shown, np.tile(np.arange(n), len(ways)))


def _as_list(images: Any) -> list[Any]:
    if not isinstance(images, list | tuple):
        raise InputError(
            f"expected a photo (path, bytes, PIL image, array), a list of photos, or a ready batch in the "
            f"model's own tensors, got {type(images).__name__}"
        )
    if not images:
        raise InputError("the list of images is empty")
    return list(images)
