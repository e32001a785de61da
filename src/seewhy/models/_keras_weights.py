"""Private: files of Keras weights, put into a model that fits them."""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, takewhile
from pathlib import Path
from typing import Any, Literal, TypeAlias

from seewhy.errors import ModelError
from seewhy.models._keras_files import as_called
from seewhy.models._nets import require, short
from seewhy.models._weights import kind_of

Ending: TypeAlias = Literal[".keras", ".weights.h5", ".h5"]
"""The forms of weights under the names by which Keras tells them: whole models, its own, and those of Keras 1 and 2."""


def load_keras_weights(net: Any, path: str, what: str) -> None:
    """Put the weights in a file into the model; ModelError where they do not fit it exactly."""
    path = _inside(path)
    with _opened(path, what) as (root, ending):
        held = _count(root) if ending != ".h5" else None
    if not net.built:
        raise ModelError(f"{what} is not built yet, so that it has no weights to fill: give it a keras.Input, or call "
                         "it once in your function")  # fmt: skip
    try:
        with as_called(path, ending) as file:
            net.load_weights(file)
    except Exception as error:  # Keras raises what its layers and h5py raise
        raise ModelError(f"the weights in {path} do not fit {what}: {_reason(error)}") from error
    if held is not None and held > len(net.variables):  # Keras looks for what it needs, and leaves the rest
        raise ModelError(f"the weights in {path} do not fit {what}: the file holds {held} arrays, the model takes "
                         f"{len(net.variables)}")  # fmt: skip


def class_count(net: Any, path: str, what: str) -> int | None:
    """How many classes the weights in a file are for, if they are for this kind of network."""
    with _opened(_inside(path), what) as (root, ending):
        arrays = _last_legacy(root) if ending == ".h5" else _head(root, net)
        return int(arrays[-1].shape[-1]) if arrays and arrays[-1].ndim > 0 else None


def _inside(path: str) -> str:
    """The file with the weights in a model that was saved as a folder."""
    file = Path(path) / "model.weights.h5"
    return str(file) if file.exists() else path


@contextmanager
def _opened(path: str, what: str) -> Iterator[tuple[Any, Ending]]:
    """The group of an HDF5 file, alone or in a .keras file, that the weights are in, and which form they have."""
    kind = kind_of(path)
    if kind not in ("keras", "hdf5"):
        raise ModelError(f"{path} holds weights of PyTorch ({kind}), and {what} takes those of Keras: expected a "
                         ".weights.h5, .h5 or .keras file")  # fmt: skip
    h5py: Any = require("h5py", what, "keras")
    try:
        if kind == "keras":
            with zipfile.ZipFile(path) as archive:
                source: Any = io.BytesIO(archive.read("model.weights.h5"))
        else:
            source = path
        with h5py.File(source, "r") as file:
            root = file.get("model_weights", file)
            ending: Ending = ".keras" if kind == "keras" else ".h5" if _is_legacy(root) else ".weights.h5"
            if ending != ".h5" and not _count(root):
                raise ModelError(f"{path} holds no weights of Keras: expected what model.save_weights or model.save "
                                 f"wrote, got groups {', '.join(map(repr, list(root)[:5]))}")  # fmt: skip
            yield root, ending
    except (OSError, KeyError, RuntimeError, ValueError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path} is truncated or damaged: {short(error)}") from error


def _is_legacy(root: Any) -> bool:
    return "layer_names" in root.attrs or "layer_names0" in root.attrs


def _count(root: Any) -> int:
    """The number of arrays that belong to the network: not those of the optimizer, or of metrics."""
    names: list[str] = []
    root.visititems(lambda name, found: names.append(name) if hasattr(found, "ndim") else None)
    mine = [n for n in names if "/vars/" in f"/{n}" and n.partition("/")[0] not in ("optimizer", "compile_metrics")]
    return len(mine)


def _head(root: Any, net: Any) -> list[Any]:
    """The arrays of the net's last layer with weights, in Keras's own form: layers go by their class and a number."""
    layers = list(net.layers)
    last = next((i for i in reversed(range(len(layers))) if layers[i].weights), None)
    if last is None:
        return []
    name = type(layers[last]).__name__
    number = sum(type(layer).__name__ == name for layer in layers[:last])
    where = f"layers/{name.lower()}{f'_{number}' if number else ''}/vars"  # a Dense or a Conv2D
    return [root[where][key] for key in sorted(root[where], key=int)] if where in root else []


def _last_legacy(root: Any) -> list[Any]:
    """The arrays of the last layer that has some."""
    for layer in reversed(_names(root, "layer_names")):
        if names := _names(root[layer], "weight_names"):
            return [root[layer][name] for name in names]
    return []


def _names(group: Any, attribute: str) -> list[str]:
    """A list of names in an attribute of HDF5; a long one is cut, and lies in attributes that are numbered from 0."""
    numbered = (f"{attribute}{i}" for i in count())
    parts = [attribute] if attribute in group.attrs else takewhile(group.attrs.__contains__, numbered)
    found = [name for part in parts for name in group.attrs[part]]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in found]


def _reason(error: Exception) -> str:
    """The sentence of Keras's message that says what does not fit: of the first layer, where it lists several."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and "objects could not be loaded" in lines[0] and len(lines) > 1:
        layer = lines[0].partition("for object ")[2].rstrip(":")
        return short(ValueError(f"{layer}: {lines[1]}"))
    return short(error)
