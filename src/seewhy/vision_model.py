"""A network together with what it takes to show it a photo and to read its answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seewhy.errors import InputError
from seewhy.preprocess import Locator, Preprocess


def as_labels(given: Sequence[str] | Mapping[int, str] | None) -> tuple[str, ...] | None:
    """Class names as a tuple, from a list or from a dict of index to name; InputError for a single string."""
    if isinstance(given, str):
        raise InputError(f"expected labels as a list with one name for each class, got {given!r}")
    if isinstance(given, Mapping):  # id2label, as transformers write it
        if sorted(given) != list(range(len(given))):
            raise InputError(
                f"expected labels for the classes 0 to {len(given) - 1}, got them for {list(given)[:5]} ..."
            )
        given = [given[i] for i in range(len(given))]
    return None if given is None else tuple(map(str, given))


@dataclass(frozen=True)
class VisionModel:
    """What `seewhy.load` returns: pass it wherever a model is asked for; make one to keep your model's ways with it.

    >>> VisionModel("a torch.nn.Module", Preprocess(size=(64, 64), resize=64), ["cat", "dog"], "mine").name
    'mine'
    """

    net: Any
    """The framework's own model: a torch.nn.Module, a keras.Model."""
    preprocess: Preprocess | Locator | None = None
    """How a photo becomes its input, and where that lies on it; None: only ready batches can be explained."""
    labels: Sequence[str] | None = None
    """The name of each class, in the order of the outputs."""
    name: str = ""
    """What it is called in captions and reports, such as `torchvision:resnet50`."""

    def __repr__(self) -> str:
        called = f" {self.name}" if self.name else ""
        classes = "" if self.labels is None else f" of {len(self.labels)} classes"
        photos = "photos" if self.preprocess is not None else "ready batches only"
        return f"<VisionModel{called}: {type(self.net).__name__}{classes}, {photos}>"
