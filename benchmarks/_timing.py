"""What all benchmarks share: interleaved rounds, ratios within a round, the machine, and one section of RESULTS.md."""

import gc
import os
import platform
import re
import subprocess
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

RESULTS = Path(__file__).with_name("RESULTS.md")
TITLE = """# Benchmark results

Written by the scripts in this folder, one section each (`python benchmarks` runs them all); not edited by hand.
Ratios are medians of the ratios within one round, in brackets the quartiles: half of the rounds lie between them.
"""

Seconds = dict[str, list[float]]
"""By contender: the seconds of its call in each round."""


# ---- measure ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Contender:
    """One way to do the work. `prepare` is entered before its turn and left after it; only the call inside is timed.

    So what a user makes once is not timed, and hooks of one contender do not slow down the others.
    """

    name: str
    prepare: Callable[[], AbstractContextManager[Callable[[], Any]]]


def interleave(
    contenders: Sequence[Contender],
    rounds: int,
    warm_ups: int,
    synchronise: Callable[[], None] = lambda: None,
) -> Seconds:
    """Time each contender once in every round; warm-up rounds are run alike and forgotten."""
    seconds: Seconds = {contender.name: [] for contender in contenders}
    for number in range(warm_ups + rounds):
        gc.collect()  # here, so that no turn pays for the garbage of another
        gc.disable()
        try:
            for i in order(len(contenders), number):
                seconds[contenders[i].name].append(_turn(contenders[i], synchronise))
        finally:
            gc.enable()
    return {name: taken[warm_ups:] for name, taken in seconds.items()}


def order(n: int, number: int) -> list[int]:
    """The order of round `number`: rotated, and such that over n rounds the one before each is another each time.

    A plain rotation would always put the same contender, and the state of cache and memory that it leaves, before the
    same next one. This is a Williams square; where n is odd, two of them, mirrored.

    >>> order(4, 0), order(4, 1)
    ([0, 3, 1, 2], [1, 0, 2, 3])
    """
    zigzag = [i // 2 if i % 2 == 0 else n - 1 - i // 2 for i in range(n)]
    turned = [(i + number) % n for i in zigzag]
    return turned[::-1] if n % 2 and number // n % 2 else turned


def _turn(contender: Contender, synchronise: Callable[[], None]) -> float:
    with contender.prepare() as call:
        synchronise()
        start = perf_counter()
        result = call()
        synchronise()
        taken = perf_counter() - start
        del result  # freed after the clock is stopped: all contenders alike
    return taken


def run(command: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """A command in a fresh process; RuntimeError with what it said where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed with exit code {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


# ---- read ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, and the quartiles between which half of them lie."""

    median: float
    low: float
    high: float

    def text(self, digits: int = 2) -> str:
        return f"{self.median:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


def spread(values: Iterable[float]) -> Spread:
    low, median, high = np.quantile(list(values), (0.25, 0.5, 0.75))
    return Spread(float(median), float(low), float(high))


def ratio(seconds: Seconds, name: str, base: str) -> Spread:
    """How many times as long as `base` it takes, both in the same round: what slows a whole round drops out."""
    return spread(a / b for a, b in zip(seconds[name], seconds[base], strict=True))


def difference(seconds: Seconds, name: str, base: str) -> Spread:
    return spread(a - b for a, b in zip(seconds[name], seconds[base], strict=True))


# ---- write -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wish:
    """A figure that is wanted, beside the one that was seen; whatever it says."""

    what: str
    wanted: str
    seen: str
    met: bool


def wishes_table(wishes: Sequence[Wish]) -> str:
    rows = [(w.what, w.wanted, w.seen, "yes" if w.met else "**no**") for w in wishes]
    return table(("", "wanted", "seen", "met"), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table, columns padded so that it reads well as plain text too."""
    cells = [list(head), *map(list, rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)


def machine(*packages: str, more: str = "") -> str:
    """The machine's kind, the versions of what is measured, and the date: one paragraph."""
    parts = [
        f"{date.today():%Y-%m-%d}",
        f"{_processor()}, {len(os.sched_getaffinity(0))} cores used",
        f"Python {platform.python_version()}",
        *(f"{package} {version(package)}" for package in packages),
        *([more] if more else []),
        f"load at the start {os.getloadavg()[0]:.1f}",
    ]
    return "Machine: " + "; ".join(parts) + "."


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def publish(section: str, text: str, *, quick: bool) -> None:
    """Print a section; unless it was a quick look, also put it into RESULTS.md in place of its former self."""
    print(text)
    if not quick:
        written = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else TITLE
        RESULTS.write_text(with_section(written, section, text), encoding="utf-8")


def with_section(document: str, section: str, text: str) -> str:
    """The document with this section between its markers; at the end where it was not there yet.

    >>> with_section(with_section("# Results", "a", "old"), "a", "new").splitlines()[2:]
    ['<!-- a: begin -->', 'new', '<!-- a: end -->']
    """
    begin, end = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    block = f"{begin}\n{text.strip()}\n{end}"
    if begin not in document:
        return f"{document.rstrip()}\n\n{block}\n"
    before, rest = document.split(begin, 1)
    return before + block + rest.split(end, 1)[1]
