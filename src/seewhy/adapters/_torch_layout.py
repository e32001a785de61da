"""Which axes of a layer's output are spatial, and its values in the layout and precision that methods take."""

from collections.abc import Sequence

import torch
from torch import Tensor

FEWEST = 8
"""No layer that is read as channels-last has fewer channels."""


def is_channels_last(tensor: Tensor, space: Sequence[int]) -> bool:
    """Is this (n, *s, c)? So it is where only this reading has the proportions of the input, as in Swin."""
    # an input that is pooled along one axis more than along the other, such as a spectrogram, fits neither reading, and
    # might the wrong one by chance: then what would be its channels is a short axis
    if len(space) < 2 or tensor.shape[-1] < FEWEST:
        return False
    return _fits(tensor.shape[1:-1], space) and not _fits(tensor.shape[2:], space)


def channels_first(tensor: Tensor, space: Sequence[int]) -> Tensor:
    """The tensor as (n, c, *s)."""
    return tensor.movedim(-1, 1) if is_channels_last(tensor, space) else tensor


def _fits(shape: Sequence[int], space: Sequence[int]) -> bool:
    """Could axes of these lengths be the input's, made smaller alike but for rounding at each halving?"""
    if len(shape) != len(space):
        return False
    steps = [(full / (short + 1), full / max(short - 1, 0.5)) for short, full in zip(shape, space, strict=True)]
    return max(low for low, _ in steps) <= min(high for _, high in steps)


def first(tensor: Tensor, turned: bool, axis: int = 1) -> Tensor:
    """The tensor with its channels at this axis, from where they come last if it is turned."""
    return tensor.movedim(-1, axis) if turned else tensor


def full(tensor: Tensor) -> Tensor:
    """At least float32."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
