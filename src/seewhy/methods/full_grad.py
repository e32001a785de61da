"""FullGrad."""

import math
from collections.abc import Iterator

from array_api_compat import array_namespace

from seewhy.maps import upsample
from seewhy.methods._passes import further
from seewhy.types import Array, Capture, Maps, method


@method(paper="Srinivas and Fleuret 2019, section 4, arXiv:1905.00780", cost="two passes", at_input=True)
def full_grad(capture: Capture) -> Maps:
    """What the pixels add to the score, and what the bias of every layer adds at every position, all laid together.

        M = sum_c psi(x * dy/dx)_c + sum_l sum_c psi(b_l * dy/db_l)_c
        psi(m) = upsample(rescale(|m|))

    Srinivas, Fleuret: Full-Gradient Representation for Neural Network Visualization, NeurIPS 2019. `rescale` takes
    the values of one layer, all channels together, to lie between 0 and 1, as the authors' code does, so that channels
    keep their proportions; `upsample` is bilinear. Before psi the terms, with those of the layers without positions,
    add up to the score of a net of ReLUs. A layer with one position, such as in squeeze-and-excitation, says nothing
    of where, and is left out.

    Takes images (n, c, *s) and gradients (n, k, c, *s), and one more pass for the bias-gradients; returns maps
    (n, k, *s), at least 0 and without a unit. Signs are lost: what speaks against the target counts as well. The
    bias-gradients (n, k, c, *s) of all layers are held at once, for all targets of all images: where that takes too
    much memory, explain fewer at a time.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
    ...                           torch.nn.Flatten(), torch.nn.Linear(4, 2))
    >>> tuple(seewhy.explain(net, torch.rand(1, 3, 8, 8), 1, method="full-grad").maps.shape)
    (1, 1, 8, 8)
    """
    assert capture.gradients is not None
    size = capture.activations.shape[2:]
    maps = _laid(capture.gradients * capture.activations[:, None, ...])
    for term in _spatial(further(capture).biases()):
        maps = maps + upsample(_laid(term), size)
    return maps


def _spatial(terms: list[Array]) -> Iterator[Array]:
    return (term for term in terms if math.prod(term.shape[3:]) > 1)


def _laid(term: Array) -> Maps:
    """sum_c rescale(|m|)_c: (n, k, c, *s) -> (n, k, *s); upsampling is linear, so that it can follow."""
    xp = array_namespace(term)
    m = xp.abs(term)
    flat = xp.reshape(m, (*m.shape[:2], -1))
    low, high = (xp.reshape(f(flat, axis=-1), (*m.shape[:2], *[1] * (m.ndim - 2))) for f in (xp.min, xp.max))
    spread = high - low
    m = xp.where(spread > 0, (m - low) / xp.where(spread > 0, spread, xp.ones_like(spread)), xp.zeros_like(m))
    return xp.sum(m, axis=2)
