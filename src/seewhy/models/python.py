"""The model that a function of yours returns; modules of the current folder can be named."""

from importlib import import_module
from pathlib import Path
from typing import Any

from seewhy.errors import ModelError, SeewhyError, unknown
from seewhy.models._nets import current_folder, framework, short
from seewhy.models._weights import load_into, read_weights
from seewhy.vision_model import VisionModel

FORM = "python:MODULE:FACTORY"
NEEDS = ()
EXTRA = ""


def load(name: str, *, weights: str | None, trust: bool) -> VisionModel:
    """What FACTORY() of MODULE returns: a torch.nn.Module, a keras.Model or a VisionModel."""
    spec = f"python:{name}"
    module_name, _, factory_name = name.partition(":")
    if not module_name or not factory_name:
        raise ModelError(f"expected a model as {FORM}, such as python:my_models:build, got {spec!r}")
    if module_name.endswith(".py"):
        raise ModelError(f"expected the module as it is imported, python:{Path(module_name).stem}:{factory_name}, "
                         f"run in its folder, got {spec!r}")  # fmt: skip
    with current_folder():
        made = _make(spec, module_name, factory_name)
    model = made if isinstance(made, VisionModel) else VisionModel(made)
    if framework(model.net) is None:
        raise ModelError(
            f"{spec} returned a {type(model.net).__name__}: expected a torch.nn.Module, a keras.Model or a "
            "seewhy.VisionModel"
        )
    if weights is not None and framework(model.net) == "keras":
        from seewhy.models._keras_weights import load_keras_weights

        load_keras_weights(model.net, weights, spec)
    elif weights is not None:
        load_into(model.net, read_weights(weights, trust=trust), weights, spec)
    return model


def _make(spec: str, module_name: str, factory_name: str) -> Any:
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise ModelError(f"{spec}: no module {module_name!r} is installed or lies in {Path.cwd()}") from error
        raise ModelError(f"{spec}: importing {module_name} failed: {short(error)}") from error
    except Exception as error:  # code of the user's
        raise ModelError(f"{spec}: importing {module_name} raised {type(error).__name__}: {short(error)}") from error
    found: Any = module
    for part in factory_name.split("."):
        if not hasattr(found, part):
            public = [n for n, value in vars(found).items() if callable(value) and not n.startswith("_")]
            raise unknown(f"function of {module_name}", factory_name, public)
        found = getattr(found, part)
    if isinstance(found, VisionModel) or (framework(found) is not None and not isinstance(found, type)):
        return found  # the model itself
    if not callable(found):
        raise ModelError(f"{spec} is a {type(found).__name__}: expected a function that returns a model")
    try:
        return found()
    except SeewhyError:
        raise
    except Exception as error:  # code of the user's
        raise ModelError(f"{spec}: {factory_name}() raised {type(error).__name__}: {short(error)}") from error
