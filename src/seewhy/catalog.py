"""Names to objects: methods, targets and adapters, one file each, built-ins and plugins alike.

A method or target is the public object of the file of its name: `grad-cam` is `grad_cam` in `methods/grad_cam.py`.
An adapter is the file itself, called by the framework's root package: `adapters/torch.py` serves `torch`.
A third party's package brings its own by the entry points `seewhy.methods`, `seewhy.targets`, `seewhy.adapters`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, cast

from seewhy.adapter import Adapter
from seewhy.errors import InputError, SeewhyError, unknown
from seewhy.types import Method, MethodInfo, method_info

_ROOT = Path(__file__).parent


def names(kind: str) -> list[str]:
    """The names of all methods, targets or adapters, sorted; nothing is imported.

    >>> "grad-cam" in names("methods")
    True
    """
    return sorted({*_built_in(kind), *_plugins(kind)})


def get(kind: str, name: str) -> Any:
    """The object of this kind and name; UnknownNameError with the nearest names where there is none."""
    wanted = spelled(name)
    if wanted in _built_in(kind):
        file = wanted.replace("-", "_")
        module = import_module(f"seewhy.{kind}.{file}")
        return module if kind == "adapters" else getattr(module, file)
    if wanted in (plugins := _plugins(kind)):
        try:
            return plugins[wanted].load()
        except Exception as error:
            raise SeewhyError(
                f"the plugin {plugins[wanted].value} for {kind.removesuffix('s')} {name!r} does not load: {error}"
            ) from error
    raise unknown(kind.removesuffix("s"), name, names(kind))


@dataclass(frozen=True)
class NamedMethod:
    """A method that is ready to be asked, with its options."""

    name: str
    function: Method
    options: Mapping[str, Any]
    info: MethodInfo


def as_method(method: str | Method | NamedMethod, options: Mapping[str, Any] | None = None) -> NamedMethod:
    """A method by its name, or a function of one's own, with options; InputError for one that it does not have."""
    if isinstance(method, NamedMethod):
        for option in options or {}:
            raise InputError(
                f"no option {option!r} here, where methods are compared: options go with their method, such as "
                f"methods=[({method.name!r}, {{{option!r}: {(options or {})[option]!r}}})]"
            )
        return method
    if isinstance(method, str):
        function, name = get("methods", method), spelled(method)
    else:
        function, name = method, getattr(method, "__name__", type(method).__name__)
    known = [p.name for p in signature(function).parameters.values() if p.kind is Parameter.KEYWORD_ONLY]
    own = "; the explainer's own are preprocess, labels, score, signed, fuse and augment"
    refuse_unknown(f"the method {name!r}", known, options or {}, own)
    return NamedMethod(name, function, dict(options or {}), method_info(function))


def refuse_unknown(what: str, known: Sequence[str], options: Iterable[str], more: str = "") -> None:
    """InputError for an option that something does not have, with those that it has."""
    for option in options:
        if option not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise InputError(f"{what} has no option {option!r}: {has}{more}")


def spelled(name: str) -> str:
    """A name as the catalogue spells it.

    >>> spelled("grad_cam"), spelled("Grad-CAM++")
    ('grad-cam', 'grad-cam-plus-plus')
    """
    return name.replace("++", "-plus-plus").replace("_", "-").lower()


def options(kind: str, name: str) -> list[str]:
    """The options of a method or metric, as they are written: with their defaults.

    >>> options("methods", "random-cam")
    ['seed=0']
    """
    try:
        parameters = signature(get(kind, name)).parameters.values()
    except SeewhyError:
        return []
    return [f"{p.name}={p.default!r}" for p in parameters if p.kind is Parameter.KEYWORD_ONLY]


def summary(kind: str, name: str) -> str:
    """The first line of an object's docstring; of a plugin that does not load, why."""
    try:
        return (get(kind, name).__doc__ or "").strip().split("\n")[0]
    except SeewhyError as error:
        return str(error)


def about(method: str) -> MethodInfo:
    """What a method says of itself: its paper, its cost, what it needs; of a plugin that does not load, nothing.

    >>> about("grad-cam").cost
    'one pass'
    """
    try:
        return method_info(get("methods", method))
    except SeewhyError:
        return MethodInfo()


def adapter_for(model: object) -> Adapter:
    """The adapter of the framework that the model's class comes from.

    The first class of the MRO that belongs to a known framework decides: a Keras model on the PyTorch backend
    is a torch.nn.Module too, but its Keras classes come first.
    """
    known = names("adapters")
    for cls in type(model).__mro__:
        framework = cls.__module__.split(".")[0]
        if framework == "tf_keras":
            raise InputError(
                f"{type(model).__name__} is a model of tf_keras (Keras 2), and seewhy explains models of Keras 3: save "
                "it, model.save('model.h5'), and load it in Keras 3, seewhy.load('file:model.h5')"
            )
        if framework in known:
            return cast(Adapter, get("adapters", framework))
    raise InputError(
        f"expected a model of {' or '.join(known)} (a torch.nn.Module, a keras.Model), or what seewhy.load(...) "
        f"returns, got {type(model).__name__}"
    )


def _built_in(kind: str) -> list[str]:
    return [file.stem.replace("_", "-") for file in (_ROOT / kind).glob("[!_]*.py")]


@cache
def _plugins(kind: str) -> dict[str, Any]:
    from importlib.metadata import entry_points  # a third of the time that `import seewhy` would take

    return {spelled(point.name): point for point in entry_points(group=f"seewhy.{kind}")}
