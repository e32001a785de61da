"""Private: what every scheme does with packages and networks."""

import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module, invalidate_caches
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from seewhy.errors import MissingPackageError, ModelError, SeewhyWarning
from seewhy.images import Photo
from seewhy.preprocess import Locator, Preprocess
from seewhy.vision_model import VisionModel


def require(package: str, scheme: str, extra: str) -> ModuleType:
    """Import a package that a scheme needs; MissingPackageError says what to install."""
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        root = package.partition(".")[0]
        if error.name is not None and error.name.partition(".")[0] != root and find_spec(root) is not None:
            raise MissingPackageError(f'{scheme}: the package {root} needs {error.name}: pip install {error.name}'
                                      ) from error  # fmt: skip
        raise MissingPackageError(
            f'{scheme} needs the package {root}, which is not installed: pip install "seewhy[{extra}]"'
        ) from error


def require_torchvision(scheme: str, more: str = "") -> ModuleType:
    """Import torchvision; where its compiled part does not fit the installed torch, say so, and what `more` helps."""
    torch = require("torch", scheme, "zoo")
    try:
        return require("torchvision", scheme, "zoo")
    except MissingPackageError:
        raise
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        # torchvision looks its compiled ops up while it is imported: "operator torchvision::nms does not exist"
        raise MissingPackageError(
            f"{scheme} needs torchvision, and the installed one does not work beside torch {torch.__version__} "
            f"({short(error)}): the two are of different builds. Install both anew, in one command and from one "
            f"package index: pip install --force-reinstall torch torchvision{more}"
        ) from error


_BACKENDS = {"tensorflow": "keras", "jax": "jax", "torch": "torch"}
"""What Keras runs on, and the extra of seewhy that brings it."""


def require_keras(spec: str) -> ModuleType:
    """Import Keras 3; MissingPackageError where it is not installed, or the backend that it is set to.

    Where nobody chose a backend and TensorFlow, Keras's default, is not installed, one that is takes its place: that
    can be said only before Keras is imported.
    """
    if "keras" not in sys.modules and find_spec("keras") is not None:
        backend, installed = _keras_backend(), [name for name in _BACKENDS if find_spec(name) is not None]
        if backend == "tensorflow" and backend not in installed and installed and not os.environ.get("KERAS_BACKEND"):
            backend = os.environ["KERAS_BACKEND"] = installed[0]
        if backend not in installed:
            raise MissingPackageError(_backend_message(spec, backend, installed))
    try:
        keras = require("keras", spec, "keras")
    except MissingPackageError:
        raise
    except Exception as error:  # whatever a backend of another version or build meets
        raise MissingPackageError(f"{spec}: Keras cannot be imported ({short(error)}): it and its backend "
                                  f"{_keras_backend()} may be of versions that do not fit") from error  # fmt: skip
    if int(keras.__version__.partition(".")[0]) < 3:
        raise MissingPackageError(f'{spec} needs Keras 3, and Keras {keras.__version__} is installed: '
                                  'pip install --upgrade "seewhy[keras]"')  # fmt: skip
    return keras


def _keras_backend() -> str:
    """The backend that Keras is going to run on: of the environment, of its settings file, or its default."""
    file = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "keras.json"
    try:
        told = json.loads(file.read_text()).get("backend")
    except (OSError, ValueError, AttributeError):
        told = None
    return os.environ.get("KERAS_BACKEND") or told or "tensorflow"


def _backend_message(spec: str, backend: str, installed: list[str]) -> str:
    known = ", ".join(_BACKENDS)
    if backend not in _BACKENDS:
        problem = f"Keras is set to the backend {backend!r}, and models are explained on {known}"
    else:
        problem = f"Keras is set to the backend {backend}, which is not installed"
    there = f"installed here: {', '.join(installed)}" if installed else f"none of {known} is installed here"
    choose = f"choose one before Python starts, KERAS_BACKEND={installed[0]}, or " if installed else ""
    return f'{spec}: {problem}; {there}. {choose}pip install "seewhy[{_BACKENDS.get(backend, "keras")}]"'


@contextmanager
def current_folder() -> Iterator[None]:
    """Modules of the current folder can be imported while this lasts."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    invalidate_caches()
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)  # the first one, which is ours


def exact(ours: Preprocess | None, theirs: Callable[[Image.Image], Any]) -> Any:
    """Our Preprocess where it makes the same pixels as the library's own function, else that function itself."""
    if ours is not None:
        for candidate in (ours, _measured(ours, theirs)):
            if candidate is not None and all(_agree(candidate, theirs, size) for size in ((301, 452), (403, 260))):
                return candidate
    return Locator(theirs)


def _agree(ours: Preprocess, theirs: Callable[[Image.Image], Any], size: tuple[int, int]) -> bool:
    """Do both make the same of a test picture, but for the rounding of one grey level or two?"""
    wave = np.sin(np.arange(3) + np.hypot(*np.mgrid[: size[0], : size[1]])[..., None] / 17)
    picture = Image.fromarray((127.5 + 127.5 * wave).astype(np.uint8))
    mine, other = ours(Photo(picture, "wave"))[0], np.asarray(theirs(picture), np.float32)
    if mine.shape != other.shape:
        return False
    level = ours.scale / np.abs(np.asarray(ours.std, np.float32))[:, None, None]
    return bool((np.abs(mine - other) / level).max() <= 1.5)


