"""Random subsets of the pixels set to zero: what the map says of them, and what the model does."""

import numpy as np
import numpy.typing as npt

from seewhy.measure import Case
from seewhy.metrics._correlation import pearson
from seewhy.metrics._variants import Images, Mask, answers, mixed


def subset_correlation(case: Case, count: int, subsets: int, random: np.random.Generator) -> float:
    """Over random subsets of `count` pixels: the evidence in them against what the score loses without them."""
    evidence = case.evidence.ravel().astype(np.float64)
    said: list[npt.NDArray[np.float64]] = []

    def without(part: slice) -> Images:
        chosen = choose(random, evidence.size, count, part.stop - part.start)
        said.append(evidence[np.nonzero(chosen)[1].reshape(-1, count)].sum(axis=1))
        return mixed(~chosen.reshape(-1, *case.evidence.shape), case.image, 0.0)

    lost = case.score - answers(case, subsets, without, "score")
    return pearson(lost, np.concatenate(said))


def choose(random: np.random.Generator, pixels: int, count: int, total: int) -> Mask:
    """`total` random subsets of `count` pixels each: (total, pixels); the same ones in chunks as at once.

    >>> choose(np.random.default_rng(0), 5, 2, 3).sum(axis=1).tolist()
    [2, 2, 2]
    """
    drawn = random.random((total, pixels), np.float32)
    chosen = np.zeros((total, pixels), np.bool_)
    np.put_along_axis(chosen, np.argpartition(drawn, count - 1, axis=1)[:, :count], True, axis=1)
    return chosen
