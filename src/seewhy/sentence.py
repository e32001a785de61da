"""An explanation in plain words."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from seewhy.maps import upsample
from seewhy.preprocess import Geometry
from seewhy.types import Prediction

SHARE = 0.8
"""The share of the evidence that is placed in the photo."""
SPREAD = 0.5
"""Evidence over more than this share of the photo is called spread."""


def describe(
    label: str, coarse: npt.NDArray[np.floating], geometry: Geometry, layer: str, predictions: Sequence[Prediction]
) -> str:
    """One raw map (*s) in a sentence or two: what was predicted, how sure, and where how much of the evidence lies.

    >>> corner = np.zeros((4, 4))
    >>> corner[0, 0] = 1
    >>> describe("dog", corner, Geometry((64, 64), ((0, 64), (0, 64))), "conv", [Prediction(1, "dog", 0.9)])
    "Predicted: dog, 90%. 80% of the evidence for 'dog' lies in 7% of the photo, towards the top left."
    """
    said = _predicted(predictions)
    if not (coarse > 0).any():
        return f"{said}Nothing at layer {layer} speaks for {label!r}: the map is blank."
    size, region = geometry.size, geometry.region
    if len(size) != 2 or coarse.ndim != 2:
        return f"{said}The map shows the evidence for {label!r} at layer {layer}."
    # shares and places do not need every pixel
    fine = [max(1, round(length * min(1.0, 256 / max(size)))) for length in size]
    edges = [(low * f / s, high * f / s) for (low, high), f, s in zip(region, fine, size, strict=True)]
    evidence = upsample(coarse.astype(np.float64), fine, edges)
    area = _area(evidence)
    where = (
        f"spread over {area:.0%} of the photo" if area > SPREAD else f"in {area:.0%} of the photo, {_place(evidence)}"
    )
    return f"{said}{SHARE:.0%} of the evidence for {label!r} lies {where}."


def caption(label: str, probability: float | None) -> str:
    """What one picture shows, in a few words: the target, and its probability where it is a class."""
    return label if probability is None else f"{label} ({_percent(probability)})"


def _predicted(best: Sequence[Prediction]) -> str:
    if not best:
        return ""
    second = f" (next: {best[1].label}, {_percent(best[1].probability)})" if len(best) > 1 else ""
    return f"Predicted: {best[0].label}, {_percent(best[0].probability)}{second}. "


def _percent(probability: float) -> str:
    if 0 < probability < 0.005:
        return "below 0.5%" if probability >= 0.0005 else "below 0.05%"
    if 0.995 <= probability < 1:
        return "above 99%"
    return f"{probability:.0%}"


def _area(evidence: npt.NDArray[np.float64]) -> float:
    """The smallest share of the photo that holds SHARE of the evidence."""
    ordered = np.sort(evidence.ravel())[::-1].cumsum()
    return float((np.searchsorted(ordered, SHARE * ordered[-1]) + 1) / ordered.size)


def _place(evidence: npt.NDArray[np.float64]) -> str:
    """Where the centre of the evidence lies, on a grid of three by three."""
    total = evidence.sum()
    down, across = (
        float((evidence.sum(axis=1 - axis) * (np.arange(length) + 0.5)).sum() / total / length)
        for axis, length in enumerate(evidence.shape)
    )
    vertical = "top" if down < 1 / 3 else "bottom" if down > 2 / 3 else ""
    horizontal = "left" if across < 1 / 3 else "right" if across > 2 / 3 else ""
    if not vertical and not horizontal:
        return "around the centre"
    return "towards the " + " ".join(word for word in (vertical, horizontal) if word)
