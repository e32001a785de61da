"""How long a graph takes that explains itself: ONNX Runtime against plain inference, seewhy and its peers on PyTorch.

    python benchmarks/export.py [--rounds 20] [--nets ResNet-50,lite0] [--quick]

All do the same work on the same number of threads, from a ready batch to the raw coarse maps after the ReLU, at the
same layer for the same class; that their maps are equal is asserted before anything is timed. Interleaved in one
process, see _timing.py.
"""

import argparse
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from _nets import Case, build  # before torchcam and pytorch-grad-cam: see there
from _peers import assert_same_maps, noise, timings
from _timing import Contender, Seconds, Wish, interleave, machine, publish, ratio, table, wishes_table
from torch_peers import (
    AGAIN,
    CAPTUM,
    GRADCAM,
    PEERS,
    PLAIN,
    SEEWHY,
    TORCHCAM,
    Work,
    by_captum,
    by_pytorch_grad_cam,
    by_seewhy,
    by_torchcam,
    likely,
    maps_of,
    plain,
)

import seewhy

CASES = (
    Case("ResNet-50", "resnet50", "layer4", 1),
    Case("ResNet-50", "resnet50", "layer4", 8),
    Case("lite0", "lite0", "_bn1", 1),
    Case("lite0", "lite0", "_bn1", 8),
)
WARM_UPS = 3
WANTED = 1.3
EXPORTED, LOADED, BARE = "exported graph", "exported graph, through seewhy", "exported graph, class scores alone"

NOTES = f"""\
Float32, eval mode; ResNet-50 with seeded random weights, lite0 with its own. Each contender goes from a ready batch to
the raw coarse maps (n, 1, h, w) after the ReLU, and does its own forward pass; before the clock started their maps were
found equal (1e-4 of each map's peak). ONNX Runtime has as many threads as PyTorch.

- {PLAIN}: PyTorch, `torch.no_grad()`, the outputs only. "again" is the same once more: what it differs by is noise.
- {EXPORTED}: `seewhy.export(net, "explained.onnx")`, then `session.run(["logits", "heatmap"], ...)`.
- {LOADED}: an `Explainer` of the session, which also gives scores, probabilities and which maps are blank.
- {BARE}: the same session, asked for nothing else, so that it runs the forward pass only.
- seewhy, captum, torchcam, pytorch-grad-cam: on PyTorch, as in the section on Grad-CAM above.
- lite0 is explained at the normalisation before its last activation: that activation is one module for the whole net,
  and the peers keep its first run."""


@dataclass(frozen=True)
class Timed:
    """The seconds of one case, and of what is done once."""

    case: Case
    seconds: Seconds
    export: float
    load: float
    megabytes: float


def net_of(case: Case, size: int) -> tuple[Any, Any]:
    if case.net != "lite0":
        return build(case, "cpu", size)
    torch.manual_seed(0)
    return seewhy.load("lite0").net, torch.rand(case.batch, 3, size, size)


def by_graph(session: Any, work: Work, name: str, outputs: list[str], *, alone: bool = False) -> Contender:
    images = work.batch.numpy()
    feed = {"image": images, "class_index": np.full(len(images), work.classes[0], np.int64)}
    options = onnxruntime.RunOptions()
    if alone:
        options.only_execute_path_to_fetches = True

    def call() -> npt.NDArray[np.float32]:
        last: npt.NDArray[np.float32] = session.run(outputs, feed, options)[-1]
        return last[:, None]

    return Contender(name, lambda: nullcontext(call))


def through_seewhy(session: Any, work: Work) -> Contender:
    explainer, images = seewhy.Explainer(session), work.batch.numpy()
    return Contender(LOADED, lambda: nullcontext(lambda: explainer(images, work.classes[0]).maps))


def measure(case: Case, rounds: int, warm_ups: int, size: int) -> Timed:
    print(f"measuring {case} ...", file=sys.stderr)
    net, batch = net_of(case, size)
    work = Work(net, case.layer, batch, likely(net, batch)[:1])
    with tempfile.TemporaryDirectory() as folder:
        start = perf_counter()
        path = seewhy.export(net, Path(folder) / "explained.onnx", layer=case.layer, images=batch)
        exported, megabytes = perf_counter() - start, path.stat().st_size / 1e6
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = torch.get_num_threads()
        start = perf_counter()
        session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        loaded = perf_counter() - start
    graph = by_graph(session, work, EXPORTED, ["logits", "heatmap"])
    same = [by_seewhy(work), by_captum(work), by_torchcam(work), by_pytorch_grad_cam(work)]
    same += [graph, through_seewhy(session, work)]
    assert_same_maps(maps_of(same))
    alone = by_graph(session, work, BARE, ["logits"], alone=True)
    everyone = [plain(work), plain(work, AGAIN), *same, alone]
    return Timed(case, interleave(everyone, rounds, warm_ups), exported, loaded, megabytes)


def case_table(timed: Timed) -> str:
    names = (PLAIN, AGAIN, EXPORTED, LOADED, BARE, SEEWHY, CAPTUM, TORCHCAM, GRADCAM)
    rows = [(name, *timings(timed.seconds, name, PLAIN)) for name in names]
    once = f"Exported in {timed.export:.0f} s, {timed.megabytes:.0f} MB, loaded in {timed.load:.1f} s."
    return f"### {timed.case}, at `{timed.case.layer}`\n\n{once}\n\n" + table(("", "ms", "× plain inference"), rows)


def wishes(timed: Timed) -> list[Wish]:
    faster, best = (
        ratio(timed.seconds, PLAIN, EXPORTED),
        min(PEERS, key=lambda peer: ratio(timed.seconds, peer, PLAIN).median),
    )
    than_peer = ratio(timed.seconds, best, EXPORTED)
    what = f"{timed.case}: the exported graph, times as fast as"
    return [
        Wish(f"{what} plain inference", f"≥ {WANTED}", faster.text(), faster.median >= WANTED),
        Wish(f"{what} the best peer, {best}", f"> {WANTED}", than_peer.text(), than_peer.median > WANTED),
    ]


def report(timed: list[Timed], rounds: int, where: str) -> str:
    return "\n\n".join(
        [
            "## A graph that explains itself",
            f"{where} Rounds after warm-ups: {rounds}.",
            noise(PLAIN, [ratio(one.seconds, AGAIN, PLAIN) for one in timed]),
            wishes_table([wish for one in timed for wish in wishes(one)]),
            NOTES,
            *map(case_table, timed),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--nets", default="ResNet-50,lite0", metavar="NET,NET", help="on which")
    parser.add_argument("--quick", action="store_true", help="small images, 1 round, to stdout only: does it run?")
    given = parser.parse_args()
    rounds, warm_ups, size = (1, 0, 64) if given.quick else (given.rounds, WARM_UPS, 224)
    cases = [case for case in CASES if case.title in given.nets.split(",")]
    where = machine(
        "torch", "onnxruntime", "captum", "torchcam", "grad-cam", more=f"on cpu: {torch.get_num_threads()} threads"
    )
    timed = [measure(case, rounds, warm_ups, size) for case in (cases[::2] if given.quick else cases)]
    publish("export", report(timed, rounds, where), quick=given.quick)


if __name__ == "__main__":
    main()
