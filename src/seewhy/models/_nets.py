"""Private: what every scheme does with packages and networks."""

import warnings
from collections.abc import Callable
from importlib import import_module, resources
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from seewhy.errors import MissingPackageError, ModelError, SeewhyWarning
from seewhy.images import Locator, Photo, Preprocess


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


def require_torchvision(scheme: str) -> ModuleType:
    """Import torchvision; where its compiled part does not fit the installed torch, say so."""
    torch = require("torch", scheme, "zoo")
    try:
        return require("torchvision", scheme, "zoo")
    except MissingPackageError:
        raise
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        # torchvision looks its compiled ops up while it is imported: "operator torchvision::nms does not exist"
        raise MissingPackageError(
            f"{scheme} needs torchvision, and the installed one does not work beside torch {torch.__version__} "
            f"({short(error)}): the two are of different builds. Install both from one place, such as "
            "pip install --force-reinstall torch torchvision --index-url https://download.pytorch.org/whl/cpu"
        ) from error


def imagenet_labels() -> tuple[str, ...]:
    """The names of the 1000 ImageNet-1k classes, short, and each one different."""
    text = resources.files("seewhy.models").joinpath("imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def exact(ours: Preprocess | None, theirs: Callable[[Image.Image], Any]) -> Any:
    """Our Preprocess where it makes the same pixels as the library's own function, else that function itself.

    One grey level is allowed for: libraries round and resample in different number formats.
    """
    if ours is None:
        return Locator(theirs)
    wave = 127.5 + 127.5 * np.sin(np.arange(3) + np.hypot(*np.mgrid[0:301, 0:402])[..., None] / 17)
    probe = Image.fromarray(wave.astype(np.uint8))
    mine, _ = ours(Photo(probe, "probe"))
    other = np.asarray(theirs(probe), np.float32)
    if mine.shape != other.shape:
        return Locator(theirs)
    level = ours.scale / np.abs(np.asarray(ours.std, np.float32))[:, None, None]
    # a mean, not the largest difference: a crop that lies one pixel off differs everywhere, rounding does not
    return ours if (np.abs(mine - other) / level).mean() <= 1.0 else Locator(theirs)


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
        "mean=..., std=...)",
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
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".:").strip() if lines else type(error).__name__
