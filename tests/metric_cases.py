"""Cases to measure, made by hand."""

import numpy as np

from seewhy.maps import Box
from seewhy.measure import Case, Truth


def case(heatmap, truth=None, **other):
    """A case whose map lies on the photo as on the input, and whose model says 1 to everything."""
    heatmap = np.asarray(heatmap, np.float32)
    made = {
        "evidence": heatmap,
        "heatmap": heatmap / max(float(heatmap.max()), 1e-9),
        "image": np.ones((3, *heatmap.shape), np.float32),
        "probability": 1.0,
        "score": 1.0,
        "model": lambda images, asked="probability": np.ones(len(images)),
        "truth": truth,
    }
    return Case(**{**made, **other})


def boxes(*edges):
    return Truth(tuple(Box(*four) for four in edges))


def masked(mask):
    return Truth((), np.asarray(mask, np.bool_))


def value(metric, *cases):
    """As one run, after seeing that shards that are added up give the same."""
    sums = [metric.update(one) for one in cases]
    whole = metric.compute(np.sum(sums, axis=0))
    if len(cases) > 1:
        shards = [np.sum(sums[0::2], axis=0), np.sum(sums[1::2], axis=0)]
        assert np.isclose(metric.compute(shards[1] + shards[0]), whole, rtol=1e-12, equal_nan=True)
    return whole
