"""Measures on this backend as on PyTorch: one net in both worlds, in the same numbers."""

import numpy as np
import pytest
import torch
from test_all_methods import SIZES, pooled

import seewhy

pytestmark = pytest.mark.usefixtures("double")

METRICS = ["average-drop", ("deletion", {"step": 12}), ("insertion", {"step": 12}), "sparseness", "class-sensitivity",
           ("max-sensitivity", {"samples": 2})]  # fmt: skip


def test_a_table_of_the_same_net_is_the_same():
    there, here = pooled(2)
    x = np.random.default_rng(0).normal(size=(2, *SIZES[2], 3)).astype(np.float32)
    options = {"methods": ["grad-cam", "gradient"], "metrics": METRICS, "layer": "act"}
    wanted = seewhy.evaluate(there, torch.from_numpy(np.moveaxis(x, -1, 1).copy()), **options)
    found = seewhy.evaluate(here, x, **options)
    assert not found.errors and found.methods == wanted.methods and found.metrics == wanted.metrics
    np.testing.assert_allclose(found.values(), wanted.values(), rtol=1e-3, atol=1e-5)


def test_weights_are_drawn_anew_in_a_copy():
    _, here = pooled(2)
    x = np.random.default_rng(0).normal(size=(1, *SIZES[2], 3)).astype(np.float32)
    before = [np.array(w) for w in here.get_weights()]
    metrics = ["parameter-randomisation"]
    table = seewhy.evaluate(here, x, methods=["grad-cam"], metrics=metrics, layer="act")
    assert not table.errors and table["image-centre", metrics[0]] == pytest.approx(1)
    assert table["grad-cam", metrics[0]] < 0.99
    for now, then in zip(here.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
