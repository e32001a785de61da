"""From a photo to the cases that metrics measure: one for each method and target."""

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seewhy.catalog import NamedMethod
from seewhy.evaluate._model import AskedModel
from seewhy.evaluate._passes import asked_of_copy, drawn_anew, with_images
from seewhy.explain import Explainer
from seewhy.explanation import Explanation
from seewhy.inputs import Inputs
from seewhy.maps import to_numpy, upsample
from seewhy.measure import Case, Need, Truth
from seewhy.stream import rows_within, slices

SHARES = (1 / 3, 2 / 3, 1.0)
"""How much of the weights is drawn anew, from the top down, for the metrics of randomisation."""
OTHERS = 2
"""To how many other classes, the best after the asked one, a map is held."""


@dataclass(frozen=True)
class Setting:
    """What stays the same from photo to photo."""

    explainer: Explainer
    methods: Sequence[NamedMethod]
    memory: float | None = None
    """In MiB, what is shown to the model at once; None: what suits the device."""
    seed: int = 0
    randomised: tuple[Explainer, ...] = ()
    """For models whose weights were drawn anew, more and more; none where no metric wants them."""


def randomised(explainer: Explainer, seed: int) -> tuple[Explainer, ...]:
    """The explainer for copies of the model with weights drawn anew; InputError where it cannot be copied."""
    return tuple(drawn_anew(explainer, share, seed) for share in SHARES)


@dataclass(frozen=True)
class Prepared:
    """A photo that is ready to be explained, and what is asked of it."""

    name: str
    inputs: Inputs
    model: AskedModel
    truth: Truth | None = None
    seed: int = 0


def cases(setting: Setting, photo: Prepared, needs: Collection[Need]) -> Iterator[tuple[NamedMethod, Case | Exception]]:
    """The case of each method, with what is needed; an error in place of one that could not explain the photo."""
    for method in setting.methods:
        try:
            yield method, _case(setting, photo, method, needs)
        except Exception as error:  # a method of somebody's own may raise what it likes
            yield method, error


def _case(setting: Setting, photo: Prepared, method: NamedMethod, needs: Collection[Need]) -> Case:
    model, explainer = photo.model, setting.explainer
    space = model.image.shape[1:]

    def explained(by: Explainer, targets: Sequence[Any]) -> Explanation:
        [[found]] = by.ask_prepared(photo.inputs, [targets], [method])
        return found

    start = time.perf_counter()
    found = explained(explainer, [model.asked])
    seconds = time.perf_counter() - start
    drawn = []
    for by in setting.randomised if "randomised" in needs else ():
        if (by_copy := asked_of_copy(by, photo.inputs, [[model.asked]], [method])) is not None:  # else it says nothing
            drawn.append(laid(by_copy[0], space)[0, 0])
    others = model.others(OTHERS) if "scores of classes" in needs else []
    score, probability = model.clean
    return Case(
        evidence=laid(found, space)[0, 0],
        heatmap=found.heatmap(0, 0),
        image=model.image,
        probability=probability,
        score=score,
        model=model,
        index=model.target.index,
        explain=_Explain(explainer, photo.inputs, method, model) if "explain" in needs else None,
        truth=photo.truth,
        randomised=tuple(drawn),
        # each class at the place where the asked one is in its own call: what is drawn by chance is drawn alike
        others=tuple(laid(explained(explainer, [other]), space)[0, 0] for other in others),
        seconds=seconds,
        seed=photo.seed,
    )


def laid(found: Explanation, space: Sequence[int]) -> npt.NDArray[np.float32]:
    """The maps (n, k, *s) laid on the model's input: (n, k, *space)."""
    maps = np.asarray(to_numpy(found.maps), np.float64)
    return np.asarray(maps if maps.shape[2:] == tuple(space) else upsample(maps, tuple(space)), np.float32)


@dataclass(frozen=True)
class _Explain:
    """The same method and target for other images, within the memory that the model may take."""

    explainer: Explainer
    inputs: Inputs
    method: NamedMethod
    model: AskedModel

    def __call__(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        size = rows_within(self.model.memory, self.model.image.nbytes)
        parts = [self._evidence(np.asarray(images[part], np.float32)) for part in slices(len(images), size)]
        return np.concatenate([np.zeros((0, *images.shape[2:]), np.float32), *parts])

    def _evidence(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        inputs = with_images(self.explainer, self.inputs, images)
        [[found]] = self.explainer.ask_prepared(inputs, [[self.model.asked]] * len(images), [self.method])
        return laid(found, images.shape[2:])[:, 0]
