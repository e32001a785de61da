"""How long a run is likely to take, before it starts."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from seewhy.evaluate._cases import OTHERS, SHARES, Prepared, Setting, cases
from seewhy.evaluate._columns import Column
from seewhy.evaluate._jobs import Job
from seewhy.measure import Asked, Case

Images = npt.NDArray[np.float32]


@dataclass
class Work:
    """What a metric does for one map. It is also a model, and a way to explain, that only counts."""

    images: int = 0
    """How many it shows the model."""
    explained: int = 0
    """How many it has explained."""
    seconds: float = 0.0
    """What it takes beside."""

    def __call__(self, images: Images, asked: Asked = "probability") -> npt.NDArray[np.float64]:
        self.images += len(images)
        return np.zeros(len(images))

    def explain(self, images: Images) -> Images:
        self.explained += len(images)
        return np.zeros((len(images), *images.shape[2:]), np.float32)


def estimate(setting: Setting, first: Prepared | None, jobs: Sequence[Job]) -> float:
    """Seconds that these jobs are likely to take.

    An explanation by each method and some passes are timed, and each metric is made once of a map, with a model that
    only counts.
    """
    if first is None:
        return 0.0
    start = time.perf_counter()
    made = [case for _, case in cases(setting, first, ()) if isinstance(case, Case)]
    explanation = time.perf_counter() - start
    images = np.repeat(first.model.image[None], 4, axis=0)
    start = time.perf_counter()
    first.model(images)
    one_pass = (time.perf_counter() - start) / len(images)
    columns = {c.title: c for job in jobs for c in job.columns}
    works = {title: work_of(c, made[-1]) for title, c in columns.items()} if made else {}
    methods = len(setting.methods)
    return sum(job.targets * cost(job.columns, works, explanation, one_pass, methods) for job in jobs)


def work_of(column: Column, case: Case) -> Work:
    """What a metric does for a map like this one; what it says of itself, where it cannot be made of zeros."""
    work = Work()
    start = time.perf_counter()
    try:
        column.metric.update(replace(case, model=work, explain=work.explain, probability=0.5))
    except Exception:  # it needs what is not made for an estimate, or cannot take zeros
        explains = "explain" in column.info.needs
        return Work(0 if explains else column.info.passes, column.info.passes if explains else 0)
    work.seconds = time.perf_counter() - start
    return work


def cost(
    columns: Sequence[Column], works: Mapping[str, Work], explanation: float, one_pass: float, methods: int = 1
) -> float:
    """Seconds for a photo: `explanation` is that of all methods together, `one_pass` that of one image."""
    needs = {need for c in columns for need in c.info.needs}
    does = [works.get(c.title, Work()) for c in columns]
    explanations = 1 + len(SHARES) * ("randomised" in needs) + OTHERS * ("scores of classes" in needs)
    explanations += sum(work.explained for work in does)
    return explanations * explanation + methods * sum(work.images * one_pass + work.seconds for work in does)
