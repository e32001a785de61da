"""Find the layer to explain, by watching one forward pass."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from seewhy.adapters._search import Search
from seewhy.adapters._torch_layout import channels_first
from seewhy.errors import OutputError
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


class _Operations(TorchDispatchMode):
    def __init__(self, search: Search) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it without types
        self.search = search

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in CONVOLUTIONS:
            self.search.convolution(result.shape[1], result.shape[2:])
        elif func in MATMULS:
            self.search.matmul()
        elif _is_attention(func, result):
            self.search.attention()
        return result


def _is_attention(function: Any, result: Any) -> bool:
    if function is _aten._softmax.default:
        return bool(result.ndim > 2)
    return "attention" in function.__name__ or "transformer_encoder" in function.__name__


def layers(net: nn.Module, run: Callable[[], Any], n: int, space: tuple[int, ...]) -> list[LayerInfo]:
    """Every layer with spatial axes that ran, in the order in which they finished; one is marked as the default.

    `space` holds the spatial axes of the input. Where no convolution ran none is marked.
    """
    search = Search()

    def finish(name: str, module: nn.Module, output: Any) -> None:
        if not isinstance(output, Tensor) or output.ndim < 3 or (output.ndim == 3 and len(space) > 1):
            return
        if len(output) != n or not output.is_floating_point():  # a table of positions, windows of the image, indices
            return
        shape = channels_first(output, space).shape[1:]
        search.finish(name, type(module).__name__, shape, output, output._version)

    handles = [
        module.register_forward_hook(lambda m, args, output, name=name: finish(name, m, output))
        for name, module in net.named_modules()
        if name
    ]
    try:
        with _Operations(search):
            outputs = run()
    finally:
        for handle in handles:
            handle.remove()
    return search.infos(_outermost(search.chosen(_class_count(outputs))))


def _outermost(names: list[str]) -> str | None:
    """The outermost module round the one that made the array: elsewhere one may only hand it on, such as dropout."""
    return min((n for n in names if n == names[0] or names[0].startswith(n + ".")), key=len, default=None)


def _class_count(outputs: Any) -> int | None:
    """How many classes the outputs have, one score each or, as in segmentation, a map each."""
    try:
        return int(class_scores(outputs).shape[1])
    except OutputError:
        parts = [outputs] if isinstance(outputs, Tensor) else list((as_fields(outputs) or {}).values())
        return next((int(part.shape[1]) for part in parts if isinstance(part, Tensor) and part.ndim > 2), None)
