"""How much memory `explain` takes at its peak on PyTorch, against plain inference.

    python benchmarks/torch_memory.py [--runs 3] [--device cuda] [--quick]

Each run is a fresh process that builds the model, calls it three times and reports its own peak, see _memory.py.
"""

import argparse
from collections.abc import Callable
from typing import Any

from _memory import measure, print_peak, report
from _timing import machine, publish

PLAIN, SEEWHY, AUTO = "plain inference", "seewhy", "seewhy, layer=None"
KINDS = (PLAIN, SEEWHY, AUTO)
BATCHES = (1, 8)

NOTES = """\
ResNet-50, `layer4`, one class, seeded random weights, 224 x 224, float32. `layer=None` searches the layer at the first
call. On a GPU the peak is what PyTorch allocated there."""


# ---- in the fresh process --------------------------------------------------------------------------------


def worker(kind: str, batch: int, device: str) -> None:
    import torch
    from _nets import RESNET_1, RESNET_8, build

    net, inputs = build({1: RESNET_1, 8: RESNET_8}[batch], device)
    call = _call(kind, net, inputs)
    with torch.no_grad() if kind == PLAIN else torch.enable_grad():
        if device.startswith("cuda"):
            cuda = torch.cuda
            print_peak(call, lambda: cuda.memory_allocated() / 1e6, lambda: cuda.max_memory_allocated() / 1e6)
        else:
            print_peak(call)


def _call(kind: str, net: Any, inputs: Any) -> Callable[[], Any]:
    if kind == PLAIN:
        return lambda: net(inputs)
    import seewhy

    explainer = seewhy.Explainer(net, layer="layer4" if kind == SEEWHY else None)
    return lambda: explainer(inputs, 0)


# ---- in the parent ---------------------------------------------------------------------------------------


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
    cases = [(kind, batch) for batch in BATCHES for kind in KINDS]
    peaks = measure(__file__, cases, runs, "--device", given.device)
    text = report("Peak memory on PyTorch", "ResNet-50", PLAIN, peaks, runs, where, NOTES)
    section = "torch_memory-cuda" if given.device.startswith("cuda") else "torch_memory"
    publish(section, text, quick=given.quick)


if __name__ == "__main__":
    main()
