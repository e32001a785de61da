"""ADCC: average drop, coherency and complexity in one number."""

from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from seewhy.errors import InputError
from seewhy.measure import Case, Metric, Sums, metric
from seewhy.metrics._explained import coherence
from seewhy.metrics._masked import masked_probability, scaled


@metric(paper="Poppi et al. 2021, arXiv:2104.10252", better="higher", needs=("class", "explain"), passes=2)
def adcc(*, mean: Literal["photos", "means"] = "photos") -> Metric:
    """The harmonic mean of what speaks for a map: coherency, little complexity, little average drop.

        3 / (1 / Coherency + 1 / (1 - Complexity) + 1 / (1 - AverageDrop))

    Coherency and AverageDrop are those of the metrics of these names; Complexity is here the mean of the map scaled
    to [0, 1], ||L||_1 / N, and not the entropy. With mean="photos" the harmonic mean is taken for each photo, and then
    the mean over photos: so the paper's equation and the authors' code have it (whose code lacks the division: 3 times
    the sum). With mean="means" the harmonic mean is taken of the three means over photos, which is never lower. From 0
    to 1. One part of 0 makes the whole 0: a blank map gets 0. A photo of probability 0 does not count.

    Raises InputError for another mean.

    >>> adcc(mean="means").compute(np.asarray([0.7, 1.0, 2.0, 2.0, 2.0]))  # 0.5, 1 and 1 over 2 photos
    0.75
    """
    if mean not in ("photos", "means"):
        raise InputError(f"expected mean='photos' or mean='means', got {mean!r}")
    return Metric(_parts, partial(_value, mean))


def _parts(case: Case) -> Sums:
    """ADCC, its three parts (the higher the better), and 1 for the case."""
    if case.probability <= 0:
        return np.zeros(5)
    drop = max(0.0, case.probability - masked_probability(case)) / case.probability
    spread = float(scaled(case).mean(dtype=np.float64))
    parts = np.asarray([coherence(case), 1 - spread, 1 - drop])
    return np.asarray([_harmonic(parts), *parts, 1.0])


def _value(mean: str, sums: Sums) -> float:
    if not sums[-1]:
        return float("nan")
    return float(sums[0] / sums[-1]) if mean == "photos" else _harmonic(sums[1:4] / sums[-1])


def _harmonic(parts: npt.NDArray[np.float64]) -> float:
    return float(len(parts) / (1 / parts).sum()) if (parts > 0).all() else 0.0
