"""seewhy export: a model that carries its own explanation."""

from enum import StrEnum
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
from seewhy.export.run import usual, write

OUT = {"onnx": "explained.onnx", "savedmodel": "explained", "page": "page"}
"""What is written to, unless told."""


class Kind(StrEnum):
    onnx = "onnx"
    savedmodel = "savedmodel"
    page = "page"


def export(
    model: Model = "lite0",
    method: OwnMethod = None,
    layer: Layer = None,
    option: MethodOptions = None,
    to: Annotated[
        Kind | None, typer.Option("--to", help="What to write. [savedmodel of Keras on TensorFlow, else onnx]")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="PATH", help="The file, or folder. [explained.onnx, explained, page]"),
    ] = None,
    classes: Annotated[
        int | None, typer.Option(metavar="K", min=1, help="Take K classes of each image at once. [one]")
    ] = None,
    upsample: Annotated[bool, typer.Option("--upsample", help="Give the map on the input's pixels too.")] = False,
    score: Annotated[
        Score, typer.Option(help="The number before a final softmax, or what the model returns.")
    ] = Score.logit,
    runtime: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Of a page: the npm package onnxruntime-web, .tgz or folder. [by npm]"),
    ] = None,
    weights: Weights = None,
    trust: Trust = False,
) -> None:
    """Write a model that explains itself: an ONNX graph, a SavedModel, or a page that runs in the browser.

    onnx: for ONNX Runtime in any language, of PyTorch models (and of Keras on PyTorch). The graph takes image and
    class_index (-1: the predicted class) and gives logits, score and heatmap. To use it here: --model
    file:explained.onnx. savedmodel: the same for TensorFlow, of Keras models on TensorFlow. page: a folder that a web
    server, or `python -m http.server`, gives to browsers: photo or camera, predictions, heatmap; photos stay there.

    Before anything appears its maps are held against those of seewhy.
    """
    chosen = catalog.as_method(method if method is not None else DEFAULT, as_options(option))
    with stdout_for_results_only():
        vision = seewhy.load(model, weights=weights, trust=trust)
        explainer = Explainer(vision, method, layer, score=score.value, **chosen.options)
        kind = usual(explainer, out) if to is None else to.value
        path = Path(OUT[kind]) if out is None else out
        _report.note(f"{path} is written, and held against seewhy's own maps: that may take a minute")
        written = write(explainer, path, kind, classes=classes, upsample=upsample, runtime=runtime)
    about, megabytes = written.about, _bytes(written.path) / 1e6
    console = _report.out()
    console.print(escape(f"{written.path}  {megabytes:.1f} MB: {about.model} with {about.method} at {about.layer}"))
    console.print(f"  its maps are seewhy's own but for {written.apart:.1e} of their largest value", style="dim")
    for line in _next(kind, written.path):
        console.print(escape(f"  {line}"), style="dim")


def _next(kind: str, path: Path) -> list[str]:
    """What to do with it."""
    return {
        "onnx": [f"seewhy explain photo.jpg --model file:{path}"],
        "savedmodel": [f"tensorflow.saved_model.load({str(path)!r}).explain(image, class_index)"],
        "page": [f"python -m http.server --bind 127.0.0.1 --directory {path} 8000", "then open http://127.0.0.1:8000/"],
    }[kind]


def _bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())
