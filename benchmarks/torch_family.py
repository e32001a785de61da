"""How long the family of methods takes on PyTorch, and what many questions in one pass cost against one.

    python benchmarks/torch_family.py [--rounds 16] [--slow-rounds 2] [--device cuda] [--quick]

Ablation-CAM and Score-CAM beside their peers; several targets, layers and methods in one pass; what Score-CAM holds at
its peak. Interleaved in one process, see _timing.py; peaks in fresh processes, see _memory.py.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from _timing import Contender, Seconds, Wish, interleave, publish, ratio, table, wishes_table

os.environ["TQDM_DISABLE"] = "1"  # pytorch-grad-cam draws a bar for every call

Array = npt.NDArray[np.float64]

FEW = 32
"""channels= of the quick Score-CAM."""
TARGETS = 10
LAYERS = ("layer1", "layer2", "layer3", "layer4")
METHODS = 5
WARM_UPS = 3

PLAIN = "plain inference"
ABLATION, ABLATION_PEER = "seewhy, ablation-cam", "pytorch-grad-cam, AblationCAM"
SCORE, SCORE_FEW = "seewhy, score-cam", f"seewhy, score-cam, channels={FEW}"
TORCHCAM, GRADCAM = "torchcam, ScoreCAM", "pytorch-grad-cam, ScoreCAM"

NOTES = f"""\
Seeded random weights, float32, eval mode, batch 1. From a ready batch to the raw coarse map, its own forward pass
included. Before the clock started the maps of each method were compared; how far they agree is in the last column.

- {ABLATION_PEER}: as it comes, 32 channels at a time, spared its normalising and upsampling. It takes a forward pass of
  the whole model for each channel; seewhy runs what follows the layer.
- {GRADCAM}: as it comes, 16 channels at a time, spared the same. It upsamples with aligned corners, which moves every
  mask a little.
- {TORCHCAM}: as it comes, 32 channels at a time, `normalized=False`. It scales a channel to [0, 1] before it upsamples
  it, the paper and seewhy after.
