"""Batches for Keras models: what is one, what shape the model wants, and its images as pictures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from array_api_compat import is_torch_array

from seewhy.adapters._keras_layers import channels_last, check
from seewhy.errors import InputError
from seewhy.maps import to_numpy
from seewhy.outputs import is_array


@dataclass(frozen=True)
class Batch:
    """Inputs in the model's own layout."""

    inputs: Any
    """A tensor, or a list or dict of them, as the model is called with."""
    image: Any
    """The first input with spatial axes."""
    space: tuple[int, ...]
    channels_last: bool


def is_batch(net: Any, images: object) -> bool:
    """A tensor, of any framework, a NumPy array of as many axes as the model's input, or several of them."""
    if isinstance(images, np.ndarray):
        return images.ndim > 3 or images.ndim == _rank(net)
    if isinstance(images, Mapping):
        return bool(images)
    if isinstance(images, list | tuple):  # of arrays with two or three axes it may be photos
        return any(is_array(v) and (len(v.shape) > 3 or not isinstance(v, np.ndarray)) for v in images)
    return is_array(images)


def _rank(net: Any) -> int | None:
    """How many axes the one input of a signal model has, where it is known."""
    inputs: Any = getattr(net, "inputs", None) or ()
    return len(inputs[0].shape) if len(inputs) == 1 else None


def place(net: Any, inputs: Any) -> Batch:
    """Inputs as tensors of the backend, floating ones in the precision of the model's weights."""
    check(net)
    floats = precision(net)

    def move(value: Any) -> Any:
        try:
            if is_torch_array(value) and not keras.ops.is_tensor(value):
                value = to_numpy(value.detach())
            array = value if keras.ops.is_tensor(value) else np.asarray(value)
            if (isinstance(array, np.ndarray) and array.dtype.kind in "OSUMm") or "complex" in str(array.dtype):
                raise TypeError(f"no real numbers, but {array.dtype}")
            floating = "float" in str(array.dtype)
            return keras.ops.convert_to_tensor(array, dtype=floats if floating else None)
        except (TypeError, ValueError) as error:
            kind = f"{type(value).__name__} of {value.dtype}" if is_array(value) else type(value).__name__
            raise InputError(f"expected arrays of real numbers as the model's inputs, got {kind}") from error

    placed: Any
    if isinstance(inputs, Mapping):
        placed = {key: move(value) for key, value in inputs.items()}
    elif isinstance(inputs, list | tuple):
        placed = [move(value) for value in inputs]
    else:
        placed = move(inputs)
    placed = _fitted(net, placed)
    image = _image_of(placed)
    _check_finite(image)
    last = channels_last(net)[""]
    space = tuple(image.shape[1:-1] if last else image.shape[2:])
    return Batch(placed, image, tuple(int(length) for length in space), last)


def precision(net: Any) -> str:
    """The precision of the model's weights."""
    return str(next((v.dtype for v in net.weights if "float" in v.dtype), keras.config.floatx()))


def place_photos(net: Any, photos: npt.NDArray[np.float32]) -> Batch:
    """Prepared photos (n, c, h, w) as the batch that the model takes."""
    check(net)
    return place(net, np.moveaxis(photos, 1, -1) if channels_last(net)[""] else photos)


def size(batch: Batch) -> tuple[int, tuple[int, ...]]:
    """The number of images, and the spatial axes of the first input that has some."""
    return int(batch.image.shape[0]), batch.space


@dataclass(frozen=True)
class Pictures:
    """Image i of a batch, as NumPy (c, *s)."""

    batch: Batch

    def __call__(self, i: int) -> npt.NDArray[np.float32]:
        values = np.asarray(keras.ops.convert_to_numpy(self.batch.image[i]), np.float32)
        return np.moveaxis(values, -1, 0) if self.batch.channels_last else values


def _values(inputs: Any) -> list[Any]:
    if isinstance(inputs, Mapping):
        return list(inputs.values())
    return list(inputs) if isinstance(inputs, list) else [inputs]


def _image_of(inputs: Any) -> Any:
    values = _values(inputs)
    image = next((v for v in values if len(v.shape) >= 3), None)
    if image is None:
        shapes = [tuple(v.shape) for v in values]
        raise InputError(f"expected a batch with spatial axes, such as images (n, h, w, c), got {shapes}")
    if image.shape[0] == 0:
        raise InputError(f"the batch is empty: shape {tuple(image.shape)}")
    return image


def _check_finite(image: Any) -> None:
    """Raise InputError where values are NaN or infinite: some backends make zeros of them on the way."""
    if not bool(keras.ops.all(keras.ops.isfinite(image))):
        n = image.shape[0]
        bad = [i for i in range(n) if not bool(keras.ops.all(keras.ops.isfinite(image[i])))]
        which = f"images {bad} of the batch of {n} hold" if len(bad) > 1 else f"image {bad} of the batch of {n} holds"
        raise InputError(f"{which} NaN or infinite values")


def _fitted(net: Any, inputs: Any) -> Any:
    """The inputs in the structure that the model was built on; InputError where they do not fit what it says."""
    values = _values(inputs)
    counts = {value.shape[0] for value in values if len(value.shape)}
    if len(counts - {1}) > 1:
        shapes = ", ".join(str(tuple(value.shape)) for value in values)
        raise InputError(f"expected as many images in each of the model's inputs, got {shapes}")
    wanted: Any = getattr(net, "inputs", None) or ()  # subclassed models say nothing
    if not wanted:
        return inputs
    names = [tensor.name for tensor in wanted]
    structure = net.input if isinstance(net, keras.Function) else wanted[0]  # a Sequential has one
    if isinstance(structure, Mapping):  # the model was built on a dict with keys of its own
        keys = {id(tensor): str(key) for key, tensor in structure.items()}
        names = [keys.get(id(tensor), tensor.name) for tensor in wanted]
    named = isinstance(inputs, Mapping)
    if len(values) != len(wanted) or (named and set(inputs) != set(names)):
        given = f" ({', '.join(map(str, inputs))})" if named else ""
        raise InputError(
            f"the model takes {len(wanted)} input{'s' * (len(wanted) != 1)} ({', '.join(names)}), "
            f"got {len(values)}{given}: "
            "pass a tuple in this order, or a dict by these names"
        )
    values = [inputs[name] for name in names] if named else values
    for tensor, value in zip(wanted, values, strict=True):
        shape, came = tuple(tensor.shape), tuple(value.shape)
        if len(shape) == len(came) and all(w in (None, g) for w, g in zip(shape, came, strict=True)):
            continue
        raise InputError(f"expected {tensor.name} as {_said(shape)}, got {came}{_hint(shape, came)}")
    return keras.tree.pack_sequence_as(structure, values)


def _said(shape: tuple[int | None, ...]) -> str:
    axes = ["n" if i == 0 else "any" if length is None else str(length) for i, length in enumerate(shape)]
    return f"({', '.join(axes)})"


def _hint(shape: tuple[int | None, ...], came: tuple[int, ...]) -> str:
    def fits(other: tuple[int, ...]) -> bool:
        return len(other) == len(shape) and all(w in (None, g) for w, g in zip(shape, other, strict=True))

    if fits((1, *came)):
        return ": for a single image write image[None]"
    if len(came) > 2 and fits((came[0], *came[2:], came[1])):
        return ": the channels come last, write np.moveaxis(batch, 1, -1)"
    if len(came) > 2 and fits((came[0], came[-1], *came[1:-1])):
        return ": the channels come first, write np.moveaxis(batch, -1, 1)"
    return ": resize the images to this, or pass photos with a preprocess that does"
