"""What files of annotations say: COCO's JSON, Pascal VOC's XML, a folder of masks. Nothing is held against photos yet.

XML is read by the standard library's parser, after one pass that refuses any document type: without one there are no
entities to expand. Nothing outside the file is ever opened.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from math import isfinite
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np

from seewhy.errors import InputError
from seewhy.evaluate._outlines import Mask, picture_mask, polygon_mask, run_length_mask

Edges = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels from the photo's upper left corner; right and bottom are not within."""


@dataclass(frozen=True)
class Annotated:
    """One object of a photo."""

    name: str | None
    """Its class; None where the annotations name none."""
    where: str
    """For messages: the file, and the place in it."""
    edges: Edges | None
    """None where it is only known by its mask."""
    mask: Callable[[tuple[int, int]], Mask] | None = None
    """Its pixels in a photo of (H, W), where they are known."""


@dataclass(frozen=True)
class Page:
    """What the annotations say of one photo."""

    photo: PurePosixPath
    """Its name, with folders where the annotations give them."""
    where: str
    """For messages: the file, and the place in it."""
    size: tuple[int, int] | None
    """(H, W) as annotated."""
    objects: tuple[Annotated, ...]
    any_suffix: bool = False
    """Is the photo known by its name without the suffix alone?"""


def read_pages(path: Path) -> list[Page]:
    """The pages of a COCO file (.json), a Pascal VOC file (.xml) or a folder of them, or a folder of masks (.png).

    Raises InputError where nothing is there, or it is not in that form.
    """
    if path.is_dir():
        if files := sorted(path.glob("*.xml")):
            return [_voc(file) for file in files]
        if files := sorted(file for file in path.iterdir() if file.suffix.lower() == ".png"):
            return [_mask(file) for file in files]
        raise InputError(
            f"{path} holds no annotations: expected a folder of Pascal VOC files (.xml) or of masks (.png)"
        )
    if not path.exists():
        raise InputError(
            f"{path} does not exist: expected COCO's .json, Pascal VOC's .xml, or a folder of .xml or .png"
        )
    if path.suffix.lower() == ".xml":
        return [_voc(path)]
    if path.suffix.lower() == ".json":
        return _coco(path)
    raise InputError(f"{path}: expected annotations as COCO's .json, Pascal VOC's .xml, or a folder of .xml or .png")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


# ---- COCO ------------------------------------------------------------------------------------------------


def _coco(path: Path) -> list[Page]:
    try:
        content = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict) or not {"images", "annotations", "categories"} <= content.keys():
        has = type(content).__name__
        if isinstance(content, dict):
            has = ", ".join(map(repr, list(content)[:6])) or "an empty object"
        raise InputError(f"{path}: expected COCO's form, an object of images, annotations and categories, got {has}")
    names = {
        key: _get(entry, "name", str, at) for key, (at, entry) in _by_id(_records(content, "categories", path)).items()
    }
    images = _by_id(_records(content, "images", path))
    objects: dict[int, list[Annotated]] = {key: [] for key in images}
    for at, entry in _records(content, "annotations", path):
        image, category = _get(entry, "image_id", int, at), _get(entry, "category_id", int, at)
        for what, key, known in (("image", image, images), ("category", category, names)):
            if key not in known:
                raise InputError(f"{at} names {what} {key}, which the file does not have")
        if not entry.get("iscrowd"):  # a crowd is no object, and COCO's own evaluation leaves it out
            objects[image].append(Annotated(names[category], at, _coco_edges(entry, at), _coco_mask(entry, at)))
    return [
        Page(_posix(_get(entry, "file_name", str, at)), at, _coco_size(entry, at), tuple(objects[key]))
        for key, (at, entry) in images.items()
    ]


