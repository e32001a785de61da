"""Is this explanation to be trusted? One photo, one map, several findings, and no number that stands for them all."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from seewhy.carried import refuse_own
from seewhy.errors import InputError, unknown
from seewhy.evaluate import _findings
from seewhy.evaluate._alike import along_border, edges, moved, noisy, shared, unmoved
from seewhy.evaluate._asked import refuse_explainer
from seewhy.evaluate._controls import centre
from seewhy.evaluate._findings import Finding, Verdict, mean, nothing, number
from seewhy.evaluate._subject import Subject, evidence, probabilities, subject
from seewhy.explanation import Explanation
from seewhy.maps import upsample
from seewhy.metrics._correlation import is_even, spearman
from seewhy.options import check_seed
from seewhy.preprocess import Preprocess
from seewhy.render import figure
from seewhy.stream import run
from seewhy.types import Method

STAGES = ((1 / 3, 0), (2 / 3, 0), (1.0, 0), (1.0, 1), (1.0, 2))
"""The shuffled models: the share of layers from the top, and the draw. The verdict is on those that are so as a whole:
a net keeps some of what it sees where only its top is random (Binder et al. 2023, arXiv:2211.12486)."""
NOISE, SAMPLES = 0.02, 4
"""The deviation of the noise as a share of the image's range, and how many images are made so."""
SHIFT = 0.03
"""How far an image is moved to each of its four sides, as a share of its shorter side: 7 pixels of 224."""
SAME = 0.9999
"""Methods that are more alike than this are one formula here, and no second opinion."""

Shown = list[tuple[str, Explanation]]


