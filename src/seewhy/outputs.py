"""What models return: find the class scores in it, put other ones in their place, read probabilities from them.

Models return an array, a tuple, a dict, or an object with named fields (a dataclass, transformers' ModelOutput).
"""

import dataclasses
from collections.abc import Callable, MutableMapping
from copy import copy
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from seewhy.errors import OutputError
from seewhy.types import Array

CLASS_KEYS = ("logits", "out", "output", "outputs", "pred", "preds", "prediction", "predictions", "scores")
"""Where class scores are kept in outputs with names; the first of these, else the first array with two axes."""


def is_array(value: object) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def namespace(array: Array) -> Any:
    """The functions of the array API for this array, as its framework has them.

    >>> namespace(np.zeros(3)).sum is np.sum
    True
    """
    framework = type(array).__module__.partition(".")[0]
    if framework == "tensorflow":  # not of the standard, but it has a NumPy of its own
        return import_module("tensorflow.experimental.numpy")
    return array_namespace(array)


def class_key(outputs: Any) -> Any:
    """Where the class scores (n, classes) are: a key, an index, or None for the outputs themselves.

    Raises OutputError where nothing looks like one score for each class.
    """
    vectors = class_candidates(outputs)
    if not vectors:
        came = f"an array {tuple(outputs.shape)}" if is_array(outputs) else f"a {type(outputs).__name__} without one"
        raise OutputError(
            f"expected one score for each class, an array (n, classes), in the model's outputs, got {came}: "
            "pass target=CALLABLE, a function from the outputs to (n,) scores"
        )
    named = [key for key in CLASS_KEYS if key in vectors]
    return next(iter(named or vectors))


def class_candidates(outputs: Any) -> dict[Any, Array]:
    """All that has the shape of class scores, by key or index; outputs that are one array under None."""
    fields = {None: outputs} if is_array(outputs) else as_fields(outputs) or {}
    return {key: value for key, value in fields.items() if is_array(value) and len(value.shape) == 2}


def is_ambiguous(outputs: Any) -> bool:
    """Are there several parts that could be the class scores, and no name that says which?"""
    candidates = class_candidates(outputs)
    return len(candidates) > 1 and not any(key in CLASS_KEYS for key in candidates)


def as_fields(outputs: Any) -> dict[Any, Any] | None:
    """The parts of structured outputs by key or index; None where they have no parts."""
    if isinstance(outputs, MutableMapping):
        return dict(outputs)
    if isinstance(outputs, tuple | list):
        return dict(enumerate(outputs))
    if dataclasses.is_dataclass(outputs):
        return {f.name: getattr(outputs, f.name) for f in dataclasses.fields(outputs)}
    return None


def with_fields(outputs: Any, fields: dict[Any, Any]) -> Any:
    """Outputs of the same type with these parts."""
    if isinstance(outputs, tuple | list):
        values = [fields[i] for i in range(len(outputs))]
        return type(outputs)(*values) if hasattr(outputs, "_fields") else type(outputs)(values)
    if dataclasses.is_dataclass(outputs):  # transformers' ModelOutput is a dict and a dataclass
        rebuild: Any = type(outputs)
        return rebuild(**fields)
    same = copy(outputs)
    same.update(fields)
    return same


def class_scores(outputs: Any) -> Array:
    """The class scores (n, classes) in a model's outputs; OutputError where there are none."""
    return class_candidates(outputs)[class_key(outputs)]


def before_heads(
    outputs: Any, head_of: Callable[[Array], tuple[str, Array] | None], *, logit: bool
) -> tuple[str | None, Any]:
    """The final activation that made the class scores, and the outputs that are explained.

    `head_of` tells of an array the activation that it came out of, and what went in. With `logit` that takes its place,
    wherever there is such an array among the outputs: so they are all explained alike.
    """
    kinds: dict[int, str] = {}

    def before(array: Array) -> Array:
        head = head_of(array) if len(array.shape) == 2 else None
        if head is None:
            return array
        kinds[id(array)], logits = head
        return logits

    asked = map_arrays(outputs, before)
    kind = kinds.get(id(class_scores(outputs))) if class_candidates(outputs) else None
    return kind, asked if logit else outputs


def map_arrays(outputs: Any, function: Callable[[Array], Array]) -> Any:
    """Outputs of the same structure with every array replaced; what is no array stays."""
    if is_array(outputs):
        return function(outputs)
    fields = as_fields(outputs)
    if fields is None:
        return outputs
    return with_fields(outputs, {key: map_arrays(value, function) for key, value in fields.items()})


def plain_outputs(outputs: Any) -> Array | None:
    """The outputs as one array: themselves, or the class scores in them; None where there is no such array."""
    if is_array(outputs):
        return outputs
    try:
        return class_scores(outputs)
    except OutputError:
        return None


def probabilities(classes: npt.NDArray[np.float32], head: str | None) -> npt.NDArray[np.float32] | None:
    """Class scores (n, classes), as the model returned them, as probabilities in [0, 1].

    What already came out of a softmax or sigmoid stays as it is; other scores go through a softmax. A single score
    that came out of no sigmoid may be anything, such as a regression: None.
    """
    if head == "sigmoid" or head == "softmax" or looks_like_probabilities(classes):
        return classes
    if classes.shape[1] == 1:
        return None
    shifted = np.exp(classes - classes.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float32)


def looks_like_probabilities(classes: npt.NDArray[np.float32]) -> bool:
    """Do all rows lie in [0, 1] and sum to 1, as only a softmax makes them?"""
    return bool(
        classes.shape[1] > 1
        and (classes >= 0).all()
        and (classes <= 1).all()
        and (abs(classes.sum(axis=1) - 1) < 1e-3).all()
    )
