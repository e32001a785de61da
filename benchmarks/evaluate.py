"""What measuring an explanation costs: insertion and deletion against their bare forward passes, ROAD against its peer.

    python benchmarks/evaluate.py [--nets lite0] [--rounds 5] [--device cuda] [--quick]

The metrics of seewhy with their defaults, on lite0 and on ResNet-50, each in a section of its own. Interleaved in one
process, see _timing.py.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from _nets import RESNET_1, build  # before pytorch-grad-cam: see there
from _peers import noise, timings
from _timing import Contender, Seconds, Wish, interleave, publish, ratio, table, wishes_table
from _torch import chosen, is_cuda, options, waiting_for, where
from pytorch_grad_cam.metrics.road import NoisyLinearImputer, ROADCombined
from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget
from torch import nn

import seewhy
from seewhy.maps import upsample
from seewhy.measure import Case, Metric
from seewhy.metrics._imputation import imputed
from seewhy.metrics._variants import ranks
from seewhy.metrics.deletion import deletion
from seewhy.metrics.insertion import insertion
from seewhy.metrics.road import PERCENTILES, road
from seewhy.stream import memory_on, rows_within, slices

WARM_UPS = 1
CELLS = 7
ALIKE = 0.03
"""How far two ROADs may be apart: each draws noise of its own on what it makes up."""

PLAIN, AGAIN = "bare forward passes", "bare forward passes, again"
AREAS = "seewhy, insertion + deletion"
ROAD_PLAIN, ROAD, ROAD_PEER = "bare forward passes of road", "seewhy, road", "pytorch-grad-cam, ROADCombined"
FILL, FILL_PEER = "seewhy, imputation alone", "pytorch-grad-cam, imputation alone"

NOTES = f"""\
One photo of noise, one map of {CELLS} x {CELLS} random cells laid on it, no two pixels alike, one class; float32, eval
mode. Before the clock started the peers' made-up pixels were found equal without noise (1e-4), and their ROAD within
{ALIKE} of seewhy's.

- {PLAIN}: as many ready photos as the metrics show the model, in the same batches, to the probability of the class
  under `torch.no_grad()`. Nothing is made for them. "again" is the same once more: what it differs by is noise.
- {AREAS}: both at 224 pixels per step; what they make, blur, sort and copy is in the ratio.
- {ROAD_PEER}: as it comes, with the softmax of the class as its target: it solves for each percentile and each order,
  and makes two passes each time, one of the photo as it is.
