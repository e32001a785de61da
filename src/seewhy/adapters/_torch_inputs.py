"""Batches of tensors: what is one, where it belongs, and its images as pictures."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from seewhy.errors import InputError
from seewhy.types import Rows


def is_batch(net: nn.Module, images: object) -> bool:
    """A tensor, a NumPy array of more axes than a photo has, or a tuple or dict of tensors."""
    if isinstance(images, np.ndarray):
        return images.ndim > 3
    if isinstance(images, Mapping):
        return bool(images) and any(isinstance(value, Tensor) for value in images.values())
    if isinstance(images, tuple):
        return bool(images) and any(isinstance(value, Tensor) for value in images)
    return isinstance(images, Tensor)


def place(net: nn.Module, inputs: Any) -> Any:
    """Inputs on the model's device, floating ones in the precision of its parameters."""
    like = _floats_of(net)

    def move(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            value = torch.from_numpy(value)
        if not isinstance(value, Tensor):
            return value
        if torch.is_autocast_enabled(like.device.type) or not value.is_floating_point():
            return value.to(like.device)
        return value.to(like.device, like.dtype)

    if isinstance(inputs, Mapping):
        return {key: move(value) for key, value in inputs.items()}
    return tuple(move(value) for value in inputs) if isinstance(inputs, tuple) else move(inputs)


def as_floats(net: nn.Module, images: Tensor) -> Tensor:
    """Images as floats, those that are integers in the precision of the model's parameters."""
    return images if images.is_floating_point() else images.to(dtype=_floats_of(net).dtype)


def _floats_of(net: nn.Module) -> Tensor:
    return next((p for p in chain(net.parameters(), net.buffers()) if p.is_floating_point()), torch.empty(0))


def place_photos(net: nn.Module, photos: npt.NDArray[np.float32]) -> Any:
    """Prepared photos (n, c, h, w) as the batch that the model takes."""
    return place(net, photos)


def size(inputs: Any) -> tuple[int, tuple[int, ...]]:
    """The number of images, and the spatial axes of the first input that has some."""
    image = image_of(inputs)
    return image.shape[0], tuple(image.shape[2:])


@dataclass(frozen=True)
class Pictures:
    image: Tensor
    version: int

    def __call__(self, i: int) -> npt.NDArray[np.float32]:
        if not self.image.is_inference() and self.image._version > self.version:
            raise InputError(
                "the batch was changed after it was explained, so its heatmaps cannot be drawn on it: draw "
                "them before you reuse it, or explain a copy, batch.clone()"
            )
        return cast(npt.NDArray[np.float32], self.image[i].detach().float().cpu().numpy())


def pictures(inputs: Any) -> Pictures:
    """Image i of the first input with spatial axes, as NumPy (c, *s); InputError once the batch was changed."""
    image = image_of(inputs)
    return Pictures(image, 0 if image.is_inference() else image._version)


def image_of(inputs: Any) -> Tensor:
    values = inputs.values() if isinstance(inputs, Mapping) else inputs if isinstance(inputs, tuple) else (inputs,)
    image = next((v for v in values if isinstance(v, Tensor) and v.ndim >= 3), None)
    if image is None:
        shapes = [tuple(v.shape) if isinstance(v, Tensor) else type(v).__name__ for v in values]
        raise InputError(f"expected a batch with spatial axes, such as images (n, c, h, w), got {shapes}")
    if image.shape[0] == 0:  # len would fix the number where this is traced
        raise InputError(f"the batch is empty: shape {tuple(image.shape)}")
    return image


def with_images(inputs: Any, images: Tensor, of: Rows | None) -> Any:
    """The inputs with other images in place of the first image input; `of` says which images the others go with."""
    image = image_of(inputs)

    def other(value: Any) -> Any:
        if value is image:
            return images
        if of is None or not isinstance(value, Tensor) or not value.ndim or len(value) != len(image):
            return value
        return value[torch.from_numpy(of).to(value.device)]

    if isinstance(inputs, Mapping):
        return {key: other(value) for key, value in inputs.items()}
    return tuple(map(other, inputs)) if isinstance(inputs, tuple) else other(inputs)
