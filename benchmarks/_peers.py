"""What the comparisons with peers share: likely classes, equal maps before the clock, and how far noise goes."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from _timing import Seconds, Spread, ratio

Maps = npt.NDArray[np.float64]
"""Maps of several images, the last two axes those of a map."""


def likely_classes(outputs: npt.NDArray[np.float32], count: int) -> tuple[int, ...]:
    """Classes of high scores (n, classes): for an unlikely one the map can be blank, and blank maps prove nothing."""
    best: list[int] = np.argsort(-outputs.mean(axis=0))[:count].tolist()
    return tuple(best)


def assert_same_maps(maps: Mapping[str, Maps]) -> None:
    """Stop unless all gave the first one's maps, each within 1e-4 of its peak."""
    (first, expected), *others = maps.items()
    peaks = expected.max(axis=(-2, -1), keepdims=True)
    if not (peaks > 0).all():
        raise SystemExit(f"a map of {first} is blank: equal maps would prove nothing; choose other classes")
    for name, seen in others:
        apart = float((abs(seen - expected) / peaks).max()) if seen.shape == expected.shape else float("inf")
        if not apart <= 1e-4:
            raise SystemExit(f"{name} and {first} differ by {apart:.1e} of the peak: not the same work, not timed")


def timings(seconds: Seconds, name: str, base: str) -> tuple[str, str]:
    """Two cells of a table: milliseconds, and the ratio to `base`."""
    return f"{1e3 * float(np.median(seconds[name])):.1f}", ratio(seconds, name, base).text()


def noise(base: str, again: Sequence[Spread]) -> str:
    """How far `base` is from itself: nothing smaller can be seen."""
    apart = max(max(1 - seen.low, seen.high - 1) for seen in again)
    text = f"Noise: {base} against itself in the same round, {', '.join(seen.text() for seen in again)}."
    return text if apart <= 0.1 else f"**Too noisy to trust: run it again on an idle machine.** {text}"
