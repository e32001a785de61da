"""What is read of a capture beside its maps: are they sound, which part belongs to what, what should be said of it."""

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from seewhy.errors import InputError, OutputError, SeewhyWarning
from seewhy.maps import is_finite, to_numpy
from seewhy.outputs import (
    class_candidates,
    class_scores,
    is_ambiguous,
    is_array,
    looks_like_probabilities,
    map_arrays,
    probabilities,
)
from seewhy.types import Capture


def checked(maps: Any, capture: Capture, space: tuple[int, ...] | None, method: str) -> Any:
    """What a method returned, found fit to be explained; `space` are the positions that it should have, if not the
    layer's.

    Raises InputError for another shape, OutputError for NaN or infinite values.
    """
    expected = (*capture.scores.shape, *(space or capture.activations.shape[2:]))
    if isinstance(capture.activations, np.ndarray) and is_array(maps):
        maps = np.asarray(maps)  # a method of one's own may return tensors of TensorFlow
    if not is_array(maps) or tuple(maps.shape) != expected:
        came = tuple(maps.shape) if is_array(maps) else type(maps).__name__
        raise InputError(f"the method {method!r} must return maps (n, k, *s) of shape {expected}, got {came}")
    if not is_finite(maps) or not is_finite(capture.scores):
        raise OutputError(
            "the score or its map holds NaN or infinite values: the gradient overflowed, or the target "
            "divides by zero; try the model in float32"
        )
    return maps


def is_flat(capture: Capture) -> npt.NDArray[np.bool_]:
    """(n, k): True where the score has no gradient at the layer at all; False where a method asked for none."""
    if capture.flat is not None:
        return capture.flat
    if capture.gradients is None:
        return np.zeros(capture.scores.shape, np.bool_)
    changes = to_numpy(capture.gradients != 0).reshape(*capture.scores.shape, -1)
    return np.logical_not(changes.any(axis=-1))


def first_images(capture: Capture, n: int) -> Capture:
    """The part of a capture that belongs to the images as they are."""
    rows = capture.scores.shape[0]
    return replace(
        capture,
        activations=capture.activations[:n],
        gradients=None if capture.gradients is None else capture.gradients[:n],
        scores=capture.scores[:n],
        outputs=map_arrays(capture.outputs, lambda a: a[:n] if a.ndim and a.shape[0] == rows else a),
        classes=None if capture.classes is None else capture.classes[:n],
        again=None,
        maps=None if capture.maps is None else capture.maps[:n],
        flat=None if capture.flat is None else capture.flat[:n],
    )


def class_probabilities(capture: Capture) -> Any:
    """(n, classes) in [0, 1]; None where the model returns no class vector."""
    if capture.classes is None:
        return None
    return probabilities(np.asarray(to_numpy(class_scores(capture.outputs)), np.float32), capture.head)


def warn_of_outputs(capture: Capture, model_name: str, *, logit: bool) -> bool:
    """Say what the reader of the pictures should know of this model's outputs; was there anything?"""
    other = next(reversed(class_candidates(capture.outputs)), None)
    unseen = capture.head is None and capture.classes is not None and looks_like_probabilities(capture.classes)
    said = False
    for true, words in (
        (
            logit and unseen,
            "look like probabilities, but no final softmax was seen to run: the scores explained are these "
            "outputs, not the numbers before the softmax",
        ),
        (
            is_ambiguous(capture.outputs),
            "hold several arrays (n, classes), and the first is taken for the class scores: if it is another, "
            f"pass target=lambda outputs: outputs[{other!r}][:, CLASS]",
        ),
    ):
        if true:
            said = True
            warnings.warn(f"the outputs of {model_name} {words}", SeewhyWarning, stacklevel=5)
    return said
