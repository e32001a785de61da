"""Measure methods on photos: read from top to bottom, from what was asked to the table."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from seewhy.carried import refuse_own
from seewhy.compare import Asked, Comparer
from seewhy.errors import InputError, LayerError, SeewhyError
from seewhy.evaluate._asked import (
    annotations_of,
    columns_of,
    first_that_works,
    question,
    refuse_explainer,
    said,
    sorted_out,
    targets_of,
    titles_of,
    warn_of_unseen,
)
from seewhy.evaluate._cases import Prepared, Setting, cases, randomised
from seewhy.evaluate._columns import Column
from seewhy.evaluate._controls import with_controls
from seewhy.evaluate._estimate import estimate
from seewhy.evaluate._jobs import Job, Run, jobs_of, missing_of
from seewhy.evaluate._showing import counted
from seewhy.evaluate._shown import shown_of
from seewhy.evaluate._state import check_state, is_about, resumed
from seewhy.evaluate.annotations import Mapped
from seewhy.evaluate.table import Measured, Table
from seewhy.measure import Case
from seewhy.options import check_seed
from seewhy.stream import rows_within, run, silent

METHODS = ("grad-cam", "grad-cam-plus-plus", "hires-cam", "layer-cam", "xgrad-cam", "eigen-cam", "ablation-cam")
"""Which are measured unless told."""
METRICS = (
    "average-drop", "average-increase", "drop-in-deletion", "insertion", "deletion", "road", "grid-pointing-game",
    "sparseness", "complexity", "max-sensitivity", "parameter-randomisation", "class-sensitivity", "seconds",
)  # fmt: skip
"""What is measured unless told."""
WITH_TRUTH = ("pointing-game", "energy-pointing-game", "box-iou", "max-box-acc")
"""What is measured too, unless told, where annotations are given."""

FAINT = 0.01
"""A probability below which shares of it mean little."""

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
    memory: float | None = None,
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
    what is shown to the model at once, in MiB; unless told, 256, and 64 on the CPU, where more is slower unless
    `seewhy.allocation.keep_freed_memory()` was called, as the command line does.
    `seed` is that of all that is drawn by chance, together with the photo's content. `state` is a JSON file, written
    after every photo; where it is there already, what it holds of these photos is not measured again, so that an
    interrupted run goes on from there. A photo is told from another by its name, where it has one, and by its content.
    The file is refused where it was asked something else (targets and functions count as the same where they are
    written the same). `told` is called before the work starts, with the seconds that it is likely to take. `options`
    are those of `Explainer`.

    A photo that is explained for several annotated classes has the weight of one: the mean within it is taken first.

    What cannot be measured is named before anything is run: InputError, UnknownNameError, TargetError. A photo, a
    method or a metric that fails costs no other: `table.errors`. A SeewhyWarning says for how many photos the annotated
    objects lie mostly outside of what the model sees.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
    ...                           torch.nn.Flatten(), torch.nn.Linear(4, 2))
    >>> table = evaluate(net, torch.rand(2, 3, 16, 16), methods=["grad-cam"], metrics=["sparseness", "deletion"])
    >>> table.methods, table.metrics, table.values().shape
    (('grad-cam', 'random-cam', 'image-centre'), ('sparseness', 'deletion'), (3, 2))
    """
    check_seed(seed)
    if memory is not None:
        rows_within(memory, 1)
    check_state(state)
    refuse_explainer(model, "evaluate")
    refuse_own(model, "methods are measured against controls at its layer, which it does not show")
    comparer = Comparer(model, with_controls(methods), layer, **options)
    explainer, names = comparer.explainer, titles_of(comparer.methods)
    if explainer.fuse is not None or isinstance(layer, list | tuple) or layer == "all":
        raise LayerError("explanations are measured at one layer: give one, or measure each in a table of its own")
    if explainer.signed:
        raise InputError("what speaks for the target is measured, and maps of signed=True hold more: leave it out")
    columns = columns_of(metrics if metrics is not None else [*METRICS, *(WITH_TRUTH if boxes is not None else ())])
    shown = shown_of(explainer, photos)
    annotated = annotations_of(boxes, shown, explainer, classes)
    targets = targets_of(explainer, target, len(shown), annotated)

    apart = [replace(method, name=name) for method, name in zip(comparer.methods, names, strict=True)]
    asked = Run(Setting(explainer, apart, memory, seed), shown, targets, annotated)
    first: Prepared | None = first_that_works(shown, lambda i: asked.photo(i)[0])
    missing = missing_of(asked, columns, first)
    needs = {need for c in columns for need in c.info.needs} - set(missing)
    quads = asked.quads() if "grid" in needs else []
    if "grid" in needs and not quads:
        missing["grid"] = "needs four photos of four different classes"
    if "randomised" in needs:
        try:
            drawn = randomised(explainer, seed)
            asked = replace(asked, setting=replace(asked.setting, randomised=drawn))
        except SeewhyError as error:
            missing["randomised"] = f"needs a copy of the model with other weights: {error}"
    columns, left_out = sorted_out(columns, missing, chosen=metrics is not None)
    warn_of_unseen(annotated, shown, explainer)
    jobs = jobs_of(asked, columns, quads)

    controls = tuple(name for name, m in zip(names, comparer.methods, strict=True) if m.info.control)
    words = question(explainer, target, layer, boxes, annotated, classes, seed, options.get("augment"))
    of_photos = {given.name: "; ".join(map(said, row)) for given, row in zip(shown, targets, strict=True)}
    contents = {one.name: one.fingerprint for one in shown} | {job.name: job.fingerprint for job in jobs}
    table = Table(explainer.model_name, names, controls, tuple(columns), {}, left_out, {}, words, of_photos, contents)
    kept = resumed(table, state)
    left = [job for job in jobs if job.name not in kept.measured]
    if left and first is not None:
        # what is found or compiled once is no part of any photo's seconds
        once = told is not None or any(c.name == "seconds" for c in columns)
        _try(replace(asked.setting, methods=[one for one in apart if once or one.options]), first)
    if told is not None and left:
        done = sum(one.name in kept.measured for one in shown)
        sizes = {"photo": len(shown) - done, "method": len(apart), "metric": len(columns)}
        what = ", ".join(counted(number, one) for one, number in sizes.items())
        told(
            f"{what} ({done} of {len(shown)} already measured)" if done else what,
            estimate(asked.setting, first, left),
        )
    measured, errors, faint = dict(kept.measured), dict(kept.errors), dict(kept.faint)

    def one(part: slice) -> None:
        job = left[part.start]
        with silent():
            found, failed, little = _measure(asked.setting, job)
        errors.update(failed)
        if little and job.name in of_photos:
            faint[job.name] = "; ".join(little)
        if found:
            measured[job.name] = found
        if state is not None:
            replace(kept, measured=measured, errors=errors, faint=faint).save(state)

    for _ in run(len(left), 1, one, "measuring"):
        pass
    mine = {job.name for job in jobs}  # a state may hold other photos too
    table = replace(
        table,
        measured={name: found for name, found in measured.items() if name in mine},
        errors={key: why for key, why in errors.items() if is_about(key, mine)},
        faint={name: words for name, words in faint.items() if name in mine},
    )
    return replace(table, left_out={**left_out, **_without_a_number(table)})


