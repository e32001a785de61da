"""Which array of a layer's output is its map; alike for every framework."""

from collections.abc import Sequence
from typing import Any

from seewhy.errors import LayerError
from seewhy.outputs import as_fields, is_array


def spatial(output: Any, space: Sequence[int]) -> tuple[Any, Any]:
    """The map in a layer's output, and where it is: a key, or None for the output itself.

    `space` holds the spatial axes of the model's input. Raises LayerError where no array has such axes.
    """
    candidates: dict[Any, Any] = {None: output} if is_array(output) else as_fields(output) or {}
    for key, value in candidates.items():
        if is_array(value) and len(value.shape) >= 3 and is_floating(value):
            if len(value.shape) == 3 and len(space) > 1:
                raise LayerError(
                    f"its output {tuple(value.shape)} is a sequence, such as the tokens of a transformer, "
                    "and no longer says where in the image"
                )
            return key, value
    came = [_said(tuple(v.shape)) if is_array(v) else type(v).__name__ for v in candidates.values()]
    raise LayerError(
        "its output has no spatial axes: expected floats with an axis for images, one for channels, and others, "
        f"got {', '.join(came) or output}"
    )


def _said(shape: Sequence[int | None]) -> str:
    axes = ["n" if length is None else str(length) for length in shape]
    return f"({', '.join(axes)}{',' if len(axes) == 1 else ''})"


def is_floating(array: Any) -> bool:
    """Floating, of any precision and framework?"""
    return "float" in str(array.dtype)
