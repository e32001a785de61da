"""Requests of the Open Inference Protocol (V2): typed tensors."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from seewhy.serve._asked import Asked, Row, Upload, check_count, check_parameters, parsed, row
from seewhy.serve._limits import Limits
from seewhy.serve._models import Served
from seewhy.serve._photos import from_base64
from seewhy.serve._refusals import Refusal
from seewhy.serve._v2_forms import InferRequest, Tensor

NAMES = {"image": ("BYTES", "FP32"), "class_index": ("INT64", "INT32")}
"""Input tensors, and the types that they may have."""


def read_infer(served: Served, body: bytes, limits: Limits) -> tuple[InferRequest, Asked]:
    """What typed tensors ask."""
    form = parsed(InferRequest, body)
    tensors = _by_name(form.inputs)
    image = tensors["image"]
    n = image.shape[0]
    check_count(n, limits)
    check_parameters(served, form.parameters)
    rows = _rows(served, form, tensors.get("class_index"), n, limits)
    names = [f"image {i + 1} of {n}" for i in range(n)]
    contents = _photos(image, names) if image.datatype == "BYTES" else list(_inputs(served, image))
    uploads = [Upload(*one) for one in zip(contents, names, rows, strict=True)]
    return form, Asked(uploads, form.parameters)


def _by_name(tensors: Sequence[Tensor]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for tensor in tensors:
        if tensor.name not in NAMES or tensor.name in found:
            raise Refusal(400, f"expected an input 'image' and at most one 'class_index', got an input {tensor.name!r}")
        if tensor.datatype not in NAMES[tensor.name]:
            raise Refusal(400, f"the input {tensor.name!r} is {' or '.join(NAMES[tensor.name])}, got {tensor.datatype}")
        if min(tensor.shape) < 1:
            raise Refusal(400, f"the input {tensor.name!r} has the shape {tensor.shape}: each length is 1 or more")
        found[tensor.name] = tensor
    if "image" not in found:
        raise Refusal(400, "expected an input 'image'")
    return found


def _photos(image: Tensor, names: Sequence[str]) -> list[bytes]:
    if len(image.shape) > 2 or prod(image.shape) != len(names):
        raise Refusal(400, f"photos as BYTES have the shape [n] or [n, 1], got {image.shape}")
    data = [one[0] if isinstance(one, list) and len(one) == 1 else one for one in image.data]
    if len(data) != len(names) or not all(isinstance(one, str) for one in data):
        raise Refusal(400, f"expected {len(names)} photos as base64 strings, got {len(data)} values")
    return [from_base64(text, name) for text, name in zip(data, names, strict=True)]


def _inputs(served: Served, image: Tensor) -> npt.NDArray[np.float32]:
    if served.shape is None:
        raise Refusal(400, f"the model {served.name!r} takes photos only: send them as BYTES")
    if tuple(image.shape[1:]) != served.shape:
        expected = [-1, *served.shape]
        raise Refusal(400, f"prepared images for {served.name!r} have the shape {expected}, got {image.shape}")
    with np.errstate(over="ignore"):
        found = np.asarray(_numbers(image, "f"), np.float32)
    if not np.isfinite(found).all():
        raise Refusal(400, "the input 'image' holds NaN or infinite values, or larger ones than FP32 has")
    return found


def _rows(served: Served, form: InferRequest, wanted: Tensor | None, n: int, limits: Limits) -> list[Row]:
    given = form.parameters
    if wanted is None:
        return [row(served, given.targets, given.top, limits)] * n
    if given.targets is not None or given.top is not None:
        raise Refusal(400, "the input 'class_index' and the parameters targets and top say two things: give one")
    if len(wanted.shape) > 2 or wanted.shape[0] != n:
        raise Refusal(400, f"'class_index' has the shape [{n}] or [{n}, k], got {wanted.shape}")
    return [row(served, one, None, limits) for one in _numbers(wanted, "i").reshape(n, -1).tolist()]


def _numbers(tensor: Tensor, kind: str) -> npt.NDArray[Any]:
    """The numbers of a tensor in its shape, flat or nested as they came."""
    what = "numbers" if kind == "f" else "whole numbers"
    wanted = f"the input {tensor.name!r}: expected {prod(tensor.shape)} {what} for the shape {tensor.shape}"
    try:
        objects = np.asarray(tensor.data, object)  # as they are: NumPy would give each string the room of the longest
        if any(isinstance(one, str) for one in objects.flat):
            raise Refusal(400, f"{wanted}, got text")
        array = np.asarray(tensor.data)
    except ValueError:
        raise Refusal(400, f"{wanted}, got lists of several lengths") from None
    if array.dtype.kind not in ("iuf" if kind == "f" else "iu"):
        raise Refusal(400, f"{wanted}, got something else")
    if array.size != prod(tensor.shape):
        raise Refusal(400, f"{wanted}, got {array.size}")
    if array.ndim > 1 and list(array.shape) != tensor.shape:
        raise Refusal(400, f"the input {tensor.name!r}: its nested lists have the shape {array.shape}")
    return array.reshape(tensor.shape)
