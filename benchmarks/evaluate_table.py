"""How long a whole table of `seewhy.evaluate` takes: ten methods by twelve metrics on eight photos, by lite0.

    python benchmarks/evaluate_table.py [--photos 8] [--device cuda] [--quick]

One run, by the clock on the wall, with RandomCAM and the image's centre as everywhere; beside it the estimate that was
told before the work began. Where the time goes is measured in the same run: the seconds in each metric, and those in
making what it measures.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import skimage
from _timing import Wish, publish, table, wishes_table
from _torch import is_cuda, options, where

import seewhy
from seewhy.allocation import keep_freed_memory
from seewhy.evaluate import run
from seewhy.evaluate._showing import counted
from seewhy.evaluate.table import Table

METHODS: tuple[Any, ...] = (
    "grad-cam",
    "grad-cam-plus-plus",
    "hires-cam",
    "layer-cam",
    "xgrad-cam",
    "eigen-cam",
    "ablation-cam",
    ("score-cam", {"channels": 32}),
    "smooth-grad",
    "integrated-gradients",
)
"""Those that are measured unless told, the quick Score-CAM, and two at the pixels."""
METRICS = tuple(name for name in run.METRICS if name != "seconds")
"""Those that are measured unless told, with their defaults: insertion and deletion by RISE's full protocol."""
PHOTOS = (
    "astronaut.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "hubble_deep_field.jpg",
    "motorcycle_left.png",
    "rocket.jpg",
)
"""Photographs that come in scikit-image's wheel."""
MINUTES = 10
"""What "in minutes" is taken to be."""


@dataclass(frozen=True)
class Timed:
    found: Table
    seconds: float
    told: float
    parts: Counter[str]
    """Seconds, by what they went into."""


@contextmanager
def clocked() -> Iterator[Counter[str]]:
    """Where the seconds of a run go: those of each metric, and of making each method's case."""
    parts: Counter[str] = Counter()
    sums, cases = run._sums, run.cases

    def timed_sums(column: Any, case: Any) -> Any:
        start = perf_counter()
        try:
            return sums(column, case)
        finally:
            parts[f"metric: {column.name}"] += perf_counter() - start

    def timed_cases(setting: Any, photo: Any, needs: Any) -> Iterator[Any]:
        made = cases(setting, photo, needs)
        while True:
            start = perf_counter()
            one = next(made, None)
            if one is None:
                return
            parts[f"method: {one[0].name}"] += perf_counter() - start
            yield one

    run._sums, run.cases = timed_sums, timed_cases
    try:
        yield parts
    finally:
        run._sums, run.cases = sums, cases


QUICK = [(name, {"step": 3584}) if name in ("insertion", "deletion") else name for name in METRICS]
"""For a quick look: curves in 14 steps."""


def measure(photos: int, device: str, quick: bool) -> Timed:
    files = [Path(skimage.__file__).parent / "data" / name for name in PHOTOS[:photos]]
    model = seewhy.load("lite0", device=device)
    told: list[float] = []
    start = perf_counter()
    with clocked() as parts:
        found = seewhy.evaluate(
            model,
            files,
            methods=METHODS[:2] if quick else METHODS,
            metrics=[one for one in (QUICK if quick else METRICS) if photos >= 4 or one != "grid-pointing-game"],
            told=lambda _, seconds: told.append(seconds),
        )
    return Timed(found, perf_counter() - start, told[0], parts)


def report(timed: Timed, photos: int, machine: str) -> str:
    methods, metrics = len(timed.found.methods) - len(timed.found.controls), len(timed.found.metrics)
    minutes, told = timed.seconds / 60, timed.told / 60
    what = f"{methods} methods and 2 controls × {metrics} metrics on {counted(photos, 'photo')}, lite0"
    wishes = [
        Wish(what, f"≤ {MINUTES} min", f"{minutes:.1f} min", minutes <= MINUTES),
        Wish("the estimate / what it took", "0.5 to 2", f"{told / minutes:.2f}", 0.5 <= told / minutes <= 2),
    ]
    rows = [(name, f"{seconds:.1f}", f"{seconds / timed.seconds:.1%}") for name, seconds in timed.parts.most_common()]
    names = ", ".join(f"`{name}`" for name in timed.found.methods)
    return "\n\n".join(
        [
            "## A whole table of measures",
            f"{machine} One run.",
            wishes_table(wishes),
            f"""\
Methods: {names}. Metrics with their defaults: {", ".join(f"`{name}`" for name in timed.found.metrics)}. Photos:
{", ".join(PHOTOS[:photos])}, from scikit-image, for the predicted class. Beside the metrics below, "method" is what its
maps took: of the photo, of the copies with shuffled weights, of the other classes, of the grids. Metrics that explain
other images, such as max-sensitivity, hold the maps of these too.""",
            table(("", "seconds", "of all"), rows),
            *([f"Failures: {len(timed.found.errors)}."] if timed.found.errors else []),
        ]
    )


def main() -> None:
    parser = options(__doc__, rounds=1, quick="1 photo, 2 methods, to stdout only: does it run?")
    parser.add_argument("--photos", type=int, default=len(PHOTOS), choices=range(1, len(PHOTOS) + 1), metavar="N")
    given = parser.parse_args()
    keep_freed_memory()  # as the command line does
    photos = 1 if given.quick else given.photos
    machine = where(given.device, "scipy", "scikit-image")
    section = "evaluate_table-cuda" if is_cuda(given.device) else "evaluate_table"
    publish(section, report(measure(photos, given.device, given.quick), photos, machine), quick=given.quick)


if __name__ == "__main__":
    main()
