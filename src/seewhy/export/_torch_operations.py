"""Private: what PyTorch computes in ways that ONNX has no operator for, computed in others that give the same.

Two places: functions of the model are replaced while it is traced, so that their derivatives are ordinary too; and
derivatives that PyTorch keeps as one operator are taken apart.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch._decomp import get_decompositions
from torch.overrides import TorchFunctionMode

_aten = torch.ops.aten
_TAKEN_APART = (
    _aten.threshold_backward, _aten.hardtanh_backward, _aten.hardswish_backward, _aten.hardsigmoid_backward,
    _aten.silu_backward, _aten.gelu_backward, _aten.sigmoid_backward, _aten.tanh_backward, _aten.elu_backward,
    _aten.leaky_relu_backward, _aten._prelu_kernel_backward, _aten.mish_backward, _aten.softplus_backward,
    _aten._softmax_backward_data, _aten._log_softmax_backward_data, _aten.native_batch_norm,
    _aten.native_batch_norm_backward, _aten.native_layer_norm_backward, _aten.native_group_norm_backward,
    _aten.max_pool2d_with_indices_backward, _aten.select_backward, _aten.slice_backward, _aten.new_zeros,
)  # fmt: skip
"""Derivatives, mostly, for which PyTorch itself knows what they are made of."""


def taken_apart() -> dict[Any, Callable[..., Any]]:
    """Operators, and what takes their place in a graph."""
    return {
        **get_decompositions(_TAKEN_APART),
        _aten.convolution_backward.default: _convolution_backward,
        _aten.avg_pool2d_backward.default: _mean_pool_backward,
    }


def _convolution_backward(
    gradient: Tensor, image: Tensor, weight: Tensor, bias_sizes: Any, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], transposed: bool, output_padding: Sequence[int], groups: int, wanted: Sequence[bool],
) -> Any:  # fmt: skip
    """The derivative by the image: of a convolution a transposed one, and the other way round."""
    if any(wanted[1:]):  # by the weights: nobody asks
        return NotImplemented
    if transposed:
        none = [0] * len(stride)
        return _aten.convolution(gradient, weight, None, stride, padding, dilation, False, none, groups), None, None
    steps = zip(image.shape[2:], gradient.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True)
    # what the last step did not reach
    left = [size - ((out - 1) * step - 2 * pad + far * (k - 1) + 1) for size, out, k, step, pad, far in steps]
    return _aten.convolution(gradient, weight, None, stride, padding, dilation, True, left, groups), None, None


def _mean_pool_backward(
    gradient: Tensor, image: Tensor, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int],
    ceil_mode: bool, count_include_pad: bool, divisor: int | None,
) -> Any:  # fmt: skip
    """Each position gives its gradient back to all that it is the mean of: a transposed convolution by ones."""
    stride = stride or kernel
    if ceil_mode or len(kernel) != 2 or len(padding) != 2:
        return NotImplemented
    ones = image.new_ones((image.shape[1], 1, *kernel))
    shares = [
        _shares(size, out, k, step, pad, count_include_pad)
        for size, out, k, step, pad in zip(image.shape[2:], gradient.shape[2:], kernel, stride, padding, strict=True)
    ]
    counts = shares[0][:, None] * shares[1][None, :] if divisor is None else np.full((1, 1), float(divisor))
    given = gradient / torch.tensor(counts.tolist(), dtype=gradient.dtype)
    ends = zip(image.shape[2:], gradient.shape[2:], kernel, stride, padding, strict=True)
    left = [size - ((out - 1) * step - 2 * pad + k) for size, out, k, step, pad in ends]
    return _aten.convolution(given, ones, None, stride, padding, [1, 1], True, left, image.shape[1])


def _shares(size: int, out: int, kernel: int, step: int, pad: int, count_pad: bool) -> Any:
    """How many positions along one axis each mean is of."""
    start = np.arange(out) * step - pad
    if count_pad:
        return np.minimum(start + kernel, size + pad) - start
    return np.minimum(start + kernel, size) - np.maximum(start, 0)


class Traceable(TorchFunctionMode):
    """While this lasts, adaptive pooling is a mean or a matrix product, which lead to the same numbers.

    PyTorch's own leaves a mark of its memory layout in the graph of the derivatives, and ONNX knows no memory layout.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _ADAPTIVE:
            return _adaptive_mean(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


_ADAPTIVE = (F.adaptive_avg_pool2d, torch._C._nn.adaptive_avg_pool2d)


def _adaptive_mean(input: Tensor, output_size: Any) -> Tensor:
    sizes = [output_size] * 2 if isinstance(output_size, int) else list(output_size)
    sizes = [have if want is None else want for have, want in zip(input.shape[-2:], sizes, strict=True)]
    if sizes == [1, 1]:
        return input.mean((-2, -1), keepdim=True)
    if sizes == list(input.shape[-2:]):
        return input.clone()
    rows, columns = (_means(have, want) for have, want in zip(input.shape[-2:], sizes, strict=True))
    return rows.to(input) @ input @ columns.to(input).T


def _means(cells: int, count: int) -> Tensor:
    """The matrix (count, cells) that takes the mean of each part, from floor(i cells / count) to its ceiling."""
    parts = np.zeros((count, cells), np.float32)
    for i in range(count):
        start, end = i * cells // count, -(-(i + 1) * cells // count)
        parts[i, start:end] = 1 / (end - start)
    return torch.from_numpy(parts)
