"""What the options of a command ask for, as targets."""

from typing import Any

import seewhy
from seewhy.cli._options import as_class
from seewhy.errors import InputError, TargetError


def wanted_targets(target: list[str] | None, top: int | None, *, negative: bool, versus: str | None) -> Any:
    """--target, --top, --versus and --negative as one target, or a list of them.

    >>> wanted_targets(["282", "lynx"], None, negative=False, versus=None)
    [282, 'lynx']
    """
    if target and top is not None:
        raise InputError("--target and --top say two things: give one of them")
    items: list[Any] = [as_class(item) for item in target or ()]
    if len(set(items)) < len(items):
        raise TargetError(f"a target is given twice: {', '.join(target or ())}")
    if top is not None:
        items = [seewhy.top(top)]
    items = items or [None]
    if versus is not None:
        items = [seewhy.class_difference(item, as_class(versus)) for item in items]
    if negative:
        items = [seewhy.negative(item) for item in items]
    return items if target else items[0]


def wanted_target(target: list[str] | None, instead: str) -> Any:
    """The one --target of a command that takes one; None where it is not given; TargetError says what to do `instead`.

    >>> wanted_target(["282"], ""), wanted_target(None, "")
    (282, None)
    """
    if target and len(target) > 1:
        raise TargetError(f"expected one --target here, got {', '.join(target)}: {instead}")
    return as_class(target[0]) if target else None
