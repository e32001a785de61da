"""seewhy export: a model that carries its own explanation."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

import seewhy
from seewhy import catalog
from seewhy.cli import _report
from seewhy.cli._options import Layer, MethodOptions, Model, OwnMethod, Trust, Weights, as_options
from seewhy.cli._photos import stdout_for_results_only
from seewhy.cli.explain import Score
from seewhy.explain import DEFAULT, Explainer
from seewhy.export.run import write

OUT = Path("explained.onnx")


def export(
    model: Model = "lite0",
    method: OwnMethod = None,
    layer: Layer = None,
    option: MethodOptions = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="PATH", help="The file to write.")] = OUT,
    classes: Annotated[
        int | None, typer.Option(metavar="K", min=1, help="Take K classes of each image at once. [one]")
    ] = None,
    upsample: Annotated[bool, typer.Option("--upsample", help="Give the map on the input's pixels too.")] = False,
    score: Annotated[
        Score, typer.Option(help="The number before a final softmax, or what the model returns.")
    ] = Score.logit,
    weights: Weights = None,
    trust: Trust = False,
) -> None:
    """Write a PyTorch model as one ONNX graph that explains itself, for ONNX Runtime in any language.

    The graph takes image and class_index (-1: the predicted class) and gives logits, score and heatmap. Before the file
    appears its maps are held against those of seewhy. To use it here: --model file:explained.onnx.
    """
    chosen = catalog.as_method(method if method is not None else DEFAULT, as_options(option))
    with stdout_for_results_only():
        vision = seewhy.load(model, weights=weights, trust=trust)
        explainer = Explainer(vision, method, layer, score=score.value, **chosen.options)
        written = write(explainer, out, classes=classes, upsample=upsample)
    about, megabytes = written.about, written.path.stat().st_size / 1e6
    console = _report.out()
    console.print(escape(f"{written.path}  {megabytes:.1f} MB: {about.model} with {about.method} at {about.layer}"))
    console.print(f"  its maps are seewhy's own but for {written.apart:.1e} of their largest value", style="dim")
    console.print(escape(f"  seewhy explain photo.jpg --model file:{written.path}"), style="dim")
