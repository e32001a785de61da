"""The models that a page has at hand: loaded once, for all who look at it, and no more of them than fit."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from seewhy.errors import InputError, LayerError, ModelError
from seewhy.explain import Explainer, layers
from seewhy.models import load
from seewhy.types import LayerInfo


@dataclass(frozen=True)
class Loaded:
    """A model that is ready to be asked."""

    spec: str
    explainer: Explainer
    layers: tuple[LayerInfo, ...]
    """Those that can be explained; none where a photo is needed to find them."""

    @property
    def default(self) -> str | None:
        """The layer that is explained unless told otherwise."""
        return next((layer.name for layer in self.layers if layer.default), None)


class Models:
    """Loads models by their specs, and keeps the `most` that were asked for last.

    `first` is the model of the page's start, `allowed` what may be asked for beside it; None: any spec may be.
    Raises ModelError for a spec that is not allowed, and what `seewhy.load` raises.

    >>> models = Models("lite0")
    >>> models.get("lite0") is models.get("lite0"), models.get("lite0").default
    (True, 'net._blocks.15')
    """

    def __init__(self, first: str, allowed: Sequence[str] | None = None, *, device: str | None = None, most: int = 2):
        if most < 1:
            raise InputError(f"expected to keep at least one model, got most={most}")
        self.first = first
        self.allowed = None if allowed is None else tuple(dict.fromkeys([first, *allowed]))
        self._device, self._most = device, most
        self._loaded: dict[str, Loaded] = {}
        self._turn = threading.Lock()

    @property
    def offered(self) -> list[str]:
        """The specs to choose from at the start."""
        return [self.first] if self.allowed is None else list(self.allowed)

    def get(self, spec: str) -> Loaded:
        """The model that a spec names, loaded unless it was; others wait until it is."""
        spec = spec.strip()
        if self.allowed is not None and spec not in self.allowed:
            raise ModelError(f"{spec!r} is not offered here: choose one of {', '.join(self.allowed)}")
        with self._turn:
            found = self._loaded.pop(spec, None) or self._load(spec)
            self._loaded[spec] = found  # the last in order
            while len(self._loaded) > self._most:
                del self._loaded[next(iter(self._loaded))]
        return found

    def _load(self, spec: str) -> Loaded:
        model = load(spec, device=self._device)
        explainer = Explainer(model)
        try:
            seen = tuple(info for info in layers(model) if all(length > 1 for length in info.shape[1:]))
        except (InputError, LayerError):  # it takes a photo to tell, or what is wrong is told with the photo
            seen = ()
        default = next((info.name for info in seen if info.default), None)
        return Loaded(spec, explainer if default is None else explainer.at(default), seen)
