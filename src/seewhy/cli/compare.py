"""seewhy compare: the same photos by several methods."""

from pathlib import Path
from typing import Annotated

import typer

import seewhy
from seewhy.cli._options import Device, Model, Trust, Weights, as_layer
from seewhy.cli._paths import Paths
from seewhy.cli._photos import explain_each, say_costs, stdout_for_results_only
from seewhy.cli._wanted import wanted_targets
from seewhy.compare import DEFAULT, Comparer


def compare(
    photos: Annotated[list[str], typer.Argument(metavar="PHOTO", help="Files: JPEG, PNG, WebP, TIFF, BMP, GIF.")],
    methods: Annotated[
        str | None,
        typer.Option(metavar="M,M", help=f"Which; `seewhy methods` lists them. [{','.join(DEFAULT)}]"),
    ] = None,
    model: Model = "lite0",
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target", "-t", metavar="LABEL|INDEX", help="What to explain; may be repeated. [the best class]"
        ),
    ] = None,
    top: Annotated[int | None, typer.Option(metavar="K", help="Explain the K best classes.")] = None,
    layer: Annotated[str | None, typer.Option(metavar="L", help="Where; `seewhy layers` lists them. [found]")] = None,
    signed: Annotated[
        bool, typer.Option("--signed", help="Draw what speaks for the class in red, and what against in blue.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="PATH", help="A picture, or a folder.")] = None,
    device: Device = None,
    weights: Weights = None,
    trust: Trust = False,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object for each photo on stdout, nothing else.")
    ] = False,
) -> None:
    """Explain photos by several methods, side by side in <stem>_cam.jpg; they share one pass where they can.

    With --json each line has the keys photo, output, model, predictions, explanations (method, layer and targets of
    each) and seconds, as `seewhy explain --json`.
    """
    wanted = wanted_targets(target, top, negative=False, versus=None)
    names = None if methods is None else [name.strip() for name in methods.split(",") if name.strip()]
    paths = Paths(photos, out, archives=False)
    with stdout_for_results_only():
        vision = seewhy.load(model, device=device, weights=weights, trust=trust)
        comparer = Comparer(vision, names, as_layer(layer, None), signed=signed)
        comparer.check(wanted)
    say_costs([method.name for method in comparer.methods])
    explain_each(photos, lambda photo: comparer(photo, wanted), paths, {}, model=model, json=json)
