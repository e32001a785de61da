"""Private: whole models that Keras saved, as .keras or as HDF5, loaded without running what they name.

Such a file names the classes and functions that it is made of, and may hold Python code (Lambda layers). Keras's own
safe mode stops that code, but Keras up to 3.8 imports any module that is named, and not every version honours safe mode
for HDF5. So what a file names is looked at first: without trust, nothing but Keras itself and what the user has
registered may be in it.
"""

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from seewhy.errors import ModelError
from seewhy.models._nets import current_folder, require, require_keras, short
from seewhy.models._weights import TRUST, Kind


def read_keras_model(path: str, kind: Kind, *, trust: bool) -> Any:
    """The model in a .keras file, its unpacked folder, or an HDF5 file.

    Raises ModelError where the file is damaged, holds weights alone, names code that is not Keras's own (without trust
    none is imported), or was saved by a Keras that this one does not understand.
    """
    config, version = _hdf5_config(path) if kind == "hdf5" else _keras_config(path)
    keras = require_keras(f"file:{path}")
    try:
        named = list(_named(config))
    except RecursionError as error:
        raise ModelError(f"{path} is damaged: it describes layers in layers without end") from error
    if not trust and (code := next((what for what in map(_code, named) if what), None)):
        raise ModelError(f"{path} holds {code}. {TRUST}; or save the model anew without")
    foreign = list(dict.fromkeys(found for entry in named if (found := _foreign(keras, entry)) is not None))
    if foreign and not trust:
        raise ModelError(_foreign_message(path, foreign, version))
    with current_folder() if trust else nullcontext(), as_called(path, ".h5" if kind == "hdf5" else ".keras") as file:
        custom = {name: found for part in foreign for name, found in _imported(part, path)}
        try:
            return keras.saving.load_model(file, custom_objects=custom, compile=False, safe_mode=not trust)
        except Exception as error:  # Keras raises what its layers and h5py raise
            raise ModelError(f"{path} cannot be loaded by Keras {keras.__version__} ({short(error)}): "
                             + _way_out(version)) from error  # fmt: skip


@contextmanager
def as_called(path: str, ending: str) -> Iterator[str]:
    """The file under a name with this ending, by which Keras tells what it is; a folder as it is."""
    if Path(path).is_dir():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="seewhy-") as folder:
        link = Path(folder) / f"model{ending}"
        try:
            link.symlink_to(Path(path).resolve())
        except OSError:  # Windows, for those who may not make links
            shutil.copyfile(path, link)
        yield str(link)


# ---- what the file says of itself ------------------------------------------------------------------------


def _keras_config(path: str) -> tuple[Any, str]:
    """The configuration in a .keras file or folder, and the version of Keras that wrote it."""
    try:
        if Path(path).is_dir():
            found = {file.name: file.read_bytes() for file in Path(path).glob("*.json")}
        else:
            with zipfile.ZipFile(path) as archive:
                found = {name: archive.read(name) for name in archive.namelist() if name.endswith(".json")}
        config, metadata = json.loads(found["config.json"]), json.loads(found.get("metadata.json", "{}"))
    except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path} is truncated or damaged: {short(error)}") from error
    if not isinstance(config, dict) or not isinstance(metadata, dict):
        raise ModelError(f"{path} is damaged: its config.json describes no model")
    # it is loaded uncompiled: the optimizer and the losses are left out
    network = {name: value for name, value in config.items() if name != "compile_config"}
    return network, _text(metadata.get("keras_version", ""))


def _hdf5_config(path: str) -> tuple[Any, str]:
    """The configuration in an HDF5 file, and the version of Keras that wrote it; ModelError for weights alone."""
    h5py: Any = require("h5py", f"file:{path}", "keras")
    try:
        with h5py.File(path, "r") as file:
            text, version = file.attrs.get("model_config"), file.attrs.get("keras_version", "")
            config = None if text is None else json.loads(_text(text))
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise ModelError(f"{path} is an HDF5 file, but truncated or damaged: {short(error)}") from error
    if config is None:
        raise ModelError(
            f"{path} is an HDF5 file without a model in it (Keras weights only?): name the network that they belong "
            f'to, as load("file:{path}@keras:Xception") or load("keras:Xception", weights="{path}") '
            f"(--model keras:Xception --weights {path})"
        )
    return config, _text(version)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


# ---- what it is made of ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Foreign:
    """A class or function that is not Keras's own, and not registered either."""

    name: str
    registered: str | None
    module: str | None

    def __str__(self) -> str:
        return f"{self.module}.{self.name}" if self.module else self.name


_DATA = ("__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__")
_BUILT_IN = ("activations", "constraints", "initializers", "losses", "metrics", "optimizers", "regularizers")
_NAMESPACES = ("layers", "models", "dtype_policies", "quantizers", *_BUILT_IN)


