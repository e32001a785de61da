"""seewhy demo: the embedded photos through the embedded model."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

import seewhy
from seewhy.cli import _report
from seewhy.photos import FILES, embedded_photo, explain_grid


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where the pictures go.")] = Path(
        "seewhy-demo"
    ),
) -> None:
    """Explain the embedded photos with the embedded model: nothing is downloaded."""
    console = _report.out()
    _report.make_folder(out)
    model = seewhy.load("lite0")

    explainer = seewhy.Explainer(model)
    for name in FILES:
        explanation = explainer(embedded_photo(name))
        path = explanation.save(out / f"{name}_cam.jpg")
        console.print(f"[bold]{name}[/bold]: {escape(explanation.describe())}\n  -> {escape(str(path))}")

    explanation = explain_grid(model)
    path = explanation.save(out / "four_photos.jpg")
    best = explanation.predictions(0)[0]
    console.print(f"[bold]four photos in one[/bold]: the best class is {escape(best.label)}, {best.probability:.0%}")
    for line in explanation.describe(predicted=False).splitlines():
        console.print(f"  {escape(line)}")
    console.print(f"  -> {escape(str(path))}")
