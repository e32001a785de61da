"""seewhy compare: the same photos by several methods."""

from pathlib import Path
from typing import Annotated

import typer

import seewhy
from seewhy.cli._options import (
    Device,
    JsonLines,
    Layer,
    Model,
    Photos,
    Signed,
    Targets,
    Top,
    Trust,
    Weights,
    as_layer,
    as_named,
)
from seewhy.cli._paths import Paths
from seewhy.cli._photos import explain_each, say_costs, stdout_for_results_only
from seewhy.cli._wanted import wanted_targets
from seewhy.compare import DEFAULT, Comparer


def compare(
    photos: Photos,
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="M,M",
            help=f"Which, with options as M:NAME=VALUE; `seewhy methods` lists them. [{','.join(DEFAULT)}]",
        ),
    ] = None,
    model: Model = "lite0",
    target: Targets = None,
    top: Top = None,
    layer: Layer = None,
    signed: Signed = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="PATH", help="A picture, or a folder.")] = None,
    device: Device = None,
    weights: Weights = None,
    trust: Trust = False,
    json: JsonLines = False,
) -> None:
    """Explain photos by several methods, side by side in <stem>_cam.jpg; they share one pass where they can.

    With --json each line has the keys photo, output, model, predictions, explanations (method, layer and targets of
    each) and seconds, as `seewhy explain --json`.
    """
    wanted = wanted_targets(target, top, negative=False, versus=None)
    named = None if methods is None else as_named(methods, "score-cam:channels=32")
    paths = Paths(photos, out, archives=False)
    with stdout_for_results_only():
        vision = seewhy.load(model, device=device, weights=weights, trust=trust)
        comparer = Comparer(vision, named, as_layer(layer, None), signed=signed)
        comparer.check(wanted)
    say_costs(comparer.methods)
    explain_each(photos, lambda photo: comparer(photo, wanted), paths, {}, model=model, json=json)
