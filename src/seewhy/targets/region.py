"""Seg-Grad-CAM: a class in a region of the score maps of a segmentation model."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import device, is_torch_array

from seewhy.errors import SeewhyWarning, TargetError
from seewhy.maps import to_numpy
from seewhy.outputs import CLASS_KEYS, as_fields, is_array, namespace
from seewhy.types import Array, BoundTarget, Classes

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Region:
    which: int | str
    mask: Mask | None
    box: tuple[int, int, int, int] | None

    def bind(self, classes: Classes) -> Sequence[BoundTarget]:
        index = Classes(classes.names, None).index(self.which)  # of class scores there may be none, or others
        score = _Sum(index, self.mask, id(self.mask), self.box, classes.last)
        return [BoundTarget(score, f"{classes.label(index)}, region")]


@dataclass(frozen=True)
class _Sum:
    """The sum of a class's score map over a region: of the mask, the box, or where the class is the best."""

    index: int
    mask: Mask | None = field(compare=False)
    number: int
    """Tells masks apart: two images that ask for the same are one sum."""
    box: tuple[int, int, int, int] | None
    last: bool
    """Are the classes the last axis?"""

    def __call__(self, outputs: object) -> Array:
        maps = score_maps(outputs)
        axis = maps.ndim - 1 if self.last else 1
        classes = int(maps.shape[axis])
        if self.index >= classes:
            raise TargetError(
                f"class index {self.index} is out of range: the score maps {tuple(maps.shape)} have the classes 0 to "
                f"{classes - 1} along axis {axis}"
            )
        xp = namespace(maps)
        own = maps[..., self.index] if self.last else maps[:, self.index]
        inside = self._inside(tuple(own.shape[1:]))
        if inside is None:
            chosen = xp.argmax(maps, axis=axis) == self.index
        else:
            on = {"device": device(maps)} if is_torch_array(maps) else {}
            chosen = xp.asarray(inside[None], **on)
        # a product, and not `where`: a score that depends on the layer is seen to, even in an empty region
        return xp.sum(own * _as(xp, chosen, own), axis=tuple(range(1, own.ndim)))

    def _inside(self, shape: tuple[int, ...]) -> Mask | None:
        if self.box is not None:
            left, top, right, bottom = self.box
            if len(shape) != 2 or right > shape[1] or bottom > shape[0]:
                raise TargetError(
                    f"the box {self.box} (left, top, right, bottom) does not lie on score maps of shape {shape}: it "
                    "counts their pixels, not the photo's"
                )
            inside = np.zeros(shape, np.bool_)
            inside[top:bottom, left:right] = True
            return inside
        if self.mask is not None and self.mask.shape != shape:
            raise TargetError(
                f"the mask {self.mask.shape} does not fit score maps of shape {shape}: give it on their grid, which "
                "may be coarser than the photo's"
            )
        return self.mask

    def settled(self, outputs: object, i: int, label: str) -> "_Sum":
        """The same with the region of image i as it was in these outputs: in changed images it stays where it was."""
        if self.mask is not None or self.box is not None:
            return self
        maps = to_numpy(namespace_free(score_maps(outputs)[i]))
        mask = np.asarray(maps.argmax(axis=-1 if self.last else 0) == self.index)
        if not mask.any():
            warnings.warn(
                f"{label!r}: in image {i} the class is nowhere the best, so its region is empty and the map blank; "
                "give a mask or a box",
                SeewhyWarning,
                stacklevel=4,
            )
        return replace(self, mask=mask, number=id(mask))


def namespace_free(array: Array) -> Array:
    """An array that `to_numpy` takes: TensorFlow's tensors as NumPy."""
    return array.numpy() if type(array).__module__.startswith("tensorflow") else array


def _as(xp: Any, chosen: Array, like: Array) -> Array:
    return xp.where(chosen, xp.ones_like(like), xp.zeros_like(like))


def score_maps(outputs: object) -> Array:
    """The score maps (n, classes, *s) or (n, *s, classes) in outputs; TargetError where there are none."""
    fields: dict[Any, Any] = {None: outputs} if is_array(outputs) else as_fields(outputs) or {}
    found = {k: v for k, v in fields.items() if is_array(v) and len(v.shape) >= 3 and "float" in str(v.dtype)}
    if not found:
        came = ", ".join(str(tuple(v.shape)) for v in fields.values() if is_array(v)) or type(outputs).__name__
        raise TargetError(
            "region needs score maps in the model's outputs, an array (n, classes, h, w), in Keras (n, h, w, classes), "
            f"as segmentation models return, got {came}: for class scores give the class itself as the target"
        )
    named = [key for key in CLASS_KEYS if key in found]
    return found[next(iter(named or found))]


def region(which: int | str, mask: Any = None) -> _Region:
    """The score of a class summed over a region, for segmentation (Seg-Grad-CAM): sum over (i, j) in M of y_c,ij.

    `mask` is the region M: a bool array (h, w) on the grid of the model's score maps, or a box on it as four numbers,
    (left, top, right, bottom); None, the pixels where the class is the best of all, each image its own. The score maps
    are (n, classes, h, w) in PyTorch, and in Keras as the model's last layer lays them, mostly (n, h, w, classes);
    signals and volumes have one spatial axis or three. With one pixel for M it asks why that pixel is of this class.

    Vinogradova, Dibrov, Myers: Towards Interpretable Semantic Segmentation via Gradient-weighted Class Activation
    Mapping, AAAI 2020, arXiv:2002.11434.

    Raises TargetError for outputs without score maps, a region that does not fit them, an empty mask or box, and a
    class that is out of range; UnknownNameError for a name that no class has. Warns where the class is nowhere the
    best.

    >>> maps = np.arange(8.0).reshape(1, 2, 2, 2)  # two classes
    >>> [bound] = region(1, [[True, False], [False, True]]).bind(Classes(["sky", "road"], None))
    >>> bound.label, bound.score(maps).tolist()
    ('road, region', [11.0])
    """
    if isinstance(which, bool) or not isinstance(which, str | int | np.integer):
        raise TargetError(f"region needs a class by index or name, got {which!r} ({type(which).__name__})")
    which = which if isinstance(which, str) else int(which)
    if mask is None:
        return _Region(which, None, None)
    if not is_array(mask):
        mask = np.asarray(mask)
    array: npt.NDArray[Any] = to_numpy(namespace_free(mask))
    if array.shape == (4,) and array.dtype != np.bool_:
        return _Region(which, None, _as_box(array))
    return _Region(which, _as_mask(array), None)


def _as_mask(array: npt.NDArray[Any]) -> Mask:
    if array.dtype != np.bool_ or array.ndim < 1:
        raise TargetError(
            "expected a mask as a bool array (h, w), or a box (left, top, right, bottom), got an array of "
            f"{array.dtype} of shape {array.shape}: write mask > 0"
        )
    if not array.any():
        raise TargetError("the mask is empty: there is no pixel to ask about")
    return array


def _as_box(box: npt.NDArray[Any]) -> tuple[int, int, int, int]:
    left, top, right, bottom = (int(edge) for edge in box)
    if not np.issubdtype(box.dtype, np.integer) or not (0 <= left < right and 0 <= top < bottom):
        raise TargetError(f"expected a box (left, top, right, bottom) in whole pixels with an area, got {box.tolist()}")
    return left, top, right, bottom
