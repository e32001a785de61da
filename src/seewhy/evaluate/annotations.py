"""Where the objects are in photos, as annotations say: read, held against photos and model, and looked up."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from math import ceil, floor
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from seewhy.errors import InputError, SeewhyError
from seewhy.evaluate._readers import Annotated, Edges, Page, read_pages, sized, turned
from seewhy.images import Header, Photo
from seewhy.maps import Box, box_around, segments
from seewhy.measure import Truth
from seewhy.types import Classes, fold_label

Mapped = Mapping[str, str | int | Sequence[str | int]]
"""From a class of the annotations to the classes of the model that are meant, by name or index; to () for none."""

AnyPhoto: TypeAlias = Photo | Header
"""A photo, of which only the name, the path and the size are read."""

_SLACK = 1.0
"""How far a box may reach beyond its photo, in pixels: some tools count from 0 and others from 1."""


@dataclass(frozen=True)
class Truths:
    """Where the objects are in some photos, by the classes of a model."""

    source: str
    pages: tuple[Page, ...]
    """What is annotated in each photo."""
    sizes: tuple[tuple[int, int], ...]
    """(H, W) of each photo."""
    known: Mapping[str, tuple[int, ...]]
    """The model's classes that each class of the annotations stands for."""

    def classes(self, i: int) -> list[int]:
        """The model's classes that are annotated in photo i, in the order of the annotations; none for masks alone."""
        named = [self.known[entry.name] for entry in self.pages[i].objects if entry.name is not None]
        return list(dict.fromkeys(index for indices in named for index in indices))

    def of(self, i: int, index: int | None) -> Truth | None:
        """Where objects of a class of the model are in photo i; None where none is annotated.

        A mask without a class is about any. The truth's mask is known where that of each of the objects is; where
        only masks are known, each connected part of one gives a box.
        """
        found = [entry for entry in self.pages[i].objects if entry.name is None or index in self.known[entry.name]]
        if not found:
            return None
        boxes, masks = self._laid_out(i, found)
        whole = reduce(np.logical_or, masks) if len(masks) == len(found) else None
        return Truth(tuple(boxes), whole)

    def seen(self, i: int, region: Sequence[tuple[float, float]]) -> float | None:
        """The share of the area of photo i's boxes that lies in this part of it, ((top, bottom), (left, right))."""
        (top, bottom), (left, right) = region
        inside = whole = 0.0
        boxes, _ = self._laid_out(i, self.pages[i].objects)
        for box in boxes:
            down = min(box.bottom, bottom) - max(box.top, top)
            across = min(box.right, right) - max(box.left, left)
            inside += max(0, down) * max(0, across)
            whole += (box.bottom - box.top) * (box.right - box.left)
        return inside / whole if whole else None

    def _laid_out(self, i: int, objects: Sequence[Annotated]) -> tuple[list[Box], list[npt.NDArray[np.bool_]]]:
        """The boxes of objects of photo i, one for each part of a mask alone, and the masks of those that have one."""
        size = self.sizes[i]
        boxes: list[Box] = []
        masks = []
        for entry in objects:
            mask = entry.mask(size) if entry.mask is not None else None
            if mask is not None:
                masks.append(mask)
            if entry.edges is not None:
                boxes.append(_box(entry.edges, size))
            elif mask is not None:
                boxes += [box_around(part) for part in segments(mask)]
        return boxes, masks


