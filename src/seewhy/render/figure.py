"""Sheets of pictures with captions, and pictures as files."""

import io
import os
import sys
from collections.abc import Sequence
from math import ceil, sqrt
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from seewhy.errors import InputError, SaveError
from seewhy.files import write_atomically
from seewhy.render.text import SMALLEST, font, line_height, wrap, write

_MOST_LINES = 12


def panels(
    images: Sequence[Image.Image],
    captions: Sequence[str],
    *,
    columns: int | None = None,
    cell: int = 448,
    title: str = "",
) -> Image.Image:
    """A white sheet of pictures in a grid, each fitted into a square of `cell` pixels, with its caption below.

    Captions are wrapped, and cut, with an ellipsis, only beyond twelve lines. Without `columns`, three pictures
    stand side by side, and more in a grid about as wide as it is high. A title stands over all of them.

    Raises InputError where images and captions differ in number, or there is nothing to show.

    >>> cat, cup = Image.new("RGB", (300, 200), "tan"), Image.new("RGB", (200, 300), "brown")
    >>> panels([cat, cup], ["tiger cat 0.38", "espresso 0.96"], cell=300).size
    (636, 345)
    """
    if len(images) != len(captions):
        raise InputError(f"each image needs one caption: got {len(images)} images and {len(captions)} captions")
    if not images:
        raise InputError("expected at least one image, got none")
    if cell < 32 or (columns is not None and columns < 1):
        raise InputError(f"expected cell to be at least 32 pixels and columns at least 1, got {cell} and {columns}")
    if columns is None:
        columns = len(images) if len(images) <= 3 else ceil(sqrt(len(images)))
    columns = min(columns, len(images))

    face = font(max(SMALLEST, round(cell / 24)))
    gap = round(cell / 24)
    fitted = [_fit(image, cell) for image in images]
    lines = [wrap(text, face, cell, most=_MOST_LINES) for text in captions]
    rows = [range(start, min(start + columns, len(images))) for start in range(0, len(images), columns)]
    tallest = [max(fitted[i].height for i in row) for row in rows]
    below = [max(len(lines[i]) for i in row) * line_height(face) for row in rows]

    width = columns * cell + (columns + 1) * gap
    head = wrap(title, face, width - 2 * gap)
    over = len(head) * line_height(face) + gap if head else 0
    height = over + gap + sum(tallest) + sum(below) + len(rows) * (gap // 2 + gap)
    sheet = Image.new("RGB", (width, height), "white")
    write(sheet, head, face, width / 2, gap, "black")
    y = over + gap
    for number, row in enumerate(rows):
        bottom = y + tallest[number]
        for column, i in enumerate(row):
            centre = gap + column * (cell + gap) + cell / 2
            sheet.paste(fitted[i], (round(centre - fitted[i].width / 2), bottom - fitted[i].height))
            write(sheet, lines[i], face, centre, bottom + gap // 2, "black")
        y = bottom + gap // 2 + below[number] + gap
    return sheet


def _fit(image: Image.Image, cell: int) -> Image.Image:
    scale = cell / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return _opaque(image).resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC)


def _opaque(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".jpg": ("JPEG", {"quality": 92, "subsampling": "4:4:4"}),  # thin coloured edges stay where they are
    ".jpeg": ("JPEG", {"quality": 92, "subsampling": "4:4:4"}),
    ".png": ("PNG", {}),
    ".webp": ("WEBP", {"quality": 92}),
    ".tif": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ".tiff": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ".bmp": ("BMP", {}),
    ".gif": ("GIF", {}),
}
SUFFIXES = tuple(_FORMATS)
"""The file suffixes of pictures that can be written."""


def png(image: Image.Image) -> bytes:
    """The picture as the bytes of a PNG file.

    >>> png(Image.new("RGB", (8, 8)))[:4]
    b'\\x89PNG'
    """
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def show(image: Image.Image) -> None:
    """Show a picture: in a notebook below the cell, elsewhere in the system's picture viewer."""
    if "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None:
        sys.modules["IPython"].display.display(image)
    else:
        image.show()


def save(image: Image.Image, path: str | os.PathLike[str], *, protect: Sequence[Path] = ()) -> Path:
    """Write a picture in the format of its suffix, whole or not at all; `protect` names files to be kept.

    Raises SaveError for an unknown suffix, a missing or read-only folder, a path that is a folder or one of
    `protect`, and a picture that its format cannot hold.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(Image.new("RGB", (8, 8)), Path(folder) / "x.jpg").name
    'x.jpg'
    """
    path = Path(path)
    if path.suffix.lower() not in _FORMATS:
        raise SaveError(f"{path}: unknown picture format {path.suffix!r}; known: {', '.join(_FORMATS)}")
    name, options = _FORMATS[path.suffix.lower()]

    def encode(file: BinaryIO) -> None:
        try:
            _opaque(image).save(file, name, **options)
        except Exception as error:  # encoders raise what they like
            if isinstance(error, OSError) and error.errno is not None:  # the disk, not the encoder
                raise
            raise SaveError(
                f"{path}: {name} cannot hold this picture of {image.width} × {image.height} pixels: {error}"
            ) from error

    return write_atomically(path, encode, protect)