def _without_a_number(table: Table) -> dict[str, str]:
    """Metrics that were asked of these photos and that are NaN for every method, and why."""
    seen = {
        title
        for targets in table.measured.values()
        for methods in targets.values()
        for sums in methods.values()
        for title in sums
    }
    silent = [c for c in table.columns if c.title in seen and np.isnan(table.values_of(c.title)).all()]
    return {
        c.title: "gives no number: with weights drawn anew the model gives no finite scores, or all maps are blank"
        if "randomised" in c.info.needs
        else "gives no number for any of these photos"
        for c in silent
    }


def _try(setting: Setting, first: Prepared) -> None:
    """Ask each method once; InputError where one refuses the options that it was given, before all is measured so."""
    with silent():
        for method, case in cases(setting, first, ()):
            if isinstance(case, InputError) and method.options:
                raise InputError(f"the method {method.name!r}: {case}") from case


# ---- what is done ----------------------------------------------------------------------------------------


def _measure(setting: Setting, job: Job) -> tuple[dict[str, Measured], dict[str, str], list[str]]:
    """What a job gave, target by target, what failed, and the targets that are hardly probable."""
    needs = {need for c in job.columns for need in c.info.needs}
    found: dict[str, Measured] = {}
    errors: dict[str, str] = {}
    faint: list[str] = []
    try:
        for prepared in job.prepared():
            columns = job.columns
            if "truth" in needs and prepared.truth is None:
                columns = [c for c in columns if "truth" not in c.info.needs]
                errors[f"{prepared.name}: {job.name}"] = "is not annotated, so nothing is held against annotations"
            if prepared.model.probability is not None and prepared.model.probability < FAINT:
                faint.append(f"{prepared.name} {prepared.model.probability:.2g}")
            for method, case in cases(setting, prepared, needs):
                if isinstance(case, Exception):
                    errors[f"{method.name}: {job.name}"] = _said(case)
                    continue
                here = {}
                for c in columns:
                    try:
                        here[c.title] = _sums(c, case)
                    except Exception as error:  # a metric of somebody's own may raise what it likes
                        errors[f"{c.title} of {method.name}: {job.name}"] = _said(error)
                if here:
                    found.setdefault(prepared.name, {})[method.name] = here
    except SeewhyError as error:  # a photo that cannot be read or explained
        return {}, {job.name: str(error)}, []
    return found, errors, faint


def _sums(column: Column, case: Case) -> list[float]:
    sums = np.asarray(column.metric.update(case), np.float64)
    if sums.ndim != 1:
        raise InputError(f"expected update(case) to give sums, an array of one axis, got shape {sums.shape}")
    return [float(one) for one in sums]


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, SeewhyError) else f"{type(error).__name__}: {error}"
