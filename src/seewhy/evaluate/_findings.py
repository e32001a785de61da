"""What `seewhy check` finds: a number, what it is held against, a verdict, and a plain sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

Verdict: TypeAlias = Literal["passed", "doubtful", "failed"]
Numbers: TypeAlias = Sequence[float]

FOLLOWS = (0.5, 0.8)
"""Likeness to the map of a model that has learnt nothing: passed up to the first, failed above the second. Layer-CAM
and Eigen-CAM, which show where the layer is active, come out between: a random net is active at strong edges too."""
STABLE = (0.7, 0.4)
"""Likeness to the maps of disturbed images: passed from the first on, failed below the second."""
AGREES = 0.25
"""How far from what the better control shares (0) to all (1): passed from there on. Below what both controls
share a map has failed."""
BROAD = 0.75
"""What a control shares where sharing says little."""
SLOPE = (0.05, 0.001)
FRAME = (0.5, 0.8)
"""How far from an even map (0) to a mere frame (1): passed up to the first, failed above the second."""
SURE = 0.99
CONTROL = "random-cam"


@dataclass(frozen=True)
class Finding:
    """One thing that was checked."""

    name: str
    value: float | None
    """None where there was nothing to measure."""
    references: Mapping[str, float]
    """What the number is held against: what a good and a bad explanation gets, those of controls in this photo."""
    verdict: Verdict
    sentence: str
    details: Mapping[str, float] = field(default_factory=dict)
    """The numbers that the value was made of."""

    def __str__(self) -> str:
        said = "" if self.value is None else f" {number(self.value)}"
        return f"{self.name}: {self.verdict}{said}. {self.sentence}"


def number(value: float) -> str:
    """With two decimals, and no sign where these are 0.

    >>> number(-0.001), number(-0.005001)
    ('0.00', '-0.01')
    """
    return f"{round(value, 2) + 0.0:.2f}"


def nothing(name: str, why: str) -> Finding:
    """A finding where nothing could be measured."""
    return Finding(name, None, {}, "doubtful", why)


def randomisation(
    method: str, stages: Mapping[str, float], whole: Numbers, by_chance: float, blanks: int, unfit: int
) -> Finding:
    """`whole`: the likeness for each model that was shuffled as a whole; `blanks` of these maps are blank."""
    if not whole:
        return nothing("randomisation", "With its weights shuffled the model gives no finite scores to explain.")
    value = mean(whole)
    verdict = _low(value, FOLLOWS)
    how = "nothing" if value <= 0.1 else "little" if value <= FOLLOWS[0] else "much"
    begun = f"With all weights of the model shuffled the map keeps {how} of what it was"
    sentence = {
        "passed": f"{begun}: it depends on the model's weights.",
        "doubtful": f"{begun}: a part of it shows the photo, whatever the model has learnt.",
        "failed": f"{begun}: {method} shows the photo, and not what the model has learnt.",
    }[verdict]
    if blanks:
        sentence += f" It turned blank in {blanks} of {len(whole)} draws, which counts as 0."
    if unfit:
        sentence += f" {unfit} of {len(stages) + unfit} shuffled models gave no finite scores, and do not count."
    references = {"a map that depends on the weights": 0.0, "an edge detector": 1.0}
    references |= _control(method, by_chance)
    return Finding("randomisation", value, references, verdict, sentence, stages)


def stability(
    name: str, alike: Numbers, edges: Numbers, by_chance: float, probability: float | None, least: float | None
) -> Finding:
    """For name "noise" or "shift"."""
    value = mean(alike)
    if np.isnan(value):
        return nothing(name, "In what the changed images share with the photo the map is the same everywhere.")
    verdict = _high(value, STABLE)
    change = "a little noise" if name == "noise" else "a shift by a few pixels"
    sentence = {
        "passed": f"Under {change} the map stays as it is.",
        "doubtful": f"Under {change} the map changes in part: trust its coarse features only.",
        "failed": f"Under {change} the map becomes another: it tells more of the pixels than of the model.",
    }[verdict]
    if probability is not None and least is not None and probability - least > 0.1:
        sentence += f" The model wavers too: its probability falls from {probability:.0%} to {least:.0%}."
    references = {"a steady map": 1.0, "an edge detector": mean(edges), "maps drawn by chance": by_chance}
    return Finding(name, value, references, verdict, sentence)


def agreement(
    method: str, peers: Mapping[str, float], same: Sequence[str], by_chance: float, centre: float, edges: float
) -> Finding:
    """`peers`: the evidence shared with each; the others are what RandomCAM, the centre and edges share with them."""
    if not peers:
        return nothing("agreement", f"Here {', '.join(same)} give the very map of {method}: no other view to compare.")
    value = mean(list(peers.values()))
    chance = max(by_chance, centre)
    verdict: Verdict = "passed" if value - chance >= AGREES * (1 - chance) else "doubtful"
    if value < min(by_chance, centre):
        verdict = "failed"
    sentence = {
        "passed": "Other methods put the evidence in the same places.",
        "doubtful": "Other methods share little more of the evidence than a map that knows nothing: look at them side "
        "by side, seewhy.compare(...).",
        "failed": "Other methods put the evidence elsewhere: they share more of it with maps that know nothing.",
    }[verdict]
    if chance >= BROAD:
        sentence += " Their evidence is spread widely or lies in the middle, so that any such map shares much of it."
    references = {
        "the same map": 1.0, **_control(method, by_chance), "the image's centre": centre, "an edge detector": edges
    }  # fmt: skip
    return Finding("agreement", value, references, verdict, sentence, peers)


def saturation(slope: float | None, probability: float | None, uses_gradients: bool, logit: bool) -> Finding:
    """`slope` None: it was not to be had."""
    if slope is None and uses_gradients:
        return nothing("saturation", "How much the score moves with the layer could not be asked.")
    verdict = "passed" if slope is None or not uses_gradients else _high(slope, SLOPE)
    sure = "" if probability is None else f" (probability {probability:.2%})"
    if not uses_gradients:
        sentence = "The method takes no gradient, so a saturated score does not harm it."
    elif verdict == "passed":
        sentence = f"The explained score{sure} still moves with the layer: its gradient means something."
    else:
        sentence = (
            f"The explained score{sure} hardly moves with the layer: it is saturated, and its gradient says little"
        )
        sentence += "." if logit else "; explain the number before the softmax, score='logit'."
    if verdict == "passed" and probability is not None and probability > SURE and uses_gradients and logit:
        sentence += " The probability itself is saturated: it is well that the number before it is explained."
    references = {"a net of ReLUs before its softmax, at least": 0.5, "a saturated score": 0.0}
    details = {} if probability is None else {"probability": probability}
    return Finding("saturation", slope, references, verdict, sentence, details)


def blank(share: float, even: bool, flat: bool) -> Finding:
    """`share` of the positions with evidence; `even`: all positions have the same."""
    verdict: Verdict = "failed" if share == 0 or even else "passed"
    if flat:
        sentence = "The map is blank, since the score has no gradient at the layer at all."
    elif share == 0:
        sentence = "The map is blank: no position speaks for the target."
    elif even:
        sentence = "The map is the same everywhere: it tells no place from another."
    else:
        sentence = f"{max(share, 0.01):.0%} of the positions speak for the target."
    return Finding("blank", share, {"a blank map": 0.0}, verdict, sentence)


def border(found: tuple[float, float] | None) -> Finding:
    if found is None:
        return nothing("border", "The map is too small to tell its border from its inside.")
    density, frame = found
    verdict = _low((density - 1) / (frame - 1), FRAME)
    sentence = {
        "passed": "The evidence does not hug the border.",
        "doubtful": "Much of the evidence lies along the border: look whether the model sees the padding.",
        "failed": "The evidence lies along the border on three sides or more: it shows the padding, not the photo.",
    }[verdict]
    return Finding("border", density, {"an even map": 1.0, "a mere frame": frame}, verdict, sentence)


def _control(method: str, by_chance: float) -> dict[str, float]:
    """What RandomCAM gets, as a reference of others: it is not held against itself."""
    return {} if method == CONTROL else {CONTROL: by_chance}


def _low(value: float, limits: tuple[float, float]) -> Verdict:
    return "passed" if value <= limits[0] else "doubtful" if value <= limits[1] else "failed"


def _high(value: float, limits: tuple[float, float]) -> Verdict:
    return "passed" if value >= limits[0] else "doubtful" if value >= limits[1] else "failed"


def mean(numbers: Numbers) -> float:
    """The mean of those that are numbers; NaN where none is.

    >>> mean([1.0, float("nan"), 2.0]), mean([])
    (1.5, nan)
    """
    known = [number for number in numbers if not np.isnan(number)]
    return float(np.mean(known)) if known else float("nan")
