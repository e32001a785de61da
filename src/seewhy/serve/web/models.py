"""The models that a page has at hand: loaded once, for all who look at it."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from seewhy.errors import InputError, LayerError, ModelError
from seewhy.explain import Explainer, layers
from seewhy.models import load
from seewhy.serve._models import Models
from seewhy.types import LayerInfo, Own


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model that is ready to be asked."""

    explainer: Explainer
    layers: tuple[LayerInfo, ...]
    """Those that can be explained; none where a photo is needed to find them."""

    @property
    def own(self) -> Own | None:
        """The explanation that the model carries itself: then there is no other method or layer to choose."""
        return self.explainer.own

    @property
    def default(self) -> str | None:
        """The layer that is explained unless told otherwise."""
        return next((layer.name for layer in self.layers if layer.default), None)


@runtime_checkable
class Shelf(Protocol):
    """Where a page takes its models from."""

    @property
    def offered(self) -> Sequence[str]:
        """The models to choose from, the first at the start."""

    @property
    def is_open(self) -> bool:
        """May a visitor ask for any other?"""

    @property
    def methods(self) -> Sequence[str] | None:
        """The methods that a visitor may ask for; None: all."""

    def get(self, name: str) -> Loaded:
        """The model of this name, loaded unless it was; raises what loading raises."""


class AnyModel:
    """Models by their specs, as `seewhy.load` takes them; the `most` that were asked for last stay loaded.

    `offered` are the specs to choose from; unless `is_open` no others are loaded. `get` raises ModelError for a spec
    that is not offered, and what `seewhy.load` raises.

    >>> shelf = AnyModel(["lite0"])
    >>> shelf.get("lite0") is shelf.get("lite0"), len(shelf.get("lite0").layers) > 10
    (True, True)
    """

    def __init__(
        self, offered: Sequence[str], *, is_open: bool = True, device: str | None = None, most: int = 2
    ) -> None:
        if not offered:
            raise InputError("expected at least one model to offer, got none")
        if most < 1:
            raise InputError(f"expected to keep at least one model, got most={most}")
        self.offered, self.is_open = tuple(dict.fromkeys(offered)), is_open
        self.methods: Sequence[str] | None = None
        self._device, self._most = device, most
        self._loaded: dict[str, Loaded] = {}
        self._turn = threading.Lock()

    def get(self, name: str) -> Loaded:
        """The model that a spec names, loaded unless it was; others wait until it is."""
        spec = name.strip()
        if not self.is_open and spec not in self.offered:
            raise ModelError(f"{spec!r} is not offered here: choose one of {', '.join(self.offered)}")
        with self._turn:
            found = self._loaded.pop(spec, None) or ready(load(spec, device=self._device))
            self._loaded[spec] = found  # the last in order
            while len(self._loaded) > self._most:
                del self._loaded[next(iter(self._loaded))]
        return found


class Allowed:
    """The models of `seewhy serve`: those on its allow-list, by the methods that it allows, and nothing else."""

    is_open = False

    def __init__(self, models: Models) -> None:
        self._models = models
        self.offered = tuple(models)
        self.methods: Sequence[str] | None = models.methods
        self._ready: dict[str, Loaded] = {}
        self._turn = threading.Lock()

    def get(self, name: str) -> Loaded:
        """The model of this name; ModelError for one that is not served."""
        if name not in self._models:
            raise ModelError(f"{name!r} is not offered here: choose one of {', '.join(self.offered)}")
        with self._turn:
            if name not in self._ready:
                self._ready[name] = ready(self._models[name].model)
            return self._ready[name]


def ready(model: Any) -> Loaded:
    """A model whose layers were found by a pass over a grey picture."""
    explainer = Explainer(model)
    try:
        seen = tuple(info for info in layers(model) if all(length > 1 for length in info.shape[1:]))
    except (InputError, LayerError):  # it takes a photo to tell; and what is wrong is told with the photo
        seen = ()
    default = next((info.name for info in seen if info.default), None)
    return Loaded(explainer if default is None else explainer.at(default), seen)
