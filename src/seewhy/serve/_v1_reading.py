"""Requests of KServe's V1 protocol: JSON, or a form with files."""

import re
from collections.abc import AsyncGenerator
from typing import Any

from pydantic import ValidationError
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from seewhy.serve._asked import Asked, Upload, check_count, check_parameters, in_words, parsed, row
from seewhy.serve._forms import Instance, Parameters, V1Request
from seewhy.serve._limits import Limits
from seewhy.serve._models import Served
from seewhy.serve._photos import from_base64
from seewhy.serve._refusals import Refusal

FIELDS = 40
"""Fields of a form that are no files."""


def read_json(served: Served, body: bytes, limits: Limits) -> Asked:
    """What a JSON body asks."""
    form = parsed(V1Request, body)
    check_count(len(form.instances), limits)
    check_parameters(served, form.parameters)
    common = row(served, form.parameters.targets, form.parameters.top, limits)
    uploads = []
    for i, given in enumerate(form.instances):
        name = f"photo {i + 1} of {len(form.instances)}"
        one = Instance(b64=given, targets=None) if isinstance(given, str) else given
        own = common if one.targets is None else row(served, one.targets, None, limits)
        uploads.append(Upload(from_base64(one.b64, name), name, own))
    return Asked(uploads, form.parameters)


async def read_form(served: Served, body: bytes, headers: Headers, limits: Limits) -> Asked:
    """What a form with files asks."""
    form = await _form(body, headers, limits)
    try:
        photos, fields = await _sorted(form)
    finally:
        await form.close()
    if not photos:
        raise Refusal(400, "expected at least one photo as a file in the field 'image'")
    check_count(len(photos), limits)
    try:
        parameters = Parameters.model_validate(fields)
    except ValidationError as error:
        raise Refusal(400, in_words(error)) from None
    check_parameters(served, parameters)
    common = row(served, parameters.targets, parameters.top, limits)
    names = [f"photo {i + 1} of {len(photos)}" for i in range(len(photos))]
    return Asked([Upload(data, name, common) for data, name in zip(photos, names, strict=True)], parameters)


async def _sorted(form: FormData) -> tuple[list[bytes], dict[str, Any]]:
    """The photos of a form, and its other fields."""
    photos: list[bytes] = []
    fields: dict[str, Any] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            if name != "image":
                raise Refusal(400, f"the photo came in the field {name[:100]!r}: expected it in the field 'image'")
            photos.append(await value.read())
        elif name == "targets":
            fields.setdefault("targets", []).append(_class(value))
        elif name in fields:
            raise Refusal(400, f"the field {name[:100]!r} is given twice")
        else:
            fields[name] = value
    return photos, fields


async def _form(body: bytes, headers: Headers, limits: Limits) -> FormData:
    async def whole() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(headers, whole(), max_files=limits.photos + 1, max_fields=FIELDS)
    parser.spool_max_size = len(body) + 1  # in memory: photos never touch the disk
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise Refusal(400, f"the form cannot be read: {error.message}") from None
    except Exception as error:  # the parser raises what it likes for odd headers
        raise Refusal(400, "the form cannot be read: its parts are not as multipart/form-data has them") from error


def _class(value: str) -> int | str:
    """A class as it is typed: digits are an index."""
    return int(value) if re.fullmatch(r"[0-9]{1,9}", value) else value
