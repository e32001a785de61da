"""Open a photo, prepare it for a model, and remember where each input pixel came from."""

import io
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import floor
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from seewhy.errors import InputError, PhotoError

Box: TypeAlias = tuple[float, float, float, float]
Interpolation: TypeAlias = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]


@dataclass(frozen=True)
class Photo:
    """A photo as a person sees it: upright, RGB, 8 bits; with the name it goes by."""

    image: Image.Image
    name: str
    path: Path | None = None


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

    def __post_init__(self) -> None:
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
        top, left = (_before(have, want) for have, want in zip((height, width), self.size, strict=True))
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

    def _resized(self, size: tuple[int, int]) -> tuple[int, int]:
        width, height = size
        if self.resize is None:
            return width, height
        if isinstance(self.resize, tuple):
            return self.resize[1], self.resize[0]
        short, long = min(size), max(size)
        longer = max(1, floor(self.resize * long / short))
        return (self.resize, longer) if width <= height else (longer, self.resize)


def _before(have: int, want: int) -> int:
    """Pixels cut off before the centre; negative: pixels added. Rounded as torchvision's CenterCrop does."""
    return round((have - want) / 2) if have >= want else -((want - have) // 2)


@dataclass(frozen=True)
class Locator:
    """Any function from a PIL image to a (c, h, w) array, made to tell where its result lies on the photo.

    The function may resize, crop from anywhere and normalise each channel. Where it looks is read from what it makes
    of four test pictures of the photo's size: black, white, brighter to the right, brighter to the bottom.
    """

    function: Callable[[Image.Image], Any]

    def __call__(self, photo: Photo) -> tuple[npt.NDArray[np.float32], Geometry]:
        """The photo as the function prepares it, and where that lies on the photo.

        Raises InputError where the function does more than resize, crop and normalise, so that a heatmap could not
        be laid on the right pixels.
        """
        w, h = photo.image.size
        across = np.broadcast_to((np.arange(w) + 0.5) / w, (h, w))
        down = np.broadcast_to(((np.arange(h) + 0.5) / h)[:, None], (h, w))
        black, white = self._on(np.zeros((h, w))), self._on(np.ones((h, w)))
        spread = np.where(white == black, np.inf, white - black)
        vertical = _edges(((self._on(down) - black) / spread).mean((0, 2)), h)
        horizontal = _edges(((self._on(across) - black) / spread).mean((0, 1)), w)
        return self._run(photo.image), Geometry((h, w), (vertical, horizontal))

    def _on(self, brightness: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        grey = np.rint(brightness * 255).astype(np.uint8)
        return self._run(Image.fromarray(np.repeat(grey[..., None], 3, axis=2))).astype(np.float64)

    def _run(self, image: Image.Image) -> npt.NDArray[np.float32]:
        result = np.asarray(self.function(image), np.float32)
        if result.ndim != 3:
            raise InputError(f"expected preprocess to turn a PIL image into one (c, h, w) array, got {result.shape}")
        return result


def _edges(ramp: npt.NDArray[np.float64], length: int) -> tuple[float, float]:
    """Where on `length` pixels the first and the last edge of a prepared linear ramp lie."""
    cells = np.arange(len(ramp)) + 0.5
    inner = slice(1, -1) if len(ramp) > 4 else slice(None)  # resampling bends the ramp at the border
    slope, start = np.polyfit(cells[inner], ramp[inner], 1)
    if slope <= 0 or abs(start + slope * cells - ramp)[inner].max() > 0.02:
        raise InputError(
            "this preprocess does more than resize, crop and normalise (it pads, flips or warps), so the "
            "heatmap could not be laid on the photo: pass a ready batch, or seewhy.Preprocess(...)"
        )
    return float(start * length), float((start + slope * len(ramp)) * length)


def is_photo(source: object) -> bool:
    """Is this one photo: a path, bytes, a PIL image, an array with two or three axes?"""
    if isinstance(source, np.ndarray):
        return source.ndim in (2, 3)
    return isinstance(source, str | os.PathLike | bytes | bytearray | Image.Image | Photo)


def open_photo(source: Any) -> Photo:
    """Open a photo from a path, bytes, a PIL image or an array, as a person would see it.

    Rotated as its EXIF says; palette, grey, CMYK and 16-bit pixels become 8-bit RGB; transparent parts
    lie on white; of an animation, the first frame.

    Arrays are (h, w), (h, w, 1), (h, w, 3) or (h, w, 4): uint8, uint16, bool, or floats in [0, 1];
    other integers are taken as 0 to 255. The source is not modified and shares no memory with the photo.

    Raises PhotoError where the source is missing, empty, truncated, too large (twice the pixels at which
    Pillow warns of a decompression bomb: 2 * PIL.Image.MAX_IMAGE_PIXELS) or no image at all.

    >>> open_photo(np.array([[0.0, 0.5, 1.0]])).image.getpixel((1, 0))
    (128, 128, 128)
    """
    if isinstance(source, Photo):
        return source
    if isinstance(source, np.ndarray):
        return Photo(_to_rgb(_from_array(source), "array"), "array")
    if isinstance(source, Image.Image):
        path = Path(name) if (name := getattr(source, "filename", "")) else None
        return Photo(_to_rgb(source, "PIL image"), path.name if path else "PIL image", path)
    if isinstance(source, bytes | bytearray):
        return Photo(_read(io.BytesIO(source), "bytes", len(source)), "bytes")
    if isinstance(source, str | os.PathLike):
        return _open_path(os.fspath(source))
    raise PhotoError(
        f"expected a photo as a path, bytes, a PIL image or a NumPy array (h, w, 3), got {type(source).__name__}"
    )


def _open_path(name: str) -> Photo:
    if name.split(":", 1)[0].lower() in ("http", "https", "ftp", "s3", "gs", "data"):
        raise PhotoError(f"{name} is a URL: seewhy fetches nothing; download the photo and pass its path or bytes")
    path = Path(name)
    try:
        if path.is_dir():
            raise PhotoError(f"{name} is a folder: name the photos in it, such as {path / '*.jpg'}")
        with path.open("rb") as file:
            return Photo(_read(file, name, os.fstat(file.fileno()).st_size), path.name, path)
    except FileNotFoundError:
        raise PhotoError(f"{name} does not exist") from None
    except PhotoError:
        raise
    except (OSError, ValueError) as error:
        raise PhotoError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _read(file: Any, name: str, length: int) -> Image.Image:
    if length == 0:
        raise PhotoError(f"{name} is empty")
    try:
        with _quiet_pillow():
            image = Image.open(file)
    except UnidentifiedImageError:
        raise PhotoError(
            f"{name} is not an image that Pillow can read (JPEG, PNG, WebP, TIFF, BMP, GIF ...), or it is cut off"
        ) from None
    except Exception as error:
        raise _unreadable(name, error) from error
    with image:
        return _to_rgb(image, name)  # an animation opens at its first frame


_pillow_lock = threading.Lock()


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Without Pillow's warnings: of sizes below the limit that we keep, of metadata that we do not read.

    One thread at a time, for warning filters belong to the whole process; so it is held for headers only.
    """
    with _pillow_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _unreadable(name: str, error: Exception) -> PhotoError:
    """Pillow's decoders raise what they like for files that are cut off or broken inside."""
    if isinstance(error, Image.DecompressionBombError | MemoryError):
        return PhotoError(f"{name} is too large: {error}")
    return PhotoError(f"{name} is truncated or damaged: {error}")


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes it upright. (ImageOps.exif_transpose also rewrites the EXIF: it fails on odd ones.)"""


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    try:
        image.load()
        turn = _TURNS.get(_orientation(image))
        if turn is not None:
            image = image.transpose(turn)
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            image = Image.fromarray(_to_uint8(np.asarray(image), 1.0 if image.mode == "F" else 65535.0))
        if image.has_transparency_data:
            image = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
            return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
        return image.convert("RGB")
    except PhotoError as error:
        raise PhotoError(f"{name}: {error}") from None
    except Exception as error:
        raise _unreadable(name, error) from error


def _orientation(image: Image.Image) -> Any:
    try:
        with _quiet_pillow():
            return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # broken EXIF beside good pixels: the photo is shown as it is stored
        return None


def _from_array(array: npt.NDArray[Any]) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        hint = " (channels last: try array.transpose(1, 2, 0))" if array.ndim == 3 and array.shape[0] in (1, 3) else ""
        raise PhotoError(f"expected a photo array (h, w), (h, w, 3) or (h, w, 4), got {array.shape}{hint}")
    top = 1.0 if np.issubdtype(array.dtype, np.floating) else 65535.0 if array.dtype.type is np.uint16 else 255.0
    return Image.fromarray(_to_uint8(array, top))


def _to_uint8(array: npt.NDArray[Any], top: float) -> npt.NDArray[np.uint8]:
    """From [0, top] to [0, 255]."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * 255
    if not np.issubdtype(array.dtype, np.number) or np.issubdtype(array.dtype, np.complexfloating):
        raise PhotoError(f"expected a photo array of numbers, got dtype {array.dtype}")
    if not np.isfinite(array).all():
        raise PhotoError("the photo array holds NaN or infinite values")
    low, high = array.min(), array.max()
    if low < 0 or high > top:
        raise PhotoError(
            f"expected photo values in [0, {top:g}] for dtype {array.dtype}, got [{low:g}, {high:g}]: "
            "pass uint8, or floats in [0, 1]"
        )
    return np.rint(array * (255.0 / top)).astype(np.uint8)


def open_photos(sources: Sequence[Any]) -> list[Photo]:
    """Open several photos; an error names the position of the photo that failed."""
    photos = []
    for i, source in enumerate(sources):
        try:
            photos.append(open_photo(source))
        except PhotoError as error:
            raise PhotoError(f"photo {i + 1} of {len(sources)}: {error}") from error
    return photos
