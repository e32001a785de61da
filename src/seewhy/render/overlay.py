"""A heatmap on its photo."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image

from seewhy.errors import InputError
from seewhy.render.colormap import colours
from seewhy.render.text import SMALLEST, font, line_height, wrap, write
from seewhy.types import Heatmap

RGB = npt.NDArray[np.uint8]


def blend(
    photo: RGB, heatmap: Heatmap, covered: npt.NDArray[np.bool_], *, colormap: str = "viridis", opacity: float = 0.6
) -> RGB:
    """The photo with colours where there is evidence, the more of it the more opaque.

    photo + opacity * heatmap * (colours(heatmap) - photo), at each pixel: where the heatmap is 0, and outside
    `covered` (the part of the photo that the model saw), the photo is as it was.

    photo (H, W, 3), heatmap (H, W) in [0, 1], covered (H, W) -> (H, W, 3).

    The default, viridis, is the one among matplotlib's even, colour-blind-safe maps that moves away from the
    photo's own colour all the way up, on bright and on dark photos: stronger evidence never looks weaker.

    Raises InputError for shapes that do not agree and an opacity outside [0, 1].

    >>> photo = np.full((1, 2, 3), 100, np.uint8)
    >>> heatmap = np.array([[0.0, 1.0]], np.float32)
    >>> blend(photo, heatmap, heatmap >= 0, colormap="gray", opacity=0.4).tolist()
    [[[100, 100, 100], [162, 162, 162]]]
    """
    _check(photo, heatmap, covered, opacity)
    weight = (np.float32(opacity) * np.where(covered, heatmap, np.float32(0)))[..., None]  # (H, W, 1)
    mixed = photo * (1 - weight) + colours(heatmap, colormap) * weight
    return np.asarray(np.rint(mixed), np.uint8)


def classic(
    photo: RGB, heatmap: Heatmap, covered: npt.NDArray[np.bool_], *, colormap: str = "jet", opacity: float = 0.4
) -> RGB:
    """The look of the well-known Keras Grad-CAM example: colours everywhere, added to the photo.

    x = photo + opacity * colours(heatmap), then 255 * (x - min x) / max (x - min x) over the pixels that the model
    saw, as `keras.utils.array_to_img` does; the others are as they were.

    photo (H, W, 3), heatmap (H, W) in [0, 1], covered (H, W) -> (H, W, 3).

    Raises InputError for shapes that do not agree and an opacity outside [0, 1].

    >>> photo = np.array([[[0, 0, 0], [100, 100, 100]]], np.uint8)
    >>> heatmap = np.array([[0.0, 1.0]], np.float32)
    >>> classic(photo, heatmap, heatmap >= 0, colormap="gray", opacity=1.0).tolist()
    [[[0, 0, 0], [255, 255, 255]]]
    """
    _check(photo, heatmap, covered, opacity)
    result = photo.copy()
    if covered.any():
        x = photo[covered] + np.float32(opacity) * colours(heatmap, colormap)[covered]  # (pixels, 3)
        x -= x.min()
        if x.max() > 0:
            x /= x.max()
        result[covered] = (x * 255).astype(np.uint8)
    return result


def diverging(
    photo: RGB, heatmap: Heatmap, covered: npt.NDArray[np.bool_], *, colormap: str = "bwr", opacity: float = 0.6
) -> RGB:
    """The photo with the colours of a signed heatmap: red where there is evidence for, blue where against.

    photo + opacity * |heatmap| * (colours((heatmap + 1) / 2) - photo), at each pixel: where the heatmap is 0, and
    outside `covered`, the photo is as it was; the middle of the colormap is never seen.

    photo (H, W, 3), heatmap (H, W) in [-1, 1], covered (H, W) -> (H, W, 3).

    The default, bwr, is the one among matplotlib's diverging maps that moves away from the photo's own colour all the
    way to both ends, on bright and on dark photos.

    Raises InputError for shapes that do not agree and an opacity outside [0, 1].

    >>> photo = np.full((1, 3, 3), 100, np.uint8)
    >>> heatmap = np.array([[-1.0, 0.0, 1.0]], np.float32)
    >>> diverging(photo, heatmap, heatmap < 2, opacity=0.4).tolist()
    [[[60, 60, 162], [100, 100, 100], [162, 60, 60]]]
    """
    _check(photo, heatmap, covered, opacity)
    weight = (np.float32(opacity) * np.where(covered, abs(heatmap), np.float32(0)))[..., None]  # (H, W, 1)
    mixed = photo * (1 - weight) + colours(heatmap / np.float32(2) + np.float32(0.5), colormap) * weight
    return np.asarray(np.rint(mixed), np.uint8)


def style(name: str, *, signed: bool = False) -> Callable[..., RGB]:
    """The function that draws in this style; InputError for another name, and for "classic" of a signed heatmap.

    >>> style("blend") is blend, style("blend", signed=True) is diverging
    (True, True)
    """
    if name not in ("blend", "classic"):
        raise InputError(f"expected style='blend' or style='classic', got {name!r}")
    if name == "classic" and signed:
        raise InputError("style='classic' has no colours for what speaks against: draw a signed map with style='blend'")
    return diverging if signed else blend if name == "blend" else classic


def caption(image: Image.Image, text: str) -> Image.Image:
    """The picture with a few words on a dark band at its bottom; its size stays.

    The letters are as large as suits the picture, and smaller where the words would cover more than two fifths of
    it. Only where even the smallest letters cannot hold them all, an ellipsis stands for the rest.

    >>> caption(Image.new("RGB", (320, 200), "white"), "nothing here speaks for 'tiger cat'").size
    (320, 200)
    """
    result = image.convert("RGB")
    if not text.strip():
        return result
    width, height = result.size
    size = max(SMALLEST, min(32, round(min(width, height) / 16)))
    while True:
        face, margin = font(size), size // 2
        lines = wrap(text, face, width - 2 * margin)
        band = len(lines) * line_height(face) + 2 * margin
        if band <= 0.4 * height or size == SMALLEST:
            break
        size -= 1
    if band > height:
        lines = wrap(text, face, width - 2 * margin, most=max(1, (height - 2 * margin) // line_height(face)))
        band = len(lines) * line_height(face) + 2 * margin

    top = height - band
    below = (0, max(0, top), width, height)
    dark = Image.new("RGB", (width, below[3] - below[1]), (16, 16, 16))
    result.paste(Image.blend(result.crop(below), dark, 0.8), below)
    write(result, lines, face, width / 2, top + margin, "white")
    return result


def _check(photo: RGB, heatmap: Heatmap, covered: npt.NDArray[np.bool_], opacity: float) -> None:
    if photo.ndim != 3 or not photo.shape == (*heatmap.shape, 3) == (*covered.shape, 3):
        raise InputError(f"expected photo (H, W, 3), heatmap (H, W) and covered (H, W) of one size, "
                         f"got {photo.shape}, {heatmap.shape} and {covered.shape}")  # fmt: skip
    if not 0 <= opacity <= 1:
        raise InputError(f"opacity is a number from 0 (only the photo) to 1, got {opacity!r}")
