"""Private: does a graph answer what seewhy explains?"""

import warnings
from copy import copy, deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt

from seewhy.errors import ModelError, SeewhyWarning
from seewhy.explain import Explainer
from seewhy.maps import to_numpy
from seewhy.models._nets import framework
from seewhy.outputs import class_scores

EQUAL = 1e-4
"""How far a map may be from seewhy's own, as a share of that one's largest value."""
ROUNDING = 10
"""How many times as far as seewhy's own map is from itself in double precision, where that is more: sums in another
order are rounded in another way."""
BLURRED = 0.02
"""What is further off than this is no rounding."""
TRIED = 3
"""Classes of each image, those of the highest scores."""

Rows = list[list[int]]
Maps = npt.NDArray[np.float64]


def check(carried: Explainer, explainer: Explainer, batch: Any, taken: Any = None) -> float:
    """How far the maps that a graph carries are from the explainer's, as a share of the largest value of each map.

    Asked for several classes of each image, of all images together and of the first alone; class scores count too.
    Where a method divides by what rounding has left of nothing, two right answers differ by more: a SeewhyWarning says
    so. `taken` is the batch as the graph takes it, where that is not as the model does. Raises ModelError where the
    graph is wrong.
    """
    images = to_numpy(batch if taken is None else taken)
    wanted = _likely(explainer, batch)
    alone = _apart(carried, explainer, batch[:1], images[:1], wanted[:1])
    most = max(alone, _apart(carried, explainer, batch, images, wanted))
    if most <= EQUAL:
        return most
    own = _rounding(explainer, batch, wanted)
    if not most <= min(ROUNDING * own, BLURRED):
        raise ModelError(
            f"the graph does not give what seewhy explains: its maps are off by {most:.1e} of their largest value, "
            f"and {EQUAL:g} is allowed. Nothing was written. Does the model compute something else for other images, "
            "such as by chance or by the size of the batch?"
        )
    warnings.warn(
        f"{explainer.method.name} is not sharp here: in single precision rounding alone moves its maps by {own:.1e} of "
        f"their largest value, and the graph's are off by {most:.1e}",
        SeewhyWarning,
        stacklevel=4,
    )
    return most


def _likely(explainer: Explainer, batch: Any) -> Rows:
    scores = to_numpy(class_scores(explainer(batch).outputs))
    best: Rows = np.argsort(-scores, axis=1, kind="stable")[:, :TRIED].tolist()
    return best


def apart(maps: Any, signed: Any) -> float:
    """How far maps (n, k, *s) are from an explainer's, as a share of the largest value of each; the largest of all.

    Those are given as they are before they are rectified, and so is what counts as their largest value: a map that is
    blank, or all but blank, is no smaller than its rounding. Where both are signed, both are compared as they are.
    """
    maps, signed = (np.asarray(to_numpy(array), np.float64) for array in (maps, signed))
    return _share(maps - (signed if (maps < 0).any() else np.maximum(signed, 0)), signed)


def _apart(carried: Explainer, explainer: Explainer, batch: Any, images: npt.NDArray[Any], wanted: Rows) -> float:
    """The largest difference of maps and of class scores."""
    own, found, predicted = _signed(explainer)(batch, wanted), carried(images, wanted), carried(images)
    scores = np.asarray(to_numpy(class_scores(own.outputs)), np.float64)
    same = np.argmax(class_scores(found.outputs), axis=1) == [row[0] for row in wanted]  # no tie
    return max(
        apart(predicted.maps[same], own.maps[same, :1]),
        apart(found.maps, own.maps),
        _share(class_scores(found.outputs) - scores, scores - scores.mean(axis=1, keepdims=True)),
    )


def _rounding(explainer: Explainer, batch: Any, wanted: Rows) -> float:
    """How far the explainer's maps are from what they are in double precision.

    A Keras model's precision is that of its layers, once they are built: how far from those of images that differ by
    their last bits.
    """
    if framework(explainer.net) != "torch":
        known = to_numpy(batch)
        last = np.finfo(np.float32).eps * np.random.default_rng(0).choice([-1, 1], known.shape)
        other = _signed(explainer)(np.asarray(known * (1 + last), np.float32), wanted)
        return apart(_signed(explainer)(batch, wanted).maps, other.maps)
    double = explainer.with_net(deepcopy(explainer.net).double())
    return apart(_signed(explainer)(batch, wanted).maps, _signed(double)(batch.double(), wanted).maps)


def _share(difference: Maps, of: Maps) -> float:
    axes = tuple(range(2 if of.ndim > 2 else 1, of.ndim))
    most, size = abs(difference).max(axis=axes), abs(of).max(axis=axes)
    if not np.isfinite(most).all():
        return float("inf")
    return float(np.where(most > 0, most / np.where(size > 0, size, np.finfo(np.float64).tiny), 0).max(initial=0))


def _signed(explainer: Explainer) -> Explainer:
    signed = copy(explainer)
    signed.signed = True
    return signed
