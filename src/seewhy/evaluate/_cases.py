"""From a photo to the cases that metrics measure: one for each method and target."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from seewhy.catalog import NamedMethod
from seewhy.errors import SeewhyError
from seewhy.evaluate._model import AskedModel, ask_model
from seewhy.explain import Explainer
from seewhy.explanation import Explanation
from seewhy.inputs import Inputs
from seewhy.maps import to_numpy, upsample
from seewhy.measure import Case, Need, Truth
from seewhy.preprocess import Geometry
from seewhy.targets._forms import as_target
from seewhy.types import Target
from seewhy.view import View

SHARES = (1 / 3, 2 / 3, 1.0)
"""How much of the weights is drawn anew, from the top down, for the metrics of randomisation."""
OTHERS = 2
"""To how many other classes, the best after the asked one, a map is held."""


@dataclass
class Setting:
    """What stays the same from photo to photo."""

    explainer: Explainer
    methods: Sequence[NamedMethod]
    needs: frozenset[Need]
    memory: float
    seed: int = 0
    randomised: list[Explainer] = field(default_factory=list)

    def prepare(self) -> None:
        """Make the models with weights drawn anew, where a metric wants them."""
        if "randomised" in self.needs and not self.randomised:
            adapter, net = self.explainer.adapter, self.explainer.net
            self.randomised = [self.explainer.with_net(adapter.randomised(net, share, self.seed)) for share in SHARES]


@dataclass(frozen=True)
class Prepared:
    """A photo that is ready to be explained, and what is asked of it."""

    name: str
    inputs: Inputs
    target: Target
    truth: Truth | None = None
    seed: int = 0


def cases(setting: Setting, photo: Prepared) -> Iterator[tuple[NamedMethod, Case | SeewhyError]]:
    """The case of each method; an error in place of one that could not explain the photo."""
    explainer, inputs = setting.explainer, photo.inputs
    model = ask_model(explainer, inputs, photo.target, setting.memory)
    asked = [as_target(target.index if target.index is not None else target.score) for target in model.targets]
    others = _others(model, explainer) if "scores of classes" in setting.needs else []
    for method in setting.methods:
        try:
            start = time.perf_counter()
            [[found]] = explainer.ask_prepared(inputs, [asked], [method])
            seconds = time.perf_counter() - start
            yield method, _case(setting, photo, model, method, found, seconds, asked[0], others)
        except SeewhyError as error:
            yield method, error


def _case(
    setting: Setting, photo: Prepared, model: AskedModel, method: NamedMethod, found: Explanation, seconds: float,
    asked: Target, others: Sequence[int],
) -> Case:  # fmt: skip
    target, explainer, space = model.targets[0], setting.explainer, model.image.shape[1:]

    def evidence(by: Explainer, question: Any) -> tuple[npt.NDArray[np.float32], ...]:
        [[explained]] = by.ask_prepared(photo.inputs, [question], [method])
        return tuple(laid(explained, space)[0])

    score = float(to_numpy(found.scores)[0, 0])
    known = found.probabilities is not None and target.index is not None
    randomised = [evidence(drawn, [asked])[0] for drawn in setting.randomised]
    return Case(
        evidence=laid(found, space)[0, 0],
        heatmap=found.heatmap(0, 0),
        image=model.image,
        probability=float(found.probabilities[0, target.index]) if known else score,  # type: ignore[index]
        score=score,
        model=model.about(0),
        index=target.index,
        explain=_Explain(explainer, photo.inputs, method, asked) if "explain" in setting.needs else None,
        truth=photo.truth,
        randomised=tuple(randomised),
        others=evidence(explainer, list(others)) if others else (),
        seconds=seconds,
        seed=photo.seed,
    )


def laid(found: Explanation, space: Sequence[int]) -> npt.NDArray[np.float32]:
    """The maps (n, k, *s) laid on the model's input: (n, k, *space)."""
    maps = np.asarray(to_numpy(found.maps), np.float64)
    return np.asarray(maps if maps.shape[2:] == tuple(space) else upsample(maps, tuple(space)), np.float32)


def _others(model: AskedModel, explainer: Explainer) -> list[int]:
    classes = model.capture.classes
    if classes is None:
        return []
    best = np.argsort(-classes[0], kind="stable")
    return [int(i) for i in best if i != model.targets[0].index][:OTHERS]


@dataclass(frozen=True)
class _Explain:
    """The same method and target for other images."""

    explainer: Explainer
    inputs: Inputs
    method: NamedMethod
    target: Target

    def __call__(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        adapter, net = self.explainer.adapter, self.explainer.net
        m, space = len(images), images.shape[2:]
        placed = adapter.vary(net, self.inputs.placed, np.asarray(images, np.float32), np.zeros(m, np.intp))
        whole = Geometry(tuple(space), tuple((0.0, float(length)) for length in space))
        inputs = Inputs(placed, (View(whole, None),) * m, True)
        [[found]] = self.explainer.ask_prepared(inputs, [[self.target]] * m, [self.method])
        return laid(found, space)[:, 0]