- imputation alone: the same sets of pixels made up, no model."""


# ---- the work --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """What every contender does: measure this map of this photo for this class."""

    title: str
    net: nn.Module
    case: Case
    index: int
    rows: int
    """Photos that the model takes at a time."""
    device: str


def asking(net: nn.Module, index: int, rows: int, device: str) -> Callable[..., npt.NDArray[np.float64]]:
    def ask(images: npt.NDArray[np.float32], asked: str = "probability") -> npt.NDArray[np.float64]:
        with torch.no_grad():
            found = [
                net(torch.as_tensor(images[part]).to(device)).softmax(1)[:, index].double().cpu().numpy()
                for part in slices(len(images), rows)
            ]
        return np.concatenate(found)

    return ask


def work(title: str, net: nn.Module, size: int, device: str) -> Work:
    random = np.random.default_rng(0)
    image = random.standard_normal((3, size, size), np.float32)
    evidence = upsample(random.random((CELLS, CELLS)), (size, size)) + 1e-4 * random.random((size, size))
    evidence = np.asarray(evidence, np.float32)
    rows = rows_within(memory_on(device), image.nbytes)
    with torch.no_grad():
        index = int(net(torch.as_tensor(image[None]).to(device)).argmax())
    model = asking(net, index, rows, device)
    probability = float(model(image[None])[0])
    return Work(title, net, Case(evidence, evidence, image, probability, 0.0, model), index, rows, device)


# ---- the contenders --------------------------------------------------------------------------------------


def plain(done: Work, photos: int, name: str) -> Contender:
    ready = np.random.default_rng(1).standard_normal((photos, *done.case.image.shape), np.float32)
    return Contender(name, lambda: nullcontext(lambda: done.case.model(ready)))


def by_seewhy(done: Work, name: str, *metrics: Metric) -> Contender:
    return Contender(name, lambda: nullcontext(lambda: [one.compute(one.update(done.case)) for one in metrics]))


def by_pytorch_grad_cam(done: Work) -> Contender:
    measure = ROADCombined(list(PERCENTILES))
    photo = torch.as_tensor(done.case.image[None]).to(done.device)

    def call() -> Any:
        return measure(photo, done.case.evidence[None], [ClassifierOutputSoftmaxTarget(done.index)], done.net)

    return Contender(ROAD_PEER, lambda: nullcontext(call))


def missing(case: Case) -> list[npt.NDArray[np.bool_]]:
    rank = ranks(case.evidence)
    counts = [round(one / 100 * rank.size) for one in PERCENTILES]
    return [rank < count for count in counts] + [rank >= rank.size - count for count in counts]


def fill(done: Work) -> Contender:
    return Contender(FILL, lambda: nullcontext(lambda: [imputed(done.case.image, gone) for gone in missing(done.case)]))


def fill_peer(done: Work) -> Contender:
    imputer, photo = NoisyLinearImputer(noise=0.0), torch.as_tensor(done.case.image)

    def call() -> list[npt.NDArray[np.float32]]:
        known = [torch.as_tensor(np.asarray(~gone, np.float32)) for gone in missing(done.case)]
        return [imputer(photo, one).numpy() for one in known]

    return Contender(FILL_PEER, lambda: nullcontext(call))


# ---- the same work ---------------------------------------------------------------------------------------


def result(contender: Contender) -> Any:
    with contender.prepare() as call:
        return call()


def assert_same(done: Work) -> None:
    for mine, theirs in zip(result(fill(done)), result(fill_peer(done)), strict=True):
        if not (apart := float(abs(mine - theirs).max())) <= 1e-4:
            raise SystemExit(f"what is made up differs by {apart:.1e}: not the same work, not timed")
    [mine], [theirs] = result(by_seewhy(done, ROAD, road())), result(by_pytorch_grad_cam(done))
    if not abs(mine - theirs) <= ALIKE:
        raise SystemExit(f"road is {mine:.4f}, its peer's {theirs:.4f}: not the same work, not timed")


# ---- measure and report ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Timed:
    title: str
    areas: Seconds
    road: Seconds


def measure(done: Work, rounds: int, warm_ups: int) -> Timed:
    print(f"measuring {done.title} ...", file=sys.stderr)
    assert_same(done)
    steps = -(-done.case.evidence.size // 224)  # of each curve, whose one end is the photo as it is
    synchronise = waiting_for(done.device)
    areas = [
        plain(done, 2 * steps, PLAIN),
        plain(done, 2 * steps, AGAIN),
        by_seewhy(done, AREAS, insertion(), deletion()),
    ]
    roads = [
        plain(done, 2 * len(PERCENTILES), ROAD_PLAIN),
        by_seewhy(done, ROAD, road()),
        by_pytorch_grad_cam(done),
        fill(done),
        fill_peer(done),
    ]
    return Timed(
        done.title,
        interleave(areas, rounds, warm_ups, synchronise),
        interleave(roads, rounds, warm_ups, synchronise),
    )


def wishes(timed: Timed) -> list[Wish]:
    cost, faster = ratio(timed.areas, AREAS, PLAIN), ratio(timed.road, ROAD_PEER, ROAD)
    return [
        Wish(f"{timed.title}: {AREAS} / {PLAIN}", "≤ 1.15", cost.text(), cost.median <= 1.15),
        Wish(f"{timed.title}: {ROAD_PEER} / {ROAD}", "≥ 5", faster.text(), faster.median >= 5),
    ]


def case_table(timed: Timed) -> str:
    rows: list[Sequence[str]] = [(name, *timings(timed.areas, name, PLAIN)) for name in (PLAIN, AGAIN, AREAS)]
    rows += [(name, *timings(timed.road, name, ROAD)) for name in (ROAD_PLAIN, ROAD, ROAD_PEER, FILL, FILL_PEER)]
    head = ("", "ms", f"× {PLAIN}; below, × {ROAD}")
    return table(head, rows)


def report(timed: Timed, rounds: int, machine: str) -> str:
    return "\n\n".join(
        [
            f"## Measuring explanations on PyTorch: {timed.title}",
            f"{machine} Rounds after warm-ups: {rounds}.",
            noise(PLAIN, [ratio(timed.areas, AGAIN, PLAIN)]),
            wishes_table(wishes(timed)),
            NOTES,
            case_table(timed),
        ]
    )


def net(name: str, device: str) -> nn.Module:
    if name == "lite0":
        loaded: nn.Module = seewhy.load("lite0").net.eval().to(device)
        return loaded
    return build(RESNET_1, device)[0]


TITLES = {"lite0": "lite0", "resnet50": "ResNet-50"}


def main() -> None:
    parser = options(__doc__, rounds=5)
    parser.add_argument("--nets", default=",".join(TITLES), metavar="NET,NET", help="on which: all; one for a piece")
    given = parser.parse_args()
    rounds, warm_ups, size = (1, 0, 64) if given.quick else (given.rounds, WARM_UPS, 224)
    machine = where(given.device, "grad-cam", "scipy")
    for name in chosen(given.nets, list(TITLES))[: 1 if given.quick else None]:
        timed = measure(work(TITLES[name], net(name, given.device), size, given.device), rounds, warm_ups)
        section = f"evaluate-{name}" + ("-cuda" if is_cuda(given.device) else "")
        publish(section, report(timed, rounds, machine), quick=given.quick)


if __name__ == "__main__":
    main()
