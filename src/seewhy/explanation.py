"""The result: raw maps, and what can be made of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from seewhy import archive, sentence
from seewhy.errors import InputError
from seewhy.maps import Box, boxes_around, covered, scale, scale_signed, to_numpy, upsample
from seewhy.outputs import map_arrays, plain_outputs
from seewhy.render import figure, overlay
from seewhy.types import BoundTarget, Heatmap, Maps, Prediction, Scores
from seewhy.view import View

Scale = Literal["image", "batch", "robust"] | tuple[float, float]
ROBUST = 0.99
"""The share of positions that lie below 1 on the scale "robust"."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """Where a model looked: one raw map for each of n images and k targets.

    Helpers take the image `i` and the target `j`; both can be left out where there is only one.
    `explanation[i]` and `explanation[i, j]` are the explanation of one image, of one target.

    >>> import seewhy, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
    ...                           torch.nn.Flatten(), torch.nn.Linear(4, 2))
    >>> explanation = seewhy.explain(net, torch.rand(5, 3, 8, 8), [[0, 1]] * 5, labels=["cat", "dog"])
    >>> explanation.labels[0], explanation.heatmap(2, 1).shape, len(explanation[2])
    (['cat', 'dog'], (8, 8), 1)
    """

    maps: Maps
    """Raw evidence (n, k, *s), 0 or more unless `signed`, in units of the score, in the framework's array type and on
    its device."""
    scores: Scores
    """The explained numbers (n, k)."""
    outputs: Any
    """What the model returned."""
    blank: npt.NDArray[np.bool_]
    """(n, k): True where no position speaks for the target; of signed maps, neither for nor against it."""
    flat: npt.NDArray[np.bool_]
    """(n, k): True where a map is blank since the score has no gradient at the layer at all: then it tells nothing."""
    targets: tuple[tuple[BoundTarget, ...], ...]
    layer: str
    method: str
    model: str
    views: tuple[View, ...]
    probabilities: npt.NDArray[np.float32] | None
    """(n, classes) in [0, 1]; None where the model returns no class vector."""
    names: Sequence[str] | None
    """The name of each class."""
    peak: float
    """The largest absolute value of all maps of the call, the common scale of its heatmaps."""
    signed: bool = False
    """Do the maps hold what speaks against the target too, below 0?"""
    pixels: bool = False
    """Do the maps have a value for each pixel of the input? Then pictures are drawn on the scale "robust"."""
    control: bool = False
    """Does the method know nothing of the target, to be what others are held against?"""

    @property
    def labels(self) -> list[list[str]]:
        """What each map was asked for, (n, k)."""
        return [[target.label for target in row] for row in self.targets]

    @property
    def photos(self) -> list[Path]:
        """The files of the explained photos."""
        return [view.photo.path for view in self.views if view.photo is not None and view.photo.path is not None]

    def __len__(self) -> int:
        return len(self.views)

    def __iter__(self) -> Iterator["Explanation"]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int | tuple[int, int]) -> "Explanation":
        i, j = index if isinstance(index, tuple) else (index, None)
        i = _position(i, len(self), "image")
        j = None if j is None else _position(j, len(self.targets[i]), "target")
        row, column = slice(i, i + 1), slice(None) if j is None else slice(j, j + 1)
        n = len(self)
        return replace(
            self,
            maps=self.maps[row, column],
            scores=self.scores[row, column],
            outputs=map_arrays(self.outputs, lambda a: a[row] if a.ndim and a.shape[0] == n else a),
            blank=self.blank[row, column],
            flat=self.flat[row, column],
            targets=(self.targets[i][column],),
            views=self.views[row],
            probabilities=None if self.probabilities is None else self.probabilities[row],
        )

    def __repr__(self) -> str:
        n, k = self.blank.shape
        return f"<Explanation of {n} image(s) x {k} target(s) by {self.method} at {self.layer} of {self.model}>"

    # ---- numbers -----------------------------------------------------------------------------------------

    def heatmap(self, i: int | None = None, j: int | None = None, *, scale: Scale = "image") -> Heatmap:
        """One map in [0, 1] on the photo's own pixels: float32 (H, W); for a ready batch on the input's axes.

        `scale` says what 1 stands for: the map's own highest value ("image"), that of all maps of the call ("batch"),
        the value that 99 % of its positions lie below ("robust": a few pixels may be far above all others), or
        (low, high) for 0 and 1. What the model did not see of the photo (outside a crop) is 0.

        Of a signed map: in [-1, 1], what speaks against the target below 0; 1 stands for the largest absolute value,
        or for `limit` in scale=(-limit, limit).
        """
        i, j = self._which(i, j)
        coarse = self._scaled(i, j, scale)
        geometry = self.views[i].geometry
        if coarse.ndim != len(geometry.size):
            raise InputError(
                f"the layer {self.layer} has {coarse.ndim} spatial axes and the input {len(geometry.size)}: "
                "the map cannot be laid on it; use .maps"
            )
        return np.asarray(upsample(coarse, geometry.size, geometry.region), np.float32)

    def mask(self, threshold: float = 0.15, i: int | None = None, j: int | None = None) -> npt.NDArray[np.bool_]:
        """The photo's pixels whose heatmap is above `threshold` times its maximum: bool (H, W); none of a blank map.

        Of a signed map, what speaks for the target counts.
        """
        if not 0 <= threshold < 1:
            raise InputError(f"expected a threshold from 0 up to, but not, 1, got {threshold}")
        heatmap = self.heatmap(i, j).clip(min=0)
        return np.asarray(heatmap > threshold * heatmap.max())

    def boxes(self, threshold: float = 0.15, i: int | None = None, j: int | None = None) -> list[Box]:
        """A box round each connected part of the mask, the largest part first; none of a blank map.

        The first, at a threshold of 15 %, is the localisation of Selvaraju et al. 2017, section 4.1.
        Raises InputError for what is no image, such as a signal.
        """
        mask = self.mask(threshold, i, j)
        if mask.ndim != 2:
            raise InputError(
                f"boxes lie on images, and this was explained along {mask.ndim} axes {mask.shape}: "
                "take the mask, explanation.mask(threshold)"
            )
        return boxes_around(mask)

    def predictions(self, i: int | None = None, *, top: int = 5) -> list[Prediction]:
        """The classes of the highest probability, best first; none where the model returns no class vector."""
        if self.probabilities is None:
            return []
        row = self.probabilities[self._which(i, 0)[0]]
        best = np.argsort(-row, kind="stable")[:top]
        return [Prediction(int(c), self.names[c] if self.names else f"class {c}", float(row[c])) for c in best]

    def describe(self, i: int | None = None, j: int | None = None, *, predicted: bool = True) -> str:
        """What was predicted, how sure, and how much of the evidence lies in how much of the photo, where.

        A line for each image and target; without the prediction where `predicted` is False.
        """
        n, k = self.blank.shape
        rows = range(n) if i is None else [_position(i, n, "image")]
        columns = range(k) if j is None else [_position(j, k, "target")]
        said = [sentence.predicted(self.predictions(a, top=2)) if predicted else "" for a in range(n)]
        return "\n".join(said[a] + self._sentence(a, b) for a in rows for b in columns)

    def _sentence(self, i: int, j: int) -> str:
        coarse, geometry = to_numpy(self.maps[i, j]), self.views[i].geometry
        label, empty = self.labels[i][j], self._empty(i, j)
        return sentence.describe(label, coarse, geometry, self.layer, empty, self.signed, self.control)

    def _empty(self, i: int, j: int) -> sentence.Empty | None:
        """Why the picture of this map shows nothing; None where it shows something."""
        if self.flat[i, j]:
            return "flat"
        if self.blank[i, j]:
            return "neither" if self.signed else "blank"
        size, region = self.views[i].geometry.size, self.views[i].geometry.region
        coarse = to_numpy(self.maps[i, j])
        if coarse.ndim == len(size) and not upsample(coarse, size, region).any():
            return "outside"
        return None

    def caption(self, i: int, j: int) -> str:
        """What a picture shows, in a few words: the target, and its probability where it is a class."""
        target, sure = self.targets[i][j], self.probabilities
        known = None if sure is None or target.index is None else float(sure[i, target.index])
        return sentence.caption(target.label, known)

    # ---- pictures ----------------------------------------------------------------------------------------

    def overlay(
        self,
        i: int | None = None,
        j: int | None = None,
        *,
        style: Literal["blend", "classic"] = "blend",
        colormap: str | None = None,
        opacity: float | None = None,
        scale: Scale | None = None,
    ) -> Image.Image:
        """The heatmap on the photo, in the photo's size; a blank map is the photo with a caption that says so.

        "blend" covers the photo as much as there is evidence; "classic" is the look of the well-known Keras example:
        0.4 of a jet heatmap added to the photo. A signed map is blended in red where it speaks for the target, and in
        blue where against. `scale` as in `heatmap`; None: "image", and for maps as fine as the input "robust", or the
        highest few pixels would be all that is seen.
        """
        i, j = self._which(i, j)
        draw = overlay.style(style, signed=self.signed)
        chosen: dict[str, Any] = {
            key: value for key, value in (("colormap", colormap), ("opacity", opacity)) if value is not None
        }
        view = self.views[i]
        inside = covered(view.geometry.size, view.geometry.region)
        picture = view.picture()
        if (empty := self._empty(i, j)) is not None:
            return overlay.caption(Image.fromarray(picture), sentence.empty_caption(self.labels[i][j], empty))
        return Image.fromarray(
            draw(picture, self.heatmap(i, j, scale=scale or ("robust" if self.pixels else "image")), inside, **chosen)
        )

    def figure(self, **options: Any) -> Image.Image:
        """All overlays on one sheet, with captions; options are those of `overlay`."""
        n, k = self.blank.shape
        pairs = [(i, j) for i in range(n) for j in range(k)]
        pictures = [self.overlay(i, j, **options) for i, j in pairs]
        return figure.panels(pictures, [self.caption(i, j) for i, j in pairs], columns=k if k > 1 else None)

    def show(self, **options: Any) -> None:
        """Show the figure: in a notebook below the cell, elsewhere in the system's picture viewer."""
        figure.show(self.figure(**options))

    def _repr_png_(self) -> bytes | None:
        if any(len(view.geometry.size) != 2 for view in self.views):
            return None
        return figure.png(self.figure())

    def save(self, path: str | Path, **options: Any) -> Path:
        """Write the picture (.jpg, .png, .webp ...) or, as .npz, all that `seewhy.open` needs to have this back.

        A single map is drawn as by `overlay`, several as by `figure`. The file appears whole or not at all.
        Raises SaveError where it cannot be written, or would overwrite an explained photo.
        """
        path, photos = Path(path), self.photos
        if path.suffix.lower() == ".npz":
            return self._archive(path, photos)
        picture = self.overlay(**options) if self.blank.size == 1 else self.figure(**options)
        return figure.save(picture, path, protect=photos)

    def _archive(self, path: Path, protect: Sequence[Path]) -> Path:
        words = {
            "layer": self.layer,
            "method": self.method,
            "model": self.model,
            "peak": self.peak,
            "signed": self.signed,
            "pixels": self.pixels,
            "control": self.control,
            "names": None if self.names is None else list(self.names),
            "targets": [[(target.label, target.index) for target in row] for row in self.targets],
            "views": [(v.geometry.size, v.geometry.region, v.photo and v.photo.name) for v in self.views],
        }
        arrays = {
            "maps": self.maps,
            "scores": self.scores,
            "blank": self.blank,
            "flat": self.flat,
            "probabilities": self.probabilities,
        }
        arrays["outputs"] = plain_outputs(self.outputs)
        kept = {name: to_numpy(array) for name, array in arrays.items() if array is not None}
        pictures = [view.picture() if len(view.geometry.size) == 2 else None for view in self.views]
        return archive.write(path, words, kept, pictures, protect=protect)

    # ---- within ------------------------------------------------------------------------------------------

    def _which(self, i: int | None, j: int | None) -> tuple[int, int]:
        n, k = self.blank.shape
        if (i is None and n > 1) or (j is None and k > 1):
            raise InputError(
                f"this explanation holds {n} image(s) x {k} target(s): say which, such as .heatmap(0, 1), "
                "or take explanation[i, j]"
            )
        return _position(i or 0, n, "image"), _position(j or 0, k, "target")

    def _scaled(self, i: int, j: int, limits: Scale) -> Heatmap:
        coarse = to_numpy(self.maps[i, j])
        if isinstance(limits, tuple):
            low, high = limits
            if not low < high:
                raise InputError(f"expected scale=(low, high) with low below high, got {limits}")
            if self.signed and low != -high:
                raise InputError(f"0 stays 0 on a signed map: expected scale=(-limit, limit), got {limits}")
        elif limits in ("image", "batch", "robust"):
            low, high = 0.0, self.peak if limits == "batch" else float(abs(coarse).max())
            if limits == "robust":
                high = float(np.quantile(abs(coarse), ROBUST)) or high
        else:
            raise InputError(f"expected scale='image', 'batch', 'robust' or (low, high), got {limits!r}")
        return scale_signed(coarse, high) if self.signed else scale(coarse, low, high)


def _position(index: int, count: int, what: str) -> int:
    if not -count <= index < count:
        raise IndexError(f"{what} {index} of an explanation that holds {count}")
    return index % count
