"""What seewhy asks of a framework: a file in `adapters/` with these functions."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from seewhy.types import Capture, LayerInfo, Own, Rows, Scores
from seewhy.vision_model import VisionModel


@runtime_checkable
class Ask(Protocol):
    """The question that a pass is made for: what of the outputs is to be explained."""

    def __call__(self, outputs: Any, classes: npt.NDArray[np.float32] | None) -> Scores:
        """(outputs, class scores as NumPy (n, classes) or None) -> the scores to explain (n, k)."""

    def indices(self, classes: npt.NDArray[np.float32] | None) -> npt.NDArray[np.int64] | None:
        """The class that each score is of (n, k), given the class scores (n, classes), or None before they are known.

        None where a score is something else than that of one class, or where it takes the class scores to tell.
        """

    def again(self, outputs: Any, of: Rows) -> Scores:
        """The scores (m, k) in the outputs of a further pass, whose rows are asked what image `of[r]` was asked."""


@runtime_checkable
class Passes(Protocol):
    """Makes passes through a model."""

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
        """One pass through the model: activations at each layer, gradients of what is asked, outputs.

        A layer is what `find_layer` returned, or INPUT for the first image input itself.
        """


@runtime_checkable
class Adapter(Passes, Protocol):
    """All that knows one framework. A module of these functions is an adapter."""

    def describe(self, net: Any) -> VisionModel:
        """The model with what its framework tells of its preprocess, its class names and its name."""

    def own(self, net: Any) -> Own | None:
        """The explanation that the model carries itself; None for a model whose layers can be explained."""

    def is_batch(self, net: Any, images: object) -> bool:
        """Is this a ready batch, in the framework's own tensors or as its users hold one?"""

    def place(self, net: Any, inputs: Any) -> Any:
        """A ready batch (NumPy or tensors, alone or in a tuple or dict) on the model's device, in its precision."""

    def place_photos(self, net: Any, photos: npt.NDArray[np.float32]) -> Any:
        """Prepared photos (n, c, h, w) as the batch that the model takes."""

    def vary(self, net: Any, inputs: Any, images: npt.NDArray[np.float32], of: Rows) -> Any:
        """Placed inputs with these images (m, c, *s) in place of the first image input, and the others to match."""

    def size(self, inputs: Any) -> tuple[int, tuple[int, ...]]:
        """The number of images in placed inputs, and the spatial axes of the first image input."""

    def pictures(self, inputs: Any) -> Callable[[int], npt.NDArray[np.float32]]:
        """A function to image i of the first image input as NumPy, channels first (c, *s), for when it is drawn."""

    def randomised(self, net: Any, share: float, seed: int) -> Any:
        """A copy of the model, whose layers with weights have them drawn anew from the top (the output) down.

        `share` of these layers, from 0 (none) to 1 (all), in the order in which they are registered. Each array is
        permuted within itself, so that it keeps its mean and deviation, and nothing of what it has learnt; a larger
        share of the same seed draws the same for the layers of a smaller one. Layers have the names that they had. The
        user's model is not touched. Raises InputError where it cannot be copied.
        """

    def find_layer(self, net: Any, layer: Any) -> tuple[str, Any]:
        """The name and the layer that a user's `layer` means."""

    def classes_last(self, net: Any) -> bool:
        """Are classes the last axis of outputs that have positions too, (n, *s, classes)?"""

    def layers(self, net: Any, inputs: Any) -> list[LayerInfo]:
        """Every layer with spatial axes that ran in one forward pass; one is the default."""

    def full_precision(self) -> AbstractContextManager[None]:
        """A context in which the maths on what was captured is done as written: no autocast, no graph."""

    def keep(
        self, net: Any, layers: Sequence[Any], inputs: Any, *, gradients: bool, logit: bool, guided: bool = False
    ) -> Callable[[Ask], list[Capture]]:
        """One pass that is kept: what it returns answers any number of questions, each as `capture` would.

        What comes before the layers is not run again for a further question, where the framework can do without it.
        """
