"""Every method on this backend as on PyTorch: one net in both worlds, in the same numbers."""

from functools import cache

import keras
import numpy as np
import pytest
import torch
from keras import layers
from keras_nets import FORMS, SIZES, Plain
from torch import nn
from torch.nn import functional as F

import seewhy
from seewhy.maps import to_numpy

pytestmark = pytest.mark.usefixtures("double")

FEW = {
    "is-cam": {"steps": 3},
    "integrated-gradients": {"steps": 3},
    "occlusion": {"window": 3, "stride": 2},
    "rise": {"masks": 12, "cells": 3},
    "smooth-grad": {"samples": 2},
    "smooth-grad-cam-plus-plus": {"samples": 2},
    "ss-cam": {"samples": 2},
}
"""Options that spare passes."""


class Twin(nn.Module):
    """`Plain` as a module of PyTorch."""

    def __init__(self, plain: Plain) -> None:
        super().__init__()
        self.plain = plain
        self.act = nn.Softsign()
        self.register_buffer("precise", torch.zeros((), dtype=torch.float64))  # inputs take its precision

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kernel, bias = map(torch.from_numpy, self.plain.arrays["conv"])
        convolved = getattr(F, f"conv{self.plain.axes}d")(x, kernel.movedim((-1, -2), (0, 1)), bias)
        return self.plain.tail(self.act(convolved))


class Pooled(nn.Module):
    """Convolution, ReLU, global average pooling, one linear layer: what CAM needs, and guided gradients."""

    def __init__(self, axes: int) -> None:
        super().__init__()
        torch.manual_seed(axes)
        self.conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1](3, 5, 3)
        self.act = nn.ReLU()
        self.head = nn.Linear(5, 4)
        self.double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.act(self.conv(x)).flatten(2).mean(2))


@cache
def plain():
    one = Plain()
    return Twin(one), one.fill(FORMS["functional"][0](one))


@cache
def pooled(axes):
    there = Pooled(axes)
    x = keras.Input((*SIZES[axes], 3))
    convolved = getattr(layers, f"Conv{axes}D")(5, 3, name="conv")(x)
    mean = getattr(layers, f"GlobalAveragePooling{axes}D")()(layers.ReLU(name="act")(convolved))
    here = keras.Model(x, layers.Dense(4, name="head")(mean))
    kernel, head = there.conv.weight.detach(), there.head.weight.detach()
    here.get_layer("conv").set_weights([kernel.movedim((0, 1), (-1, -2)).numpy(), there.conv.bias.detach().numpy()])
    here.get_layer("head").set_weights([head.T.numpy(), there.head.bias.detach().numpy()])
    return there, here


def agree(there, here, axes, asked, method):
    x = np.random.default_rng(axes).normal(size=(2, *SIZES[axes], 3))
    options = {"method": method, **FEW.get(method, {})}
    if not seewhy.catalog.about(method).at_input:
        options["layer"] = "act"
    wanted = seewhy.explain(there, torch.from_numpy(np.moveaxis(x, -1, 1)), asked, **options)
    found = seewhy.explain(here, x, asked, **options)
    maps = to_numpy(wanted.maps)
    assert found.maps.shape == maps.shape
    assert maps.any() or method == "fem"  # to which nothing is unusual in these few positions
    np.testing.assert_allclose(to_numpy(found.maps), maps, rtol=1e-4, atol=1e-5 * maps.max())
    np.testing.assert_allclose(to_numpy(found.scores), to_numpy(wanted.scores), rtol=1e-5)
    assert found.labels == wanted.labels


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("method", seewhy.methods())
def test_where_a_pooling_and_a_linear_layer_follow(method, axes):
    agree(*pooled(axes), axes, seewhy.top(2), method)


@pytest.mark.parametrize("asked", [[[0], [3]], seewhy.finer()], ids=["classes", "finer"])
@pytest.mark.parametrize("method", [m for m in seewhy.methods() if not m.startswith(("cam", "guided", "full-grad"))])
def test_where_the_tail_is_not_linear(method, asked):
    if method == "shapley-cam" and keras.config.backend() == "tensorflow":
        pytest.skip("TensorFlow has no second derivative of softsign; test_more_passes.py has it of other functions")
    agree(*plain(), 2, asked, method)


@pytest.mark.parametrize("method", ["cam", "guided-backprop", "guided-grad-cam"])
def test_what_a_method_needs_is_told(method):
    _, here = plain()
    words = "followed by global average pooling" if method == "cam" else "ReLU"
    with pytest.raises(seewhy.SeewhyError, match=words):
        seewhy.explain(here, Plain().batch(), 1, method=method, layer=None if "backprop" in method else "act")
