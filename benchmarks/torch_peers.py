"""How long Grad-CAM takes, as ratios to plain inference: seewhy, captum, torchcam and pytorch-grad-cam.

    python benchmarks/torch_peers.py [--rounds 16] [--device cuda] [--quick]

All do the same work, from a ready batch to the raw coarse maps after the ReLU, at the same layer for the same classes;
that their maps are equal is asserted before anything is timed. Interleaved in one process, see _timing.py.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from _nets import RESNET_1, RESNET_8, VGG_4, Case, build  # before torchcam and pytorch-grad-cam: see there
from _peers import Maps, assert_same_maps, likely_classes, noise, timings
from _timing import Contender, Seconds, Wish, interleave, publish, ratio, table, wishes_table
from _torch import is_cuda, options, waiting_for, where
from captum.attr import LayerGradCam
from pytorch_grad_cam import GradCAM as PytorchGradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn
from torchcam.methods import GradCAM as TorchcamGradCAM

import seewhy

CASES = (RESNET_1, RESNET_8, VGG_4)
CLASSES = 10
WARM_UPS = 3

PLAIN, AGAIN = "plain inference", "plain inference, again"
SEEWHY, AUTO, RANDOM = "seewhy", "seewhy, layer=None", "seewhy, random-cam"
CAPTUM, TORCHCAM, GRADCAM = "captum", "torchcam", "pytorch-grad-cam"
PEERS = (CAPTUM, TORCHCAM, GRADCAM)

NOTES = f"""\
Seeded random weights, float32, eval mode, parameters requiring grad as a model zoo gives them. Each contender goes from
a ready batch to the raw coarse maps (n, k, h, w) after the ReLU, and does its own forward pass; before the clock
started their maps were found equal (1e-4 of each map's peak). What differs:

- {PLAIN}: `torch.no_grad()`, the outputs only. "again" is the same once more: what it differs by is noise.
- seewhy: an `Explainer` made once. It also gives outputs, scores, probabilities and which maps are blank, and checks
  for NaN. `layer=None`: the layer was found at the first call, before the clock. `random-cam`: a method without
  gradients. {CLASSES} classes: one call.
- captum: `LayerGradCam(...).attribute(batch, c, relu_attributions=True)`; for {CLASSES} classes repeated, forward too.
- torchcam: `GradCAM` made before the clock, `normalized=False`; {CLASSES} classes share one forward pass, the backward
  through the tail is repeated (`retain_graph=True`).
- pytorch-grad-cam: `GradCAM` made before the clock, and spared its normalising and its upsampling with OpenCV, which
  its own call always includes; for {CLASSES} classes repeated, forward too.
- The {CLASSES}-class rows were measured in rounds of their own, with plain inference in each: their ratios hold, their
  milliseconds do not belong to the first row of the table."""


# ---- the contenders --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """What every contender does: explain this batch, at this layer, for these classes."""

    net: nn.Module
    layer: str
    batch: Tensor
    classes: tuple[int, ...]


def plain(work: Work, name: str = PLAIN) -> Contender:
    def call() -> Tensor:
        with torch.no_grad():
            outputs: Tensor = work.net(work.batch)
            return outputs

    return Contender(name, lambda: nullcontext(call))


def by_seewhy(work: Work, name: str = SEEWHY, **options: Any) -> Contender:
    explainer = seewhy.Explainer(work.net, **{"layer": work.layer, **options})
    one = len(work.classes) == 1
    target = work.classes[0] if one else [list(work.classes)] * len(work.batch)
    return Contender(name, lambda: nullcontext(lambda: explainer(work.batch, target).maps))


def by_captum(work: Work) -> Contender:
    cam = LayerGradCam(work.net, work.net.get_submodule(work.layer))

    def call() -> Tensor:
        return torch.cat([cam.attribute(work.batch, c, relu_attributions=True) for c in work.classes], dim=1)

    return Contender(CAPTUM, lambda: nullcontext(call))


def by_torchcam(work: Work) -> Contender:
    @contextmanager
    def prepare() -> Iterator[Callable[[], Tensor]]:
        with TorchcamGradCAM(work.net, work.layer) as cam:

            def call() -> Tensor:
                scores = work.net(work.batch)
                *others, last = work.classes
                maps = [cam(c, scores, normalized=False, retain_graph=True)[0] for c in others]
                maps.append(cam(last, scores, normalized=False)[0])
                return torch.stack(maps, dim=1)

            yield call

    return Contender(TORCHCAM, prepare)


class CoarseGradCAM(PytorchGradCAM):  # type: ignore[misc]
    """Stops at the raw map: its call would go on to normalise it and to upsample it with OpenCV."""

    def compute_cam_per_layer(self, batch: Tensor, targets: list[Any], smooth: bool) -> npt.NDArray[np.float32]:
        kept = self.activations_and_grads
        activations, gradients = kept.activations[0].numpy(), kept.gradients[0].numpy()
        cam = self.get_cam_image(batch, self.target_layers[0], targets, activations, gradients, smooth)
        rectified: npt.NDArray[np.float32] = np.maximum(cam, 0)
        return rectified

    def aggregate_multi_layers(self, maps: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return maps


def by_pytorch_grad_cam(work: Work) -> Contender:
    @contextmanager
    def prepare() -> Iterator[Callable[[], npt.NDArray[np.float32]]]:
        n = len(work.batch)
        with CoarseGradCAM(work.net, [work.net.get_submodule(work.layer)]) as cam:
            yield lambda: np.stack([cam(work.batch, [ClassifierOutputTarget(c)] * n) for c in work.classes], axis=1)
        work.net.zero_grad()  # it leaves every parameter's gradient on the model

    return Contender(GRADCAM, prepare)


# ---- the same work ---------------------------------------------------------------------------------------


def likely(net: nn.Module, batch: Tensor) -> tuple[int, ...]:
    with torch.no_grad():
        return likely_classes(net(batch).cpu().numpy(), CLASSES)


def maps_of(contenders: Sequence[Contender]) -> dict[str, Maps]:
    found = {}
    for contender in contenders:
        with contender.prepare() as call:
            found[contender.name] = np.asarray(torch.as_tensor(call()).detach().cpu(), np.float64)
    return found


# ---- measure ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Timed:
    """The seconds of one case, by what was interleaved."""

    case: Case
    one: Seconds  # one class
    many: Seconds  # ten classes, and seewhy with one class for the ratio
    repeating: Seconds  # ten classes, by those that begin anew for each


ONE_OF_MANY = "seewhy, 1 class"


def measure(case: Case, rounds: int, warm_ups: int, device: str, size: int) -> Timed:
    print(f"measuring {case} ...", file=sys.stderr)
    net, batch = build(case, device, size)
    many = Work(net, case.layer, batch, likely(net, batch))
    one = replace(many, classes=many.classes[:1])
    synchronise = waiting_for(device)

    same = [
        by_captum(one),
        by_torchcam(one),
        by_pytorch_grad_cam(one),
        by_seewhy(one),
        by_seewhy(one, AUTO, layer=None),
    ]
    once, repeating = [by_torchcam(many), by_seewhy(many)], [by_captum(many), by_pytorch_grad_cam(many)]
    assert_same_maps(maps_of(same))
    assert_same_maps(maps_of([*once, *repeating]))

    everyone = [plain(one), plain(one, AGAIN), *same, by_seewhy(one, RANDOM, method="random-cam")]
    return Timed(
        case,
        interleave(everyone, rounds, warm_ups, synchronise),
        interleave([plain(one), by_seewhy(one, ONE_OF_MANY), *once], rounds, warm_ups, synchronise),
        interleave([plain(one), *repeating], few(rounds), min(warm_ups, 1), synchronise),
    )


def few(rounds: int) -> int:
    """For what makes dozens of passes in a call: it takes most of the time as it is, and a few rounds tell enough."""
    return max(rounds // 5, 1)


# ---- report ----------------------------------------------------------------------------------------------


def rows(seconds: Seconds, classes: int, names: Sequence[str]) -> list[tuple[str, ...]]:
    return [
        (
            name,
            str(classes) if name not in (PLAIN, AGAIN) else "",
            *timings(seconds, name, PLAIN),
        )
        for name in names
    ]


def case_table(timed: Timed) -> str:
    body = rows(timed.one, 1, (PLAIN, AGAIN, SEEWHY, *PEERS, AUTO, RANDOM))
    body += rows(timed.many, CLASSES, (SEEWHY, TORCHCAM)) + rows(timed.repeating, CLASSES, (CAPTUM, GRADCAM))
    return f"### {timed.case}, at `{timed.case.layer}`\n\n" + table(("", "classes", "ms", "× plain inference"), body)


def wishes(timed: Timed) -> list[Wish]:
    found = []
    if timed.case.net == "resnet50":
        cost = ratio(timed.one, SEEWHY, PLAIN)
        found.append(Wish(f"{timed.case}: seewhy / plain inference", "≤ 1.05", cost.text(), cost.median <= 1.05))
    found.append(against_best(timed.case, timed.one, PEERS, 1))
    more = ratio(timed.many, SEEWHY, ONE_OF_MANY)
    found.append(Wish(f"{timed.case}: {CLASSES} classes / 1 class", "≤ 1.15", more.text(), more.median <= 1.15))
    found.append(against_best(timed.case, timed.many, (TORCHCAM,), CLASSES))
    return found


def against_best(case: Case, seconds: Seconds, peers: Sequence[str], classes: int) -> Wish:
    """Behind beyond noise is: slower than the fastest peer in three rounds of four, or more."""
    best = min(peers, key=lambda peer: ratio(seconds, peer, PLAIN).median)
    seen = ratio(seconds, SEEWHY, best)
    what = f"{case}, {classes} class{'es' * (classes > 1)}: seewhy / the best peer, {best}"
    return Wish(what, "lower quartile ≤ 1", seen.text(), seen.low <= 1)


def report(timed: Sequence[Timed], rounds: int, machine: str) -> str:
    return "\n\n".join(
        [
            "## Grad-CAM on PyTorch: seewhy and its peers",
            f"{machine} Rounds after warm-ups: {rounds}; {few(rounds)} for {CLASSES} classes by those that begin anew.",
            noise(PLAIN, [ratio(one.one, AGAIN, PLAIN) for one in timed]),
            wishes_table([wish for one in timed for wish in wishes(one)]),
            NOTES,
            *map(case_table, timed),
        ]
    )


def main() -> None:
    given = options(__doc__, rounds=16).parse_args()
    rounds, warm_ups, size = (1, 0, 64) if given.quick else (given.rounds, WARM_UPS, 224)

    cases = [replace(case, batch=1) for case in CASES[::2]] if given.quick else CASES
    machine = where(given.device, "captum", "torchcam", "grad-cam")
    timed = [measure(case, rounds, warm_ups, given.device, size) for case in cases]
    section = "torch_peers-cuda" if is_cuda(given.device) else "torch_peers"
    publish(section, report(timed, rounds, machine), quick=given.quick)


if __name__ == "__main__":
    main()
