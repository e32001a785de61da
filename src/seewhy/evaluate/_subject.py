"""One explanation under check, and the passes that are made to see what becomes of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from seewhy.catalog import NamedMethod
from seewhy.compare import Asked, Comparer, named
from seewhy.errors import InputError, LayerError, OutputError
from seewhy.evaluate._findings import CONTROL
from seewhy.evaluate._passes import asked_of_copy, drawn_anew, same_again, with_images
from seewhy.explain import Explainer
from seewhy.explanation import Explanation
from seewhy.inputs import Inputs
from seewhy.maps import to_numpy
from seewhy.types import Capture, Maps, method

PEERS = ("grad-cam", "grad-cam-plus-plus", "hires-cam", "layer-cam")
"""Whom a map is compared with: methods that ask for the class, at the cost of one pass for all of them."""
CONTROLS = 4
"""RandomCAMs, each with a seed of its own."""


@dataclass(frozen=True)
class Subject:
    """What is checked, and what the first passes told: all methods that look at the layer share one of them."""

    explainer: Explainer
    method: NamedMethod
    inputs: Inputs
    image: npt.NDArray[np.float32]
    """The model's input, (c, h, w)."""
    main: Explanation
    peers: Mapping[str, Explanation]
    controls: tuple[Explanation, ...]
    slope: float | None
    """How much the score moves with the layer: the sum of |G A| over all of it; None where it cannot be asked."""
    lonely: str = ""
    """Why there are no peers and no slope: what was wrong when they were asked."""

    @property
    def target(self) -> Any:
        """The same target again, whatever other passes predict."""
        [[bound]] = self.main.targets
        return same_again(bound)

    @property
    def probability(self) -> float | None:
        return next(iter(probabilities(self.main)), None)

    def shuffled(self, share: float, seed: int) -> list[Explanation] | None:
        """The method and the controls asked of a copy of the model that has this share of its layers shuffled.

        None where its scores or maps are not finite. Raises InputError where the model cannot be copied.
        """
        copy = drawn_anew(self.explainer, share, seed)
        return asked_of_copy(copy, self.inputs, self.target, [self.method, *_controls()])

    def disturbed(self, images: npt.NDArray[np.float32]) -> Explanation:
        """The method asked of other images (m, c, h, w), in one batch."""
        inputs = with_images(self.explainer, self.inputs, images)
        [[found]] = self.explainer.ask_prepared(inputs, [self.target] * len(images), [self.method])
        return found


def subject(model: Any, image: Any, target: Any, asked: Asked, layer: Any, ways: Mapping[str, Any]) -> Subject:
    """Look at one image for one target; InputError for more of them, or for what is no image (h, w)."""
    if layer == "all" or isinstance(layer, list | tuple):
        raise InputError(f"one map is checked, so one layer is expected, got layer={layer!r}")
    [method] = named([asked])
    peers = [name for name in PEERS if name != method.name]
    comparer = Comparer(model, [asked, *peers], layer, **ways)
    comparer.check(target)
    explainer = comparer.explainer
    inputs = explainer.prepare(image)
    n, space = explainer.adapter.size(inputs.placed)
    if n != 1 or len(space) != 2:
        raise InputError(f"one map is checked, so one image (h, w) is expected, got {n} with the spatial axes {space}")
    methods, others, lonely = [method, *_controls()], named([*peers, _slope]), ""
    try:
        found = explainer.ask_prepared(inputs, target, [*methods, *others])
    except (LayerError, OutputError) as error:  # others take a gradient, which there need not be
        found, peers, lonely = explainer.ask_prepared(inputs, target, methods), [], str(error)
    main, *parts = (part for [part] in found)
    if main.blank.size != 1:
        raise InputError(f"one map is checked, so one target is expected, got {', '.join(main.labels[0])}")
    return Subject(
        explainer=explainer,
        method=method,
        inputs=inputs,
        image=np.asarray(explainer.adapter.pictures(inputs.placed)(0), np.float32),
        main=main,
        peers=dict(zip(peers, parts[CONTROLS:], strict=False)),
        controls=tuple(parts[:CONTROLS]),
        slope=None if lonely else float(to_numpy(parts[-1].maps).sum(dtype=np.float64)),
        lonely=lonely,
    )


def _controls() -> list[NamedMethod]:
    return named([(CONTROL, {"seed": seed}) for seed in range(CONTROLS)])


@method(paper="", gradients=True)
def _slope(capture: Capture) -> Maps:
    """How much each position moves the score, of whichever sign: sum over c of |G_c A_c|."""
    xp = array_namespace(capture.activations)
    return xp.sum(xp.abs(capture.gradients * capture.activations[:, None, ...]), axis=2)


def evidence(explanation: Explanation, i: int = 0) -> npt.NDArray[np.float64]:
    """The map of an image as NumPy, (h, w)."""
    return np.asarray(to_numpy(explanation.maps[i, 0]), np.float64)


def probabilities(explanation: Explanation) -> list[float]:
    """That of the target in each image; none where the target is no class."""
    index = explanation.targets[0][0].index
    if index is None or explanation.probabilities is None:
        return []
    return [float(p) for p in explanation.probabilities[:, index]]
