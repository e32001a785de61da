"""Run what follows a layer, and as little else as can be: the layer's output is replaced by many others.

The model runs on one image, and the changed outputs take the layer's place: from there on the batch is as long as
these are. Where the code does not bear that, such as branches round the layer that are concatenated with it,
torch.vmap does the same; where that fails too, the whole model runs on copies of the image, fewer at once. Which of
these a layer needs is found once, on two rows, and held against the copies.
"""

from collections.abc import Callable
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from seewhy.adapters import _torch_head as head
from seewhy.adapters._copies import rows_of_copies
from seewhy.adapters._torch_pass import Cut, Pass, Point, expected_runs
from seewhy.outputs import before_heads, map_arrays
from seewhy.stream import slices
from seewhy.types import Rows

Score: TypeAlias = Callable[[Any, Rows], Tensor]
"""From the outputs that are asked to the scores (m, k)."""
Way: TypeAlias = Callable[[Pass, Point, bool, Tensor, int], Any]
"""From changed outputs (m, ...) of the layer for image i to the outputs that are asked, (m, ...)."""

_ways: WeakKeyDictionary[Any, Way] = WeakKeyDictionary()
"""How the tail is run, by layer."""


def tail(this: Pass, point: Point, logit: bool, score: Score, activations: Tensor, of: Rows) -> Tensor:
    """The scores (m, k) where activations (m, c, *s) take the place of the layer's output for the images `of`."""
    found: dict[int, Tensor] = {}
    for i in sorted(set(map(int, of))):
        rows = np.flatnonzero(of == i)
        part = activations if len(rows) == len(of) else activations[torch.from_numpy(rows).to(activations.device)]
        scores = _scores(this, point, logit, score, part, of[rows])
        if len(found) == 0 and len(rows) == len(of):
            return scores
        found.update(zip(rows.tolist(), scores, strict=True))
    return torch.stack([found[r] for r in range(len(of))])


def _scores(this: Pass, point: Point, logit: bool, score: Score, activations: Tensor, of: Rows) -> Tensor:
    """The scores of changed outputs of the layer, all of one image."""
    i = int(of[0])
    way = _ways.get(point.layer) or _find(this, point, logit, score, activations, i)
    if way is not _copies:
        before = activations._version
        try:
            outputs = way(this, point, logit, activations, i)
        except torch.OutOfMemoryError:
            raise
        except Exception:
            if activations._version != before:  # an in-place op was there before: nothing is left to try again with
                raise
            # the way was found on other rows, and the model's code may look at them: find it anew
            _ways.pop(point.layer, None)
        else:
            return score(outputs, of)
    step = rows_of_copies(len(of), activations[0].nbytes, this.image[0].nbytes)
    parts = [score(_copies(this, point, logit, activations[s], i), of[s]) for s in slices(len(of), step)]
    return torch.cat(parts)


def _find(this: Pass, point: Point, logit: bool, score: Score, activations: Tensor, i: int) -> Way:
    """The least of the ways that gives what the whole model gives; kept for the layer if the rows could tell."""
    rows = torch.cat([activations[:1], _noise(activations[:1])]).detach()
    pair = np.asarray([i, i])
    expected = score(_copies(this, point, logit, rows.clone(), i), pair).detach()
    exact = this.image.dtype in (torch.float32, torch.float64)
    bound = float(expected.abs().max()) * (1e-4 if exact else 3e-2)
    if not bool(((expected[0] - expected[1]).abs() > bound).any()):
        return _copies  # any way would pass
    way = _ways[point.layer] = _fitting(this, point, logit, score, rows, expected, bound, i)
    return way


def _noise(like: Tensor) -> Tensor:
    """Noise between the lowest and the highest value, the same each time: nothing new to what follows the layer."""
    low, high = like.min(), like.max()
    drawn = torch.rand(like.shape, generator=torch.Generator().manual_seed(0), device="cpu").to(like)
    return low + torch.where(high > low, high - low, torch.ones_like(low)) * drawn


def _fitting(
    this: Pass, point: Point, logit: bool, score: Score, rows: Tensor, expected: Tensor, bound: float, i: int
) -> Way:
    pair = np.asarray([i, i])
    for way in (_one, _vmapped):
        try:
            came = score(way(this, point, logit, rows.clone(), i), pair)
        except Exception:  # whatever the model's code makes of it: another way is there
            continue
        if came.shape == expected.shape and bool(((came - expected).abs() <= bound).all()):
            return way
    return _copies


def _one(this: Pass, point: Point, logit: bool, activations: Tensor, i: int) -> Any:
    return _replaced(this, point, logit, activations, np.asarray([i]))


def _vmapped(this: Pass, point: Point, logit: bool, activations: Tensor, i: int) -> Any:
    outputs = torch.vmap(lambda row: _one(this, point, logit, row[None], i))(activations)
    return map_arrays(outputs, lambda array: array.flatten(0, 1))


def _copies(this: Pass, point: Point, logit: bool, activations: Tensor, i: int) -> Any:
    return _replaced(this, point, logit, activations, np.full(len(activations), i))


def _replaced(this: Pass, point: Point, logit: bool, activations: Tensor, of: Rows) -> Any:
    """The asked outputs of the model on the images `of`, with these activations in place of the layer's output."""
    cut = Cut(False, this.space, expected_runs(point.layer), place=lambda like: _like(activations, like, point))
    images = this.image[torch.from_numpy(of).to(this.image.device)]
    with this.tap({point.layer: cut}), head.watch(this.net, functions=True) as heads:
        outputs = this.call(this.inputs(images, of))
    return before_heads(outputs, heads.of, logit=logit)[1]


def _like(activations: Tensor, like: Tensor, point: Point) -> Tensor:
    """Activations (m, c, *s) in the layout and precision of the layer's output."""
    placed = activations.movedim(1, -1) if point.is_channels_last(like) else activations
    # no copy, which takes longer than many a tail: rows are given away; an in-place op must not meet a leaf, though
    return placed.to(like.device, like.dtype, copy=activations.requires_grad)
