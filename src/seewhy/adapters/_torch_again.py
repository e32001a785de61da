"""Further passes on PyTorch, for methods that change the input or the layer: see seewhy.types.MorePasses."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakSet

import numpy as np
import torch
from torch import Tensor, nn

from seewhy.adapter import Ask
from seewhy.adapters import _torch_tail
from seewhy.adapters._torch_biases import times_gradients
from seewhy.adapters._torch_diagonals import diagonals
from seewhy.adapters._torch_gradients import gradients_at, slopes_at
from seewhy.adapters._torch_layout import first, full
from seewhy.adapters._torch_pass import Pass, Point, Run, at_layer, run
from seewhy.adapters._torch_precision import Autocast
from seewhy.errors import LayerError
from seewhy.outputs import before_heads, map_arrays
from seewhy.types import Rows

LARGE = 128
"""Pixels along the shorter side from which channels-last in memory is faster."""
_contiguous: WeakSet[nn.Module] = WeakSet()
"""Models whose code takes images in PyTorch's usual memory format alone, such as those that call .view() on maps."""


@dataclass(frozen=True)
class Again:
    """Further passes through a model that was captured at a point."""

    this: Pass
    point: Point
    ask: Ask
    logit: bool
    autocast: Autocast

    @property
    def images(self) -> Tensor:
        image = self.this.image.detach()
        return full(first(image, self.this.input.is_channels_last(image)))

    def scores(self, images: Tensor, of: Rows) -> Tensor:
        with self._ready(gradients=False):
            return self._asked(self._run([], images, of, gradients=False), of).detach()

    def gradients(self, images: Tensor, of: Rows, *, at_input: bool = False, guided: bool = False) -> Tensor:
        point = self.this.input if at_input else self.point
        with self._ready(gradients=True):
            found = self._run([point], images, of, gradients=True)
            scores = self._asked(found, of)
            [slopes] = gradients_at(scores, found.activations, [point], guided=guided)
        turned = point.is_channels_last(found.activations[0])
        return first(slopes, turned, axis=2)

    def tail(self, activations: Tensor, of: Rows) -> Tensor:
        with self._ready(gradients=False):
            if not at_layer(self.point):
                return self.scores(activations, of)
            return _torch_tail.tail(self.this, self.point, self.logit, self._score, activations, of)

    def curvature(self) -> Tensor:
        with self._ready(gradients=True):
            found = run(self.this, [self.point], self.this.image, gradients=True, watch=True)
            scores = self._asked(found, np.arange(self.this.n))
            [activations] = found.activations
            columns = [_curved(scores[:, j], activations) for j in range(scores.shape[1])]
            turned = self.point.is_channels_last(activations)
        return full(first(torch.stack(columns, dim=1), turned, axis=2))

    def diagonals(self, activations: Tensor, of: Rows, element: Rows) -> tuple[Tensor, Tensor]:
        with self._ready(gradients=True):
            return diagonals(
                activations, of, element,
                lambda rows, of: _torch_tail.tail(self.this, self.point, self.logit, self._score, rows, of),
            )  # fmt: skip

    def biases(self) -> list[Tensor]:
        this = self.this
        with self._ready(gradients=True):
            with this.watch_biases() as watch:
                found = run(this, [this.input], this.image, gradients=True, watch=True)
            scores = self._asked(found, np.arange(this.n))
            if not watch.layers:
                raise LayerError(
                    "no layer with parameters and spatial axes ran as a module of this model, so its biases cannot be "
                    "seen: choose a method other than 'full-grad'"
                )
            if not watch.found:
                return []
            return times_gradients(watch.found, slopes_at(scores, [layer.edge for layer in watch.found]))

    # ---- within ------------------------------------------------------------------------------------------

    @contextmanager
    def _ready(self, *, gradients: bool) -> Iterator[None]:
        """The model as it was in the first pass, whatever surrounds the method."""
        with (
            self.this.quiet(),
            self.autocast.restored(),
            torch.inference_mode(False),
            torch.set_grad_enabled(gradients),
        ):
            yield

    def _run(self, points: list[Point], images: Tensor, of: Rows, *, gradients: bool) -> Run:
        like = self.this.image
        placed = images.movedim(1, -1) if self.this.input.is_channels_last(like) else images
        placed = placed.to(like.device, like.dtype)
        go = partial(run, self.this, points, of=of, gradients=gradients, watch=True)
        if not self._is_faster_last(placed):
            return go(placed.contiguous())
        try:
            return go(placed.contiguous(memory_format=torch.channels_last))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:  # of the memory format or of the model: the usual format tells
            found = go(placed.contiguous())
        _contiguous.add(self.this.net)
        return found

    def _is_faster_last(self, placed: Tensor) -> bool:
        """Would channels-last in memory be faster? Convolutions of large images on a CPU take a third less time so."""
        if placed.ndim != 4 or self.this.input.is_channels_last(placed) or self.this.net in _contiguous:
            return False
        return min(placed.shape[2:]) >= LARGE

    def _asked(self, found: Run, of: Rows) -> Tensor:
        return self._score(before_heads(found.outputs, found.heads.of, logit=self.logit)[1], of)

    def _score(self, outputs: Any, of: Rows) -> Tensor:
        return torch.as_tensor(self.ask.again(map_arrays(outputs, full), of))


def _curved(scores: Tensor, activations: Tensor) -> Tensor:
    """H A of the scores (n,), image by image: their sum has no mixed second derivatives between images."""
    slopes = torch.autograd.grad(scores.sum(), activations, create_graph=True, allow_unused=True)[0]
    if slopes is None or not slopes.requires_grad:
        return torch.zeros_like(activations)
    along = (slopes * activations.detach()).sum()
    curved = torch.autograd.grad(along, activations, retain_graph=True, allow_unused=True)[0]
    return torch.zeros_like(activations) if curved is None else curved.detach()
