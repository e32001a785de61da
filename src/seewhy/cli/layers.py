"""seewhy layers: what can be explained in a model."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

import seewhy
from seewhy.cli import _report
from seewhy.cli._options import Device, Model, Trust, Weights


def layers(
    model: Model = "lite0",
    photo: Annotated[str | None, typer.Option(metavar="PHOTO", help="A photo to run; a grey one unless given.")] = None,
    device: Device = None,
    weights: Weights = None,
    trust: Trust = False,
) -> None:
    """List the layers that can be explained, in the order in which they run; the default one is marked."""
    found = seewhy.layers(seewhy.load(model, device=device, weights=weights, trust=trust), photo)
    table = Table(Column("layer", overflow="fold"), "kind", "output", "", box=None, pad_edge=False)
    for info in found:
        mark = " ".join(["<- default"] * info.default + [f"(the last of {info.runs} runs)"] * (info.runs > 1))
        shape = " x ".join(map(str, info.shape))
        table.add_row(escape(info.name), info.kind, shape, mark, style="bold green" if info.default else None)
    _report.out().print(table)
    if not any(info.default for info in found):
        _report.note("no convolution with more than one position ran: none is the default, name one with --layer")