@dataclass(frozen=True, eq=False)
class Check:
    """What was found out about one explanation; `check["randomisation"]` is one finding, iteration gives all.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
    ...                           torch.nn.Flatten(), torch.nn.Linear(4, 2))
    >>> found = check(net, torch.rand(1, 3, 16, 16), 1)
    >>> [finding.name for finding in found]
    ['randomisation', 'noise', 'shift', 'agreement', 'saturation', 'blank', 'border']
    """

    findings: tuple[Finding, ...]
    explanation: Explanation
    """The one that was checked."""
    others: tuple[tuple[str, Explanation], ...]
    """What it was held against, with a caption for each: other methods, and the method in shuffled models."""

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __getitem__(self, name: str) -> Finding:
        found = {finding.name: finding for finding in self.findings}
        if name not in found:
            raise unknown("finding", name, found)
        return found[name]

    def __repr__(self) -> str:
        said = ", ".join(f"{finding.name} {finding.verdict}" for finding in self.findings)
        return f"<Check of {self.explanation.method} for {self.explanation.labels[0][0]!r}: {said}>"

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all findings."""
        given = {finding.verdict for finding in self.findings}
        return "failed" if "failed" in given else "doubtful" if "doubtful" in given else "passed"

    def describe(self) -> str:
        """A line for each finding."""
        return "\n".join(map(str, self.findings))

    def to_dict(self) -> dict[str, Any]:
        """All in plain types, as JSON takes them; None where there was nothing to measure."""
        one = self.explanation
        return {
            "model": one.model,
            "method": one.method,
            "layer": one.layer,
            "target": {"index": one.targets[0][0].index, "label": one.labels[0][0]},
            "verdict": self.verdict,
            "findings": [
                {
                    "name": finding.name,
                    "value": _plain(finding.value),
                    "verdict": finding.verdict,
                    "references": {name: _plain(value) for name, value in finding.references.items()},
                    "details": {name: _plain(value) for name, value in finding.details.items()},
                    "sentence": finding.sentence,
                }
                for finding in self.findings
            ],
        }

    def figure(self, **options: Any) -> Image.Image:
        """The checked map beside what it was held against; options are those of `Explanation.overlay`."""
        one = self.explanation
        shown = [(f"{one.method}: {one.caption(0, 0)}", one), *self.others]
        pictures, captions = [e.overlay(**options) for _, e in shown], [caption for caption, _ in shown]
        return figure.panels(pictures, captions, columns=4, title=self._title())

    def _title(self) -> str:
        """What stands over the figure: what its panels and the numbers in their captions are."""
        sure = " (in brackets the target's probability)" if probabilities(self.explanation) else ""
        said = f"First the map that is checked{sure}"
        if not self.others:
            return f"{said}."
        if is_even(evidence(self.explanation)):
            return f"{said}, then what it is held against."
        return (
            f"{said}, then what it is held against. The number after a colon is how alike that map and the first one "
            "are. Of other methods: the share of the evidence that is in the same places, 0 to 1. Of shuffled models: "
            "Spearman's rank correlation, 1 the same order of places, 0 nothing in common; a blank map has 0."
        )

    def save(self, path: str | Path, **options: Any) -> Path:
        """Write the figure; it appears whole or not at all. Raises SaveError where it cannot be written."""
        return figure.save(self.figure(**options), path, protect=self.explanation.photos)


def check(
    model: Any,
    image: Any,
    target: Any = None,
    *,
    method: str | Method = "grad-cam",
    layer: Any = None,
    preprocess: Preprocess | Callable[[Any], Any] | str | None = None,
    labels: Sequence[str] | Mapping[int, str] | None = None,
    score: str = "logit",
    seed: int = 0,
    **options: Any,
) -> Check:
    """Is the explanation of this photo for this target to be trusted? Arguments are those of `seewhy.explain`.

    - randomisation: does the map change where the model's weights are shuffled? Spearman's rank correlation with the
      maps of copies of the model (Adebayo et al. 2018); near 0 is good, an edge detector gets 1.
    - noise, shift: does it stay under noise of 2 % of the image's range, and where the image is moved by 3 %? The same
      correlation; near 1 is good.
    - agreement: how much of the evidence do other methods put in the same places? The sum over positions of
      min(a / sum a, b / sum b), of two rectified maps a and b on the coarser of their grids: 0 nothing, 1 all; the mean
      over methods that are seen in the same pass. With v that mean, and c the larger of what RandomCAM and the image's
      centre share with these methods, (v - c) / (1 - c) from 0.25 on is good.
    - saturation: how much the score moves with the layer, S / (S + |y|) with S the sum of |G A|; near 0 the gradient
      says nothing. A method that takes no gradient has nothing to fear from it.
    - blank: the share of positions that speak for the target.
    - border: how dense the evidence is along the border, over its mean.

    Each has a number, its references and a verdict; what they cannot tell is whether the model is right. Costs two
    passes, one for five copies of the model each, and one for eight disturbed images. A finding has no number where
    there is nothing to measure: in a blank map, for a model that cannot be copied, without gradients for the others.

    Raises InputError for several images, targets or layers, what is no image, or a seed below 0, and what
    `seewhy.explain` raises.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
    ...                           torch.nn.Flatten(), torch.nn.Linear(4, 2))
    >>> check(net, torch.zeros(1, 3, 16, 16), 1, method=lambda capture: 0 * capture.activations[:, :1])["blank"].verdict
    'failed'
    """
    check_seed(seed)
    refuse_explainer(model, "check")
    refuse_own(model, "a check needs other methods and a copy with shuffled weights")
    ways = {"preprocess": preprocess, "labels": labels, "score": score}
    this = subject(model, image, target, (method, options), layer, ways)
    found = evidence(this.main)
    still = [_saturation(this), _blank(this)]
    if is_even(found):  # blank, or the same everywhere
        names = ("randomisation", "noise", "shift", "agreement", "border")
        first, second, third, fourth, fifth = (nothing(name, "There is no map to measure.") for name in names)
        return Check((first, second, third, fourth, *still, fifth), this.main, tuple(this.peers.items()))
    randomisation, shuffled = _randomisation(this, seed)
    noise, shift = _stability(this, seed)
    findings = (randomisation, noise, shift, _agreement(this), *still, _findings.border(along_border(found)))
    return Check(findings, this.main, (*_peers(this), *shuffled))


def _peers(this: Subject) -> Shown:
    """The other methods, each with how much of the evidence it shares."""
    found = evidence(this.main)
    return [(f"{name}: {number(shared(found, evidence(part)))}", part) for name, part in this.peers.items()]


def _randomisation(this: Subject, seed: int) -> tuple[Finding, Shown]:
    stages: dict[str, float] = {}
    whole: list[float] = []
    chance: list[float] = []
    shown: Shown = []
    blanks = 0
    draws = [(share, seed + draw) for share, draw in STAGES]
    try:
        shuffled = list(run(len(draws), 1, lambda part: this.shuffled(*draws[part.start]), "shuffling weights"))
    except InputError as error:
        return nothing("randomisation", f"No model with shuffled weights could be asked: {_sentence(error)}"), []
    for (share, draw), found in zip(STAGES, shuffled, strict=True):
        if found is None:
            continue
        kept, *controls = (
            spearman(evidence(before), evidence(after))
            for before, after in zip((this.main, *this.controls), found, strict=True)
        )
        stages[f"{share:.0%} of the layers" + (f", draw {draw + 1}" if share == 1 else "")] = kept
        if share == 1:
            whole.append(kept)
            chance += controls
            blanks += bool(found[0].blank[0, 0])
        if draw == 0:
            shown.append((f"{share:.0%} of the layers shuffled: {number(kept)}", found[0]))
    unfit = len(STAGES) - len(stages)
    return _findings.randomisation(this.method.name, stages, whole, mean(chance), blanks, unfit), shown


def _stability(this: Subject, seed: int) -> tuple[Finding, Finding]:
    """Noise and shifts, in one batch."""
    space = this.image.shape[1:]
    step = max(1, round(SHIFT * min(space)))
    steps = [(step, 0), (-step, 0), (0, step), (0, -step)]
    images = np.concatenate([
        noisy(this.image, NOISE, SAMPLES, seed), np.stack([moved(this.image, *way) for way in steps])
    ])  # fmt: skip
    after, seen = this.disturbed(images), [edges(image) for image in images]
    before, before_seen = evidence(this.main), edges(this.image)
    fine = [np.asarray(upsample(found, space)) for found in (before, *(evidence(after, i) for i in range(len(images))))]
    likely = probabilities(after)
    by_chance = _pairs([evidence(control) for control in this.controls])
    return (
        _findings.stability(
            "noise",
            [spearman(before, evidence(after, i)) for i in range(SAMPLES)],
            [spearman(before_seen, seen[i]) for i in range(SAMPLES)],
            by_chance, this.probability, min(likely[:SAMPLES], default=None),
        ),
        _findings.stability(
            "shift",
            [unmoved(fine[0], fine[1 + SAMPLES + i], *way) for i, way in enumerate(steps)],
            [unmoved(before_seen, seen[SAMPLES + i], *way) for i, way in enumerate(steps)],
            by_chance, this.probability, min(likely[SAMPLES:], default=None),
        ),
    )  # fmt: skip


def _agreement(this: Subject) -> Finding:
    if this.lonely:
        return nothing("agreement", f"No other method could be asked: {_sentence(this.lonely)}")
    found = evidence(this.main)
    alike = {name: shared(found, evidence(part)) for name, part in this.peers.items()}
    same = [name for name, value in alike.items() if value > SAME]
    others = [evidence(this.peers[name]) for name in alike if name not in same]
    return _findings.agreement(
        this.method.name,
        {name: value for name, value in alike.items() if name not in same},
        same,
        mean([shared(evidence(control), other) for control in this.controls for other in others]),
        mean([shared(centre(this.image.shape[1:]), other) for other in others]),
        mean([shared(edges(this.image), other) for other in others]),
    )


def _saturation(this: Subject) -> Finding:
    score = abs(float(this.main.scores[0, 0]))
    share = None if this.slope is None else this.slope / (this.slope + score) if this.slope else 0.0
    return _findings.saturation(share, this.probability, this.method.info.gradients, this.explainer.logit)


def _blank(this: Subject) -> Finding:
    found = evidence(this.main)
    return _findings.blank(float((found > 0).mean()), is_even(found), bool(this.main.flat[0, 0]))


def _pairs(maps: Sequence[Any]) -> float:
    """How alike maps are that have nothing to do with one another, on average."""
    return mean([spearman(a, b) for i, a in enumerate(maps) for b in maps[i + 1 :]])


def _sentence(words: object) -> str:
    """What an error says, with a full stop."""
    return f"{str(words).rstrip('.')}."


def _plain(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 6)
