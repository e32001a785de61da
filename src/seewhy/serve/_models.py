"""The allow-list: the models that clients may ask for, by name, each loaded and tried once at the start."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from threading import Lock
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from seewhy import catalog
from seewhy.carried import own_method, own_of
from seewhy.catalog import NamedMethod
from seewhy.errors import InputError, unknown
from seewhy.explain import Explainer
from seewhy.inputs import Inputs
from seewhy.models import load
from seewhy.types import Capture, MethodInfo

log = logging.getLogger("seewhy.serve")

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""What a model may be called: it stands in the path of a URL."""
PREDICT = NamedMethod("predict", lambda capture: _nothing(capture), {}, MethodInfo(gradients=False))
"""What is asked where only a prediction is wanted: a forward pass, and no map."""


def _nothing(capture: Capture) -> Any:
    xp = array_namespace(capture.activations)
    return xp.zeros_like(xp.sum(capture.activations, axis=1, keepdims=True))


@dataclass(frozen=True, eq=False)
class Served:
    """One model that clients may ask for; use it from any thread."""

    name: str
    model: Any
    """What `seewhy.load` returned, or any other model that an Explainer takes."""
    methods: tuple[str, ...]
    """The methods that clients may ask for, first the one that is taken unless they say."""
    layer: str
    """The layer that is explained unless another is asked for."""
    labels: Sequence[str] | None
    classes: int
    """How many classes the model has."""
    shape: tuple[int, ...] | None
    """The shape of one prepared image as the model takes it; None where the model takes no single array."""
    framework: str
    """What the model runs on, such as "torch"."""
    side_by_side: bool
    """Do several passes at a time, each on some of the cores, make more of them than one after the other?

    So it is on PyTorch's CPU. Other frameworks share the cores among the operations themselves.
    """
    _made: dict[tuple[str, str | None], Explainer] = field(default_factory=dict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def explainer(self, method: str | None = None, layer: str | None = None) -> Explainer:
        """The explainer for this method and layer, made once.

        Raises UnknownNameError for a method that is not allowed here, and for a layer that the model does not have;
        InputError for another method than the one that a model carries itself.
        """
        method = self.methods[0] if method is None else catalog.spelled(method)
        if method not in self.methods:
            if (own := own_of(self.model)) is not None:
                own_method(own, method, {}, self.name)
            raise unknown("method", method, self.methods, "(those that this server allows)")
        with self._lock:
            if (method, layer) not in self._made:
                at = None if catalog.about(method).at_input else layer or self.layer
                self._made[method, layer] = Explainer(self.model, method, at)
            return self._made[method, layer]


class Models(Mapping[str, Served]):
    """The models that clients may ask for, by name; nothing else is ever loaded for them.

    `models` are names and what an Explainer takes; `methods` those that clients may ask for, see `cheap_methods`.
    Each model is shown one grey picture, so that one that cannot be served is told at the start.

    Raises InputError for no models, or a name that cannot stand in a URL; and what explaining the picture raises.

    >>> models = Models({"lite0": load("lite0")})
    >>> list(models), models["lite0"].classes, models["lite0"].shape
    (['lite0'], 1000, (3, 224, 224))
    """

    def __init__(self, models: Mapping[str, Any], methods: Sequence[str] | None = None) -> None:
        if not models:
            raise InputError("expected at least one model to serve, got none")
        for name in models:
            if not NAME.fullmatch(name):
                raise InputError(
                    f"a served model's name holds letters, digits, '.', '_' and '-', got {name!r}: write NAME=SPEC"
                )
        self.methods = tuple(catalog.as_method(name).name for name in methods or cheap_methods())
        self._served = {name: _served(name, model, self.methods) for name, model in models.items()}

    def __getitem__(self, name: str) -> Served:
        return self._served[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._served)

    def __len__(self) -> int:
        return len(self._served)


def load_models(specs: Sequence[str], methods: Sequence[str] | None = None, **options: Any) -> Models:
    """The models of these specs, each `SPEC` or `NAME=SPEC`; `options` are those of `seewhy.load`.

    Raises InputError where two would go by one name, and what `seewhy.load` raises.
    """
    named: dict[str, str] = {}
    for given in specs:
        name, spec = split_name(given)
        if name in named:
            raise InputError(f"two models would be called {name!r}: write NAME=SPEC for one of them")
        named[name] = spec
    models = {}
    for name, spec in named.items():
        log.info("loading", extra={"model": name})
        models[name] = load(spec, **options)
    return Models(models, methods)


def split_name(given: str) -> tuple[str, str]:
    """The name that a model is served under, and its spec.

    >>> split_name("birds=file:models/v2.keras"), split_name("torchvision:resnet50"), split_name("file:a/birds.pt")
    (('birds', 'file:models/v2.keras'), ('resnet50', 'torchvision:resnet50'), ('birds', 'file:a/birds.pt'))
    """
    name, equals, spec = given.partition("=")
    if equals and NAME.fullmatch(name):
        return name, spec
    last = PurePath(given.partition("@")[0].rpartition(":")[2])
    stem = last.stem if given.startswith("file:") else last.name
    return re.sub(r"[^A-Za-z0-9._-]", "-", stem).lstrip("._-") or "model", given


def cheap_methods() -> list[str]:
    """The methods that look at a layer in one pass: what clients may ask for unless the operator says otherwise.

    >>> {"grad-cam", "layer-cam"} <= set(cheap_methods()), "rise" in cheap_methods()
    (True, False)
    """
    return [name for name in catalog.names("methods") if _is_cheap(catalog.about(name))]


def _is_cheap(info: MethodInfo) -> bool:
    return info.cost == "one pass" and not info.at_input and not info.pixels


def _served(name: str, model: Any, methods: tuple[str, ...]) -> Served:
    """The model, tried on a grey picture: which layer is explained, how many classes there are."""
    explainer = Explainer(model)
    taken = [method for method in methods if _takes(model, method)]
    default = explainer.method.name
    if default in taken or not taken:
        taken = list(dict.fromkeys([default, *taken]))
    inputs = explainer.prepare(np.full((256, 256, 3), 127, np.uint8))
    [[found]] = explainer.ask_prepared(inputs, None, [PREDICT])
    classes = 0 if found.probabilities is None else found.probabilities.shape[1]
    shape = _ready_shape(explainer, inputs)
    framework = vars(explainer.adapter)["__name__"].rpartition(".")[2]  # an adapter is a module
    side_by_side = framework == "torch" and str(device(found.maps)) == "cpu"
    return Served(name, model, tuple(taken), found.layer, explainer.labels, classes, shape, framework, side_by_side)


def _ready_shape(explainer: Explainer, inputs: Inputs) -> tuple[int, ...] | None:
    """The shape of one prepared image in the model's own layout; None where it takes no single array."""
    c, *space = explainer.adapter.pictures(inputs.placed)(0).shape
    for shape in ((c, *space), (*space, c)):
        try:
            placed = explainer.adapter.place(explainer.net, np.zeros((1, *shape), np.float32))
            if explainer.adapter.size(placed) == (1, tuple(space)):
                return shape
        except ValueError:  # what seewhy and frameworks raise for another layout
            continue
    return None


def _takes(model: Any, method: str) -> bool:
    """Does the model take this method? One that carries its own explanation takes no other."""
    try:
        Explainer(model, method)
    except InputError:
        return False
    return True
