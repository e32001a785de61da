"""Images that a model was shown once, and is asked about many times: for pages and notebooks."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from seewhy.adapter import Ask
from seewhy.catalog import NamedMethod
from seewhy.errors import InputError, LayerError
from seewhy.explain import Explainer
from seewhy.explanation import Explanation
from seewhy.types import Capture, Method

Kept: TypeAlias = Callable[[Ask], list[Capture]]
"""A pass that was kept: from a question to what the pass tells of it."""


class Look:
    """Images that a model was shown, kept so that other classes and other methods cost no further forward pass.

    What the pass left at the layer stays in memory, with what leads from there to the outputs. Another class goes back
    from the scores to the layer; another method takes the same activations. A layer that was not looked at yet costs
    one pass, as does a method that looks at the input, or wants guided gradients; of these, the `most` last are kept.
    Methods of many passes make theirs each time; a model that carries its own explanation runs for each question.

    The model has to stay as it is. Any thread may ask; they take turns. Raises InputError for an explainer that shows
    images in several ways (`augment`), or fuses layers.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
    ...                           torch.nn.Flatten(), torch.nn.Linear(4, 2))
    >>> look = Look(Explainer(net, layer="1"), torch.rand(1, 3, 8, 8))  # no pass is made yet
    >>> look.explain(0), look.explain([0, 1], "layer-cam")  # one pass for both
    (<Explanation of 1 image(s) x 1 target(s) by grad-cam at 1 of Sequential>, \
<Explanation of 1 image(s) x 2 target(s) by layer-cam at 1 of Sequential>)
    """

    def __init__(self, explainer: Explainer, images: Any, *, most: int = 2) -> None:
        if explainer.augment is not None or explainer.fuse is not None:
            raise InputError("a look takes images as they are, at one layer: expected no augment= and no fuse=")
        self.explainer = explainer
        self.inputs = explainer.prepare(images)
        self._passes = _KeptPasses(explainer, most)
        self._turn = threading.RLock()

    def explain(
        self, target: Any = None, method: str | Method | NamedMethod | None = None, layer: Any = None
    ) -> Explanation:
        """Explain the images for a target, by the explainer's own method and at its own layer unless told."""
        [found] = self.compare(target, [self.explainer.method if method is None else method], layer)
        return found

    def compare(
        self, target: Any, methods: Sequence[str | Method | NamedMethod], layer: Any = None
    ) -> list[Explanation]:
        """The same by several methods, an explanation for each."""
        explainer = self.explainer if layer is None else self.explainer.at(layer)
        asked = [explainer.as_method(method) for method in methods]
        with self._turn:
            return [one for [one] in explainer.ask_prepared(self.inputs, target, asked, self._passes)]


class _KeptPasses:
    """Makes passes for one batch of images, and keeps the last of them."""

    def __init__(self, explainer: Explainer, most: int) -> None:
        self._adapter = explainer.adapter
        self._most = most
        self._kept: dict[object, Kept] = {}

    def capture(
        self,
        net: Any,
        layers: Sequence[Any],
        inputs: Any,
        ask: Ask,
        *,
        gradients: bool,
        logit: bool,
        guided: bool = False,
    ) -> list[Capture]:
        """As an adapter's, but that a pass which was made before is asked anew."""

        def made(slopes: bool) -> list[Capture]:
            key = (*map(id, layers), slopes, logit, guided)
            kept = self._kept.pop(key, None)
            if kept is None:
                while len(self._kept) >= self._most:  # the one that was asked longest ago makes room
                    del self._kept[next(iter(self._kept))]
                kept = self._adapter.keep(net, layers, inputs, gradients=slopes, logit=logit, guided=guided)
            self._kept[key] = kept  # the last in order
            return kept(ask)

        if gradients or guided:
            return made(True)
        try:  # the next method will want gradients
            return made(True)
        except LayerError:  # there are none, and this one needs none
            return made(False)
