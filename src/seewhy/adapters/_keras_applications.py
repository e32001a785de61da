"""Private: what keras.applications, and a Keras model's first layers, tell of the photos that it takes.

Nothing of it is a table: which models there are, and how each wants its pixels, is read from keras.applications itself.
"""

import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from inspect import isfunction
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from seewhy.imagenet import imagenet_labels
from seewhy.preprocess import Preprocess
from seewhy.vision_model import VisionModel

Application: TypeAlias = Callable[..., Any]
"""A function of keras.applications that builds a model, such as keras.applications.Xception."""


# ---- keras.applications ----------------------------------------------------------------------------------


def applications() -> dict[str, Application]:
    """Every model of keras.applications under its name, such as "Xception"."""
    import keras

    return {
        name: found
        for name, found in sorted(vars(keras.applications).items())
        if isfunction(found) and hasattr(_module(found), "preprocess_input")
    }


def preprocess_of(application: Application, size: tuple[int, int]) -> Preprocess:
    """The whole photo resized to `size`, its colours as the `preprocess_input` beside the application makes them."""
    colour, mean, std = _measured(application.__module__)
    return Preprocess(size=size, resize=size, mean=mean, std=std, scale=1.0, colour=colour)


def application_of(net: Any) -> tuple[Preprocess, tuple[str, ...]] | None:
    """The preprocess and the labels of a model of keras.applications with its 1000 classes; None: it is no such one.

    It is known by its name and its outputs. One that was built without the rescaling that its kind begins with
    (`include_preprocessing=False`) takes other pixels, and is not recognised.
    """
    application = _by_name(net)
    if application is None or _output_shape(net) != (None, 1000) or _channels(net) != 3:
        return None
    preprocess = preprocess_of(application, input_size(net) or (224, 224))  # MobileNetV3 takes any size
    if _is_raw(preprocess) and pixel_range(net) != 255:
        return None
    return preprocess, imagenet_labels()


def _module(application: Application) -> Any:
    return sys.modules[application.__module__]


@cache
def _measured(module: str) -> tuple[Literal["rgb", "bgr"], tuple[float, ...], tuple[float, ...]]:
    """Colour order, mean and std of a module's `preprocess_input`, read from what it makes of three pixels."""
    pixels = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0]]], np.float64)  # black, white, red
    black, white, red = sys.modules[module].preprocess_input(pixels, data_format="channels_last")[0]
    std = 255 / (white - black)
    colour: Literal["rgb", "bgr"] = "rgb" if red[0] != black[0] else "bgr"
    return colour, _rounded(-black * std), _rounded(std)


def _rounded(values: Any) -> tuple[float, ...]:
    return tuple(round(float(value), 6) + 0.0 for value in values)  # + 0.0: no -0.0


def _is_raw(preprocess: Preprocess) -> bool:
    """Are these the pixels as they are, from 0 to 255?"""
    return preprocess.colour == "rgb" and set(preprocess.mean) == {0.0} and set(preprocess.std) == {1.0}


def _by_name(net: Any) -> Application | None:
    """The application that a model is called after: "mobilenetv2_1.00_224" is MobileNetV2, "resnet50" is ResNet50."""
    if not _is_a(net, "Functional"):
        return None
    plain = re.sub(r"_\d\.\d+_\d+$", "", net.name)  # MobileNet's width and size
    plain = re.sub(r"[-_]", "", plain).casefold()
    return next((found for name, found in applications().items() if name.casefold() == plain), None)


# ---- any model -------------------------------------------------------------------------------------------


def describe(net: Any) -> VisionModel:
    """The model with what Keras tells: its name; of an application, or where it rescales inside, its preprocess too."""
    name = str(getattr(net, "name", None) or type(net).__name__)
    found = application_of(net)
    if found is not None:
        return VisionModel(net, *found, name)
    size, highest = input_size(net), pixel_range(net)
    if size is not None and highest is not None:
        return VisionModel(net, _plain(size, _channels(net), highest / 255), name=name)
    return VisionModel(net, name=name)


def guess(net: Any) -> tuple[Preprocess, str] | None:
    """A preprocess that such models often want, and what it does in words; None: not even the input's size is known.

    Where the model begins with one of keras.applications, that one's; else pixels from 0 to 1.
    """
    size, channels = input_size(net), _channels(net)
    if size is None:
        return None
    resized = f"the whole photo resized to {size[0]}×{size[1]}"
    for part in _parts(net):
        application = _by_name(part)
        if application is not None and channels == 3:
            preprocess = preprocess_of(application, size)
            if not _is_raw(preprocess):
                where = f"keras.applications.{_module(application).__name__.rpartition('.')[2]}.preprocess_input"
                return preprocess, f"{resized}, and {where}, since it begins with {part.name!r}"
        if not (_has_parts(part) or _keeps_range(part)):
            break
    return _plain(size, channels, 1 / 255), f"{resized}, pixels scaled to [0, 1]"


def _plain(size: tuple[int, int], channels: int, scale: float) -> Preprocess:
    zeros, ones = (0.0,) * channels, (1.0,) * channels
    colour: Literal["rgb", "grey"] = "grey" if channels == 1 else "rgb"
    return Preprocess(size=size, resize=size, mean=zeros, std=ones, scale=scale, colour=colour)


