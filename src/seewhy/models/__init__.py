"""From a name to a model that is ready to be explained.

A scheme is a file of this package, called like the part of a spec before the colon: `torchvision.py` serves
`torchvision:resnet50`. It has FORM, NEEDS (packages, and tuples of packages of which one is enough) and EXTRA, one line
of docstring, and

    load(name, *, weights, trust) -> VisionModel

A new scheme is one new file. No framework is imported before a model of it is asked for.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from os import PathLike, fspath
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from seewhy.errors import InputError, ModelError, unknown
from seewhy.models import _nets
from seewhy.preprocess import Preprocess, as_preprocess
from seewhy.vision_model import VisionModel, as_labels

__all__ = ["Scheme", "load", "schemes"]


@dataclass(frozen=True)
class Scheme:
    """One kind of model that `load` knows, as `seewhy models` lists it."""

    form: str
    """What a spec of it looks like, such as `torchvision:NAME`."""
    what: str
    """One line on what it loads."""
    installed: bool
    """Are the packages it needs installed?"""
    extra: str
    """The extra of seewhy that brings them: pip install "seewhy[EXTRA]"."""


def schemes() -> list[Scheme]:
    """All kinds of models that `load` knows; no framework is imported.

    >>> [scheme.form for scheme in schemes()][:2]
    ['file:PATH', 'hf:REPO_OR_FOLDER']
    """
    return [_describe(_scheme(name)) for name in _names()]


def load(
    spec: str,
    *,
    device: Any = None,
    weights: str | PathLike[str] | None = None,
    preprocess: Preprocess | Callable[[Any], Any] | str | None = None,
    labels: Sequence[str] | Mapping[int, str] | None = None,
    trust: bool = False,
) -> VisionModel:
    """Load the model that `spec` names, in eval mode, with its preprocessing and its class names.

    `device` is where a PyTorch model shall run, such as "cuda"; `weights` is a file of weights that takes the place of
    a download: safetensors or a state dict, for Keras .weights.h5, .h5 or .keras. `preprocess` (a `seewhy.Preprocess`,
    "imagenet", or a function from a PIL image to a (c, h, w) array) and `labels` take the place of the model's own.
    Nothing is ever unpickled, and no code of a hub or a file is run, unless `trust` is True.

    Raises UnknownNameError where nothing goes by the name, MissingPackageError where a package is not installed,
    ModelError where the model cannot be loaded, InputError where an option does not fit.

    >>> model = load("lite0")
    >>> model.labels[967]
    'espresso'
    """
    given: Any = as_preprocess(preprocess)
    names = as_labels(labels)
    if device is not None:
        device = _nets.check_device(device)
    model = _nets.completed(open_spec(spec, weights=None if weights is None else fspath(weights), trust=trust))

    if names is not None:
        if model.labels is not None and len(names) != len(model.labels):
            raise InputError(f"{spec} has {len(model.labels)} classes, got {len(names)} labels")
        model = replace(model, labels=names)
    net = _nets.ready(model.net, device, spec)
    if given is None:
        given = model.preprocess if model.preprocess is not None else _nets.assumed_preprocess(net, spec)
    return replace(model, net=net, preprocess=given, name=model.name or spec)


def open_spec(spec: str, *, weights: str | None, trust: bool) -> VisionModel:
    """What the scheme of `spec` loads, as the scheme hands it over; for schemes that build on others."""
    if not isinstance(spec, str):
        raise ModelError(
            f"expected a model's name such as 'lite0' or 'torchvision:resnet50', got {type(spec).__name__}: "
            "a model that you hold already needs no load, pass it to seewhy.explain as it is"
        )
    scheme, colon, name = spec.strip().partition(":")
    if scheme not in _names():
        raise unknown("model", spec, [s.form for s in schemes()], _hint(spec))
    module = _scheme(scheme)
    form: str = module.FORM
    if (":" in form) != bool(name) or (colon and not name):
        raise ModelError(f"expected a model as {form}, got {spec!r}")
    return cast(VisionModel, module.load(name, weights=weights, trust=trust))


def split_architecture(name: str) -> tuple[str, str | None]:
    """`PATH@SPEC` at its last "@" that a known scheme follows; a path that exists as it is stays whole."""
    if not Path(name).exists():
        for at in reversed([found.start() for found in re.finditer("@", name)]):
            if name[at + 1 :].partition(":")[0] in _names():
                return name[:at], name[at + 1 :]
    return name, None


def _names() -> list[str]:
    return sorted(file.stem for file in Path(__file__).parent.glob("[!_]*.py"))


def _scheme(name: str) -> ModuleType:
    return import_module(f"{__name__}.{name}")


def _describe(scheme: ModuleType) -> Scheme:
    alternatives = [(need,) if isinstance(need, str) else need for need in scheme.NEEDS]
    installed = all(any(find_spec(package) is not None for package in packages) for packages in alternatives)
    return Scheme(scheme.FORM, (scheme.__doc__ or "").strip().split("\n")[0], installed, scheme.EXTRA)


def _hint(spec: str) -> str:
    if Path(spec).expanduser().exists():
        form = "hf" if Path(spec).expanduser().is_dir() else "file"
        return f"(to load a {'folder' if form == 'hf' else 'file'}: {form}:{spec})"
    if spec and ":" not in spec:
        return (
            f"(a model of a library is named with it: torchvision:{spec}, timm:{spec}, keras:{spec}, hf:OWNER/{spec})"
        )
    return ""
