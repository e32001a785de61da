"""Models that carry their own explanation, such as what `seewhy.export` writes: one method at one layer, and no other.

Such a model gives its maps with its outputs. An Explainer takes the method and the layer from it, and says no to all
that would change them.
"""

from collections.abc import Mapping
from typing import Any

from seewhy import catalog
from seewhy.catalog import NamedMethod
from seewhy.errors import InputError
from seewhy.types import Capture, Maps, Method, MethodInfo, Own
from seewhy.vision_model import VisionModel


def own_of(model: Any) -> Own | None:
    """The explanation that a model carries itself; None where it carries none, as most models do."""
    net = model.net if isinstance(model, VisionModel) else model
    return catalog.adapter_for(net).own(net)


def own_method(
    own: Own, method: str | Method | NamedMethod | None, options: Mapping[str, Any], name: str
) -> NamedMethod:
    """The model's own method, ready to be asked; InputError where another was asked for, or one with other options."""
    if isinstance(method, NamedMethod):
        asked, options = method.name, method.options
    elif isinstance(method, str):
        asked = catalog.spelled(method)
    else:
        asked = own.method if method is None else getattr(method, "__name__", type(method).__name__)
    if asked != own.method:
        raise InputError(f"{_carries(own, name)}, so it cannot be explained by {asked!r}: {_instead('method')}")
    for option, value in options.items():
        if option not in own.options or own.options[option] != value:
            raise InputError(f"{_carries(own, name)}, so {option}={value!r} cannot be set: {_instead(option)}")
    return NamedMethod(own.method, _as_carried, dict(own.options), MethodInfo(gradients=False))


def check_own(own: Own, name: str, *, layer: Any, signed: bool, score: str) -> None:
    """Raise InputError where what the model carries is not what was asked for."""
    if layer is not None and layer not in (own.layer, [own.layer], (own.layer,)):
        raise InputError(f"{_carries(own, name)}, so it cannot be explained at {layer!r}: {_instead('layer')}")
    if signed:
        raise InputError(f"{_carries(own, name)}, and only what speaks for the target: {_instead('signed')}")
    if score == "output" and own.score != score:
        raise InputError(f"{_carries(own, name)}, of the number before its final softmax or sigmoid: "
                         f"{_instead('score')}")  # fmt: skip


def refuse_own(model: Any, why: str) -> None:
    """Raise InputError where a model carries its own explanation; `why` says what would be needed beside it."""
    if (own := own_of(model)) is not None:
        name = model.name if isinstance(model, VisionModel) and model.name else "this model"
        raise InputError(f"{_carries(own, name)}, and {why}: take the model that it was exported from")


def _as_carried(capture: Capture, **options: Any) -> Maps:
    """The maps that the model made itself."""
    assert capture.maps is not None
    return capture.maps


def _carries(own: Own, name: str) -> str:
    return f"{name} carries its own explanation, by {own.method} at the layer {own.layer!r}"


def _instead(option: str) -> str:
    return f"leave {option} out, or take the model that it was exported from"
