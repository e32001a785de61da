"""seewhy evaluate: methods by metrics on photos."""

import json as json_format
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.markup import escape
from rich.table import Table as Drawn

import seewhy
from seewhy.cli import _report
from seewhy.cli._options import Device, Model, Trust, Weights
from seewhy.cli._photos import stdout_for_results_only
from seewhy.cli._wanted import wanted_targets
from seewhy.errors import SaveError
from seewhy.evaluate._drawing import shades
from seewhy.evaluate.run import METHODS
from seewhy.evaluate.table import Table


def evaluate(
    photos: Annotated[list[str], typer.Argument(metavar="PHOTO", help="Files: JPEG, PNG, WebP, TIFF, BMP, GIF.")],
    model: Model = "lite0",
    methods: Annotated[str, typer.Option(metavar="M,M", help="Which; `seewhy methods` lists them.")] = ",".join(
        METHODS
    ),
    metrics: Annotated[
        str | None, typer.Option(metavar="M,M", help="Which; `seewhy metrics` lists them. [those that fit]")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", "-t", metavar="LABEL|INDEX", help="What is explained. [the best class]")
    ] = None,
    layer: Annotated[str | None, typer.Option(metavar="L", help="Where; `seewhy layers` lists them. [found]")] = None,
    boxes: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Where the objects are: COCO's JSON, VOC's XML, or masks.")
    ] = None,
    memory: Annotated[float, typer.Option(metavar="MIB", help="What may be shown to the model at once.")] = 256.0,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of all that is drawn by chance.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FOLDER", help="Write table.csv, table.json and table.png.")
    ] = None,
    device: Device = None,
    weights: Weights = None,
    trust: Trust = False,
    json: Annotated[bool, typer.Option("--json", help="The table as JSON on stdout, nothing else.")] = False,
) -> None:
    """Measure methods on photos: which explains this model best?

    RandomCAM and the image's centre are always there as controls. With --out, what every photo gave is kept in
    table.json as it comes: the same command goes on where it was interrupted, and adds photos that are new. A folder
    in which something else was asked is refused.
    """
    if out is not None and out.suffix and not out.is_dir():
        raise SaveError(f"{out}: expected a folder, for table.csv, table.json and table.png")
    wanted = wanted_targets([target] if target is not None else None, None, negative=False, versus=None)
    if out is not None:
        _report.make_folder(out)
    try:
        with stdout_for_results_only():
            vision = seewhy.load(model, device=device, weights=weights, trust=trust)
            table = seewhy.evaluate(
                vision,
                photos,
                wanted[0] if isinstance(wanted, list) else wanted,
                methods=_listed(methods),
                metrics=None if metrics is None else _listed(metrics),
                layer=layer,
                boxes=boxes,
                memory=memory,
                seed=seed,
                state=None if out is None else out / "table.json",
                told=_tell,
            )
    except KeyboardInterrupt:
        if out is not None and (out / "table.json").exists():
            _report.note(f"what was measured is kept in {out / 'table.json'}: the same command goes on from there")
        raise
    for name, words in table.errors.items():
        _report.error(f"{name}: {words}")
    for name, words in table.left_out.items():
        _report.note(f"{name} was left out: it {words}")
    written = [] if out is None else [table.save(out / f"table.{kind}") for kind in ("csv", "png")]
    if json:
        print(json_format.dumps(json_format.loads(table.to_json())))
    else:
        _print(table)
        for path in written:
            _report.out().print(f"  -> {escape(str(path))}")
        if out is not None:  # of photos of earlier commands too
            _report.out().print(f"  -> {escape(str(out / 'table.json'))}")
    if not table.measured:
        raise typer.Exit(1)


def _listed(given: str) -> list[str]:
    return [name.strip() for name in given.split(",") if name.strip()]


def _tell(what: str, seconds: float) -> None:
    minutes = f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{max(seconds, 1):.0f} seconds"
    _report.note(f"{what}: about {minutes}")


def _print(table: Table) -> None:
    values = table.values()
    good = shades(values, [c.better for c in table.columns])
    signs = {"higher": "^", "lower": "v", "neither": ""}
    drawn = Drawn("method", *(f"{c.title} {signs[c.better]}".rstrip() for c in table.columns), box=None, pad_edge=False)
    for method, row, shade in zip(table.methods, values, good, strict=True):
        cells = ["" if np.isnan(v) else f"{v:.3g}" for v in row]
        styled = [f"[bold green]{c}[/]" if s == 1 else c for c, s in zip(cells, shade, strict=True)]
        drawn.add_row(f"{method} (control)" if method in table.controls else method, *styled)
    _report.out().print(drawn)
    _report.out().print(
        f"{table.counted()} photos, {escape(table.model)}; ^ higher is better, v lower; the best in bold"
    )