- {SCORE_FEW}: the {FEW} channels whose activations vary most; the softmax is over these alone.
- The plain pass is one eager forward pass under `torch.no_grad()`; seewhy's masked passes go in channels-last memory
  format."""


# ---- the contenders --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """What every contender does: explain this batch, at this layer, for this class."""

    net: Any
    layer: str
    batch: Any
    target: int


def plain(work: Work) -> Contender:
    import torch

    def call() -> Any:
        with torch.no_grad():
            return work.net(work.batch)

    return Contender(PLAIN, lambda: nullcontext(call))


def by_seewhy(work: Work, name: str, **options: Any) -> Contender:
    import seewhy

    target = options.pop("target", work.target)
    explainer = seewhy.Explainer(work.net, **{"layer": work.layer, **options})
    explain = explainer.each if isinstance(options.get("layer"), list) else explainer
    return Contender(name, lambda: nullcontext(lambda: explain(work.batch, target)))


def by_torchcam(work: Work) -> Contender:
    from torchcam.methods import ScoreCAM

    @contextmanager
    def prepare() -> Iterator[Callable[[], Any]]:
        with ScoreCAM(work.net, work.layer) as cam:

            def call() -> Any:
                work.net(work.batch)
                return cam(work.target, normalized=False)[0]

            yield call

    return Contender(TORCHCAM, prepare)


def by_pytorch_grad_cam(work: Work, name: str, kind: type) -> Contender:
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    class Coarse(kind):  # type: ignore[misc]
        """Stops at the raw map: its call would go on to normalise it and to upsample it with OpenCV."""

        def compute_cam_per_layer(self, batch: Any, targets: list[Any], smooth: bool) -> npt.NDArray[np.float32]:
            activations = self.activations_and_grads.activations[0].numpy()
            cam = self.get_cam_image(batch, self.target_layers[0], targets, activations, None, smooth)
            rectified: npt.NDArray[np.float32] = np.maximum(cam, 0)
            return rectified

        def aggregate_multi_layers(self, maps: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            return maps

    @contextmanager
    def prepare() -> Iterator[Callable[[], Any]]:
        with Coarse(work.net, [work.net.get_submodule(work.layer)]) as cam:
            yield lambda: cam(work.batch, [ClassifierOutputTarget(work.target)])

    return Contender(name, prepare)


# ---- how far maps agree ----------------------------------------------------------------------------------


def map_of(contender: Contender) -> Array:
    import torch

    with contender.prepare() as call:
        result = call()
    values = torch.as_tensor(getattr(result, "maps", result)).detach().cpu()
    return np.asarray(values, np.float64).reshape(values.shape[-2:])


def correlation(one: Array, other: Array) -> float:
    if not one.std() > 0 or not other.std() > 0:
        raise SystemExit("a map is blank or flat: how far maps agree would mean nothing; choose another class")
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def agreement(contenders: Sequence[Contender], least: Mapping[str, float]) -> dict[str, float]:
    """The correlation of each one's map with the first one's; stops where it is less than the least."""
    maps = {contender.name: map_of(contender) for contender in contenders}
    first = next(iter(maps.values()))
    found = {name: correlation(first, one) for name, one in maps.items()}
    for name, seen in found.items():
        if seen < least.get(name, -1.0):
            raise SystemExit(f"the map of {name} correlates by {seen:.4f} only: not the same work, not timed")
    return found


def correlations_when_trained(count: int) -> dict[str, float]:
    """By photo: the correlation of Score-CAM of few channels with that of all, in a trained net (random weights make
    every channel alike, and tell nothing of which ones matter)."""
    import seewhy
    from seewhy.photos import FILES, embedded_photo

    model = seewhy.load("lite0")
    every, few = (seewhy.Explainer(model, "score-cam", channels=channels) for channels in (None, FEW))
    photos = {name: embedded_photo(name).path for name in list(FILES)[:count]}
    return {
        name: correlation(*(np.asarray(one(photo).maps[0, 0], np.float64) for one in (every, few)))
        for name, photo in photos.items()
    }


# ---- measure ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Timed:
    """The seconds of one net, by what was interleaved, and how far the maps agree."""

    title: str
    ablation: Seconds
    score: Seconds
    targets: Seconds
    layers: Seconds
    methods: Seconds
    agree: Mapping[str, float]


def measure(title: str, name: str, rounds: int, slow_rounds: int, device: str, size: int) -> Timed:
    import torch
    from _nets import Case, build
    from _torch import waiting_for
    from pytorch_grad_cam import AblationCAM, ScoreCAM

    print(f"measuring {title} ...", file=sys.stderr)
    net, batch = build(Case(title, name, "layer4", 1), device, size)
    with torch.no_grad():
        best = net(batch)[0].topk(TARGETS).indices.tolist()
    work = Work(net, "layer4", batch, best[0])
    synchronise = waiting_for(device)

    ablation = [
        by_seewhy(work, ABLATION, method="ablation-cam"),
        by_pytorch_grad_cam(work, ABLATION_PEER, AblationCAM),
    ]
    score = [
        by_seewhy(work, SCORE, method="score-cam"),
        by_torchcam(work),
        by_pytorch_grad_cam(work, GRADCAM, ScoreCAM),
        by_seewhy(work, SCORE_FEW, method="score-cam", channels=FEW),
    ]
    alike = agreement(ablation, {ABLATION_PEER: 0.999}) | agreement(score, {TORCHCAM: 0.99, GRADCAM: 0.9})
    return Timed(
        title,
        interleave([plain(work), *ablation], slow_rounds, 0, synchronise),
        interleave([plain(work), *score], slow_rounds, 0, synchronise),
        interleave(of_targets(work, best), rounds, WARM_UPS, synchronise),
        interleave(of_layers(work), rounds, WARM_UPS, synchronise),
        interleave(of_methods(work), rounds, WARM_UPS, synchronise),
        alike,
    )


ONE_TARGET, MANY_TARGETS = "grad-cam, 1 target", f"grad-cam, {TARGETS} targets"
EVERY_LAYER = f"grad-cam at {len(LAYERS)} layers"
ONE_METHOD, MANY_METHODS = "grad-cam alone", f"{METHODS} methods over one capture"


def of_targets(work: Work, best: list[int]) -> list[Contender]:
    return [plain(work), by_seewhy(work, ONE_TARGET), by_seewhy(work, MANY_TARGETS, target=best)]


def of_layers(work: Work) -> list[Contender]:
    alone = [by_seewhy(work, at(layer), layer=layer) for layer in LAYERS]
    return [plain(work), *alone, by_seewhy(work, EVERY_LAYER, layer=list(LAYERS))]


def at(layer: str) -> str:
    return f"grad-cam at {layer}"


def of_methods(work: Work) -> list[Contender]:
    import seewhy

    several = gradient_methods()
    return [
        plain(work),
        by_seewhy(work, ONE_METHOD),
        Contender(
            MANY_METHODS,
            lambda: nullcontext(
                lambda: seewhy.compare(work.net, work.batch, work.target, methods=several, layer=work.layer)
            ),
        ),
    ]


def gradient_methods() -> list[str]:
    """Methods that take the gradients of one pass and nothing more, Grad-CAM the first."""
    from seewhy import catalog
    from seewhy.types import MethodInfo, method_info

    plainest = MethodInfo()
    found = []
    for name in catalog.names("methods"):
        info = method_info(catalog.get("methods", name))
        if info.gradients and (info.cost, info.at_input, info.guided, info.pixels) == (
            plainest.cost,
            plainest.at_input,
            plainest.guided,
            plainest.pixels,
        ):
            found.append(name)
    return sorted(found, key=lambda name: name != "grad-cam")[:METHODS]


# ---- memory ----------------------------------------------------------------------------------------------

TIGHT, WIDE, TIGHT_FEW = "score-cam, memory=64", "score-cam, memory=256", f"score-cam, memory=64, channels={FEW}"
KINDS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    TIGHT: {"memory": 64},
    TIGHT_FEW: {"memory": 64, "channels": FEW},
    WIDE: {"memory": 256},
}


def worker(kind: str, size: int) -> None:
    import torch
    from _memory import print_peak
    from _nets import Case, build

    net, batch = build(Case("ResNet-18", "resnet18", "layer4", 1), "cpu", size)
    if kind == PLAIN:
        with torch.no_grad():
            print_peak(lambda: net(batch))
        return
    import seewhy

    explainer = seewhy.Explainer(net, "score-cam", "layer4", **KINDS[kind])
    print_peak(lambda: explainer(batch, 0))


# ---- report ----------------------------------------------------------------------------------------------


def wishes(timed: Timed) -> list[Wish]:
    title = timed.title
    peer = min((TORCHCAM, GRADCAM), key=lambda name: ratio(timed.score, name, PLAIN).median)
    gain = ratio(timed.ablation, ABLATION_PEER, ABLATION)
    full, few = ratio(timed.score, peer, SCORE), ratio(timed.score, peer, SCORE_FEW)
    targets = ratio(timed.targets, MANY_TARGETS, ONE_TARGET)
    layers = ratio(timed.layers, EVERY_LAYER, at(LAYERS[0]))
    methods = ratio(timed.methods, MANY_METHODS, ONE_METHOD)
    found = [
        Wish(f"{title}: score-cam, times as fast as {peer}", "≥ 1.5", full.text(), full.median >= 1.5),
        Wish(f"{title}: with channels={FEW}, times as fast as {peer}", "≥ 10", few.text(1), few.median >= 10),
        Wish(f"{title}: {TARGETS} targets / 1 target", "≤ 1.3", targets.text(), targets.median <= 1.3),
        Wish(f"{title}: {len(LAYERS)} layers / {LAYERS[0]} alone", "≤ 1.2", layers.text(), layers.median <= 1.2),
        Wish(f"{title}: {METHODS} methods / 1 method", "≤ 1.2", methods.text(), methods.median <= 1.2),
    ]
    wanted = "≥ 100" if title == "ResNet-18" else "(no figure)"
    met = gain.median >= 100 or title != "ResNet-18"
    return [Wish(f"{title}: ablation-cam, times as fast as pytorch-grad-cam", wanted, gain.text(0), met), *found]


def net_table(timed: Timed) -> str:
    parts = [
        (timed.ablation, (PLAIN, ABLATION, ABLATION_PEER)),
        (timed.score, (SCORE, SCORE_FEW, TORCHCAM, GRADCAM)),
        (timed.targets, (ONE_TARGET, MANY_TARGETS)),
        (timed.layers, (*map(at, LAYERS), EVERY_LAYER)),
        (timed.methods, (ONE_METHOD, MANY_METHODS)),
    ]
    body = []
    for seconds, names in parts:
        for name in names:
            agree = f"{timed.agree[name]:.4f}" if name in timed.agree else ""
            body.append(
                (name, f"{1e3 * float(np.median(seconds[name])):.1f}", ratio(seconds, name, PLAIN).text(), agree)
            )
    head = ("", "ms", "× plain inference of its rounds", "correlation")
    return f"### {timed.title}, at `layer4`\n\n{table(head, body)}"


def memory_table(peaks: Mapping[str, Any]) -> str:
    body = [(kind, f"{seen.peak:.0f}", f"{seen.added:.0f}") for kind, seen in peaks.items()]
    return (
        "### What Score-CAM holds, ResNet-18\n\n"
        "The peak of a fresh process, and what it is above the process with the model loaded and nothing called.\n\n"
        + table(("", "peak, MB", "added, MB"), body)
    )


def memory_wishes(peaks: Mapping[str, Any]) -> list[Wish]:
    added = {kind: seen.added for kind, seen in peaks.items()}
    apart = peaks[TIGHT].peak / peaks[TIGHT_FEW].peak
    rows = [Wish(f"memory of score-cam: 512 channels / {FEW} channels", "≤ 1.05", f"{apart:.3f}", apart <= 1.05)]
    for kind in (TIGHT, WIDE):
        bound = KINDS[kind]["memory"] * 2**20 / 1e6 + added[PLAIN]
        seen = f"{added[kind]:.0f} MB"
        what = f"added by {kind}: the bound and a plain pass"
        rows.append(Wish(what, f"≤ {bound:.0f} MB", seen, added[kind] <= bound))
    return rows


def trained_table(trained: Mapping[str, float]) -> str:
    body = [(photo, f"{seen:.4f}") for photo, seen in trained.items()]
    return (
        f"### channels={FEW} against all, in a trained net\n\n"
        f"`lite0`, at its default layer, for the predicted class: the correlation of the two coarse maps.\n\n"
        + table(("photo", "correlation"), body)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--slow-rounds", type=int, default=2, help="of what makes hundreds of passes in a call")
    parser.add_argument("--nets", default="ResNet-18,ResNet-50", metavar="NET,NET", help="on which")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true", help="a small image, 1 round, to stdout: does it run?")
    parser.add_argument("--worker", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, default=1, help=argparse.SUPPRESS)
    given = parser.parse_args()
    size = 64 if given.quick else 224
    if given.worker:
        worker(given.worker, size)
        return
    rounds, slow = (1, 1) if given.quick else (given.rounds, given.slow_rounds)

    import _nets  # before torchcam and pytorch-grad-cam: see there
    from _memory import measure as measure_memory
    from _torch import is_cuda, where

    assert _nets
    cuda, machine = is_cuda(given.device), where(given.device, "torchcam", "grad-cam")
    nets = [(title, title.lower().replace("-", "")) for title in given.nets.split(",")][: 1 if given.quick else None]
    timed = [measure(title, name, rounds, slow, given.device, size) for title, name in nets]
    found = [wish for one in timed for wish in wishes(one)]
    parts = [NOTES, *map(net_table, timed)]
    if not cuda:
        quick = ["--quick"] if given.quick else []
        peaks = measure_memory(__file__, [(kind, 1) for kind in KINDS], 1, *quick)
        by_kind = {kind: seen for (kind, _), seen in peaks.items()}
        found += memory_wishes(by_kind)
        parts += [memory_table(by_kind), trained_table(correlations_when_trained(1 if given.quick else 4))]
    head = f"{machine} Rounds after warm-ups: {rounds}; {slow} of what makes hundreds of passes."
    text = "\n\n".join(["## The family on PyTorch", head, wishes_table(found), *parts])
    publish("torch_family-cuda" if cuda else "torch_family", text, quick=given.quick)


if __name__ == "__main__":
    main()
