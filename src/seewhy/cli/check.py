"""seewhy check: is this explanation to be trusted?"""

import json as json_format
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

import seewhy
from seewhy import catalog
from seewhy.cli import _report
from seewhy.cli._options import (
    Device,
    Layer,
    Method,
    MethodOptions,
    Model,
    Seed,
    Target,
    Trust,
    Weights,
    as_options,
)
from seewhy.cli._paths import Paths
from seewhy.cli._photos import say_costs, stdout_for_results_only
from seewhy.cli._wanted import wanted_target
from seewhy.evaluate._findings import number
from seewhy.evaluate.check import Check
from seewhy.images import open_photo

COLOURS = {"passed": "green", "doubtful": "yellow", "failed": "red"}


def check(
    photo: Annotated[str, typer.Argument(metavar="PHOTO", help="A file: JPEG, PNG, WebP, TIFF, BMP, GIF.")],
    model: Model = "lite0",
    target: Target = None,
    method: Method = "grad-cam",
    layer: Layer = None,
    option: MethodOptions = None,
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="PATH", help="Draw the map beside what it was held against.")
    ] = None,
    device: Device = None,
    weights: Weights = None,
    trust: Trust = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")] = False,
) -> None:
    """Check one explanation: does the map follow the model, does it stay under small changes, do methods agree?

    Each finding has a number, what a good and a bad explanation would get, and a verdict: passed, doubtful or failed.
    The exit code tells of errors only, and not of verdicts.

    With --json the object has the keys photo, model, method, layer, target, verdict (the worst) and findings (name,
    value, verdict, references, details, sentence).
    """
    wanted = wanted_target(target, "one map is checked, so ask for each by itself")
    chosen = catalog.as_method(method, as_options(option))
    opened = open_photo(photo)
    path = None if out is None else Paths([photo], out, archives=False).of(photo)
    with stdout_for_results_only():
        vision = seewhy.load(model, device=device, weights=weights, trust=trust)
    say_costs([chosen])
    with stdout_for_results_only():
        found = seewhy.check(vision, opened, wanted, method=method, layer=layer, seed=seed, **chosen.options)
        written = None if path is None else found.save(path)
    if json:
        print(json_format.dumps({"photo": photo, **found.to_dict()}))
        return
    _print(photo, found)
    if written is not None:
        _report.out().print(f"  -> {escape(str(written))}")


def _print(photo: str, found: Check) -> None:
    console = _report.out()
    console.print(f"[bold]{escape(photo)}[/bold]")
    console.print(escape(found.explanation.describe()))
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("", "", "number", "held against"):
        table.add_column(heading)
    for finding in found:
        against = ", ".join(f"{name} {number(value)}" for name, value in finding.references.items() if value == value)
        value = "" if finding.value is None else number(finding.value)
        verdict = f"[{COLOURS[finding.verdict]}]{finding.verdict}"
        table.add_row(f"  {finding.name}", verdict, value, escape(against))
    console.print(table)
    for finding in found:
        console.print(f"  {finding.name}: {escape(finding.sentence)}")
