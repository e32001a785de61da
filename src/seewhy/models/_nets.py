"""Private: what every scheme does with packages and networks."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from seewhy.errors import MissingPackageError, ModelError, SeewhyWarning
from seewhy.images import Photo
from seewhy.preprocess import Locator, Preprocess


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
    """The framework of a network, "torch" or "keras", by its class; nothing is imported."""
    # a Keras model on the PyTorch backend is of both, and Keras then
    roots = {(cls.__module__.partition(".")[0], cls.__name__) for cls in type(net).__mro__}
    if any(root in ("keras", "tf_keras") and name == "Model" for root, name in roots):
        return "keras"
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


def assumed_preprocess(net: Any, spec: str) -> Preprocess | None:
    """What is taken where nothing says how photos are prepared; the warning says so."""
    if framework(net) != "torch":
        return None
    h, w = _input_size(net) or (224, 224)
    resize: int | tuple[int, int] = round(h * 256 / 224) if h == w else (h, w)
    assumed = Preprocess(size=(h, w), resize=resize)
    warnings.warn(
        f"{spec} does not say how photos are prepared for it; assumed: resize to {resize}, crop to {h}×{w}, scale to "
        "[0, 1], ImageNet mean and std. If it was trained otherwise, pass preprocess=seewhy.Preprocess(size=..., "
        "mean=..., std=...), or, on the command line, --model python:MODULE:FACTORY with a factory that returns a "
        "seewhy.VisionModel",
        SeewhyWarning,
        stacklevel=3,
    )
    return assumed


def _input_size(net: Any) -> tuple[int, int] | None:
    """Height and width that an exported program was fixed to."""
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
