"""What is to be done: each photo, and each grid of four, made ready when its turn comes."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from zlib import crc32

import numpy as np

from seewhy.errors import InputError, SeewhyError
from seewhy.evaluate._asked import Annotations
from seewhy.evaluate._cases import Prepared, Setting
from seewhy.evaluate._columns import Column
from seewhy.evaluate._model import AskedModel, ask_model
from seewhy.evaluate._passes import with_images
from seewhy.evaluate._shown import Shown
from seewhy.evaluate._tiles import cells, groups, tile
from seewhy.inputs import Inputs
from seewhy.measure import Need
from seewhy.targets._forms import as_target
from seewhy.types import Target


@dataclass(frozen=True)
class Job:
    """What is measured and saved at once: a photo with its targets, or a grid of four."""

    name: str
    prepared: Callable[[], list[Prepared]]
    columns: Sequence[Column]
    targets: int
    """How many it is explained for."""
    fingerprint: str
    """Of what is in the photo, or in the four."""


@dataclass(frozen=True)
class Run:
    """The photos of a run, and what is asked of each."""

    setting: Setting
    shown: Sequence[Shown]
    targets: Sequence[Sequence[Target]]
    annotated: Annotations | None

    def photo(self, i: int) -> list[Prepared]:
        """A photo, ready to be explained for each of its targets."""
        inputs = self.inputs(i)
        models = [self._ask(inputs, target) for target in self.targets[i]]
        often = Counter(model.target.label for model in models)
        return [
            Prepared(
                label if often[label] == 1 else f"{label} ({model.target.index})",
                inputs,
                model,
                None if self.annotated is None else self.annotated.of(i, model.target.index),
                self._seed(self.shown[i].fingerprint),
            )
            for model in models
            for label in [model.target.label]
        ]

    def inputs(self, i: int) -> Inputs:
        explainer = self.setting.explainer
        inputs = explainer.prepare(self.shown[i].image)
        if len(inputs.views) != 1:
            raise InputError(f"{self.shown[i].name} is {len(inputs.views)} images: give them one by one")
        return inputs

    def quads(self) -> list[dict[int, int]]:
        """Groups of four photos, each with the class that is asked of it: four different ones."""
        indices: list[int | None] = []
        for i, row in enumerate(self.targets):
            try:
                indices.append(self._ask(self.inputs(i), row[0]).target.index)
            except SeewhyError:  # said where the photo itself is measured
                indices.append(None)
        return [{i: index for i in group if (index := indices[i]) is not None} for group in groups(indices)]

    def grid(self, quad: dict[int, int]) -> list[Prepared]:
        """The four photos as one; the class of each is asked for, and its cell is the truth."""
        explainer = self.setting.explainer
        members = [self.inputs(i) for i in quad]
        tiled = tile([np.asarray(explainer.adapter.pictures(one.placed)(0), np.float32) for one in members])
        h, w = tiled.shape[1:]
        inputs = with_images(explainer, members[0], tiled[None])
        return [
            Prepared(self.shown[i].name, inputs, self._ask(inputs, as_target(index)), truth, self._seed("grid"))
            for (i, index), truth in zip(quad.items(), cells(h, w), strict=True)
        ]

    def _ask(self, inputs: Inputs, target: Target) -> AskedModel:
        return ask_model(self.setting.explainer, inputs, target, self.setting.memory)

    def _seed(self, content: str) -> int:
        """Another for each photo, and the same whichever photos it is measured with."""
        return crc32(f"{self.setting.seed} {content}".encode())


def missing_of(run: Run, columns: Sequence[Column], first: Prepared | None) -> dict[Need, str]:
    """What metrics may need and cannot have here, and why."""
    missing: dict[Need, str] = {}
    if run.annotated is None:
        missing["truth"] = "needs annotations: boxes=PATH, COCO's JSON, Pascal VOC's XML or a folder of masks"
    if first is None:  # said where the photos are measured
        return missing
    if len(run.setting.explainer.adapter.size(first.inputs.placed)[1]) != 2:
        missing["image"] = missing["grid"] = "needs a model of images (h, w)"
    if first.model.target.index is None:
        words = "needs a class as the target, and this one is no class"
        missing.update({"class": words, "scores of classes": words, "grid": words})
        if run.annotated is not None and first.truth is None:
            missing["truth"] = "needs a class as the target, since the annotations name theirs, and this one is none"
    else:
        if first.model.kind is None:
            missing["class"] = "needs a probability, and this model gives scores that came out of no sigmoid or softmax"
        if not first.model.others(1):
            missing["scores of classes"] = "needs a model of several classes"
    return missing


def jobs_of(run: Run, columns: Sequence[Column], quads: Sequence[dict[int, int]]) -> list[Job]:
    """A job for each photo, and one for each grid of four, with the metrics that are of it."""
    usual = [c for c in columns if "grid" not in c.info.needs]
    of_grids = [c for c in columns if "grid" in c.info.needs]
    photos = [
        Job(given.name, partial(run.photo, i), usual, len(run.targets[i]), given.fingerprint)
        for i, given in enumerate(run.shown)
        if usual
    ]
    grids = [
        Job(
            "grid of " + ", ".join(run.shown[i].name for i in quad), partial(run.grid, quad), of_grids, 4,
            " ".join(run.shown[i].fingerprint for i in quad),
        )
        for quad in quads
        if of_grids
    ]  # fmt: skip
    return [*photos, *grids]
