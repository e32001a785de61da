"""seewhy explain: photos to heatmaps."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

import seewhy
from seewhy import catalog
from seewhy.cli._options import (
    Device,
    JsonLines,
    Layer,
    MethodOptions,
    Model,
    OwnMethod,
    Photos,
    Signed,
    Targets,
    Top,
    Trust,
    Weights,
    as_layer,
    as_options,
)
from seewhy.cli._paths import Paths
from seewhy.cli._photos import explain_each, say_costs, stdout_for_results_only
from seewhy.cli._wanted import wanted_targets
from seewhy.errors import InputError
from seewhy.explain import DEFAULT
from seewhy.render.overlay import style as look_of


class Score(StrEnum):
    logit = "logit"
    output = "output"


class Fuse(StrEnum):
    max = "max"
    mean = "mean"
    product = "product"


class Augment(StrEnum):
    flips = "flips"
    scales = "scales"
    noise = "noise"


class Style(StrEnum):
    blend = "blend"
    classic = "classic"


def explain(
    photos: Photos,
    model: Model = "lite0",
    target: Targets = None,
    top: Top = None,
    method: OwnMethod = None,
    layer: Layer = None,
    option: MethodOptions = None,
    layers: Annotated[
        str | None, typer.Option(metavar="L,L|all", help="Several layers side by side; all: one of each resolution.")
    ] = None,
    fuse: Annotated[Fuse | None, typer.Option(help="Make one map of several layers.")] = None,
    augment: Annotated[
        list[Augment] | None, typer.Option(help="Take the mean over several views of the photo; may be repeated.")
    ] = None,
    negative: Annotated[bool, typer.Option("--negative", help="Explain what speaks against the class.")] = False,
    versus: Annotated[
        str | None, typer.Option(metavar="LABEL|INDEX", help="Explain what tells the class from this one.")
    ] = None,
    signed: Signed = False,
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
    json: JsonLines = False,
) -> None:
    """Explain photos: print what the model sees, and write <stem>_cam.jpg for each.

    Pictures go to the current folder unless --out says where; several targets or layers stand side by side in one. A
    photo that cannot be read is named and the others go on; the exit code is then 1.

    With --json each line has the keys photo, output (a path), model, method, layer, predictions (index, label,
    probability), targets (index, label, score, blank, and box: left, top, right, bottom in the photo's pixels) and
    seconds; with --layers it has explanations (method, layer, targets) in place of method, layer and targets.
    """
    wanted = wanted_targets(target, top, negative=negative, versus=versus)
    look = {"style": style.value, "colormap": colormap, "opacity": opacity}
    _check_look(style.value, colormap, opacity, signed)
    several = as_layer(layer, layers)
    if fuse is not None and layers is None:
        raise InputError("--fuse makes one map of several layers: give them, --layers A,B or --layers all")
    chosen = catalog.as_method(method if method is not None else DEFAULT, as_options(option))
    paths = Paths(photos, out, archives=fuse is not None or layers is None)
    with stdout_for_results_only():
        vision = seewhy.load(model, device=device, weights=weights, trust=trust)
        explainer = seewhy.Explainer(
            vision,
            method,
            several,
            score=score.value,
            signed=signed,
            fuse=fuse,
            augment=[kind.value for kind in augment] if augment else None,
            **chosen.options,
        )
        explainer.check(wanted)
    say_costs([explainer.method])
    ask = explainer if layers is None or fuse is not None else explainer.each
    explain_each(photos, lambda photo: ask(photo, wanted), paths, look, model=model, json=json)


def _check_look(name: str, colormap: str | None, opacity: float | None, signed: bool) -> None:
    """Say what is wrong before any work is done."""
    draw = look_of(name, signed=signed)
    pixel = np.zeros((1, 1, 3), np.uint8)
    chosen: dict[str, Any] = {"colormap": colormap, "opacity": opacity}
    given = {name: value for name, value in chosen.items() if value is not None}
    draw(pixel, pixel[..., 0].astype(np.float32), pixel[..., 0] == 0, **given)