def _records(content: Mapping[str, Any], kind: str, path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    """The entries of one of COCO's lists, each with where it is."""
    entries = content[kind]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{path}: expected {kind!r} to be a list of objects")
    return [(f"{path}, {kind}[{i}]", entry) for i, entry in enumerate(entries)]


def _by_id(records: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[int, tuple[str, Mapping[str, Any]]]:
    found: dict[int, tuple[str, Mapping[str, Any]]] = {}
    for at, entry in records:
        key = _get(entry, "id", int, at)
        if key in found:
            raise InputError(f"{at} has the id {key}, as one before it: expected each id once")
        found[key] = (at, entry)
    return found


def _get(entry: Mapping[str, Any], key: str, kind: type, where: str) -> Any:
    value = entry.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InputError(f"{where}: expected {key!r} to be {_KINDS[kind]}, got {value!r:.60}")
    return value


_KINDS = {int: "a whole number", str: "a text", list: "a list"}


def _coco_size(entry: Mapping[str, Any], where: str) -> tuple[int, int] | None:
    if "height" not in entry and "width" not in entry:
        return None
    return _get(entry, "height", int, where), _get(entry, "width", int, where)


def _coco_edges(entry: Mapping[str, Any], where: str) -> Edges:
    box = _get(entry, "bbox", list, where)
    if len(box) != 4 or not all(_is_number(value) for value in box):
        raise InputError(f"{where}: expected 'bbox' to be four numbers, left, top, width, height, got {box!r:.80}")
    left, top, width, height = map(float, box)
    return left, top, left + width, top + height


def _coco_mask(entry: Mapping[str, Any], where: str) -> Callable[[tuple[int, int]], Mask] | None:
    outline = entry.get("segmentation")
    if not outline:
        return None
    if isinstance(outline, dict) and isinstance(outline.get("counts"), list | str):
        counts, size = outline["counts"], outline.get("size")
        if isinstance(counts, list) and not all(isinstance(count, int) for count in counts):
            raise InputError(f"{where}: expected run lengths to be whole numbers")
        return partial(_run_lengths, counts, size, where)
    polygons = outline if isinstance(outline, list) else [None]
    for polygon in polygons:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2 or not all(map(_is_number, polygon)):
            raise InputError(
                f"{where}: expected 'segmentation' to be polygons, lists of x1, y1, x2, y2 ... of three corners or "
                f"more, or run lengths, got {outline!r:.80}"
            )
    return partial(_polygons, polygons)


def _polygons(polygons: Sequence[Any], photo: tuple[int, int]) -> Mask:
    return reduce(np.logical_or, [polygon_mask(polygon, photo) for polygon in polygons])


def _run_lengths(counts: Any, size: object, where: str, photo: tuple[int, int]) -> Mask:
    if size is not None and size != list(photo):
        raise InputError(f"{where}: expected run lengths of size {list(photo)}, as the photo, got {size!r:.60}")
    try:
        return run_length_mask(counts, photo)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


# ---- Pascal VOC ------------------------------------------------------------------------------------------


def _voc(path: Path) -> Page:
    content = _read(path)
    try:
        _refuse_document_types(content, path)
        root = ElementTree.fromstring(content)
    except InputError:
        raise
    except (expat.ExpatError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(f"{path} is not XML: {error}") from error
    if root.tag != "annotation":
        raise InputError(f"{path}: expected Pascal VOC's form, an <annotation>, got <{root.tag}>")
    objects = []
    for i, entry in enumerate(root.findall("object")):
        where = f"{path}, object {i + 1}"
        # the first pixel is number 1, and the last is within
        left, top, right, bottom = (_number(entry, f"bndbox/{key}", where) for key in ("xmin", "ymin", "xmax", "ymax"))
        objects.append(Annotated(_text(entry, "name", where), where, (left - 1, top - 1, right, bottom)))
    size = None
    if root.find("size") is not None:
        height, width = (int(_number(root, f"size/{key}", str(path))) for key in ("height", "width"))
        size = (height, width) if height and width else None  # some tools write 0 for what they do not know
    named = (root.findtext("filename") or "").strip()
    page = _posix(named) if named else PurePosixPath(path.stem)
    return Page(page, str(path), size, tuple(objects), any_suffix="." not in page.name)


def _refuse_document_types(content: bytes, path: Path) -> None:
    def refuse(*_: object) -> NoReturn:
        raise InputError(
            f"{path} declares a document type, which could have entities without end: remove <!DOCTYPE ...>"
        )

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(content, True)


def _text(entry: ElementTree.Element, key: str, where: str) -> str:
    found = (entry.findtext(key) or "").strip()
    if not found:
        raise InputError(f"{where}: expected <{key}>, and there is none")
    return found


def _number(entry: ElementTree.Element, key: str, where: str) -> float:
    found = _text(entry, key, where)
    try:
        value = float(found)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise InputError(f"{where}: expected <{key}> to be a number, got {found!r:.60}")
    return value


# ---- masks -----------------------------------------------------------------------------------------------


def _mask(path: Path) -> Page:
    return Page(
        PurePosixPath(path.stem), str(path), None, (Annotated(None, str(path), None, partial(_drawn, path)),), True
    )


def _drawn(path: Path, photo: tuple[int, int]) -> Mask:
    mask = picture_mask(path)
    if mask.shape != photo:
        raise InputError(
            f"{path} has {sized(mask.shape)} pixels, and its photo {sized(photo)}{turned(mask.shape, photo)}"
        )
    return mask


def sized(size: tuple[int, ...]) -> str:
    """A size (H, W) as people write it: width first."""
    return f"{size[1]} × {size[0]}"


def turned(annotated: tuple[int, ...], photo: tuple[int, ...]) -> str:
    """What to try where two sizes differ."""
    if annotated == photo[::-1]:
        return (
            ": the photo is shown upright, as its EXIF says, and was annotated as it lies in the file; annotate the "
            "upright photo, or take the orientation out of the file"
        )
    return ": give the photo that was annotated, in its own size"


def _posix(name: str) -> PurePosixPath:
    return PurePosixPath(name.replace("\\", "/"))
