"""ROAD: remove and debias."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from seewhy.errors import InputError
from seewhy.measure import Better, Case, Metric, mean_of, metric
from seewhy.metrics._imputation import imputed
from seewhy.metrics._variants import Images, Mask, answers, ranks

ORDERS = ("morf", "lerf")
BETTER: dict[str, Better] = {"combined": "higher", "morf": "lower", "lerf": "higher"}
NOISE = 0.01
"""Standard deviation of the noise on what is made up, in the units of the model's input, as in the authors' code."""
PERCENTILES = (10, 20, 30, 40, 50, 60, 70, 80, 90)


@metric(paper="Rong et al. 2022, arXiv:2202.00449", better="higher", needs=("class", "image"), passes=18)
def road(*, order: str = "combined", percentiles: Sequence[float] = PERCENTILES) -> Metric:
    """How much more of the class's probability is left without the weakest pixels than without the strongest.

        morf:      mean over q of f(X with its strongest q % of pixels imputed) - f(X)
        lerf:      mean over q of f(X with its weakest q % of pixels imputed) - f(X)
        combined:  (lerf - morf) / 2, the mean over photos

    Rong, Leemann, Borisov, Kasneci, Kasneci: A Consistent and Efficient Evaluation Strategy for Attribution Methods,
    ICML 2022; most and least relevant first are theirs, combined is pytorch-grad-cam's. Pixels that are taken away are
    made up from their neighbours, by one linear system and with noise of 0.01, so that the shape of what is missing
    gives nothing away (noisy linear imputation). f is the target's probability; the paper counts right answers,
    pytorch-grad-cam takes the score.

    combined is from -0.5 to 0.5, morf and lerf are from -1 to 1; higher is better, for morf lower. Of pixels of equal
    evidence the first in reading order is the stronger one; a blank map is so taken for one that fades from top to
    bottom. The noise depends on the photo's seed, the order and the number of pixels alone, so combined is made of what
    morf and lerf give by themselves. Twice as many passes as percentiles, once for morf or lerf. Raises InputError for
    options out of range.

    >>> import numpy as np
    >>> road(percentiles=(20, 40)).compute(np.asarray([0.5, 2.0]))
    0.25
    """
    if order not in BETTER:
        raise InputError(f"expected order= as one of {', '.join(map(repr, BETTER))}, got {order!r}")
    if isinstance(percentiles, str) or not isinstance(percentiles, Sequence) or not len(percentiles):
        raise InputError(
            f"expected percentiles= as numbers between 0 and 100, such as (10, 50, 90), got {percentiles!r}"
        )
    for one in percentiles:
        if isinstance(one, bool) or not isinstance(one, int | float) or not 0 < one < 100:
            raise InputError(f"expected percentiles= between 0 and 100, where something is left and taken, got {one!r}")
    return mean_of(partial(_road, order, tuple(percentiles)), BETTER[order])


def _road(order: str, percentiles: tuple[float, ...], case: Case) -> float:
    if order == "combined":
        return (_road("lerf", percentiles, case) - _road("morf", percentiles, case)) / 2
    rank = ranks(case.evidence)
    pixels = rank.size
    counts = [min(round(one / 100 * pixels), pixels - 1) for one in percentiles]

    def fill(count: int) -> Images:
        return _noisy(case, rank < count if order == "morf" else rank >= pixels - count, (ORDERS.index(order), count))

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # the solver lets other threads run
        left = answers(case, len(counts), lambda part: np.stack([*pool.map(fill, counts[part])]))
    return float(left.mean()) - case.probability


def _noisy(case: Case, missing: Mask, number: tuple[int, int]) -> Images:
    random = np.random.default_rng((case.seed, *number))
    noise = random.standard_normal(case.image.shape, np.float32) * np.float32(NOISE)
    return imputed(case.image, missing) + np.where(missing, noise, np.float32(0))
