"""Find the layer to explain, by watching one forward pass."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from seewhy.adapters._torch_layout import channels_first
from seewhy.errors import OutputError, SeewhyWarning
from seewhy.outputs import as_fields, class_scores
from seewhy.types import LayerInfo

_aten = torch.ops.aten
CONVOLUTIONS = (
    _aten.convolution.default,
    _aten._convolution.default,
    _aten.conv2d.default,
    _aten.mkldnn_convolution.default,
)
MATMULS = (_aten.mm.default, _aten.addmm.default, _aten.bmm.default, _aten.linear.default)


@dataclass
class _Candidate:
    """A convolution, and the last tensor that a module finished with at its resolution after it."""

    channels: int
    space: torch.Size
    last: Tensor | None = None
    version: int = 0
    names: list[str] = field(default_factory=list)
    """The modules that finished with this very tensor, in order: the one that made it, and those round it."""
    matmuls: int = 0
    """Products with weights that ran after it."""
    attention: bool = False
    """Did attention run after the last module that finished at this resolution?"""

    def finish(self, name: str, output: Tensor) -> None:
        # an in-place op leaves the tensor and counts its version up
        if output is not self.last or output._version != self.version:
            self.last, self.version, self.names = output, output._version, []
        self.names.append(name)
        self.attention = False


@dataclass
class _Watch:
    n: int
    space: tuple[int, ...]
    """The spatial axes of the input."""
    candidates: list[_Candidate] = field(default_factory=list)
    ran: dict[str, LayerInfo] = field(default_factory=dict)

    def operation(self, function: Any, result: Any) -> None:
        last = self.candidates[-1] if self.candidates else None
        if function in CONVOLUTIONS and min(result.shape[2:], default=1) > 1:
            # two are enough: the last one, and the one before it, should the last give the class scores themselves
            self.candidates = [*self.candidates[-1:], _Candidate(result.shape[1], result.shape[2:])]
        elif last is not None and function in (*MATMULS, *CONVOLUTIONS):
            last.matmuls += 1
        elif last is not None and _is_attention(function, result):
            last.attention = True

    def finish(self, name: str, module: nn.Module, output: Any) -> None:
        if not isinstance(output, Tensor) or output.ndim < 3 or (output.ndim == 3 and len(self.space) > 1):
            return
        if len(output) != self.n:  # no feature map: a table of positions, windows of the image
            return
        shape = channels_first(output, self.space).shape
        before = self.ran.pop(name, None)
        runs = before.runs + 1 if before is not None else 1
        self.ran[name] = LayerInfo(name, type(module).__name__, tuple(shape[1:]), default=False, runs=runs)
        if self.candidates and shape[2:] == self.candidates[-1].space and output.is_floating_point():
            self.candidates[-1].finish(name, output)


class _Operations(TorchDispatchMode):
    def __init__(self, watch: _Watch) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it without types
        self.watch = watch

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.watch.operation(func, result)
        return result


def _is_attention(function: Any, result: Any) -> bool:
    if function is _aten._softmax.default:
        return bool(result.ndim > 2)
    return "attention" in function.__name__ or "transformer_encoder" in function.__name__


def layers(net: nn.Module, run: Callable[[], Any], n: int, space: tuple[int, ...]) -> list[LayerInfo]:
    """Every layer with spatial axes that ran, in the order in which they finished; one is marked as the default.

    The default: of the last convolution to run with more than one position along every axis, the last module to finish
    at that resolution. A convolution that gives the class scores themselves does not count, where there is another.
    Where no convolution ran none is marked.
    """
    watch = _Watch(n, space)
    names = {name: module for name, module in net.named_modules() if name}
    handles = [
        module.register_forward_hook(lambda m, args, output, name=name: watch.finish(name, m, output))
        for name, module in names.items()
    ]
    try:
        with _Operations(watch):
            outputs = run()
    finally:
        for handle in handles:
            handle.remove()
    default = _choose(watch, outputs)
    return [replace(info, default=info.name == default) for info in watch.ran.values()]


def _choose(watch: _Watch, outputs: Any) -> str | None:
    candidates = [c for c in watch.candidates if c.names]
    if not candidates:
        return None
    chosen = candidates[-1]
    if len(candidates) > 1 and chosen.matmuls == 0 and chosen.channels == _class_count(outputs):
        chosen = candidates[-2]
    if chosen.attention:
        warnings.warn(
            "attention runs after this model's last convolution, which is what seewhy explains unless told: "
            "its map shows little of what the model makes of it",
            SeewhyWarning,
            stacklevel=4,
        )
    maker = chosen.names[0]
    # the outermost module round the maker; one elsewhere that only hands the tensor on, such as dropout, does not count
    return min((n for n in chosen.names if n == maker or maker.startswith(n + ".")), key=len)


def _class_count(outputs: Any) -> int | None:
    """How many classes the outputs have, one score each or, as in segmentation, a map each."""
    try:
        return int(class_scores(outputs).shape[1])
    except OutputError:
        parts = [outputs] if isinstance(outputs, Tensor) else list((as_fields(outputs) or {}).values())
        return next((int(part.shape[1]) for part in parts if isinstance(part, Tensor) and part.ndim > 2), None)