def read_truths(
    path: str | PathLike[str],
    photos: Sequence[AnyPhoto],
    names: Sequence[str] | None,
    *,
    classes: Mapped | None = None,
    skip_unknown: bool = False,
) -> Truths:
    """What annotations say of photos, in the words of a model whose classes are called `names`.

    `photos` are those that `seewhy.images.open_header` or `open_photo` gives; no pixel of them is needed.

    COCO's JSON (boxes; polygons and run lengths as masks; crowds are left out), Pascal VOC's XML (a file, or a folder
    of them; objects marked difficult count), or a folder of masks as PNG, one for each photo by its stem, where what
    is not 0 is the object. Photos are found by file name; where two annotated photos have the same, by their folders.
    Annotations are on the upright photo, as it is shown: where its EXIF turns it and the sizes tell, that is an error;
    a photo that is square, mirrored or upside down in its file keeps its size, and nothing can tell.

    Classes are matched as `seewhy` matches labels: case, `_` and `-` do not matter. Where the model calls them
    otherwise, `classes` says what is meant, such as {"cat": ["tabby", "Egyptian cat"], "person": ()}; with
    `skip_unknown`, objects of classes that the model does not know are left out.

    All that does not fit is named here, before anything is run. Raises InputError for a missing or malformed file, a
    photo without annotations, a size other than the photo's, boxes outside the photo, classes that the model does
    not know.

    >>> import json, tempfile
    >>> from PIL import Image
    >>> cat = {"id": 1, "image_id": 7, "category_id": 3, "bbox": [2, 1, 4, 3]}
    >>> content = {"images": [{"id": 7, "file_name": "a.jpg", "width": 8, "height": 6}], "annotations": [cat],
    ...            "categories": [{"id": 3, "name": "Tiger_cat"}]}
    >>> photo = Photo(Image.new("RGB", (8, 6)), "a.jpg")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "boxes.json").write_text(json.dumps(content))
    ...     truths = read_truths(f"{folder}/boxes.json", [photo], ["tench", "tiger cat"])
    >>> truths.classes(0), truths.of(0, 1).boxes
    ([1], (Box(left=2, top=1, right=6, bottom=4),))
    """
    source = str(path)
    pages = read_pages(Path(path))
    found = tuple(_pages_of(photos, pages, source))
    sizes = tuple(photo.size for photo in photos)
    known = _known([*pages], found, names, classes or {}, skip_unknown, source)
    kept = tuple(_without_unknown(page, known) for page in found)
    wrong = [line for page, size in zip(kept, sizes, strict=True) for line in _wrong(page, size)]
    if wrong:
        raise InputError(_listed(f"{source} does not fit the photos:", wrong))
    empty = [photo.name for photo, page in zip(photos, kept, strict=True) if not page.objects]
    if empty:
        raise InputError(
            f"{source} has no object in {_some(empty)}"
            + (" of a class that the model knows" if skip_unknown or classes else "")
            + ": leave these photos out, or annotate them"
        )
    return Truths(source, kept, sizes, known)


# ---- which page is a photo's ------------------------------------------------------------------------------


def _pages_of(photos: Sequence[AnyPhoto], pages: Sequence[Page], source: str) -> list[Page]:
    named: dict[str, list[Page]] = defaultdict(list)
    for page in pages:
        named[page.photo.name].append(page)
    found, missing = [], []
    for photo in photos:
        name = photo.path.name if photo.path is not None else photo.name
        stem = PurePosixPath(name).stem
        candidates = named.get(name) or [page for page in named.get(stem, []) if page.any_suffix]
        if not candidates:
            missing.append(name)
            continue
        found.append(_one(candidates, photo, source))
    if missing:
        known = sorted(str(page.photo) for page in pages)
        raise InputError(
            f"{source} has no annotation for {_some(missing)}: it has {_some(known) if known else 'none at all'}; "
            "photos are found by file name"
        )
    return found


def _one(candidates: Sequence[Page], photo: AnyPhoto, source: str) -> Page:
    """The one that is meant, where several photos have this file name: the one whose folders are the photo's."""
    if len(candidates) == 1:
        return candidates[0]
    parts = photo.path.resolve().parts if photo.path is not None else ()
    fitting = [page for page in candidates if parts[len(parts) - len(page.photo.parts) :] == page.photo.parts]
    longest = max((len(page.photo.parts) for page in fitting), default=0)
    fitting = [page for page in fitting if len(page.photo.parts) == longest]
    if len(fitting) == 1:
        return fitting[0]
    raise InputError(
        f"{source} has {len(candidates)} annotations for {photo.name}, and its folders do not tell which is meant: "
        + _some([page.where for page in candidates])
    )


# ---- classes ----------------------------------------------------------------------------------------------


