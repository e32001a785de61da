"""What the memory benchmarks share: runs in fresh processes, each of which tells its own peak."""

import json
import re
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _timing import Wish, run, table, wishes_table

CALLS = 3
AT_MOST = 1.1
"""Wanted: no more than this times the peak of plain inference."""

STEADY = {"MALLOC_MMAP_THRESHOLD_": str(2**20)}
"""Makes glibc give each freed tensor back at once. Left alone it adapts, and the peak of the very same calls varies by
a fifth from process to process."""

HOW = f"""\
A fresh process for every run, which imports what it needs (seewhy for seewhy only), builds the model and makes {CALLS}
calls. The peak is that of the whole process (`VmHWM`), in brackets what it is above the process with the model loaded
and nothing called yet. What is compared is what the calls hold, with an allocator that gives freed tensors back at once
(`MALLOC_MMAP_THRESHOLD_`); the last column is what glibc makes of the same calls when left alone: least, median and
most."""

Case = tuple[str, int]
"""What is called, and for how many images at once."""


# ---- in the fresh process --------------------------------------------------------------------------------


def status(key: str) -> float:
    """A line of /proc/self/status in MB. Not getrusage's ru_maxrss: Linux hands a parent's peak down to its child."""
    found = re.search(rf"^{key}:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"/proc/self/status has no {key}: memory is measured on Linux only")
    return int(found[1]) * 1024 / 1e6


def resident() -> float:
    return status("VmRSS")


def highest() -> float:
    return status("VmHWM")


def print_peak(
    call: Callable[[], Any], now: Callable[[], float] = resident, peak: Callable[[], float] = highest
) -> None:
    """Print what the process held before the first call, and at most: MB."""
    before = now()
    for _ in range(CALLS):
        call()
    print(json.dumps({"before": before, "peak": peak()}))


# ---- in the parent ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Peaks:
    """MB, from all runs of one case."""

    peak: float
    added: float
    left_alone: tuple[float, float, float]


def measure(script: str, cases: Sequence[Case], runs: int, *arguments: str, **environment: str) -> dict[Case, Peaks]:
    """Run `script --worker KIND --batch N` for every case, as often with the steady allocator as without."""
    steady: dict[Case, list[dict[str, float]]] = {case: [] for case in cases}
    alone: dict[Case, list[float]] = {case: [] for case in cases}
    for _ in range(runs):
        for kind, batch in cases:
            command = [sys.executable, script, "--worker", kind, "--batch", str(batch), *arguments]
            steady[kind, batch].append(_told(command, **STEADY, **environment))
            alone[kind, batch].append(_told(command, **environment)["peak"])
    return {case: _summary(steady[case], alone[case]) for case in cases}


def _told(command: Sequence[str], **environment: str) -> dict[str, float]:
    told: dict[str, float] = json.loads(run(command, **environment).stdout.splitlines()[-1])
    return told


def _summary(steady: list[dict[str, float]], alone: list[float]) -> Peaks:
    peak = statistics.median(one["peak"] for one in steady)
    added = statistics.median(one["peak"] - one["before"] for one in steady)
    return Peaks(peak, added, (min(alone), statistics.median(alone), max(alone)))


def report(title: str, model: str, plain: str, peaks: dict[Case, Peaks], runs: int, where: str, notes: str) -> str:
    wishes, body = [], []
    for (kind, batch), seen in peaks.items():
        ratio = seen.peak / peaks[plain, batch].peak
        left_alone = " / ".join(f"{value:.0f}" for value in seen.left_alone)
        body.append((kind, str(batch), f"{seen.peak:.0f} ({seen.added:.0f})", f"{ratio:.3f}", left_alone))
        if kind != plain:
            what = f"{model}, batch {batch}: peak of {kind} / {plain}"
            wishes.append(Wish(what, f"≤ {AT_MOST}", f"{ratio:.3f}", ratio <= AT_MOST))
    return "\n\n".join(
        [
            f"## {title}",
            f"{where} Medians of {runs} processes.",
            wishes_table(wishes),
            f"{notes}\n\n{HOW}",
            table(("", "batch", "peak, MB", f"× {plain}", "left alone, MB"), body),
        ]
    )
