"""What one pass on PyTorch tells a method: activations, gradients, scores, and the way to further passes.

The gradient with respect to the layers' outputs runs back through the tail alone, see _torch_pass.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast
from weakref import WeakSet

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from seewhy.adapter import Ask
from seewhy.adapters._checks import check_classes, check_count
from seewhy.adapters._torch_again import Again
from seewhy.adapters._torch_gradients import gradients_at
from seewhy.adapters._torch_layout import first, full
from seewhy.adapters._torch_pass import Pass, Run, run
from seewhy.adapters._torch_precision import Autocast
from seewhy.errors import OutputError
from seewhy.outputs import before_heads, class_scores, map_arrays
from seewhy.types import Capture

_functional_heads: WeakSet[nn.Module] = WeakSet()
"""Models seen to end in a functional softmax or sigmoid: they are watched from the start, to save a second pass."""


def capture(this: Pass, ask: Ask, *, gradients: bool, logit: bool, guided: bool = False) -> list[Capture]:
    """One pass through the model, see seewhy.types.Capture and seewhy.adapter.Adapter.capture."""
    return _shown(this, gradients=gradients, logit=logit).asked(ask, guided=guided, keep=False)


def keep(this: Pass, *, gradients: bool, logit: bool, guided: bool = False) -> Callable[[Ask], list[Capture]]:
    """One pass, made now, that any number of questions can be asked of; see seewhy.adapter.Adapter.keep."""
    with this.quiet():
        shown = _shown(this, gradients=gradients, logit=logit)

    def ask_again(ask: Ask) -> list[Capture]:
        with this.quiet(), shown.autocast.restored():
            return shown.asked(ask, guided=guided, keep=True)

    return ask_again


@dataclass(frozen=True)
class _Shown:
    """A pass that was made, and can be asked."""

    this: Pass
    gradients: bool
    logit: bool
    found: Run
    head: str | None
    outputs: Any
    """Those that are asked, with the graph that leads back to the layers."""
    classes: npt.NDArray[np.float32] | None
    autocast: Autocast

    def asked(self, ask: Ask, *, guided: bool, keep: bool) -> list[Capture]:
        """What the pass tells of a question; `keep`: further ones will be asked, and the graph is needed."""
        this, found = self.this, self.found
        slopes: Sequence[Tensor | None] = [None] * len(this.points)
        with torch.set_grad_enabled(self.gradients), torch.inference_mode(False):
            scores = torch.as_tensor(ask(map_arrays(self.outputs, full), self.classes))
            if self.gradients:
                slopes = gradients_at(scores, found.activations, this.points, guided=guided, keep=keep)
        raw, said = map_arrays(found.outputs, Tensor.detach), full(scores.detach())
        captures = []
        for point, activations, slope in zip(this.points, found.activations, slopes, strict=True):
            turned = point.is_channels_last(activations)
            captures.append(
                Capture(
                    full(first(activations.detach(), turned)),
                    None if slope is None else first(slope, turned, axis=2),
                    said,
                    raw,
                    self.classes,
                    self.head,
                    Again(this, point, ask, self.logit, self.autocast),
                )
            )
        return captures


def _shown(this: Pass, *, gradients: bool, logit: bool) -> _Shown:
    found = _watched(this, gradients=gradients)
    kind, outputs = before_heads(found.outputs, found.heads.of, logit=logit)
    classes = _classes(outputs)
    for activations in found.activations:
        check_count(this.n, tuple(activations.shape), classes)
    check_classes(classes)
    return _Shown(this, gradients, logit, found, kind, outputs, classes, Autocast.now())


def _watched(this: Pass, *, gradients: bool) -> Run:
    """The pass, with the final activation seen however it is written."""
    watch = not gradients or this.net in _functional_heads
    found = run(this, this.points, this.image, gradients=gradients, watch=watch)
    if not watch and found.heads.miss(found.outputs):
        # a softmax called as a function is seen only while function calls are watched, which costs 2 %:
        _functional_heads.add(this.net)
        found = run(this, this.points, this.image, gradients=gradients, watch=True)
    return found


def _classes(outputs: Any) -> npt.NDArray[np.float32] | None:
    try:
        scores = class_scores(outputs)
    except OutputError:
        return None
    return cast(npt.NDArray[np.float32], scores.detach().float().cpu().numpy())
