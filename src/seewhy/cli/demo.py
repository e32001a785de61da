"""seewhy demo: the embedded photos through the embedded model."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

import seewhy
from seewhy.cli import _report
from seewhy.photos import FILES, GRID_CLASSES, embedded_photo, grid


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where the pictures go.")] = Path(
        "seewhy-demo"
    ),
) -> None:
    """Explain the embedded photos with the embedded model: nothing is downloaded."""
    console = _report.out()
    out.mkdir(parents=True, exist_ok=True)
    model = seewhy.load("lite0")

    explainer = seewhy.Explainer(model)
    for name in FILES:
        explanation = explainer(embedded_photo(name))
        path = explanation.save(out / f"{name}_cam.jpg")
        console.print(f"[bold]{name}[/bold]: {escape(explanation.describe())}\n  -> {escape(str(path))}")

    whole = grid()
    preprocess = replace(model.preprocess, size=(448, 448), resize=None) if model.preprocess else None
    explanation = seewhy.explain(model, whole, list(GRID_CLASSES.values()), preprocess=preprocess)
    path = explanation.save(out / "four_photos.jpg")
    console.print("[bold]four photos in one, asked for one class after the other[/bold]")
    for one in (explanation[0, j] for j in range(len(GRID_CLASSES))):
        console.print(f"  {escape(one.describe().split('. ', 1)[-1])}")
    console.print(f"  -> {escape(str(path))}")
