"""Measure methods on photos: read from top to bottom, from what was asked to the table."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from seewhy.catalog import NamedMethod
from seewhy.compare import Asked, named
from seewhy.errors import InputError, LayerError, SeewhyError, TargetError, UnknownNameError
from seewhy.evaluate._cases import Prepared, Setting, cases
from seewhy.evaluate._controls import CONTROLS, with_controls
from seewhy.evaluate._model import ask_model
from seewhy.evaluate._tiles import cells, groups, tile
from seewhy.evaluate.annotations import Mapped, Truths, read_truths
from seewhy.evaluate.table import GRID, Column, Measured, Table, column, open_table
from seewhy.explain import Explainer
from seewhy.images import Photo, open_photo
from seewhy.inputs import Inputs
from seewhy.measure import Need
from seewhy.preprocess import Geometry
from seewhy.stream import MEMORY, run
from seewhy.targets._forms import as_rows, as_target
from seewhy.types import Target
from seewhy.view import View

METHODS = ("grad-cam", "grad-cam-plus-plus", "hires-cam", "layer-cam", "xgrad-cam", "eigen-cam", "ablation-cam")
METRICS = (
    "average-drop", "average-increase", "drop-in-deletion", "insertion", "deletion", "road", "grid-pointing-game",
    "sparseness", "complexity", "max-sensitivity", "parameter-randomisation", "class-sensitivity", "seconds",
)  # fmt: skip
"""What is measured unless told."""
WITH_TRUTH = ("pointing-game", "energy-pointing-game", "box-iou", "max-box-acc")
"""What is measured too, unless told, where annotations are given."""

Told = Callable[[str, float], None]
"""(what is about to be done, seconds that it is likely to take)."""


def evaluate(
    model: Any,
    photos: Any,
    target: Any = None,
    *,
    methods: Sequence[Asked] = METHODS,
    metrics: Sequence[Any] | None = None,
    layer: Any = None,
    boxes: str | Path | None = None,
    classes: Mapped | None = None,
    memory: float = MEMORY,
    seed: int = 0,
    state: str | Path | None = None,
    told: Told | None = None,
    **options: Any,
) -> Table:
    """Measure explanations by several methods on photos: a table of methods by metrics.

    `photos` are a list of what `seewhy.explain` takes, or a ready batch, explained one by one. `target` is one for all,
    or a list with one for each; None is the class that `boxes` name, or the predicted one. `methods` are as in
    `seewhy.compare`; RandomCAM and the image's centre are added as controls. `metrics` are names, pairs of a name and
    options, or functions of your own that make a `seewhy.measure.Metric`; unless told, those of `METRICS`, without
    those that the photos do not allow (`table.left_out` says why).

    `boxes` are annotations (COCO's JSON, Pascal VOC's XML, a folder of masks; see
    `seewhy.evaluate.annotations.read_truths`), `classes` which classes of the model theirs stand for. `memory` bounds
    what is shown to the model at once, in MiB. `state` is a JSON file that is written after every photo; where it is
    there already, what it holds is not measured again, so that an interrupted run goes on from there. `told` is called
    before the work starts, with the seconds that it is likely to take. `options` are those of `Explainer`.

    What cannot be measured is named before anything is run: InputError, UnknownNameError, TargetError. A photo or a
    method that fails costs no other: `table.errors`.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
    ...                           torch.nn.Flatten(), torch.nn.Linear(4, 2))
    >>> table = evaluate(net, torch.rand(2, 3, 16, 16), methods=["grad-cam"], metrics=["sparseness", "deletion"])
    >>> table.methods, table.metrics, table.values().shape
    (('grad-cam', 'random-cam', 'image-centre'), ('sparseness', 'deletion'), (3, 2))
    """
    asked = with_controls(named(methods))
    controls = tuple(method.name for method in asked if method.name in CONTROLS)
    explainer = Explainer(model, _at_layer(asked).function, layer, **options)
    if explainer.fuse is not None or isinstance(layer, list | tuple) or layer == "all":
        raise LayerError("explanations are measured at one layer: give one, or measure each in a table of its own")
    columns = _columns(metrics, boxes is not None)
    shown = _photos(explainer, photos)
    truths = _truths(boxes, shown, explainer, classes)
    targets = _targets(target, len(shown), truths)
    setting = Setting(explainer, asked, frozenset(need for c in columns for need in c.info.needs), memory, seed)
    missing = _possible(setting, columns, shown[0], targets[0], truths)
    jobs = (
        _jobs(setting, columns, shown, targets, truths)
        if "grid" not in missing
        else _jobs(setting, [c for c in columns if "grid" not in c.info.needs], shown, targets, truths)
    )
    if "grid" not in missing and not any(job.name.startswith(GRID) for job in jobs):
        missing["grid"] = "needs four photos of four different classes"
    columns, left_out = _sorted_out(columns, missing, chosen=metrics is not None)

    names = tuple(method.name for method in asked)
    table = _resumed(Table(explainer.model_name, names, controls, tuple(columns), {}, left_out), state)
    left = [job for job in jobs if job.name not in table.measured]
    if told is not None and left:
        told(f"{len(shown)} photos, {len(asked)} methods, {len(columns)} metrics", _estimate(setting, left))
    setting.prepare()
    measured, errors = dict(table.measured), dict(table.errors)

    def one(part: slice) -> None:
        job = left[part.start]
        found, failed = _measure(setting, columns, job)
        errors.update(failed)
        if found:
            measured[job.name] = found
        if state is not None:
            replace(table, measured=measured, errors=errors).save(state)

    for _ in run(len(left), 1, one, "measuring"):
        pass
    return replace(table, measured=measured, errors=errors)


# ---- what is asked ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Shown:
    """One photo, or one image of a ready batch."""

    name: str
    image: Any


@dataclass(frozen=True)
class Job:
    """What is measured and saved at once: a photo with its targets, or a grid of four."""

    name: str
    prepared: Callable[[], list[Prepared]]
    passes: int
    """How many changed images it shows the model."""


def _photos(explainer: Explainer, photos: Any) -> list[_Shown]:
    if explainer.adapter.is_batch(explainer.net, photos) and not isinstance(photos, tuple | dict):
        return [_Shown(f"input {i}", photos[i : i + 1]) for i in range(len(photos))]
    listed = photos if isinstance(photos, list | tuple) else [photos]
    if not listed:
        raise InputError("the list of photos is empty")
    found: list[_Shown] = []
    for i, given in enumerate(listed):
        name = str(given) if isinstance(given, str | Path) else getattr(given, "name", "") or f"photo {i}"
        if name in {shown.name for shown in found}:
            raise InputError(f"the photo {name} is given twice")
        found.append(_Shown(name, given))
    return found


def _truths(boxes: Any, shown: Sequence[_Shown], explainer: Explainer, classes: Mapped | None) -> Truths | None:
    if boxes is None:
        return None
    photos = [given.image if isinstance(given.image, Photo) else open_photo(given.image) for given in shown]
    return read_truths(boxes, photos, explainer.labels, classes=classes)


def _targets(target: Any, n: int, truths: Truths | None) -> list[list[Target]]:
    if target is None and truths is not None:
        named_classes = [truths.classes(i) for i in range(n)]
        return [[as_target(index) for index in found] or [as_target(None)] for found in named_classes]
    rows = as_rows(target, n)
    if any(len(row) > 1 for row in rows):
        raise TargetError("one target is measured for each photo: give one for all, or a list with one for each photo")
    return rows


def _at_layer(methods: Sequence[NamedMethod]) -> NamedMethod:
    return next((method for method in methods if not method.info.at_input), methods[0])


def _columns(metrics: Sequence[Any] | None, with_truth: bool) -> list[Column]:
    if metrics is not None and (isinstance(metrics, str) or not metrics):
        raise InputError(f"expected metrics as a list, such as ['insertion', 'sparseness'], got {metrics!r}")
    wanted = metrics if metrics is not None else [*METRICS, *(WITH_TRUTH if with_truth else ())]
    columns = [column(asked) for asked in wanted]
    titles = [c.title for c in columns]
    if len(set(titles)) < len(titles):
        raise InputError(f"a metric is given twice: {', '.join(titles)}")
    return columns


def _sorted_out(
    columns: Sequence[Column], missing: Mapping[Need, str], *, chosen: bool
) -> tuple[list[Column], dict[str, str]]:
    """The metrics that can be measured, and why others cannot; InputError where those were asked for by name."""
    why = {c.title: words for c in columns for need, words in missing.items() if need in c.info.needs}
    if why and chosen:
        raise InputError("; ".join(f"the metric {title!r} {words}" for title, words in why.items()))
    kept = [c for c in columns if c.title not in why]
    if not kept:
        raise InputError("nothing is left to be measured: " + "; ".join(f"{t} {w}" for t, w in why.items()))
    return kept, why


def _resumed(table: Table, state: str | Path | None) -> Table:
    """What an interrupted run has measured already."""
    if state is None or not Path(state).exists():
        return table
    try:
        kept = open_table(state, [c.make for c in table.columns if c.make.__module__.partition(".")[0] != "seewhy"])
    except UnknownNameError as error:  # a metric of somebody's own that is not asked for now
        raise InputError(f"{state} holds a run of other metrics: give another file, or remove it") from error
    for what in ("model", "methods", "metrics"):
        if getattr(kept, what) != getattr(table, what):
            raise InputError(
                f"{state} holds a run of other {what} ({getattr(kept, what)}): give another file, or remove it"
            )
    return replace(table, measured=kept.measured)


# ---- what is done ----------------------------------------------------------------------------------------


def _jobs(
    setting: Setting, columns: Sequence[Column], shown: Sequence[_Shown], targets: Sequence[Sequence[Target]],
    truths: Truths | None,
) -> list[Job]:  # fmt: skip
    """A job for each photo, and one for each grid of four."""
    usual = [c for c in columns if "grid" not in c.info.needs]
    passes = sum(c.info.passes for c in usual) * len(setting.methods)

    def maker(i: int) -> Callable[[], list[Prepared]]:
        def prepared() -> list[Prepared]:
            inputs = setting.explainer.prepare(shown[i].image)
            return list(_of_photo(setting, inputs, targets[i], truths, i))

        return prepared

    jobs = [Job(given.name, maker(i), passes * len(targets[i])) for i, given in enumerate(shown)] if usual else []
    return [*jobs, *(_grids(setting, shown, targets) if len(usual) < len(columns) else ())]


def _of_photo(
    setting: Setting, inputs: Inputs, row: Sequence[Target], truths: Truths | None, i: int
) -> Iterator[Prepared]:
    for target in row:
        asked = ask_model(setting.explainer, inputs, target, setting.memory).targets[0]
        truth = truths.of(i, asked.index) if truths is not None else None
        yield Prepared(asked.label, inputs, target, truth, setting.seed + i)


def _grids(setting: Setting, shown: Sequence[_Shown], targets: Sequence[Sequence[Target]]) -> Iterator[Job]:
    """Grids of four photos of different classes; the class of each is asked for, and its cell is the truth."""
    images: dict[int, Any] = {}
    indices: list[int | None] = [None] * len(shown)
    for i, (given, row) in enumerate(zip(shown, targets, strict=True)):
        try:
            model = ask_model(setting.explainer, setting.explainer.prepare(given.image), row[0], setting.memory)
        except SeewhyError:  # said where the photo itself is measured
            continue
        images[i], indices[i] = model.image, model.targets[0].index
    for group in groups(indices):
        like = setting.explainer.prepare(shown[group[0]].image)
        members = [(indices[i], shown[i].name) for i in group]
        made = partial(_of_grid, setting, like, tile([images[i] for i in group]), members)
        yield Job(GRID + ", ".join(name for _, name in members), made, 0)


def _of_grid(setting: Setting, like: Inputs, tiled: Any, members: Sequence[tuple[int | None, str]]) -> list[Prepared]:
    explainer, (h, w) = setting.explainer, tiled.shape[1:]
    placed = explainer.adapter.vary(explainer.net, like.placed, tiled[None], np.zeros(1, np.intp))
    inputs = Inputs(placed, (View(Geometry((h, w), ((0.0, h), (0.0, w))), None),), True)
    return [
        Prepared(name, inputs, as_target(index), truth, setting.seed)
        for (index, name), truth in zip(members, cells(h, w), strict=True)
    ]


def _measure(setting: Setting, columns: Sequence[Column], job: Job) -> tuple[dict[str, Measured], dict[str, str]]:
    """What a job gave, target by target, and what failed."""
    metrics = [(c.title, c.metric) for c in columns if ("grid" in c.info.needs) == job.name.startswith(GRID)]
    found: dict[str, Measured] = {}
    errors: dict[str, str] = {}
    try:
        for prepared in job.prepared():
            here = found.setdefault(prepared.name, {})
            for method, case in cases(setting, prepared):
                if isinstance(case, SeewhyError):
                    errors[f"{method.name}: {job.name}"] = str(case)
                else:
                    here[method.name] = {title: metric.update(case).tolist() for title, metric in metrics}
    except SeewhyError as error:  # a photo that cannot be read or explained
        return {}, {job.name: str(error)}
    return found, errors


def _estimate(setting: Setting, jobs: Sequence[Job]) -> float:
    """Seconds that the passes of these jobs are likely to take, from one that is timed; 0 where none can be."""
    try:
        first = jobs[0].prepared()[0]
    except SeewhyError:
        return 0.0
    model = ask_model(setting.explainer, first.inputs, first.target, setting.memory)
    images = np.repeat(model.image[None], 8, axis=0)
    model.numbers(images[:1])
    start = time.perf_counter()
    model.numbers(images)
    return (time.perf_counter() - start) / len(images) * sum(job.passes for job in jobs)


def _possible(
    setting: Setting, columns: Sequence[Column], first: _Shown, targets: Sequence[Target], truths: Truths | None
) -> dict[Need, str]:
    """What metrics may need and cannot have here, and why."""
    missing: dict[Need, str] = {}
    if truths is None:
        missing["truth"] = "needs annotations: boxes=PATH, COCO's JSON, Pascal VOC's XML or a folder of masks"
    try:
        inputs = setting.explainer.prepare(first.image)
    except SeewhyError:  # said where the photo is measured
        return missing
    if len(setting.explainer.adapter.size(inputs.placed)[1]) != 2:
        missing["image"] = missing["grid"] = "needs a model of images (h, w)"
    if any(ask_model(setting.explainer, inputs, t, setting.memory).targets[0].index is None for t in targets[:1]):
        words = "needs a class as the target, and this one is no class"
        missing.update({"class": words, "scores of classes": words, "grid": words})
    return missing
