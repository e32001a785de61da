"""The photos of a run, each with a name of its own and a fingerprint of what is in it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from seewhy.errors import InputError, PhotoError
from seewhy.explain import Explainer
from seewhy.images import Photo, open_photo
from seewhy.maps import to_numpy
from seewhy.outputs import is_array

UNREAD = ""
"""The fingerprint of a photo that cannot be read."""


@dataclass(frozen=True)
class Shown:
    """One photo, or one image of a ready batch."""

    name: str
    image: Any
    fingerprint: str


def shown_of(explainer: Explainer, photos: Any) -> list[Shown]:
    """The photos one by one: each goes by its path, else by its fingerprint, and no two by the same."""
    if isinstance(photos, np.ndarray) and photos.ndim == 4 and photos.dtype == np.uint8:
        photos = list(photos)  # photos (n, h, w, 3)
    if explainer.adapter.is_batch(explainer.net, photos):
        placed = explainer.adapter.place(explainer.net, photos)
        n, _ = explainer.adapter.size(placed)
        picture = explainer.adapter.pictures(placed)  # channels first: the same image has one fingerprint everywhere
        listed, nameless = [_part(photos, i, n) for i in range(n)], "input"
        given = [("", part, _hash(picture(i) if is_array(part) else part)) for i, part in enumerate(listed)]
    else:
        listed, nameless = list(photos) if isinstance(photos, list | tuple) else [photos], "photo"
        given = [(_path(one), one, fingerprint(one)) for one in listed]
    if not given:
        raise InputError("the list of photos is empty")
    found: dict[str, Shown] = {}
    for i, (path, image, content) in enumerate(given):
        name = path or (f"{nameless} {content[:8]}" if content else f"{nameless} {i + 1} of {len(given)}")
        if name in found and found[name].fingerprint != content:
            name = apart(name, content)
        if name in found:
            if path:
                raise InputError(f"the photo {name} is given twice")
            first = [one.name for one in found.values()].index(name)
            raise InputError(
                f"the {nameless}s {first + 1} and {i + 1} of {len(given)} are the same: leave one out, or save them as "
                "files and give their paths, which tell them apart"
            )
        found[name] = Shown(name, image, content)
    return list(found.values())


def apart(name: str, content: str) -> str:
    """The name of a photo where another photo goes by the same."""
    return f"{name} ({content[:8]})"


def fingerprint(photo: Any) -> str:
    """What tells a photo's content from any other; UNREAD where it cannot be read."""
    try:
        if isinstance(photo, str | Path):
            with Path(photo).open("rb") as file:
                return hashlib.file_digest(file, _hasher).hexdigest()
        if isinstance(photo, Image.Image):
            photo = open_photo(photo)
        return _hash(photo.image if isinstance(photo, Photo) else photo)
    except (OSError, ValueError, PhotoError):  # said where it is measured
        return UNREAD


def _path(photo: Any) -> str:
    """Where a photo says that it lies, or what it calls itself."""
    if isinstance(photo, str | Path):
        return str(photo)
    if isinstance(photo, Photo):
        return str(photo.path or (photo.name if photo.name not in _NO_NAMES else ""))
    return str(getattr(photo, "filename", "") or "") if isinstance(photo, Image.Image) else ""


_NO_NAMES = ("array", "bytes", "PIL image")
"""What photos from memory are called when they are opened."""


def _hasher() -> Any:
    return hashlib.blake2b(digest_size=8)


def _hash(value: Any) -> str:
    """Of arrays, images, bytes, and lists and dicts of them: of what is in them, whatever they are kept in."""
    found = _hasher()
    for key, one in _parts(value):
        found.update(repr(key).encode())
        found.update(one)
    return str(found.hexdigest())


def _parts(value: Any, key: Any = ()) -> Any:
    if isinstance(value, bytes | bytearray):
        yield key, value
    elif isinstance(value, Image.Image):
        yield (key, value.mode, value.size), value.tobytes()
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield from _parts(one, (key, name))
    elif isinstance(value, list | tuple):
        for i, one in enumerate(value):
            yield from _parts(one, (key, i))
    elif is_array(value):
        array = np.ascontiguousarray(to_numpy(value))
        yield (key, array.shape, str(array.dtype)), array.tobytes()
    else:
        yield key, repr(value).encode()


def _part(batch: Any, i: int, n: int) -> Any:
    """Image i of a ready batch; of several inputs, what belongs to it of each."""
    if isinstance(batch, Mapping):
        return {key: _part(value, i, n) for key, value in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)([_part(value, i, n) for value in batch])
    return batch[i : i + 1] if is_array(batch) and len(batch.shape) and batch.shape[0] == n else batch
