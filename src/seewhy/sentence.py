"""An explanation in plain words."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from seewhy.maps import covered, upsample
from seewhy.preprocess import Geometry
from seewhy.types import Prediction

SHARE = 0.8
"""The share of the evidence that is placed in the photo."""
WHOLE = 0.97
"""A model that saw less than this share of the photo saw a crop of it, and that is said."""
SPREAD = 0.5
"""Evidence over more than this share of the photo is called spread."""


Empty: TypeAlias = Literal["blank", "neither", "flat", "outside"]
"""Why a picture shows no evidence: none speaks for the target; of a signed map, none for or against it; the score has
no gradient; all of it is in padding."""


def describe(
    label: str,
    coarse: npt.NDArray[np.floating],
    geometry: Geometry,
    layer: str,
    empty: Empty | None = None,
    signed: bool = False,
    is_control: bool = False,
) -> str:
    """One raw map (*s) in a sentence: how much of the evidence lies in how much of the photo, where.

    Of a signed map in two or three: the evidence for, that against, and how much of all is against.
    The map of a control is no evidence, and that is said first.

    >>> corner = np.zeros((4, 4))
    >>> corner[0, 0] = 1
    >>> describe("dog", corner, Geometry((64, 64), ((0, 64), (0, 64))), "conv")
    "80% of the evidence for 'dog' lies in 7% of the photo, towards the top left."
    >>> corner[3, 3] = -1
    >>> print(describe("dog", corner, Geometry((64, 64), ((0, 64), (0, 64))), "conv", signed=True))
    80% of the evidence for 'dog' lies in 7% of the photo, towards the top left. \
80% of the evidence against it lies in 7% of the photo, towards the bottom right. 50% of all evidence is against it.
    >>> describe("dog", abs(corner), Geometry((64, 64), ((0, 64), (0, 64))), "conv", is_control=True)
    "A control, which knows nothing of 'dog': 80% of its map lies in 13% of the photo, around the centre."
    """
    control = f"A control, which knows nothing of {label!r}: "
    if is_control and empty:
        return f"{control}its map is blank."
    if empty == "flat":
        return (
            f"The score of {label!r} does not change with layer {layer} at all (a saturated output?): "
            "its gradient is zero, and the blank map tells nothing."
        )
    if empty == "blank":
        return f"Nothing at layer {layer} speaks for {label!r}: the map is blank."
    if empty == "neither":
        return f"Nothing at layer {layer} speaks for or against {label!r}: the map is blank."
    if empty == "outside":
        return f"The evidence for {label!r} lies outside the photo, in what was padded."
    size, region = geometry.size, geometry.region
    if len(size) != 2 or coarse.ndim != 2:
        if is_control:
            return f"{control}its map is drawn by chance at layer {layer}."
        return f"The map shows the evidence for{' and against' if signed else ''} {label!r} at layer {layer}."
    # shares and places do not need every pixel, but some of the part that the model saw
    steps = [min(1.0, max(256 / max(size), 64 / (high - low))) for low, high in region]
    fine = [max(1, round(length * step)) for length, step in zip(size, steps, strict=True)]
    edges = [(low * f / s, high * f / s) for (low, high), f, s in zip(region, fine, size, strict=True)]
    evidence = upsample(coarse.astype(np.float64), fine, edges)
    seen = float(covered(fine, edges).mean())
    crop = f" The model saw {_share(seen)} of the photo." if seen < WHOLE else ""
    if is_control:
        return f"{control}{SHARE:.0%} of its map lies {_where(abs(evidence))}.{crop}"
    if signed:
        return _both(label, evidence, layer) + crop
    return f"{SHARE:.0%} of the evidence for {label!r} lies {_where(evidence)}.{crop}"


def _both(label: str, evidence: npt.NDArray[np.float64], layer: str) -> str:
    """What speaks for a target, and what against it."""
    positive, negative = np.maximum(evidence, 0), np.maximum(-evidence, 0)
    if not positive.any():
        begun = f"Nothing at layer {layer} speaks for {label!r}."
    else:
        begun = f"{SHARE:.0%} of the evidence for {label!r} lies {_where(positive)}."
    if not negative.any():
        return f"{begun} Nothing speaks against it."
    against = f"{SHARE:.0%} of the evidence against it lies {_where(negative)}."
    share = float(negative.sum() / abs(evidence).sum())
    return f"{begun} {against} {_share(share)} of all evidence is against it."


def _where(evidence: npt.NDArray[np.float64]) -> str:
    area = _area(evidence)
    share = f"{_share(area)} of the photo"
    return f"spread over {share}" if area > SPREAD else f"in {share}, {_place(evidence)}"


def empty_caption(label: str, empty: Empty) -> str:
    """What is written on a picture without evidence."""
    return {
        "blank": f"nothing here speaks for {label!r}",
        "neither": f"nothing here speaks for or against {label!r}",
        "flat": f"the score of {label!r} does not change here: its gradient is zero",
        "outside": f"the evidence for {label!r} lies outside the photo",
    }[empty]


def caption(label: str, probability: float | None) -> str:
    """What one picture shows, in a few words: the target, and its probability where it is a class."""
    return label if probability is None else f"{label} ({percent(probability)})"


def predicted(best: Sequence[Prediction]) -> str:
    """What was predicted and how sure, the next class too; nothing where the model returns no classes.

    >>> predicted([Prediction(1, "dog", 0.9), Prediction(0, "cat", 0.1)])
    'Predicted: dog, 90% (next: cat, 10%). '
    >>> predicted([Prediction(0, "dog", 0.2)])
    'dog: 20%. '
    """
    if not best:
        return ""
    if len(best) == 1:  # one class alone is no choice among classes
        return f"{best[0].label}: {percent(best[0].probability)}. "
    first, second = best[:2]
    next_one = f"(next: {second.label}, {percent(second.probability)})"
    return f"Predicted: {first.label}, {percent(first.probability)} {next_one}. "


def _share(part: float) -> str:
    return f"{part:.0%}" if part >= 0.01 else "less than 1%"


def percent(probability: float) -> str:
    """A probability, to a whole per cent; near 0 and 1, on which side of what it lies.

    >>> percent(0.384), percent(0.004), percent(0.0001), percent(0.9999)
    ('38%', 'below 0.5%', 'below 0.05%', 'above 99%')
    """
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