def _named(value: Any) -> Iterator[dict[str, Any]]:
    """All descriptions of objects at or below `value`: Keras makes one of each dict with these two keys."""
    if isinstance(value, dict):
        if "class_name" in value and "config" in value:
            yield value
        for inner in value.values():
            yield from _named(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _named(inner)


def _code(entry: dict[str, Any]) -> str | None:
    """What this runs or reads beside the network, in words; None: nothing."""
    name, config = entry["class_name"], entry["config"]
    if name == "__lambda__":
        return "Python code (a lambda, mostly of a Lambda layer), which would be run"
    if not isinstance(config, dict):
        return None
    if name == "Lambda" and (isinstance(config.get("function"), list) or config.get("output_shape_type") == "lambda"):
        return "Python code (a lambda of a Lambda layer), which would be run"
    if name == "TorchModuleWrapper":
        return "a pickled PyTorch module, which runs code when it is opened"
    if name == "TFSMLayer":
        return "a TFSMLayer, which runs a program from another file"
    if isinstance(config.get("vocabulary"), str):
        return f"a {name} that reads another file"
    return None


def _foreign(keras: Any, entry: dict[str, Any]) -> _Foreign | None:
    """What this names, unless it is Keras's own or registered in this process; looked up as Keras is going to."""
    kind, module = entry["class_name"], entry.get("module")
    if kind in _DATA or kind == "__lambda__":
        return None
    name = entry["config"] if kind == "function" else entry.get("spec_name", kind)
    registered = entry.get("registered_name", name)
    if not all(isinstance(text, str) for text in (kind, name, module or "", registered or "")):
        return _Foreign(str(name), None, None)
    asked = registered if "module" in entry and kind != "function" else name
    if asked and keras.saving.get_registered_object(asked) is not None:
        return None
    if kind == "function":
        own = _is_function_of_keras(keras, name, module or "")
    elif "module" in entry:
        own = _is_class_of_keras(name, module or "")
    else:  # HDF5 names no modules
        spaces = [getattr(keras, space, None) for space in _NAMESPACES]
        own = name == "Functional" or any(isinstance(getattr(space, name, None), type) for space in spaces)
    return None if own else _Foreign(name, registered, None if module in ("builtins", "__main__") else module)


def _is_function_of_keras(keras: Any, name: str, module: str) -> bool:
    parts = module.split(".")
    spaces: Iterable[str] = ()  # of any other module even a name that Keras has too would be imported from there
    if module in ("", "builtins"):
        spaces = _BUILT_IN
    elif parts[0] == "keras":
        spaces = {*parts[1:2]} & {*_BUILT_IN, "ops", "random"}
    known = any(callable(getattr(getattr(keras, space, None), name, None)) for space in spaces)
    return known and name not in ("get", "serialize", "deserialize")


def _is_class_of_keras(name: str, module: str) -> bool:
    if module.partition(".")[0] != "keras":
        return False
    try:
        return isinstance(getattr(import_module(module), name, None), type)
    except Exception:  # a module that an earlier Keras had, or that needs what is not installed
        return False


def _imported(part: _Foreign, path: str) -> Iterator[tuple[str, Any]]:
    """The foreign class or function under the names that Keras asks for; only for files that are trusted."""
    try:
        found: Any = import_module(part.module) if part.module else None
        for step in part.name.split("."):
            found = getattr(found, step)
    except Exception as error:  # code of the user's
        reason = f"importing {part.module} failed: {short(error)}" if part.module else "it does not say where that is"
        raise ModelError(f"{path} needs {part}, and {reason}: {_register(part)}") from error
    yield part.name, found
    if part.registered:
        yield part.registered, found


def _foreign_message(path: str, foreign: list[_Foreign], version: str) -> str:
    names = ", ".join(map(str, foreign[:3])) + (f" and {len(foreign) - 3} more" if len(foreign) > 3 else "")
    if version.startswith("2."):
        return f"{path} needs {names}, which Keras 3 does not have: {_way_out(version)}"
    where = f"{TRUST}, in the folder of its code; or " if all(part.module for part in foreign) else ""
    return f"{path} needs {names}, which is not part of Keras. {where}{_register(foreign[0])}"


def _register(part: _Foreign) -> str:
    if part.registered and ">" in part.registered:  # as register_keras_serializable calls it
        first = f"import the module that defines {part.name}"
    else:
        first = f"put @keras.saving.register_keras_serializable() before {part.name}"
    return f"{first}, load the file in a function of yours, and name that: python:MODULE:FACTORY"


def _way_out(version: str) -> str:
    if version.startswith("2."):
        return (
            f"it was saved by Keras {version}. Build the model with Keras 3 in a function of yours, load its weights "
            "there (model.load_weights), and name the function: python:MODULE:FACTORY"
        )
    return "it is damaged, or was saved by another version" + (f" (Keras {version})" if version else "")
