"""Several explanations of the same images: at several layers, or by several methods."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from seewhy.errors import InputError, SaveError, unknown
from seewhy.explanation import Explanation
from seewhy.fuse import fuse_maps
from seewhy.maps import is_blank, to_numpy
from seewhy.render import figure


@dataclass(frozen=True, eq=False)
class Explanations:
    """One explanation for each layer or method, of the same images and targets, side by side.

    `explanations[0]` and `explanations["layer4"]` is one of them; `.figure()`, `.save()` and `.show()` draw them all,
    a row for each image and target.

    >>> import seewhy, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
    ...                           torch.nn.Flatten(), torch.nn.Linear(4, 2))
    >>> both = seewhy.explain(net, torch.rand(1, 3, 8, 8), 1, layer=["0", "1"])
    >>> both.names, both["1"].maps.shape
    (('0', '1'), torch.Size([1, 1, 6, 6]))
    """

    parts: tuple[Explanation, ...]
    names: tuple[str, ...]
    """What tells them apart: the name of the layer or method of each."""

    def __len__(self) -> int:
        return len(self.parts)

    def __iter__(self) -> Iterator[Explanation]:
        return iter(self.parts)

    def __getitem__(self, which: int | str) -> Explanation:
        if isinstance(which, str):
            if which not in self.names:
                raise unknown("explanation", which, self.names)
            return self.parts[self.names.index(which)]
        if not -len(self.parts) <= which < len(self.parts):
            raise IndexError(f"there are {len(self.parts)} explanations: {', '.join(self.names)}")
        return self.parts[which]

    def __repr__(self) -> str:
        n, k = self.parts[0].blank.shape
        return f"<{len(self)} explanations of {n} image(s) x {k} target(s): {', '.join(self.names)}>"

    def describe(self) -> str:
        """What each of them says; the prediction once."""
        said = [part.describe(predicted=not number) for number, part in enumerate(self.parts)]
        return "\n".join(f"{name}: {line}" for name, lines in zip(self.names, said, strict=True)
                         for line in lines.splitlines())  # fmt: skip

    def figure(self, **options: Any) -> Image.Image:
        """All overlays on one sheet, a row for each image and target; options are those of `Explanation.overlay`."""
        n, k = self.parts[0].blank.shape
        pictures, captions = [], []
        for i in range(n):
            for j in range(k):
                for name, part in zip(self.names, self.parts, strict=True):
                    pictures.append(part.overlay(i, j, **options))
                    captions.append(f"{name}: {part.caption(i, j)}")
        columns = len(self.parts) if n * k > 1 or len(self.parts) <= 6 else None
        cell = 448 if len(self.parts) <= 4 else 320
        return figure.panels(pictures, captions, columns=columns, cell=cell)

    def show(self, **options: Any) -> None:
        """Show the figure: in a notebook below the cell, elsewhere in the system's picture viewer."""
        figure.show(self.figure(**options))

    def _repr_png_(self) -> bytes | None:
        if any(len(view.geometry.size) != 2 for view in self.parts[0].views):
            return None
        return figure.png(self.figure())

    def save(self, path: str | Path, **options: Any) -> Path:
        """Write the figure; it appears whole or not at all. Raw maps are saved one by one: explanations[0].save(...).

        Raises SaveError where it cannot be written, or would overwrite an explained photo.
        """
        if Path(path).suffix.lower() == ".npz":
            raise SaveError(
                f"{path}: an .npz file holds one explanation: save each, such as explanations[0].save({str(path)!r})"
            )
        return figure.save(self.figure(**options), path, protect=self.parts[0].photos)


def fused(parts: list[Explanation], fuse: str) -> Explanation:
    """Explanations at several layers as one, on the finest of their grids; see seewhy.fuse.fuse_maps."""
    if len({part.maps.ndim for part in parts}) > 1:
        raise InputError("layers with different numbers of spatial axes cannot be fused")
    maps = fuse_maps([part.maps for part in parts], fuse)
    return replace(
        parts[0],
        maps=maps,
        blank=to_numpy(is_blank(maps)),
        flat=np.logical_and.reduce([part.flat for part in parts]),
        layer=f"{fuse} of {', '.join(part.layer for part in parts)}" if len(parts) > 1 else parts[0].layer,
        peak=float(maps.max()),
    )
