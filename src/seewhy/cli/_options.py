"""The options that several commands share."""

from ast import literal_eval
from pathlib import Path
from typing import Annotated, Any

import typer

from seewhy import catalog
from seewhy.errors import InputError
from seewhy.explain import DEFAULT

Model = Annotated[
    str,
    typer.Option("--model", "-m", metavar="SPEC", help="Which model; `seewhy models` lists the forms."),
]
Weights = Annotated[Path | None, typer.Option(metavar="PATH", help="A local weights file instead of a download.")]
Method = Annotated[
    str | None,
    typer.Option("--method", metavar="M", help="How; `seewhy methods` lists them. [grad-cam, or the model's own]"),
]
Device = Annotated[str | None, typer.Option(metavar="D", help="Where the model runs: cpu, cuda, cuda:1 ...")]
Trust = Annotated[bool, typer.Option("--trust", help="Allow model files that run code when opened (pickles).")]


def as_layer(layer: str | None, layers: str | None) -> Any:
    """--layer and --layers as an explainer takes them.

    >>> as_layer(None, "layer3, layer4"), as_layer("layer4", None), as_layer(None, "all")
    (['layer3', 'layer4'], 'layer4', 'all')
    """
    if layer is not None and layers is not None:
        raise InputError("--layer and --layers say two things: give one of them")
    if layers is None or layers == "all":
        return layer or layers
    return [name.strip() for name in layers.split(",") if name.strip()]


def as_options(given: list[str] | None) -> dict[str, Any]:
    """NAME=VALUE pairs as a method's options; values that are Python literals are taken as such.

    >>> as_options(["channels=32", "baseline=mean"])
    {'channels': 32, 'baseline': 'mean'}
    """
    options: dict[str, Any] = {}
    for pair in given or ():
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(f"expected --option NAME=VALUE, such as --option channels=32, got {pair!r}")
        try:
            options[name] = literal_eval(value)
        except (ValueError, SyntaxError):
            options[name] = value
    return options


def chosen_options(method: str | None, given: list[str] | None) -> dict[str, Any]:
    """--option pairs of the method that --method names; what is wrong with either is said before a model is loaded."""
    return dict(catalog.as_method(method if method is not None else DEFAULT, as_options(given)).options)
