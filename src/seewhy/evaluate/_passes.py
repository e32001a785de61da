"""What is asked beside a first explanation: the same of other images, and of a copy of the model."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seewhy.catalog import NamedMethod
from seewhy.errors import OutputError
from seewhy.explain import Explainer
from seewhy.explanation import Explanation
from seewhy.inputs import Inputs
from seewhy.preprocess import Geometry
from seewhy.targets._forms import as_target
from seewhy.types import BoundTarget, Target
from seewhy.view import View


def same_again(bound: BoundTarget) -> Target:
    """The same target, whatever other passes predict."""
    return as_target(bound.score if bound.index is None else bound.index)


def with_images(explainer: Explainer, inputs: Inputs, images: npt.NDArray[np.float32]) -> Inputs:
    """One image's inputs with others (m, c, *s) in its place, each of which is a photo of its own."""
    m, space = len(images), images.shape[2:]
    placed = explainer.adapter.vary(explainer.net, inputs.placed, images, np.zeros(m, np.intp))
    whole = Geometry(tuple(space), tuple((0.0, float(length)) for length in space))
    return Inputs(placed, (View(whole, None),) * m, True)


def drawn_anew(explainer: Explainer, share: float, seed: int) -> Explainer:
    """The explainer of a copy of the model with this share of its layers shuffled; InputError where that cannot be."""
    return explainer.with_net(explainer.adapter.randomised(explainer.net, share, seed))


def asked_of_copy(
    copy: Explainer, inputs: Inputs, target: Any, methods: Sequence[NamedMethod]
) -> list[Explanation] | None:
    """What each method gives for a copy of the model with weights drawn by chance; None where its scores overflow."""
    try:
        return [found for [found] in copy.ask_prepared(inputs, target, methods)]
    except OutputError:
        return None
