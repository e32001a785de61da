"""What a page offers to choose from: classes, methods with their costs, layers."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from seewhy import catalog
from seewhy.sentence import percent
from seewhy.serve.web.models import Loaded
from seewhy.types import Cost, LayerInfo

Choices: TypeAlias = list[tuple[str, str]]
"""(what is read, what it stands for)."""

HINTS: dict[Cost, str] = {
    "one pass": "at once",
    "two passes": "at once",
    "tail passes": "some seconds",
    "many passes": "slow, up to minutes",
}
"""What a method's cost means to somebody who waits."""

IDLE = re.compile(
    r"Identity|DropPath|StochasticDepth|\w*Dropout([123]\w)?|(Zero|Constant|Reflection|Replication|Circular)Pad\w*"
)
"""Kinds of layers that do nothing, or nothing that is worth a look."""

COLORMAPS = ("viridis", "magma", "inferno", "plasma", "cividis", "turbo", "jet", "gray")


def methods(allowed: Sequence[str] | None = None) -> Choices:
    """The methods of the catalogue, the quickest first, each with what to expect.

    >>> methods(["rise", "grad-cam"])
    [('grad-cam (at once)', 'grad-cam'), ('rise (slow, up to minutes)', 'rise')]
    """
    order = list(HINTS)
    names = catalog.names("methods") if allowed is None else allowed
    names = sorted(names, key=lambda name: (order.index(catalog.about(name).cost), name))
    return [(f"{name} ({HINTS[catalog.about(name).cost]})", name) for name in names]


def about(method: str) -> str:
    """One line on a method, and whether it looks at a layer."""
    line = catalog.summary("methods", method)
    return f"{line} It looks at the input, and at no layer." if catalog.about(method).at_input else line


def layers(model: Loaded) -> Choices:
    """The layers of a model that do something, the last first: they tell most of what was recognised."""
    shown = [info for info in model.layers if info.default or not IDLE.fullmatch(info.kind)]
    return [(_layer(info), info.name) for info in reversed(shown)]


def _layer(info: LayerInfo) -> str:
    size = "×".join(map(str, info.shape[1:]))
    return f"{info.name} ({info.kind}, {size}{', the default' if info.default else ''})"


def classes(names: Sequence[str] | None, probabilities: npt.NDArray[np.float32], first: int = 10) -> Choices:
    """All classes by name, the likeliest first and with their probability, the others in the order of the alphabet.

    >>> classes(["cat", "dog", "ant"], np.array([0.1, 0.9, 0.0], np.float32), first=2)
    [('dog, 90%', '1'), ('cat, 10%', '0'), ('ant', '2')]
    """
    best = [int(c) for c in np.argsort(-probabilities, kind="stable")[:first]]
    seen = set(best)
    called = [names[c] if names is not None else f"class {c}" for c in range(len(probabilities))]
    others = [c for c in range(len(called)) if c not in seen]
    if names is not None:
        others.sort(key=lambda c: called[c].casefold())
    counts = Counter(called)
    said = [f"{name} ({c})" if counts[name] > 1 else name for c, name in enumerate(called)]
    likely = [(f"{said[c]}, {percent(float(probabilities[c]))}", str(c)) for c in best]
    return likely + [(said[c], str(c)) for c in others]
