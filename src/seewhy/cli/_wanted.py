"""What the options of a command ask for, as targets."""

import re
from typing import Any

import seewhy
from seewhy.errors import InputError, TargetError


def wanted_targets(target: list[str] | None, top: int | None, *, negative: bool, versus: str | None) -> Any:
    """--target, --top, --versus and --negative as one target, or a list of them.

    >>> wanted_targets(["282", "lynx"], None, negative=False, versus=None)
    [282, 'lynx']
    """
    if target and top is not None:
        raise InputError("--target and --top say two things: give one of them")
    items: list[Any] = [_item(item) for item in target or ()]
    if len(set(items)) < len(items):
        raise TargetError(f"a target is given twice: {', '.join(target or ())}")
    if top is not None:
        items = [seewhy.top(top)]
    items = items or [None]
    if versus is not None:
        items = [seewhy.class_difference(item, _item(versus)) for item in items]
    if negative:
        items = [seewhy.negative(item) for item in items]
    return items if target else items[0]


def _item(given: str) -> int | str:
    return int(given) if re.fullmatch(r"-?\d+", given) else given
