"""The options that several commands share, and what is made of them."""

import json
from ast import literal_eval
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from seewhy.errors import InputError

Photos = Annotated[list[str], typer.Argument(metavar="PHOTO", help="Files: JPEG, PNG, WebP, TIFF, BMP, GIF.")]
Model = Annotated[
    str,
    typer.Option("--model", "-m", metavar="SPEC", help="Which model; `seewhy models` lists the forms."),
]
Target = Annotated[
    list[str] | None, typer.Option("--target", "-t", metavar="LABEL|INDEX", help="What is explained. [the best class]")
]
Targets = Annotated[
    list[str] | None,
    typer.Option("--target", "-t", metavar="LABEL|INDEX", help="What to explain; may be repeated. [the best class]"),
]
Top = Annotated[int | None, typer.Option(metavar="K", help="Explain the K best classes.")]
Method = Annotated[str, typer.Option(metavar="M", help="How; `seewhy methods` lists them.")]
OwnMethod = Annotated[
    str | None,
    typer.Option("--method", metavar="M", help="How; `seewhy methods` lists them. [grad-cam, or the model's own]"),
]
Methods = Annotated[
    str, typer.Option(metavar="M,M", help="Which, with options as M:NAME=VALUE; `seewhy methods` lists them.")
]
MethodOptions = Annotated[
    list[str] | None, typer.Option("--option", "-O", metavar="NAME=VALUE", help="An option of the method.")
]
Layer = Annotated[str | None, typer.Option(metavar="L", help="Where; `seewhy layers` lists them. [found]")]
Signed = Annotated[
    bool, typer.Option("--signed", help="Draw what speaks for the class in red, and what against in blue.")
]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Of all that is drawn by chance.")]
Weights = Annotated[Path | None, typer.Option(metavar="PATH", help="A local weights file instead of a download.")]
Device = Annotated[str | None, typer.Option(metavar="D", help="Where the model runs: cpu, cuda, cuda:1 ...")]
Trust = Annotated[bool, typer.Option("--trust", help="Allow model files that run code when opened (pickles).")]
JsonLines = Annotated[bool, typer.Option("--json", help="One JSON object for each photo on stdout, nothing else.")]

Named: TypeAlias = str | tuple[str, dict[str, Any]]
"""A method or a metric, alone or with its options."""


def as_layer(layer: str | None, layers: str | None) -> Any:
    """--layer and --layers as an explainer takes them.

    >>> as_layer(None, "layer3, layer4"), as_layer("layer4", None), as_layer(None, "all")
    (['layer3', 'layer4'], 'layer4', 'all')
    """
    if layer is not None and layers is not None:
        raise InputError("--layer and --layers say two things: give one of them")
    if layers is None or layers == "all":
        return layer or layers
    return listed(layers)


def listed(given: str) -> list[str]:
    """What stands between commas.

    >>> listed("layer3, layer4")
    ['layer3', 'layer4']
    """
    return [part for part in _split(given, ",") if part]


def as_options(given: Sequence[str] | None, example: str = "--option channels=32") -> dict[str, Any]:
    """NAME=VALUE pairs as a method's options; values that are Python literals are taken as such.

    >>> as_options(["channels=32", "baseline=mean"])
    {'channels': 32, 'baseline': 'mean'}
    """
    options: dict[str, Any] = {}
    for pair in given or ():
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(f"expected NAME=VALUE, such as {example}, got {pair!r}")
        try:
            options[name] = literal_eval(value)
        except (ValueError, SyntaxError):
            options[name] = value
    return options


def as_named(given: str, example: str) -> list[Named]:
    """Names between commas, each with its options after colons; what stands in brackets or quotes is not parted.

    >>> as_named("deletion, insertion:step=3584:sigma=3, road:percentiles=(10,50)", "insertion:step=3584")
    ['deletion', ('insertion', {'step': 3584, 'sigma': 3}), ('road', {'percentiles': (10, 50)})]
    """
    found: list[Named] = []
    for part in listed(given):
        name, *options = _split(part, ":")
        if found and not isinstance(found[-1], str) and name.replace(".", "").isdecimal():
            raise InputError(
                f"{name} is no name: a value of several numbers stands in brackets, such as road:percentiles=(10,20)"
            )
        found.append((name, as_options(options, example)) if options else name)
    return found


def as_classes(file: Path | None, given: Sequence[str] | None) -> dict[str, list[str | int]] | None:
    """--classes and --class as `seewhy.evaluate` takes them; None where neither is given.

    >>> as_classes(None, ["cat=tabby", "cat=282", "person="])
    {'cat': ['tabby', 282], 'person': []}
    """
    found = {} if file is None else _read_classes(file)
    named: dict[str, list[str | int]] = {}
    for pair in given or ():
        name, equals, label = (part.strip() for part in pair.partition("="))
        if not equals or not name:
            raise InputError(
                f"expected --class NAME=LABEL, the annotations' name and the model's, such as --class cat=tabby, or "
                f"--class person= for none, got {pair!r}"
            )
        named.setdefault(name, []).extend([as_class(label)] if label else [])
    return {**found, **named} or None


def as_class(given: str) -> int | str:
    """A class by its index or its label.

    >>> as_class("282"), as_class("tiger cat")
    (282, 'tiger cat')
    """
    digits = given.removeprefix("-")
    return int(given) if digits.isdecimal() and digits.isascii() else given


def _read_classes(file: Path) -> dict[str, list[str | int]]:
    wanted = 'expected an object such as {"cat": ["tabby", 282], "person": []}'
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{file} is not JSON: {wanted}") from error
    if not isinstance(content, dict):
        raise InputError(f"{file}: {wanted}, got {content!r:.60}")
    found = {name: meant if isinstance(meant, list) else [meant] for name, meant in content.items()}
    for name, meant in found.items():
        if not all(isinstance(one, str | int) and not isinstance(one, bool) for one in meant):
            raise InputError(f"{file}: {wanted}, got {meant!r:.60} for {name!r}")
    return found


def _split(given: str, at: str) -> Iterator[str]:
    """The parts of a text between separators that stand in no brackets and no quotes, without spaces around."""
    depth, quote, part = 0, "", ""
    for character in given:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == at and depth <= 0:
            yield part.strip()
            part = ""
            continue
        part += character
    yield part.strip()


def is_this_machine(host: str) -> bool:
    """Is this an address that only this machine reaches?

    >>> is_this_machine("127.0.0.1"), is_this_machine("localhost"), is_this_machine("0.0.0.0")
    (True, True, False)
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
