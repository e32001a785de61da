"""What a request asks, once it is read: photos or ready inputs, each with its row of targets, and how."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ValidationError

from seewhy.errors import SeewhyError
from seewhy.render.colormap import colours
from seewhy.serve._forms import Parameters
from seewhy.serve._limits import Limits
from seewhy.serve._models import Served
from seewhy.serve._refusals import Refusal, refusal_of
from seewhy.targets.top import top
from seewhy.types import Classes

FormT = TypeVar("FormT", bound=BaseModel)


@dataclass(frozen=True)
class Row:
    """The targets of one photo: `k` of them."""

    targets: tuple[Any, ...]
    k: int


@dataclass(frozen=True)
class Upload:
    """One photo as it came, or one ready input."""

    content: bytes | npt.NDArray[np.float32]
    name: str
    """What it is called in errors."""
    row: Row


@dataclass(frozen=True)
class Asked:
    """All that one request asks."""

    uploads: Sequence[Upload]
    parameters: Parameters


def parsed(form: type[FormT], body: bytes) -> FormT:
    """A JSON body as the form that it should have; 400 with what does not fit, in words."""
    try:
        return form.model_validate_json(body)
    except ValidationError as error:
        raise Refusal(400, in_words(error)) from None


def in_words(error: ValidationError) -> str:
    """What does not fit a form, without what was sent: that may be a photo.

    >>> try:
    ...     Parameters.model_validate({"top": 0, "Colour": "jet"})
    ... except ValidationError as error:
    ...     in_words(error)
    'top: Input should be greater than or equal to 1; Colour: Extra inputs are not permitted'
    """
    found: dict[tuple[str, ...], list[str]] = {}
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        *at, last = one["loc"] or ("",)
        own = [str(last)] if one["type"] == "extra_forbidden" else _place([last])  # the client's own word stays
        found.setdefault((*_place(at), *own), []).append(one["msg"])
    # where one of several forms fits further than the others, only what it lacks is told
    deepest = [at for at in found if not any(len(other) > len(at) and other[: len(at)] == at for other in found)]
    said = [f"{'.'.join(at) or 'the body'}: {', or: '.join(dict.fromkeys(found[at]))}" for at in deepest[:5]]
    return "; ".join(said) + (f"; and {len(deepest) - 5} more" if len(deepest) > 5 else "")


def _place(parts: Sequence[int | str]) -> tuple[str, ...]:
    """Where in the request it is, without pydantic's names of the forms that a value may have."""
    return tuple(str(part) for part in parts if not re.fullmatch(r"|[A-Z]\w*|str|int|constrained-\w+", str(part)))


def row(served: Served, targets: Sequence[int | str] | None, best: int | None, limits: Limits) -> Row:
    """The targets of a photo, each found to be a class of the model.

    Raises Refusal for too many, and for a class that the model does not have, with the nearest names.
    """
    if targets is not None and best is not None:
        raise Refusal(400, "targets and top say two things: give one of them")
    count = best or len(targets or (None,))
    if count > limits.targets:
        raise Refusal(400, f"{count} targets for one photo, and at most {limits.targets} are explained")
    if targets is None:
        if count > served.classes:
            raise Refusal(400, f"top {count} asks for more classes than the model has ({served.classes})")
        return Row((top(count),), count)
    known = Classes(served.labels, np.zeros(served.classes, np.float32))
    try:
        return Row(tuple(known.index(one) for one in targets), count)
    except SeewhyError as error:
        raise refusal_of(error) from error


def check_parameters(served: Served, parameters: Parameters) -> None:
    """Say what is wrong with a method or a colormap before any work is done."""
    try:
        served.explainer(parameters.method)
        if parameters.colormap is not None:
            colours(np.zeros((1, 1), np.float32), parameters.colormap)
    except SeewhyError as error:
        raise refusal_of(error) from error


def check_count(photos: int, limits: Limits) -> None:
    if photos > limits.photos:
        raise Refusal(413, f"{photos} photos in one request, and at most {limits.photos} are taken: send several")
