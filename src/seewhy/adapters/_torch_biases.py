"""The bias of every layer on PyTorch, and what each adds to the score: d score / d b times b at every position."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from seewhy.adapters._torch_layout import is_channels_last
from seewhy.errors import LayerError

LINEAR = (nn.modules.conv._ConvNd, nn.Linear)
NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)


@dataclass(frozen=True)
class Bias:
    """One run of a layer: where its output is in the graph, and its bias there, (n, c, *s) or as that broadcasts."""

    edge: GradientEdge
    bias: Tensor
    channels_last: bool


@dataclass
class Watch:
    """Told of each layer that runs in one pass, in one thread; finds those with a bias and an output (n, c, *s)."""

    n: int
    space: Sequence[int]
    found: list[Bias] = field(default_factory=list)
    layers: int = 0
    """How many layers with parameters and such an output ran, with a bias or without."""
    thread: int = field(default_factory=threading.get_ident)
    busy: bool = False
    """Does a layer run a second time, to find its bias?"""

    def note(
        self, name: str, layer: Any, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any],
        output: Any, channels_last: bool | None = None,
    ) -> None:  # fmt: skip
        """A layer, what it calls, and with what, and what came; None: where the channels are is read from that."""
        if self.busy or threading.get_ident() != self.thread:
            return
        if not isinstance(output, Tensor) or output.ndim != 2 + len(self.space) or len(output) != self.n:
            return  # windows of the image, tokens, class scores
        if not output.requires_grad or not args or not isinstance(args[0], Tensor):
            return
        self.layers += 1
        self.busy = True
        try:
            bias = _bias(name, layer, lambda x: call(x, *args[1:], **kwargs), args[0], output)
        finally:
            self.busy = False
        if bias is not None:
            turned = is_channels_last(output, self.space) if channels_last is None else channels_last
            self.found.append(Bias(get_gradient_edge(output), bias, turned))


@contextmanager
def watch_biases(net: nn.Module, n: int, space: Sequence[int]) -> Iterator[Watch]:
    """Note each layer that has a bias and an output (n, c, *s), for a pass that is made with grad on.

    Layers are the modules with parameters or buffers of their own and no modules inside, and those of `LINEAR` and
    `NORMS`; one that runs several times counts each time. A bias that a model adds by itself, outside these, is not
    seen.
    """
    watch = Watch(n, space)

    def hook(name: str) -> Callable[..., None]:
        return lambda module, args, kwargs, output: watch.note(name, module, module.forward, args, kwargs, output)

    handles = [
        module.register_forward_hook(hook(name), with_kwargs=True)
        for name, module in net.named_modules()
        if isinstance(module, (*LINEAR, *NORMS)) or _is_leaf(module)
    ]
    try:
        yield watch
    finally:
        for handle in handles:
            handle.remove()


def _is_leaf(module: nn.Module) -> bool:
    own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return bool(own) and not any(True for _ in module.children())


def _bias(name: str, layer: Any, again: Callable[[Tensor], Tensor], x: Tensor, output: Tensor) -> Tensor | None:
    """What a layer adds that does not grow with its input: its bias b, or in general y - J x.

    For a normalisation with statistics of its own, y = g (x - m) / d + s, this is s - m g / d; where m and d are made
    of the input itself it is all of y, but for the small number under its root. None where there is none.
    """
    if isinstance(layer, LINEAR) and type(layer).__module__.startswith("torch.nn.modules."):
        if layer.bias is None:
            return None
        bias = layer.bias.detach()
        return bias if isinstance(layer, nn.Linear) else bias.reshape(-1, *[1] * (output.ndim - 2))
    try:
        y, grown = along(again, x.detach())
    except RuntimeError as problem:
        raise LayerError(
            f"the bias of the layer {name!r} ({type(layer).__name__}) cannot be found: expected layers that "
            "PyTorch can differentiate twice: choose a method other than 'full-grad'"
        ) from problem
    bias = y - grown
    return bias if bool((bias != 0).any()) else None


def along(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """y and J x, by the gradient of the gradient: few layers have a derivative in forward mode."""
    with torch.enable_grad():
        leaf = x.requires_grad_(True)
        y = function(leaf.clone())
        seed = torch.zeros_like(y, requires_grad=True)
        slope = torch.autograd.grad(y, leaf, seed, create_graph=True, allow_unused=True)[0]
        if slope is None:
            return y.detach(), torch.zeros_like(y)
        return y.detach(), torch.autograd.grad(slope, seed, x.detach())[0]


def times_gradients(biases: Sequence[Bias], gradients: Sequence[Tensor | None]) -> list[Tensor]:
    """Each bias times the gradient (k, n, c, *s) at its layer, as (n, k, c, *s); those out of reach are left out."""
    products = []
    for layer, gradient in zip(biases, gradients, strict=True):
        if gradient is not None:
            product = gradient.to(torch.promote_types(gradient.dtype, torch.float32)) * layer.bias
            products.append((product.movedim(-1, 2) if layer.channels_last else product).movedim(0, 1))
    return products
