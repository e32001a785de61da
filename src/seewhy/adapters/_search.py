"""Which layer to explain where the user names none: the rule, for every framework alike."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from seewhy.errors import SeewhyWarning
from seewhy.types import LayerInfo


@dataclass
class Candidate:
    """A convolution, and the last array that a layer finished with at its resolution after it."""

    channels: int
    space: tuple[int, ...]
    last: Any = None
    version: int = 0
    names: list[str] = field(default_factory=list)
    """The layers that finished with this very array, in order: the one that made it, and those round it."""
    matmuls: int = 0
    """Products with weights that ran after it."""
    attention: bool = False
    """Did attention run after the last layer that finished at this resolution?"""

    def finish(self, name: str, output: Any, version: int) -> None:
        if output is not self.last or version != self.version:
            self.last, self.version, self.names = output, version, []
        self.names.append(name)
        self.attention = False


@dataclass
class Search:
    """Told of what runs in one forward pass, in order; then it knows the layers and the one to explain."""

    candidates: list[Candidate] = field(default_factory=list)
    ran: dict[str, LayerInfo] = field(default_factory=dict)

    def convolution(self, channels: int, space: Sequence[int]) -> None:
        """A convolution ran, with this output; one that leaves a single position along an axis does not count."""
        self.matmul()
        if min(space, default=1) > 1:
            # two are enough: the last one, and the one before it, should the last give the class scores themselves
            self.candidates = [*self.candidates[-1:], Candidate(channels, tuple(space))]

    def matmul(self) -> None:
        if self.candidates:
            self.candidates[-1].matmuls += 1

    def attention(self) -> None:
        if self.candidates:
            self.candidates[-1].attention = True

    def finish(self, name: str, kind: str, shape: Sequence[int], output: Any, version: int = 0) -> None:
        """A layer finished with this output, of this shape (c, *s); `version` counts what was done to it in place."""
        before = self.ran.pop(name, None)
        runs = before.runs + 1 if before is not None else 1
        self.ran[name] = LayerInfo(name, kind, tuple(shape), default=False, runs=runs)
        if self.candidates and tuple(shape[1:]) == self.candidates[-1].space:
            self.candidates[-1].finish(name, output, version)

    def chosen(self, classes: int | None) -> list[str]:
        """The layers that finished with the array to explain, the one that made it first; none: no convolution ran.

        Of the last convolution with more than one position along every axis, the last array that a layer finished with
        at that resolution. A convolution that gives the class scores themselves does not count, where there is another.
        """
        candidates = [c for c in self.candidates if c.names]
        if not candidates:
            return []
        chosen = candidates[-1]
        if len(candidates) > 1 and chosen.matmuls == 0 and chosen.channels == classes:
            chosen = candidates[-2]
        if chosen.attention:
            warnings.warn(
                "attention runs after this model's last convolution, which is what seewhy explains unless told: "
                "its map shows little of what the model makes of it",
                SeewhyWarning,
                stacklevel=5,
            )
        return chosen.names

    def infos(self, default: str | None) -> list[LayerInfo]:
        """All that ran, in the order in which it finished, with the default marked."""
        return [replace(info, default=info.name == default) for info in self.ran.values()]
