"""Private: files of weights, read without running anything that they hold."""

import os
import pickle
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

from seewhy.errors import ModelError
from seewhy.models._nets import require, short

Kind: TypeAlias = Literal["torchscript", "export", "safetensors", "pickle", "keras", "hdf5", "onnx"]
Weights: TypeAlias = Mapping[str, Any]

TRUST = "If you trust where it comes from, pass trust=True (--trust)"

_FOREIGN = {
    b"version https://git-lfs": "a Git LFS pointer, not the file itself: run git lfs pull",
    b"<!DOCTYPE": "a web page, not a model: the download went wrong",
    b"<html": "a web page, not a model: the download went wrong",
    b"GGUF": "a GGUF file, which is not a PyTorch model",
}

_AFTER_VERSION = (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72)
"""How a field of an ONNX file can begin behind its version, which comes first: a protobuf has no mark of its own."""


def kind_of(path: str) -> Kind:
    """What a model file is, told from its content; ModelError where it is missing, empty or nothing known."""
    try:
        if Path(path).is_dir():
            return _kind_of_folder(path)
        with open(path, "rb") as file:
            start = file.read(64)
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise ModelError(f"{path} does not exist: expected a model file") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if size == 0:
        raise ModelError(f"{path} is empty: expected a model file")
    for mark, what in _FOREIGN.items():
        if start.startswith(mark):
            raise ModelError(f"{path} is {what}")
    if start.startswith(b"PK"):
        return _kind_of_zip(path)
    if start.startswith(b"\x89HDF"):
        return "hdf5"
    if len(start) > 9 and start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 2**27:
        return "safetensors"
    if start.startswith(b"\x80"):
        return "pickle"
    if len(start) > 2 and start.startswith(b"\x08") and 0 < start[1] < 64 and start[2] in _AFTER_VERSION:
        return "onnx"
    raise ModelError(
        f"{path} is no model file that seewhy knows, or it is damaged: expected TorchScript (.pt), "
        "torch.export (.pt2), safetensors, a state dict (.pt, .pth), Keras's .keras or .h5, or an .onnx that "
        "seewhy.export wrote"
    )


def _kind_of_folder(path: str) -> Kind:
    names = {entry.name for entry in Path(path).iterdir()}
    if {"config.json", "model.weights.h5"} <= names:
        return "keras"  # as Keras saves it unzipped
    if "saved_model.pb" in names:
        raise ModelError(
            f"{path} is a TensorFlow SavedModel, a program without layers that could be watched: save the Keras model "
            "that it was made from as one file, model.save('model.keras'), and load file:model.keras"
        )
    raise ModelError(f"{path} is a folder: expected a file (a folder of transformers is loaded as hf:{path})")


def _kind_of_zip(path: str) -> Kind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise ModelError(f"{path} is truncated or damaged: {short(error)}") from error
    members = {name.partition("/")[2] for name in names} | set(names)  # most writers put all in one folder
    if "constants.pkl" in members and any(name.startswith("code/") for name in members):
        return "torchscript"
    if "serialized_exported_program.json" in members or any(name.startswith("models/") for name in members):
        return "export"
    if "data.pkl" in members:
        return "pickle"
    if "config.json" in names and {"model.weights.h5", "model.weights.npz"} & set(names):
        return "keras"
    raise ModelError(f"{path} is a zip file, but holds no model that PyTorch or Keras wrote")


settings = threading.RLock()
"""Held while a setting of the whole process is changed: models are loaded one after the other."""


