"""Infidelity."""

from functools import partial

import numpy as np
import numpy.typing as npt

from seewhy.errors import InputError
from seewhy.measure import Case, Metric, mean_of, metric
from seewhy.metrics._variants import Images, answers
from seewhy.options import check_count


@metric(paper="Yeh et al. 2019, arXiv:1901.09392", better="lower", passes=100)
def infidelity(
    *,
    samples: int = 100,
    perturbation: str = "square",
    side: int | None = None,
    std: float = 0.2,
    normalise: bool = True,
) -> Metric:
    """How far the map is from foretelling what a perturbation does to the score.

        E over I of (b I . L - (f(X) - f(X - I)))^2, the mean over photos

    Yeh, Hsieh, Suggala, Inouye, Ravikumar: On the (In)fidelity and Sensitivity of Explanations, NeurIPS 2019. f is the
    explained score. b is the factor by which the map foretells best, E[I.L (f(X) - f(X - I))] / E[(I.L)^2]: the
    authors' code scales so, since maps have units of their own; normalise=False leaves it at 1.

    perturbation="square": a square of zeros on the photo, of `side` pixels along each axis (an eighth of the shortest
    axis unless told), wholly inside, at a place drawn by chance. I . L is the evidence in the square: the map is read
    as each pixel's share of the score, not as a gradient. perturbation="noise": I is normal noise of standard deviation
    `std` in every channel, in the units of the model's input, and I . L takes the map for all channels alike, as a
    gradient.

    0 is best; in units of the score, squared, so compare only methods on the same photos and model. A blank map
    foretells no change at all, and gets the mean square of the changes: with normalise=True no map gets more. What is
    drawn depends on the photo's seed alone. Takes positions on any number of axes. Raises InputError for options out of
    range.

    >>> import numpy as np
    >>> infidelity(samples=10).compute(np.asarray([0.5, 2.0]))
    0.25
    """
    check_count("samples", samples)
    if perturbation not in ("square", "noise"):
        raise InputError(f"expected perturbation='square' or 'noise', got {perturbation!r}")
    if side is not None:
        check_count("side", side)
    if isinstance(std, bool) or not isinstance(std, int | float) or not 0 < std < float("inf"):
        raise InputError(f"expected std= as a number above 0, got {std!r}")
    if not isinstance(normalise, bool):
        raise InputError(f"expected normalise=True or False, got {normalise!r}")
    if perturbation == "square":
        return mean_of(partial(_squares, samples, side, normalise))
    return mean_of(partial(_noise, samples, std, normalise))


def _squares(samples: int, side: int | None, normalise: bool, case: Case) -> float:
    size = case.evidence.shape
    sides = [min(side if side is not None else max(min(size) // 8, 1), length) for length in size]
    random = np.random.default_rng(case.seed)
    starts = random.integers(
        0, [length - one for length, one in zip(size, sides, strict=True)], (samples, len(size)), endpoint=True
    )
    said = _sums(case.evidence, sides)[tuple(starts.T)]

    def covered(part: slice) -> Images:
        inside = np.ones((part.stop - part.start, *size), np.bool_)
        for axis, (length, one) in enumerate(zip(size, sides, strict=True)):
            apart = np.arange(length) - starts[part, axis, None]
            row = (apart >= 0) & (apart < one)  # (m, length)
            inside &= row.reshape(-1, *(length if other == axis else 1 for other in range(len(size))))
        return np.where(inside[:, None], np.float32(0), case.image)

    return _error(said, case.score - answers(case, samples, covered, "score"), normalise)


def _noise(samples: int, std: float, normalise: bool, case: Case) -> float:
    random = np.random.default_rng(case.seed)
    said: list[npt.NDArray[np.float64]] = []

    def shaken(part: slice) -> Images:
        noise = random.standard_normal((part.stop - part.start, *case.image.shape), np.float32) * np.float32(std)
        said.append(noise.sum(axis=1).reshape(len(noise), -1).astype(np.float64) @ case.evidence.ravel())
        return case.image - noise

    lost = case.score - answers(case, samples, shaken, "score")
    return _error(np.concatenate(said), lost, normalise)


def _sums(evidence: npt.NDArray[np.float32], sides: list[int]) -> npt.NDArray[np.float64]:
    """The evidence in each square of these sides, by where it starts: summed along one axis after the other."""
    sums = evidence.astype(np.float64)
    for axis, side in enumerate(sides):
        sums = np.lib.stride_tricks.sliding_window_view(sums, side, axis=axis).sum(axis=-1)
    return sums


def _error(said: npt.NDArray[np.float64], lost: npt.NDArray[np.float64], normalise: bool) -> float:
    power = float(said @ said)
    factor = 1.0 if not normalise else float(said @ lost) / power if power > 0 else 0.0
    return float(np.mean((factor * said - lost) ** 2))
