"""seewhy explain: photos to heatmaps."""

import contextlib
import json as json_format
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

import seewhy
from seewhy import catalog
from seewhy.cli import _report
from seewhy.cli._options import Device, Model, Trust, Weights
from seewhy.cli._paths import Paths
from seewhy.cli._wanted import wanted_targets
from seewhy.explanation import Explanation
from seewhy.images import open_photo
from seewhy.render.overlay import style as look_of


class Score(StrEnum):
    logit = "logit"
    output = "output"


class Style(StrEnum):
    blend = "blend"
    classic = "classic"


def explain(
    photos: Annotated[list[str], typer.Argument(metavar="PHOTO", help="Files: JPEG, PNG, WebP, TIFF, BMP, GIF.")],
    model: Model = "lite0",
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target", "-t", metavar="LABEL|INDEX", help="What to explain; may be repeated. [the best class]"
        ),
    ] = None,
    top: Annotated[int | None, typer.Option(metavar="K", help="Explain the K best classes.")] = None,
    method: Annotated[str, typer.Option(metavar="M", help="How; `seewhy methods` lists them.")] = "grad-cam",
    layer: Annotated[str | None, typer.Option(metavar="L", help="Where; `seewhy layers` lists them. [found]")] = None,
    negative: Annotated[bool, typer.Option("--negative", help="Explain what speaks against the class.")] = False,
    versus: Annotated[
        str | None, typer.Option(metavar="LABEL|INDEX", help="Explain what tells the class from this one.")
    ] = None,
    signed: Annotated[
        bool, typer.Option("--signed", help="Draw what speaks for the class in red, and what against in blue.")
    ] = False,
    score: Annotated[
        Score, typer.Option(help="The number before a final softmax, or what the model returns.")
    ] = Score.logit,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="PATH", help="A picture, an .npz, or a folder.")
    ] = None,
    colormap: Annotated[str | None, typer.Option(metavar="C", help="A colormap of matplotlib.")] = None,
    opacity: Annotated[float | None, typer.Option(metavar="A", help="Of the heatmap, 0 to 1.")] = None,
    style: Annotated[Style, typer.Option(help="classic: the look of the Keras example.")] = Style.blend,
    device: Device = None,
    weights: Weights = None,
    trust: Trust = False,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object for each photo on stdout, nothing else.")
    ] = False,
) -> None:
    """Explain photos: print what the model sees, and write <stem>_cam.jpg for each.

    Pictures go to the current folder unless --out says where. A photo that cannot be read is named and the others go
    on; the exit code is then 1.

    With --json each line has the keys photo, output (a path, or a list of them where there are several targets), model,
    method, layer, predictions (index, label, probability), targets (index, label, score, blank, and box: left, top,
    right, bottom in the photo's pixels) and seconds.
    """
    wanted = wanted_targets(target, top, negative=negative, versus=versus)
    look = {"style": style.value, "colormap": colormap, "opacity": opacity}
    catalog.get("methods", method)
    _check_look(style.value, colormap, opacity, signed)
    paths = Paths(photos, out)
    with _stdout_for_results_only():
        vision = seewhy.load(model, device=device, weights=weights, trust=trust)
        explainer = seewhy.Explainer(vision, method, layer, score=score.value, signed=signed)
        explainer.check(wanted)

    failed = 0
    console = _report.out()
    # the bar stands below the results where both go to one terminal, and never among results that go elsewhere
    below = console if console.is_terminal and not json else _report.err()
    hidden = len(photos) == 1 or not below.is_terminal
    bar = Progress(console=below, transient=True, disable=hidden, redirect_stdout=False, redirect_stderr=False)
    with bar as progress:
        for photo in progress.track(photos, description="explaining"):
            try:
                start = time.perf_counter()
                with _stdout_for_results_only():
                    explanation = explainer(open_photo(photo), wanted)
                seconds = time.perf_counter() - start
                written = [
                    explanation[0, j].save(path, **look)
                    for j, path in enumerate(paths.of(photo, explanation.labels[0]))
                ]
            except Exception as error:  # whatever it was, the other photos go on
                if _report.debug:
                    raise
                failed += 1
                words = _report.in_words(error)
                _report.error(words if photo in words else f"{photo}: {words}")
                continue
            if json:
                print(json_format.dumps(_record(photo, explanation, written, model, seconds)), flush=True)
            else:
                _print(console, photo, explanation, written)
    if failed:
        if len(photos) > 1:
            _report.error(f"{failed} of {len(photos)} photos could not be explained")
        raise typer.Exit(1)


def _check_look(name: str, colormap: str | None, opacity: float | None, signed: bool) -> None:
    """Say what is wrong before any work is done."""
    draw = look_of(name, signed=signed)
    pixel = np.zeros((1, 1, 3), np.uint8)
    chosen: dict[str, Any] = {"colormap": colormap, "opacity": opacity}
    given = {name: value for name, value in chosen.items() if value is not None}
    draw(pixel, pixel[..., 0].astype(np.float32), pixel[..., 0] == 0, **given)


def _stdout_for_results_only() -> contextlib.AbstractContextManager[Any]:
    """Models and their libraries may print: that goes to stderr."""
    return contextlib.redirect_stdout(sys.stderr)


def _record(photo: str, explanation: Explanation, written: list[Path], model: str, seconds: float) -> dict[str, Any]:
    boxes = [explanation.boxes(i=0, j=j)[:1] for j in range(len(written))]
    return {
        "photo": photo,
        "output": str(written[0]) if len(written) == 1 else [str(path) for path in written],
        "model": model,
        "method": explanation.method,
        "layer": explanation.layer,
        "predictions": [vars(p) for p in explanation.predictions(0)],
        "targets": [
            {
                "index": target.index,
                "label": target.label,
                "score": float(explanation.scores[0, j]),
                "blank": bool(explanation.blank[0, j]),
                "box": list(boxes[j][0]) if boxes[j] else None,
            }
            for j, target in enumerate(explanation.targets[0])
        ],
        "seconds": round(seconds, 4),
    }


def _print(console: Console, photo: str, explanation: Explanation, written: list[Path]) -> None:
    console.print(f"[bold]{escape(photo)}[/bold]")
    table = Table(box=None, show_header=False, pad_edge=False)
    for prediction in explanation.predictions(0):
        bar = "█" * round(prediction.probability * 24)
        table.add_row(
            f"  {prediction.index}", escape(prediction.label), f"{prediction.probability:6.1%}", f"[blue]{bar}"
        )
    console.print(table)
    for j, path in enumerate(written):
        console.print(escape(explanation[0, j].describe()))
        console.print(f"  -> {escape(str(path))}")
