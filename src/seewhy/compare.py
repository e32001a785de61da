"""Several methods side by side."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from seewhy.catalog import NamedMethod, as_method
from seewhy.errors import InputError
from seewhy.explain import Explainer
from seewhy.explanations import Explanations
from seewhy.types import Method

Asked: TypeAlias = str | Method | NamedMethod | tuple[str | Method, Mapping[str, Any]]
"""A method, alone or with its options."""

DEFAULT = ("grad-cam", "grad-cam-plus-plus", "hires-cam", "layer-cam", "eigen-cam", "random-cam")
"""What is compared unless told: methods of one pass, and the control; of a model that carries its own, that."""


def compare(
    model: Any,
    images: Any,
    target: Any = None,
    *,
    methods: Sequence[Asked] | None = None,
    layer: Any = None,
    **options: Any,
) -> Explanations:
    """Explain the same images by several methods, which share one forward and one backward pass where they can.

    `methods` are names or functions, or pairs of one and its options, such as ("score-cam", {"channels": 32}); None
    are those of one pass and a control (`seewhy.compare` of a model that carries its own explanation: that). Methods
    that look at the layer share one pass, those that look at the input another. Other arguments are those of
    `seewhy.explain`; a layer is for the methods that look at one.

    Raises InputError for no methods or an option that a method does not have, and what `seewhy.explain` raises.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
    ...                           torch.nn.Flatten(), torch.nn.Linear(4, 2))
    >>> compare(net, torch.rand(1, 3, 8, 8), 1, methods=["grad-cam", ("random-cam", {"seed": 7})])
    <2 explanations of 1 image(s) x 1 target(s): grad-cam, random-cam>
    """
    return Comparer(model, methods, layer, **options)(images, target)


class Comparer:
    """Explains by several methods; use it for any number of images. Arguments are those of `seewhy.compare`."""

    def __init__(self, model: Any, methods: Sequence[Asked] | None = None, layer: Any = None, **options: Any) -> None:
        asked = named(methods if methods is not None else DEFAULT)
        at_layer = None
        if methods is not None:
            at_layer = next((method for method in asked if not method.info.at_input), asked[0])
        self.explainer = Explainer(model, at_layer, layer, **options)
        carried = methods is None and self.explainer.own is not None
        self.methods = [self.explainer.method] if carried else [self.explainer.as_method(method) for method in asked]
        self.names = _apart(self.methods)

    def __call__(self, images: Any, target: Any = None) -> Explanations:
        """Explain images for a target; both in the forms that `seewhy.explain` lists."""
        fuse = self.explainer.fuse
        parts, names = [], []
        for name, found in zip(self.names, self.explainer.ask(images, target, self.methods), strict=True):
            for part in found if fuse is None else [self.explainer.fused(found)]:
                parts.append(part)
                names.append(name if fuse is not None or len(found) == 1 else f"{name} at {part.layer}")
        return Explanations(tuple(parts), tuple(names))

    def check(self, target: Any) -> None:
        """Raise what a call for this target would raise for its class names and indices, before any pass."""
        self.explainer.check(target)


def named(methods: Sequence[Asked]) -> list[NamedMethod]:
    """The methods that were asked for; InputError for none, or for one name in place of a list."""
    if isinstance(methods, str) or not methods:
        raise InputError(f"expected methods as a list, such as ['grad-cam', 'layer-cam'], got {methods!r}")
    return [as_method(*asked) if isinstance(asked, tuple) else as_method(asked) for asked in methods]


def _apart(methods: Sequence[NamedMethod]) -> list[str]:
    """A name for each, with its options where the same method is there several times."""
    names = [method.name for method in methods]

    def said(method: NamedMethod) -> str:
        options = ", ".join(f"{key}={value}" for key, value in method.options.items())
        return f"{method.name} ({options})" if names.count(method.name) > 1 and options else method.name

    said_names = [said(method) for method in methods]
    if len(set(said_names)) < len(said_names):
        raise InputError(f"a method is given twice: {', '.join(said_names)}")
    return said_names