def _known(
    pages: Sequence[Page],
    asked: Sequence[Page],
    names: Sequence[str] | None,
    mapped: Mapped,
    skip_unknown: bool,
    source: str,
) -> dict[str, tuple[int, ...]]:
    """The model's classes that each class annotated in these photos stands for; without what is unknown and skipped."""
    folded = {fold_label(name): meant for name, meant in mapped.items()}
    everywhere = {entry.name for page in pages for entry in page.objects if entry.name is not None}
    if odd := [name for name in mapped if fold_label(name) not in map(fold_label, everywhere)]:
        raise InputError(f"classes: {source} has no class {_some(odd)}: it has {_some(sorted(everywhere)) or 'none'}")
    model, unknown = Classes(names, None), []
    known: dict[str, tuple[int, ...]] = {}
    for name in dict.fromkeys(entry.name for page in asked for entry in page.objects if entry.name is not None):
        meant = folded.get(fold_label(name))
        try:
            if meant is None:
                known[name] = (model.index(name),)
            else:
                each = [meant] if isinstance(meant, str | int) else list(meant)
                known[name] = tuple(_checked(model, which, names) for which in each)
        except SeewhyError as error:
            if meant is not None:
                raise InputError(f"classes[{name!r}]: {error}") from error
            if not skip_unknown:
                unknown.append(str(error))
    if unknown:
        raise InputError(
            _listed(f"{source} has classes that the model does not know by these names:", unknown)
            + "\nname them in the file as the model does, or say which of the model's classes are meant, "
            + 'classes={"cat": ["tabby", 282], "person": ()}; on the command line, --class cat=tabby --class cat=282 '
            + "--class person="
        )
    return known


def _checked(model: Classes, which: str | int, names: Sequence[str] | None) -> int:
    index = model.index(which)
    if names is not None and index >= len(names):
        raise InputError(f"class index {index} is out of range: this model's classes are 0 to {len(names) - 1}")
    return index


def _without_unknown(page: Page, known: Mapping[str, tuple[int, ...]]) -> Page:
    kept = tuple(entry for entry in page.objects if entry.name is None or known.get(entry.name))
    return Page(page.photo, page.where, page.size, kept, page.any_suffix)


# ---- sizes and boxes --------------------------------------------------------------------------------------


def _wrong(page: Page, size: tuple[int, int]) -> list[str]:
    """What does not fit a photo of (H, W), in words."""
    if page.size is not None and page.size != size:
        return [
            f"{page.where} is of a photo of {sized(page.size)} pixels, and it has {sized(size)}"
            + turned(page.size, size)
        ]
    return [line for entry in page.objects if (line := _wrong_object(entry, size)) is not None]


def _wrong_object(entry: Annotated, size: tuple[int, int]) -> str | None:
    called = f"{entry.where}: " + (f"the box of {entry.name!r}" if entry.name is not None else "the mask")
    if entry.edges is not None:
        left, top, right, bottom = entry.edges
        lying = f"{called}, from ({left:g}, {top:g}) to ({right:g}, {bottom:g}),"
        if not (left < right and top < bottom):
            return f"{lying} is empty"
        if min(left, top) < -_SLACK or right > size[1] + _SLACK or bottom > size[0] + _SLACK:
            return f"{lying} reaches beyond the photo's {sized(size)} pixels"
        box = _box(entry.edges, size)
        if not (box.left < box.right and box.top < box.bottom):
            return f"{lying} is outside the photo's {sized(size)} pixels"
    if entry.mask is not None:
        try:
            if not entry.mask(size).any() and entry.edges is None:
                return f"{called} marks no pixel"
        except InputError as error:
            return str(error)
    return None


def _box(edges: Edges, size: tuple[int, int]) -> Box:
    """All pixels that an annotated box touches, within the photo."""
    left, top, right, bottom = edges
    return Box(max(0, floor(left)), max(0, floor(top)), min(size[1], ceil(right)), min(size[0], ceil(bottom)))


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _listed(title: str, lines: Sequence[str], most: int = 5) -> str:
    more = [f"and {len(lines) - most} more"] if len(lines) > most else []
    return "\n  ".join([title, *lines[:most], *more])