def pixel_range(net: Any) -> float | None:
    """The brightest value of the pixels that a model takes which rescales or normalises them itself: 255, or 1.

    Told by what its input meets first, in nested models too: a Rescaling or Normalization layer, or arithmetic with
    numbers. What leaves the range as it is, such as augmentation and resizing, may stand before. None: there is no such
    thing, or its numbers fit neither range.
    """
    part = next((part for part in _parts(net) if not (_has_parts(part) or _keeps_range(part))), None)
    found = _centred_on(part)
    if found is None:
        return None
    mean, std = found
    if mean.max() > 2 or std.max() > 16:
        return 255.0
    within = mean.min() >= 0 and mean.max() <= 1 and std.max() <= 1
    return 1.0 if within and (mean.any() or (std != 1).any()) else None


def _centred_on(part: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
    """The pixels that this takes to zero, and the distance from there that it takes to one; None: it does no such."""
    if _is_a(part, "Normalization"):
        if part.invert or part.mean is None or part.variance is None:
            return None
        mean, std = _numbers(part.mean), np.sqrt(_numbers(part.variance))
        # no pixels from 0 to 1 vary more than those that are 0 or 1
        return (mean, std) if mean.max() > 1 or (std**2 <= mean * (1 - mean) + 1e-6).all() else None
    if _is_a(part, "Rescaling"):
        scale = _numbers(part.scale)
        return _numbers(-np.asarray(part.offset) / scale), 1 / abs(scale)
    number = _operand(part)
    if number is None:
        return None
    zero, one = np.zeros(1), np.ones(1)
    if _is_a(part, "Subtract", "Add"):
        return (number if _is_a(part, "Subtract") else -number), one
    return zero, abs(number if _is_a(part, "Divide", "TrueDivide") else 1 / number)


def _operand(part: Any) -> npt.NDArray[np.float64] | None:
    """The numbers that an arithmetic operation of a functional model combines its input with."""
    if not (_is_operation(part) and _is_a(part, "TrueDivide", "Divide", "Multiply", "Subtract", "Add")):
        return None
    given = [*part._inbound_nodes[0].arguments.args, *part._inbound_nodes[0].arguments.kwargs.values()]
    numbers = [value for value in given if not _is_a(value, "KerasTensor")]
    return _numbers(numbers[0]) if len(numbers) == 1 else None


def _numbers(values: Any) -> npt.NDArray[np.float64]:
    import keras

    return np.asarray(keras.ops.convert_to_numpy(values), np.float64).ravel()


_KEEPS = re.compile(
    "InputLayer|Identity|Random.*|.*Dropout|Gaussian.*|Resizing|CenterCrop|Cropping2D|ZeroPadding2D|MixUp|CutMix|"
    "AugMix|RandAugment|Pipeline|Cast|GetItem|Stack|Flip|Transpose|Permute"
)


def _keeps_range(part: Any) -> bool:
    return any(_KEEPS.fullmatch(cls.__name__) for cls in type(part).__mro__ if cls.__module__.startswith("keras."))


def _parts(net: Any) -> Iterator[Any]:
    """The model, and its layers and operations in the order in which the input meets them, nested ones after theirs."""
    yield net
    if _has_parts(net):
        for part in net.operations if _is_a(net, "Functional") else net.layers:
            yield from _parts(part)


def _has_parts(part: Any) -> bool:
    return _is_a(part, "Functional", "Sequential")


def input_size(net: Any) -> tuple[int, int] | None:
    """(h, w) of the one image that the model takes; None: another kind of input, or of any size."""
    image = _image(net)
    return (image[0], image[1]) if image is not None and None not in image else None


def _channels(net: Any) -> int:
    image = _image(net)
    return image[2] if image is not None else 0


def _image(net: Any) -> tuple[Any, Any, int] | None:
    """Height and width (None: any) and channels of the one input, where it is an image."""
    inputs = getattr(net, "inputs", None) if _has_parts(net) else None
    if not inputs or len(inputs) != 1 or len(inputs[0].shape) != 4:
        return None
    _, a, b, c = tuple(inputs[0].shape)
    first = _data_format(net) == "channels_first"
    if (a if first else c) not in (1, 3):
        first = not first  # a model that turns its input before its first convolution
    h, w, channels = (b, c, a) if first else (a, b, c)
    return (h, w, channels) if channels in (1, 3) else None


def _data_format(net: Any) -> str:
    """As the first layer that has one is built; else Keras's own setting."""
    import keras

    found = (getattr(part, "data_format", None) for part in _parts(net))
    return str(next(filter(None, found), keras.config.image_data_format()))


def _output_shape(net: Any) -> Any:
    outputs: Any = getattr(net, "outputs", None) or ()
    return tuple(outputs[0].shape) if len(outputs) == 1 else None


def _is_operation(part: Any) -> bool:
    """Is this a bare operation, such as `x / 255`, and no layer?"""
    return type(part).__module__.startswith("keras.src.ops.")


def _is_a(part: Any, *names: str) -> bool:
    """Is this one of Keras's own classes of these names, or of a class made from one?"""
    return any(cls.__name__ in names and cls.__module__.split(".")[0] == "keras" for cls in type(part).__mro__)
