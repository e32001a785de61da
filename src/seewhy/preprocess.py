"""Prepare a photo for a model, and remember where each input pixel came from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import floor
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from seewhy.errors import InputError, PhotoError
from seewhy.images import Photo

SIZES = 256
"""Of how many sizes of photos a Locator remembers where it looks."""
Interpolation: TypeAlias = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]


@dataclass(frozen=True)
class Geometry:
    """Where a model's input lies on its photo.

    `region` holds, for each spatial axis, the two edges of the input in the photo's pixels:
    ((top, bottom), (left, right)). Edges may lie outside the photo where the input was padded.
    """

    size: tuple[int, ...]
    """The photo's own pixels: (H, W)."""
    region: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Preprocess:
    """How a photo becomes a model's input: resize, crop from the centre, (x * scale - mean) / std.

    >>> imagenet = Preprocess(size=(224, 224), resize=256)
    >>> array, geometry = imagenet(Photo(Image.new("RGB", (1024, 512)), "grey wall"))
    >>> array.shape, geometry.region
    ((3, 224, 224), ((32.0, 480.0), (288.0, 736.0)))
    """

    size: tuple[int, int] = (224, 224)
    """(h, w) of the input."""
    resize: int | tuple[int, int] | None = 256
    """Shorter side after resizing (the aspect ratio is kept), or exactly (h, w), or None: not resized."""
    interpolation: Interpolation = "bilinear"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    scale: float = 1 / 255
    """What 8-bit pixel values are multiplied with before `mean` and `std`."""
    colour: Literal["rgb", "bgr", "grey"] = "rgb"
    rounding: Literal["round", "floor"] = "round"
    """Where the crop starts when an odd number of pixels is cut off: torchvision's way, or transformers' way."""

    def __post_init__(self) -> None:
        for name, given, known in (
            ("interpolation", self.interpolation, get_args(Interpolation)),
            ("colour", self.colour, ("rgb", "bgr", "grey")),
            ("rounding", self.rounding, ("round", "floor")),
        ):
            if given not in known:
                raise InputError(f"Preprocess: expected {name} to be one of {', '.join(known)}, got {given!r}")
        if not (isinstance(self.size, tuple) and len(self.size) == 2):
            raise InputError(f"Preprocess: expected size=(h, w), such as (224, 224), got {self.size!r}")
        channels = 1 if self.colour == "grey" else 3
        if not len(self.mean) == len(self.std) == channels:
            raise InputError(
                f"Preprocess: colour={self.colour!r} needs {channels} values each for mean and std, "
                f"got {len(self.mean)} and {len(self.std)}"
            )
        resize = self.resize if isinstance(self.resize, tuple) else (1 if self.resize is None else self.resize,)
        if min(*self.size, *resize) < 1 or 0 in self.std:
            raise InputError(
                f"Preprocess: size {self.size} and resize {self.resize} must be positive, "
                f"and std {self.std} free of zeros"
            )

    def __call__(self, photo: Photo) -> tuple[npt.NDArray[np.float32], Geometry]:
        """The photo as (c, h, w) float32, and where that lies on the photo; beyond the photo's edges it is black.

        Raises PhotoError for a photo so long and thin that it would grow beyond Pillow's limit when resized.
        """
        image = photo.image if self.colour != "grey" else photo.image.convert("L")
        width, height = self._resized(image.size)
        if (width, height) != image.size:
            if Image.MAX_IMAGE_PIXELS is not None and width * height > 2 * Image.MAX_IMAGE_PIXELS:
                raise PhotoError(
                    f"{photo.name} is too long and thin: {image.width} × {image.height} pixels "
                    f"would become {width} × {height}"
                )
            image = image.resize((width, height), Image.Resampling[self.interpolation.upper()])
        top, left = (self._before(have, want) for have, want in zip((height, width), self.size, strict=True))
        bottom, right = top + self.size[0], left + self.size[1]
        image = image.crop((left, top, right, bottom))

        pixels = np.asarray(image, np.float32).reshape(*self.size, -1)
        if self.colour == "bgr":
            pixels = pixels[..., ::-1]
        values = (pixels * np.float32(self.scale) - np.asarray(self.mean, np.float32)) / np.asarray(
            self.std, np.float32
        )

        w, h = photo.image.size
        region = ((top * h / height, bottom * h / height), (left * w / width, right * w / width))
        return np.ascontiguousarray(values.transpose(2, 0, 1)), Geometry((h, w), region)

    def strange(self, values: npt.NDArray[np.floating[Any]]) -> str | None:
        """What is wrong with the range of a ready input, in words; None: photos can come out so.

        >>> Preprocess(mean=(127.5,) * 3, std=(127.5,) * 3, scale=1).strange(np.asarray([0.0, 255.0]))
        'hold values from 0 to 255, where photos prepared for this model lie between -1 and 1'
        """
        ends = [(end * self.scale - np.asarray(self.mean)) / np.asarray(self.std) for end in (0, 255)]
        low, high = float(np.min(ends)), float(np.max(ends))
        least, most, span = float(values.min()), float(values.max()), high - low
        beyond = least < low - span or most > high + span
        if not beyond and (most - least > span / 50 or most == least):
            return None
        return (
            f"hold values from {least:.4g} to {most:.4g}, where photos prepared for this model lie between "
            f"{low:.4g} and {high:.4g}"
        )

    def _resized(self, size: tuple[int, int]) -> tuple[int, int]:
        width, height = size
        if self.resize is None:
            return width, height
        if isinstance(self.resize, tuple):
            return self.resize[1], self.resize[0]
        short, long = min(size), max(size)
        longer = max(1, floor(self.resize * long / short))
        return (self.resize, longer) if width <= height else (longer, self.resize)

    def _before(self, have: int, want: int) -> int:
        """Pixels cut off before the centre; negative: pixels added."""
        if have < want:
            return -((want - have) // 2)
        return round((have - want) / 2) if self.rounding == "round" else (have - want) // 2


@dataclass(frozen=True)
class Locator:
    """Any function from a PIL image to a (c, h, w) array, made to tell where its result lies on the photo.

    The function may resize, crop from anywhere and normalise each channel. Where it looks is read from what it makes
    of test pictures of the photo's size: black, white, brighter to the right, brighter to the bottom.
    """

    function: Callable[[Image.Image], Any]
    known: dict[tuple[int, int], Geometry] = field(default_factory=dict, repr=False, compare=False)
    """What was found for each size of photo, since finding it takes six runs of the function."""

    def __call__(self, photo: Photo) -> tuple[npt.NDArray[np.float32], Geometry]:
        """The photo as the function prepares it, and where that lies on the photo.

        Raises InputError where the function does more than resize, crop and normalise, so that a heatmap could not
        be laid on the right pixels.
        """
        size = photo.image.size
        geometry = self.known.get(size)
        if geometry is None:
            if len(self.known) >= SIZES:  # photos of any size come to a server
                self.known.clear()
            geometry = self.known[size] = self._locate(*size)
        return self._run(photo.image), geometry

    def _locate(self, w: int, h: int) -> Geometry:
        across = np.broadcast_to((np.arange(w) + 0.5) / w, (h, w))
        down = np.broadcast_to(((np.arange(h) + 0.5) / h)[:, None], (h, w))
        if not np.array_equal(self._on((across + down) / 2), self._on((across + down) / 2)):
            raise InputError(
                "this preprocess is random, so each photo would be cropped another way than the heatmap is "
                "laid: pass the one that you use for evaluation"
            )
        black, white = self._on(np.zeros((h, w))), self._on(np.ones((h, w)))
        spread = np.where(white == black, np.inf, white - black)
        vertical = _edges(((self._on(down) - black) / spread).mean((0, 2)), h)
        horizontal = _edges(((self._on(across) - black) / spread).mean((0, 1)), w)
        return Geometry((h, w), (vertical, horizontal))

    def _on(self, brightness: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        grey = np.rint(brightness * 255).astype(np.uint8)
        return self._run(Image.fromarray(np.repeat(grey[..., None], 3, axis=2))).astype(np.float64)

    def _run(self, image: Image.Image) -> npt.NDArray[np.float32]:
        made = self.function(image)
        if isinstance(made, Mapping) and "pixel_values" in made:  # transformers' image processors
            made = made["pixel_values"]
        try:
            result = np.asarray(made, np.float32)
        except (TypeError, ValueError):
            raise InputError(
                f"expected preprocess to turn a PIL image into one (c, h, w) array, got a {type(made).__name__}"
            ) from None
        if result.ndim == 4 and len(result) == 1:
            result = result[0]
        if result.ndim != 3:
            raise InputError(f"expected preprocess to turn a PIL image into one (c, h, w) array, got {result.shape}")
        # channels last, as Keras's users write it
        return np.moveaxis(result, -1, 0) if result.shape[-1] in (1, 3) and result.shape[0] not in (1, 3) else result


def _edges(ramp: npt.NDArray[np.float64], length: int) -> tuple[float, float]:
    """Where on `length` pixels the first and the last edge of a prepared linear ramp lie."""
    cells = np.arange(len(ramp)) + 0.5
    inner = slice(1, -1) if len(ramp) > 4 else slice(None)  # resampling bends the ramp at the border
    slope, start = np.polyfit(cells[inner], ramp[inner], 1)
    if slope <= 0 or abs(start + slope * cells - ramp)[inner].max() > 0.02:
        raise InputError(
            "this preprocess does more than resize, crop and normalise by fixed numbers (it pads, flips, warps, or "
            "looks at the values), so the heatmap could not be laid on the photo: pass a ready batch, or "
            "seewhy.Preprocess(...)"
        )
    return float(start * length), float((start + slope * len(ramp)) * length)


def as_preprocess(given: Any) -> Preprocess | Locator | None:
    """The forms in which users say how photos become inputs: a Preprocess, "imagenet", any function, or None."""
    if given is None or isinstance(given, Preprocess | Locator):
        return given
    if given == "imagenet":
        return Preprocess()
    if callable(given):
        return Locator(given)
    raise InputError(f"expected preprocess=seewhy.Preprocess(...), 'imagenet' or a function, got {given!r}")
