"""Open a photo as a person sees it: upright, RGB, 8 bits."""

import io
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from seewhy.errors import LargePhotoError, PhotoError


@dataclass(frozen=True)
class Photo:
    """A photo as a person sees it: upright, RGB, 8 bits; with the name it goes by."""

    image: Image.Image
    name: str
    path: Path | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.image.height, self.image.width


@dataclass(frozen=True)
class Header:
    """What is known of a photo that was not decoded: as a `Photo` has it."""

    name: str
    path: Path | None
    size: tuple[int, int]
    """(H, W) as a person sees it, upright."""


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
        origin = Path(name) if (name := getattr(source, "filename", "")) else None
        return Photo(_to_rgb(source, "PIL image"), origin.name if origin else "PIL image", origin)
    if isinstance(source, bytes | bytearray):
        return Photo(_read(io.BytesIO(source), "bytes", len(source), _to_rgb), "bytes")
    if isinstance(source, str | os.PathLike):
        image, path = _open_path(os.fspath(source), _to_rgb)
        return Photo(image, path.name, path)
    raise PhotoError(
        f"expected a photo as a path, bytes, a PIL image or a NumPy array (h, w, 3), got {type(source).__name__}"
    )


def open_bytes(data: bytes, name: str, *, formats: tuple[str, ...] | None = None, pixels: int | None = None) -> Photo:
    """Open a photo that came from elsewhere, called `name` in errors, and trust it less.

    `formats` are the only ones of Pillow's that are tried; a photo of more than `pixels` is not decoded.
    Raises LargePhotoError for the latter, else as `open_photo`.

    >>> from seewhy.render.figure import png
    >>> open_bytes(png(Image.new("RGB", (8, 8))), "drawn", formats=("PNG",), pixels=64).image.size
    (8, 8)
    """

    def within(image: Image.Image, name: str) -> Image.Image:
        if pixels is not None and image.width * image.height > pixels:
            raise LargePhotoError(
                f"{name} is too large: {image.width} × {image.height} pixels, and at most {pixels} are taken"
            )
        return _to_rgb(image, name)

    return Photo(_read(io.BytesIO(data), name, len(data), within, formats), name)


_UPRIGHT_BY_HEADER = ("JPEG", "MPO", "WEBP")
"""Formats whose header tells the size and how they are turned. A PNG may tell after its pixels, and a TIFF is turned by
Pillow itself: these are decoded."""


def open_header(source: Any) -> Header:
    """The size of a photo as `open_photo` would show it; of JPEG and WebP files, no pixel is decoded.

    Raises PhotoError where the header cannot be read; that what follows is damaged may only be seen by `open_photo`.

    >>> open_header(np.zeros((2, 3), np.uint8)).size
    (2, 3)
    """
    if isinstance(source, str | os.PathLike):
        size, path = _open_path(os.fspath(source), _upright_size)
        return Header(path.name, path, size)
    photo = open_photo(source)
    return Header(photo.name, photo.path, photo.size)


def _upright_size(image: Image.Image, name: str) -> tuple[int, int]:
    if image.format not in _UPRIGHT_BY_HEADER:
        image = _to_rgb(image, name)
        return image.height, image.width
    turned = _orientation(image) in (5, 6, 7, 8)
    return (image.width, image.height) if turned else (image.height, image.width)


_T = TypeVar("_T")
_Take = Callable[[Image.Image, str], _T]
"""What is made of an image that was opened and not yet decoded, and of the name it goes by."""


def _open_path(name: str, take: _Take[_T]) -> tuple[_T, Path]:
    if name.split(":", 1)[0].lower() in ("http", "https", "ftp", "s3", "gs", "data"):
        raise PhotoError(f"{name} is a URL: seewhy fetches nothing; download the photo and pass its path or bytes")
    path = Path(name)
    try:
        if path.is_dir():
            raise PhotoError(f"{name} is a folder: name the photos in it, such as {path / '*.jpg'}")
        with path.open("rb") as file:
            return _read(file, name, os.fstat(file.fileno()).st_size, take), path
    except FileNotFoundError:
        raise PhotoError(f"{name} does not exist") from None
    except PhotoError:
        raise
    except (OSError, ValueError) as error:
        raise PhotoError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _read(file: Any, name: str, length: int, take: _Take[_T], formats: tuple[str, ...] | None = None) -> _T:
    if length == 0:
        raise PhotoError(f"{name} is empty")
    try:
        with _quiet_pillow():
            image = Image.open(file, formats=formats)
    except UnidentifiedImageError:
        raise PhotoError(
            f"{name} is not an image that Pillow can read (JPEG, PNG, WebP, TIFF, BMP, GIF ...), or it is cut off"
        ) from None
    except Exception as error:
        raise _unreadable(name, error) from error
    with image:
        return take(image, name)  # an animation opens at its first frame


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
        return LargePhotoError(f"{name} is too large: {error}")
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
            raise PhotoError(f"photo {i + 1} of {len(sources)}: {error}" if len(sources) > 1 else str(error)) from error
    return photos
