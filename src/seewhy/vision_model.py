"""A network together with what it takes to show it a photo and to read its answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seewhy.preprocess import Locator, Preprocess


@dataclass(frozen=True)
class VisionModel:
    """What `seewhy.load` returns: pass it wherever a model is asked for."""

    net: Any
    """The framework's own model: a torch.nn.Module, a keras.Model."""
    preprocess: Preprocess | Locator | None = None
    """How a photo becomes its input, and where that lies on it; None: only ready batches can be explained."""
    labels: Sequence[str] | None = None
    """The name of each class, in the order of the outputs."""
    name: str = ""
    """What it is called in captions and reports, such as `torchvision:resnet50`."""
