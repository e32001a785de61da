"""The words of measuring an explanation: a case, what a metric makes of it, and how shards add up."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from seewhy.maps import Box

Array: TypeAlias = npt.NDArray[Any]
Sums: TypeAlias = npt.NDArray[np.float64]
"""What a metric keeps of the cases it has seen: sums that are added up, over cases and over shards alike."""

Need: TypeAlias = Literal["class", "truth", "grid", "explain", "randomised", "scores of classes", "image"]
"""What a metric needs beside a map: a target that is one "class" (it has a probability); the "truth" about where the
object is; a photo of four in a "grid"; other images to be explained alike, "explain"; the model with "randomised"
weights; the maps of other classes, "scores of classes"; a model input that is an "image" (h, w)."""

Asked: TypeAlias = Literal["probability", "score"]
Better: TypeAlias = Literal["higher", "lower", "nearest 0", "neither"]
"""Which numbers are better; "nearest 0": of those on both sides the closest."""


@runtime_checkable
class Model(Protocol):
    """The model as a metric may ask it about one photo's target; images are what the model takes, channels first."""

    def __call__(self, images: npt.NDArray[np.float32], asked: Asked = "probability") -> npt.NDArray[np.float64]:
        """The target's probability, or its explained score, in each of m changed images (m, c, *s): (m,).

        Passes are made in batches of bounded memory. A target that is no class has no probability: its score then.
        """


@dataclass(frozen=True)
class Truth:
    """Where the object is, on the photo's own pixels."""

    boxes: tuple[Box, ...]
    mask: npt.NDArray[np.bool_] | None = None
    """(H, W), where it is known to the pixel."""


@dataclass(frozen=True)
class Case:
    """One map of one photo for one target, and what it can be held against. Arrays are NumPy's."""

    evidence: npt.NDArray[np.float32]
    """The rectified raw map, laid on the model's input: (*s), 0 or more; all zeros where it is blank."""
    heatmap: npt.NDArray[np.float32]
    """The map in [0, 1] on the photo's own pixels, (H, W)."""
    image: npt.NDArray[np.float32]
    """The model's input, (c, *s)."""
    probability: float
    """Of the target in the photo as it is; its score where it is no class."""
    score: float
    model: Model
    index: int | None = None
    """The class that it is about."""
    explain: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]] | None = None
    """The same method and target for m other images (m, c, *s): their `evidence`, (m, *s)."""
    truth: Truth | None = None
    randomised: tuple[npt.NDArray[np.float32], ...] = ()
    """The evidence in the same photo for the model whose weights were drawn anew, more and more from the top down."""
    others: tuple[npt.NDArray[np.float32], ...] = ()
    """The evidence in the same photo for other classes."""
    seconds: float = 0.0
    """What the explanation took."""
    seed: int = 0
    """For what a metric draws by chance: the same for all methods, another for each photo."""


@dataclass(frozen=True)
class Metric:
    """A measure of maps: each case gives sums, sums are added, and the sum of all gives the value.

    A photo that is explained for several classes gives the mean of their sums, so `compute` should make the same of
    sums that are all twice as large, as a ratio does. The mean of one number for each case is `mean_of`.

    >>> strongest = Metric(lambda case: np.asarray([case.evidence.max(), 1.0]), lambda sums: sums[0] / sums[1])
    >>> float(strongest.compute(np.asarray([6.0, 3.0])))
    2.0
    """

    update: Callable[[Case], Sums]
    """From one case to its sums, an array of one axis, as long for every case."""
    compute: Callable[[Sums], float]
    """From the sums of all cases to the number of the table."""
    better: Better | None = None
    """The direction, where options make it another than the one that was declared."""


def mean_of(value: Callable[[Case], float], better: Better | None = None) -> Metric:
    """The metric that is the mean of a number for each case; NaN cases (the metric says nothing there) do not count.

    >>> metric = mean_of(lambda case: case.score)
    >>> metric.compute(np.asarray([6.0, 3.0]))
    2.0
    """
    return Metric(partial(_counted, value), _ratio, better)


def _counted(value: Callable[[Case], float], case: Case) -> Sums:
    found = value(case)
    return np.asarray([0.0, 0.0] if np.isnan(found) else [found, 1.0])


def _ratio(sums: Sums) -> float:
    return float(sums[0] / sums[1]) if sums[1] else float("nan")


_MetricT = TypeVar("_MetricT", bound=Callable[..., Metric])


@dataclass(frozen=True)
class MetricInfo:
    """What a metric says of itself beside its docstring."""

    paper: str = ""
    better: Better = "neither"
    needs: tuple[Need, ...] = ()
    passes: int = 0
    """About how many images it shows the model for one case, with its defaults."""


def metric(
    *,
    paper: str,
    better: Better,
    needs: tuple[Need, ...] = (),
    passes: int = 0,
) -> Callable[[_MetricT], _MetricT]:
    """Declare a function of options to make a metric: its source, its direction, what it needs and what it costs."""

    def declare(function: _MetricT) -> _MetricT:
        function.__dict__["metric_info"] = MetricInfo(paper, better, needs, passes)
        return function

    return declare


def metric_info(function: Callable[..., Metric]) -> MetricInfo:
    """What `metric` declared; a bare function is taken to need a map alone."""
    info = getattr(function, "metric_info", None)
    return info if isinstance(info, MetricInfo) else MetricInfo()
