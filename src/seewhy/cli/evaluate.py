"""seewhy evaluate: methods by metrics on photos."""

import json as json_format
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.markup import escape

import seewhy
from seewhy.cli import _report
from seewhy.cli._options import (
    Device,
    Layer,
    Methods,
    Model,
    Photos,
    Seed,
    Target,
    Trust,
    Weights,
    as_classes,
    as_named,
)
from seewhy.cli._photos import stdout_for_results_only
from seewhy.cli._wanted import wanted_target
from seewhy.errors import InputError, SaveError
from seewhy.evaluate._showing import counted, headings, left_out, plain, rows
from seewhy.evaluate.run import METHODS
from seewhy.evaluate.table import Table

UNLESS_TOLD = ",".join(METHODS)


def evaluate(
    photos: Photos,
    model: Model = "lite0",
    methods: Methods = UNLESS_TOLD,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="M,M",
            help="Which, with options as insertion:step=3584; `seewhy metrics` lists them. [those that fit]",
        ),
    ] = None,
    target: Target = None,
    layer: Layer = None,
    boxes: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Where the objects are: COCO's JSON, VOC's XML, or masks; their classes are explained."
        ),
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help='The model\'s names of annotated classes: JSON, {"cat": ["tabby", 282]}.'),
    ] = None,
    of_class: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="NAME=LABEL", help="As in --classes; may be repeated; NAME= for none."),
    ] = None,
    memory: Annotated[
        float | None,
        typer.Option(metavar="MIB", help="What may be shown to the model at once. [256; 64 on the CPU without glibc]"),
    ] = None,
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FOLDER", help="Write table.csv, table.json and table.png.")
    ] = None,
    device: Device = None,
    weights: Weights = None,
    trust: Trust = False,
    json: Annotated[bool, typer.Option("--json", help="The table as JSON on stdout, nothing else.")] = False,
) -> None:
    """Measure methods on photos: which explains this model best?

    Methods and metrics take their options after colons, such as --metrics insertion:step=3584,deletion:step=3584, and
    one may stand there several times with others, such as road:order=morf,road:order=lerf.

    RandomCAM and the image's centre are always there as controls. With --boxes each photo is explained for the classes
    that are annotated in it, unless --target says otherwise; one of several classes counts once, by their mean.

    With --out, what every photo gave is kept in table.json as it comes: the same command goes on where it was
    interrupted, and adds photos that are new; the table is that of all photos in the folder. A folder in which
    something else was asked is refused.

    A photo or a method that fails is named and the others go on; the exit code is then 1.
    """
    if out is not None and out.suffix and not out.is_dir():
        raise SaveError(f"{out}: expected a folder, for table.csv, table.json and table.png")
    wanted = wanted_target(target, "the same is asked of all photos, so measure each with an --out folder of its own")
    named = as_named(methods, "score-cam:channels=32")
    measured = None if metrics is None else as_named(metrics, "insertion:step=3584")
    mapped = as_classes(classes, of_class)
    if mapped is not None and boxes is None:
        raise InputError("--classes and --class say what the classes of annotations are: give --boxes too")
    missing = [photo for photo in photos if not Path(photo).exists()]
    for photo in missing:
        _report.error(f"{photo} does not exist")
    if len(missing) == len(photos):
        raise typer.Exit(1)
    fresh = [] if out is None else [folder for folder in (out, *out.parents) if not folder.exists()]
    if out is not None:
        _report.make_folder(out)
    try:
        with stdout_for_results_only():
            vision = seewhy.load(model, device=device, weights=weights, trust=trust)
            table = seewhy.evaluate(
                vision,
                photos,
                wanted,
                methods=named,
                metrics=measured,
                layer=layer,
                boxes=boxes,
                classes=mapped,
                memory=memory,
                seed=seed,
                state=None if out is None else out / "table.json",
                told=_tell,
            )
    except BaseException as error:
        for folder in fresh:
            if not any(folder.iterdir()):  # nothing was measured
                folder.rmdir()
        if (_report.stopped or isinstance(error, KeyboardInterrupt)) and out is not None:
            if (out / "table.json").exists():
                _report.note(f"what was measured is kept in {out / 'table.json'}: the same command goes on from there")
            else:
                _report.note("interrupted before the first photo was measured: nothing is kept")
        raise
    for name, words in table.errors.items():
        if name not in missing:
            _report.error(words if name in words else f"{name}: {words}")
    for words in left_out(table.left_out):
        _report.note(words)
    whole, written = table, []
    if out is not None and (out / "table.json").exists():  # of photos of earlier commands too
        whole = seewhy.open_table(out / "table.json")
        written = [*(whole.save(out / f"table.{kind}") for kind in ("csv", "png")), out / "table.json"]
    if json:
        print(json_format.dumps(json_format.loads(whole.to_json())))
    elif whole.measured:
        _print(whole)
        for path in written:
            _report.out().print(f"  -> {escape(str(path))}")
    failed = [photo for photo in table.targets if photo not in table.measured]
    if failed and len(photos) > 1:
        _report.error(f"{len(failed)} of {len(photos)} photos could not be measured")
    if failed or np.isnan(table.values()).all(axis=1).any():
        raise typer.Exit(1)


def _tell(what: str, seconds: float) -> None:
    minutes = f"{seconds / 60:.0f} minutes" if seconds >= 90 else counted(round(max(seconds, 1)), "second")
    _report.note(f"{what}: about {minutes}")


def _print(table: Table) -> None:
    better = [c.better for c in table.columns]
    heads = headings(table.metrics, better, {"higher": "^", "lower": "v", "nearest 0": "0", "neither": ""})
    body, console = rows(table.values(), table.methods, table.controls, better), _report.out()
    notes = [f"{table.caption()}; the best in bold, unless a control is as good", *table.cautions()]
    console.print(plain(heads, body, list(map(escape, notes)), console.width, _mark))


def _mark(text: str, best: bool) -> str:
    return f"[bold green]{escape(text)}[/]" if best else escape(text)