@contextmanager
def only_tensors(trust: bool) -> Iterator[None]:
    """While this lasts, torch.load unpickles nothing but tensors, whatever a library between asks it for."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    with settings:
        before = os.environ.get(name)
        if not trust:
            os.environ[name] = "1"
        try:
            yield
        finally:
            if before is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = before


def read_pickle(path: str, *, trust: bool) -> Any:
    """What torch.save wrote; anything but tensors in plain containers only with trust."""
    torch = require("torch", "a model file", "torch")
    try:
        return torch.load(path, map_location="cpu", weights_only=not trust)
    except pickle.UnpicklingError as error:
        if trust:
            raise ModelError(f"{path} is truncated or damaged: {short(error)}") from error
        raise ModelError(
            f"{path} holds Python objects beside tensors (a whole pickled model?), and reading them runs code from the "
            f"file. {TRUST}; or save the weights alone: torch.save(net.state_dict(), ...)"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise ModelError(f"{path} is truncated or damaged: {short(error)}") from error
    except (ImportError, AttributeError) as error:
        raise ModelError(f"{path} is a pickled model whose code is not here: {short(error)}") from error


def read_weights(path: str, *, trust: bool) -> Weights:
    """Names to tensors, from safetensors or from what torch.save wrote.

    Raises ModelError for a missing, damaged or foreign file, and for pickled objects without trust.
    """
    kind = kind_of(path)
    if kind == "safetensors":
        safetensors = require("safetensors.torch", f"{path} (safetensors)", "zoo")
        try:
            return dict(safetensors.load_file(path, device="cpu"))
        except Exception as error:  # safetensors raises classes of its own
            raise ModelError(f"{path} is truncated or damaged: {short(error)}") from error
    if kind in ("keras", "hdf5"):
        raise ModelError(f"{path} is a file of Keras, and holds no weights of PyTorch: expected safetensors or a state "
                         "dict (.pt, .pth)")  # fmt: skip
    if kind != "pickle":
        raise ModelError(f"{path} is a whole model ({kind}), not weights alone: load it as file:{path}")
    return weights_in(read_pickle(path, trust=trust), path)


def weights_in(loaded: Any, path: str) -> Weights:
    """The state dict in what a file held: itself, under one of the usual keys, or that of a pickled network."""
    torch = require("torch", "a model file", "torch")
    if isinstance(loaded, torch.nn.Module):
        return dict(loaded.state_dict())
    found = loaded
    for key in ("state_dict", "model_state_dict", "model_state", "model", "net", "weights"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
            break
    if isinstance(found, Mapping):
        tensors = {str(name): value for name, value in found.items() if isinstance(value, torch.Tensor)}
        if tensors:
            return tensors
    what = f"a {type(loaded).__name__}"
    if isinstance(loaded, Mapping):
        what += " with the keys " + ", ".join(map(repr, list(loaded)[:5]))
    raise ModelError(f"{path} holds no weights: expected a state dict (names to tensors), got {what}")


def fitted(weights: Weights, net: Any) -> Weights:
    """The weights under the names that the network has: wrappers such as DataParallel put a prefix before all."""
    return fitted_names(weights, net.state_dict())


def fitted_names(weights: Weights, wanted: Iterable[str]) -> Weights:
    """The weights under the names that are wanted, where all have one of the usual prefixes before them."""
    names = set(wanted)
    for prefix in ("module.", "_orig_mod.", "model.", "net.", "backbone."):
        if not names & weights.keys() and all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): value for name, value in weights.items()}
    return weights


def class_count(weights: Weights, net: Any) -> int | None:
    """How many classes the weights are for: the length of the last parameter, which is the classifier's."""
    weights = fitted(weights, net)
    for name, _ in reversed(list(net.named_parameters())):
        if name in weights:
            return int(weights[name].shape[0])
    return None


def build(
    make: Callable[[int | None], Any], path: str, what: str, *, trust: bool, without: tuple[str, ...] = ()
) -> Any:
    """The network that `make(classes)` makes, with the weights in a file; made anew where they are for other classes.

    `make(None)` makes it with its own number of classes; weights whose names start with one of `without` are left out.
    """
    weights = read_weights(path, trust=trust)
    net = make(None)
    count = class_count(weights, net)
    if count is not None and count != class_count(net.state_dict(), net):
        net = make(count)
    load_into(
        net, {n: w for n, w in fitted(weights, net).items() if not (without and n.startswith(without))}, path, what
    )
    return net


def load_into(net: Any, weights: Weights, path: str, what: str) -> None:
    """Put the weights into the network; ModelError where they do not fit it exactly."""
    weights = fitted(weights, net)
    wanted: Mapping[str, Any] = net.state_dict()
    # the number of batches seen in training is no weight: old files lack it
    missing = [n for n in wanted if n not in weights and not n.endswith("num_batches_tracked")]
    extra = [n for n in weights if n not in wanted]
    shapes = [n for n in weights if n in wanted and weights[n].shape != wanted[n].shape]
    if missing or extra or shapes:
        parts = [
            _listing(names, label) for names, label in ((missing, "missing"), (extra, "not in the model")) if names
        ]
        parts += [f"{n} is {tuple(weights[n].shape)}, expected {tuple(wanted[n].shape)}" for n in shapes[:2]]
        raise ModelError(f"the weights in {path} do not fit {what}: " + "; ".join(parts))
    net.load_state_dict(dict(weights), strict=False)


def _listing(names: list[str], label: str) -> str:
    return f"{label}: " + ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
