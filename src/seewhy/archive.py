"""Words, arrays and pictures in one .npz file, and back; nothing in it is pickled."""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from seewhy.errors import InputError, SeewhyError
from seewhy.files import write_atomically

FORMAT = "seewhy explanation 1"


def write(
    path: Path,
    words: Mapping[str, Any],
    arrays: Mapping[str, npt.NDArray[Any]],
    pictures: Sequence[npt.NDArray[np.uint8] | None],
    *,
    protect: Sequence[Path] = (),
) -> Path:
    """Write all into one file, whole or not at all; pictures (H, W, 3) are kept without loss."""
    parts: dict[str, Any] = {"words": np.asarray(json.dumps({"format": FORMAT, **words})), **arrays}
    for i, picture in enumerate(pictures):
        if picture is not None:
            buffer = io.BytesIO()
            Image.fromarray(picture).save(buffer, "PNG")
            parts[f"picture_{i}"] = np.frombuffer(buffer.getvalue(), np.uint8)
    return write_atomically(path, lambda file: np.savez_compressed(file, **parts), protect=protect)


def read(path: Path) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]], dict[int, Image.Image]]:
    """The words, the arrays, and the pictures by their place; InputError where the file is no such archive."""
    if not path.is_file():
        raise InputError(f"{path} does not exist, or is no file")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        words = json.loads(str(arrays.pop("words")))
        if words["format"] != FORMAT:
            raise InputError(f"{path} was written by another version of seewhy ({words['format']!r}, not {FORMAT!r})")
        names = [name for name in arrays if name.startswith("picture_")]
        pictures = {int(n.removeprefix("picture_")): Image.open(io.BytesIO(arrays.pop(n).tobytes())) for n in names}
        return words, arrays, {i: picture.convert("RGB") for i, picture in pictures.items()}
    except SeewhyError:
        raise
    except (OSError, ValueError, KeyError, TypeError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not an explanation saved by seewhy as .npz, or is damaged") from error
