"""How much memory `explain` takes at its peak, against plain inference.

    python benchmarks/torch_memory.py [--runs 3] [--device cuda] [--quick]

Each run is a fresh process that builds the model, calls it three times and reports its own peak.
"""

import argparse
import json
import re
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _timing import Wish, machine, publish, run, table, wishes_table

PLAIN, SEEWHY, AUTO = "plain inference", "seewhy", "seewhy, layer=None"
KINDS = (PLAIN, SEEWHY, AUTO)
BATCHES = (1, 8)
CALLS = 3

STEADY = {"MALLOC_MMAP_THRESHOLD_": str(2**20)}
"""Makes glibc give each freed tensor back at once. Left alone it adapts, and the peak of the very same calls varies by
a fifth from process to process."""

NOTES = f"""\
ResNet-50, `layer4`, one class, seeded random weights, 224 x 224, float32. A fresh process for every run, which imports
torch and torchvision (and seewhy for seewhy), builds the model and makes {CALLS} calls. The peak is that of the whole
process (`VmHWM`; on a GPU what PyTorch allocated there), in brackets what it is above the process with the model loaded
and nothing called yet. `layer=None` searches the layer at the first call. What is compared is what the calls hold,
with an allocator that gives freed tensors back at once (`MALLOC_MMAP_THRESHOLD_`); the last column is what glibc makes
of the same calls when left alone: least, median and most."""


# ---- in the fresh process --------------------------------------------------------------------------------


def worker(kind: str, batch: int, device: str) -> None:
    """Print what the process held before the first call, and at most: MB."""
    import torch
    from _nets import RESNET_1, RESNET_8, build

    net, inputs = build({1: RESNET_1, 8: RESNET_8}[batch], device)
    call = _call(kind, net, inputs)
    before = _now(device)
    with torch.no_grad() if kind == PLAIN else torch.enable_grad():
        for _ in range(CALLS):
            call()
    print(json.dumps({"before": before, "peak": _peak(device)}))


def _call(kind: str, net: Any, inputs: Any) -> Callable[[], Any]:
    if kind == PLAIN:
        return lambda: net(inputs)
    import seewhy

    explainer = seewhy.Explainer(net, layer="layer4" if kind == SEEWHY else None)
    return lambda: explainer(inputs, 0)


def _now(device: str) -> float:
    import torch

    return torch.cuda.memory_allocated() / 1e6 if device.startswith("cuda") else _status("VmRSS")


def _peak(device: str) -> float:
    import torch

    return torch.cuda.max_memory_allocated() / 1e6 if device.startswith("cuda") else _status("VmHWM")


def _status(key: str) -> float:
    """A line of /proc/self/status in MB. Not getrusage's ru_maxrss: Linux hands a parent's peak down to its child."""
    found = re.search(rf"^{key}:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"/proc/self/status has no {key}: memory is measured on Linux only")
    return int(found[1]) * 1024 / 1e6


# ---- in the parent ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Peaks:
    """MB, from all runs of one kind at one batch size."""

    peak: float
    added: float
    left_alone: tuple[float, float, float]


def measure(runs: int, device: str) -> dict[tuple[str, int], Peaks]:
    keys = [(kind, batch) for batch in BATCHES for kind in KINDS]
    steady: dict[tuple[str, int], list[dict[str, float]]] = {key: [] for key in keys}
    alone: dict[tuple[str, int], list[float]] = {key: [] for key in keys}
    for _ in range(runs):
        for kind, batch in keys:
            command = [sys.executable, __file__, "--worker", kind, "--batch", str(batch), "--device", device]
            steady[kind, batch].append(json.loads(run(command, **STEADY).stdout.splitlines()[-1]))
            alone[kind, batch].append(json.loads(run(command).stdout.splitlines()[-1])["peak"])
    return {key: _summary(steady[key], alone[key]) for key in keys}


def _summary(steady: list[dict[str, float]], alone: list[float]) -> Peaks:
    peak = statistics.median(one["peak"] for one in steady)
    added = statistics.median(one["peak"] - one["before"] for one in steady)
    return Peaks(peak, added, (min(alone), statistics.median(alone), max(alone)))


def report(peaks: dict[tuple[str, int], Peaks], runs: int, where: str) -> str:
    wishes, body = [], []
    for (kind, batch), seen in peaks.items():
        ratio = seen.peak / peaks[PLAIN, batch].peak
        left_alone = " / ".join(f"{value:.0f}" for value in seen.left_alone)
        body.append((kind, str(batch), f"{seen.peak:.0f} ({seen.added:.0f})", f"{ratio:.3f}", left_alone))
        if kind != PLAIN:
            what = f"ResNet-50, batch {batch}: peak of {kind} / {PLAIN}"
            wishes.append(Wish(what, "≤ 1.1", f"{ratio:.3f}", ratio <= 1.1))
    return "\n\n".join(
        [
            "## Peak memory on PyTorch",
            f"{where} Medians of {runs} processes.",
            wishes_table(wishes),
            NOTES,
            table(("", "batch", "peak, MB", "× plain inference", "left alone, MB"), body),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true", help="1 run, to stdout only")
    parser.add_argument("--worker", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, choices=BATCHES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        worker(given.worker, given.batch, given.device)
        return
    runs = 1 if given.quick else given.runs
    where = machine("torch", more=f"on {given.device}")
    section = "torch_memory-cuda" if given.device.startswith("cuda") else "torch_memory"
    publish(section, report(measure(runs, given.device), runs, where), quick=given.quick)


if __name__ == "__main__":
    main()
