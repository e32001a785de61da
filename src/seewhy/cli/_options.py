"""The options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[
    str,
    typer.Option("--model", "-m", metavar="SPEC", help="Which model; `seewhy models` lists the forms."),
]
Weights = Annotated[Path | None, typer.Option(metavar="PATH", help="A local weights file instead of a download.")]
Device = Annotated[str | None, typer.Option(metavar="D", help="Where the model runs: cpu, cuda, cuda:1 ...")]
Trust = Annotated[bool, typer.Option("--trust", help="Allow model files that run code when opened (pickles).")]