def _measured(ours: Preprocess, theirs: Callable[[Image.Image], Any]) -> Preprocess | None:
    """Ours with the mean and std that black and white show: libraries have more ways to scale than fields for them."""
    black, white = (np.asarray(theirs(Image.new("RGB", (320, 320), c)), np.float64) for c in ("black", "white"))
    if black.ndim != 3 or black.shape[0] != 3:
        return None
    middle = (slice(None), black.shape[1] // 2, black.shape[2] // 2)
    spread = white[middle] - black[middle]
    if 0 in spread:
        return None
    return replace(
        ours, mean=tuple(map(float, -black[middle] / spread)), std=tuple(map(float, 1 / spread)), scale=1 / 255
    )


def check_device(device: Any) -> Any:
    """The torch.device of a name; ModelError where this machine has none such."""
    torch = require("torch", "device=", "torch")
    try:
        found = torch.device(device)
        if found.type == "meta":
            raise RuntimeError("tensors on it hold no values")
        torch.zeros(1, device=found).add_(1)
    except (RuntimeError, AssertionError, TypeError, ValueError, NotImplementedError, ImportError) as error:
        raise ModelError(
            f"cannot use the device {str(device)!r} ({short(error)}): this machine has {', '.join(_devices(torch))}"
        ) from error
    return found


def _devices(torch: Any) -> list[str]:
    found = ["cpu"]
    found += [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return found + (["mps"] if torch.backends.mps.is_available() else [])


def framework(net: object) -> str | None:
    """The framework of a network, "torch", "keras" or "onnxruntime", by its class; nothing is imported."""
    # a Keras model on the PyTorch backend is of both, and Keras then
    roots = {(cls.__module__.partition(".")[0], cls.__name__) for cls in type(net).__mro__}
    if any(root in ("keras", "tf_keras") and name == "Model" for root, name in roots):
        return "keras"
    if ("onnxruntime", "InferenceSession") in roots:
        return "onnxruntime"
    return "torch" if ("torch", "Module") in roots else None


def ready(net: Any, device: Any, spec: str) -> Any:
    """The network on its device, in eval mode."""
    if framework(net) != "torch":
        if device is not None:
            raise ModelError(f"device={str(device)!r} is for PyTorch models, {spec} is a {type(net).__name__}")
        return net
    try:
        return (net if device is None else net.to(device)).eval()
    except RuntimeError as error:  # mostly: out of memory
        raise ModelError(f"{spec} cannot be moved to {str(device)!r}: {short(error)}") from error


def completed(model: VisionModel) -> VisionModel:
    """The model with what Keras itself tells of it in place of what its scheme left open."""
    if framework(model.net) != "keras":
        return model
    from seewhy.adapters import _keras_applications as applications

    told = applications.describe(model.net)
    return replace(
        model,
        preprocess=model.preprocess if model.preprocess is not None else told.preprocess,
        labels=model.labels if model.labels is not None else told.labels,
    )


def assumed_preprocess(net: Any, spec: str) -> Preprocess | None:
    """What is taken where nothing says how photos are prepared; the warning says so. None: not even a size is known."""
    if framework(net) == "keras":
        from seewhy.adapters import _keras_applications as applications

        guessed = applications.guess(net)
        if guessed is None:
            return None
        assumed, words = guessed
    else:
        h, w = _input_size(net) or (224, 224)
        resize: int | tuple[int, int] = round(h * 256 / 224) if h == w else (h, w)
        assumed = Preprocess(size=(h, w), resize=resize)
        words = f"resize to {resize}, crop to {h}×{w}, scale to [0, 1], ImageNet mean and std"
    warnings.warn(
        f"{spec} does not say how photos are prepared for it; assumed: {words}. If it was trained otherwise, pass "
        "preprocess=seewhy.Preprocess(size=..., mean=..., std=...), or, on the command line, --model "
        "python:MODULE:FACTORY with a factory that returns a seewhy.VisionModel",
        SeewhyWarning,
        stacklevel=3,
    )
    return assumed


def _input_size(net: Any) -> tuple[int, int] | None:
    """Height and width that an exported program was fixed to."""
    if framework(net) == "onnxruntime":
        from seewhy.adapters import onnxruntime as adapter

        _, h, w = adapter.image_shape(net)
        return h, w
    graph = getattr(net, "graph", None)
    for node in getattr(graph, "nodes", ()):
        value = getattr(node, "meta", {}).get("val")
        if node.op == "placeholder" and value is not None and getattr(value, "ndim", 0) == 4:
            h, w = value.shape[2:]
            return (h, w) if type(h) is type(w) is int else None
    return None


def short(error: BaseException) -> str:
    """The first line of an error's message, as part of a sentence."""
    lines = str(getattr(error, "reason", error)).strip().splitlines()  # URLError wraps its reason
    first = lines[0].rstrip(".:").strip() if lines else type(error).__name__
    return first if len(first) <= 200 else first[:200].rsplit(" ", 1)[0] + " ..."
