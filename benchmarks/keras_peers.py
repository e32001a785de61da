"""How long Grad-CAM takes on Keras, as ratios to the backend's own forward pass: seewhy, and on TensorFlow its peers.

    python benchmarks/keras_peers.py [--rounds 16] [--backend tensorflow ...] [--device cuda] [--quick]

A fresh process for each backend and batch size, for TensorFlow with the peers' Python (`make .venv-peers/.bench`). In
it all do the same work, from a ready batch to the raw coarse maps after the ReLU, at the same layer for the same
classes; that their maps are equal is asserted before anything is timed. Interleaved in one process, see _timing.py.
"""

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from _peers import Maps, assert_same_maps, likely_classes, noise, timings
from _timing import Contender, Seconds, Wish, interleave, machine, publish, ratio, run, table, wishes_table

TITLES = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
PACKAGES = {
    "tensorflow": ("tensorflow-cpu", "tf-keras-vis", "xplique"),
    "jax": ("jax",),
    "torch": ("torch",),
}
BATCHES = (1, 8)
CLASSES = 10
WARM_UPS = 3
AT_MOST = 1.10

PLAIN, AGAIN = "plain forward", "plain forward, again"
SEEWHY, MANY = "seewhy", f"seewhy, {CLASSES} classes"
ARTICLE, TF_KERAS_VIS, XPLIQUE, COARSE = "the article's steps", "tf-keras-vis", "xplique", "xplique, not resized"

PEERS_PYTHON = Path(__file__).parents[1] / ".venv-peers" / "bin" / "python"
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}
NO_GPU = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}

NOTES = f"""\
`keras.applications.Xception`, seeded random weights, float32, 299 x 299, at `block14_sepconv2_act`. Each contender
goes from a ready batch (the backend's own tensor) to the raw coarse maps of the logits after the ReLU, and does its own
forward pass; before the clock started their maps were found equal (1e-4 of each map's peak). Each table is a process
of its own. What differs:

- {PLAIN}: the outputs only. TensorFlow: `tf.function`; JAX: `stateless_call` under `jax.jit`, the weights as inputs;
  PyTorch: `torch.no_grad()`. "again" is the same once more: what it differs by is noise.
- seewhy: an `Explainer` made once. It also gives outputs, scores, probabilities and which maps are blank, and checks
  for NaN. {CLASSES} classes: one call, {CLASSES} maps of each image; the first and the last were found equal to those
  of calls for one class.
- {ARTICLE}: those of the well-known Keras walk-through, written anew in `_keras_rivals.py`: the model split
  in two at the layer, an eager tape over the tail, the channels weighted in a Python loop. Both halves, of a copy that
  ends in logits, were made before the clock. They explain one image: a batch of 8 is a loop over its images. The
  channels are summed where the article takes their mean, and the map is not normalised.
- tf-keras-vis: `Gradcam(model, ReplaceToLinear())` made once; `expand_cam=False`, `normalize_cam=False`.
- xplique: `GradCAM` made once, of a copy that ends in logits. Its call always resizes the maps to the input (bicubic):
  that is in its time, and was done to seewhy's maps before they were compared. "not resized" is spared that, and
  `tf.data` too, and stops at the raw maps as all others do.
- first call: tracing and compiling, and what else is made only then. The {PLAIN}'s is the first thing that the
  process computes. What is made before (an `Explainer`, copies of the model) is not in it."""


@dataclass(frozen=True)
class Timed:
    """What one process found, on one backend at one batch size."""

    backend: str
    batch: int
    versions: str
    first: dict[str, float]
    """By contender: the seconds of its first call."""
    seconds: Seconds

    def __str__(self) -> str:
        return f"{TITLES[self.backend]}, batch {self.batch}"


# ---- in the fresh process --------------------------------------------------------------------------------


def worker(backend: str, batch: int, rounds: int, warm_ups: int, size: int) -> None:
    """Print a Timed as JSON."""
    import _keras

    model, inputs = _keras.build(batch, size)
    forward = _keras.forward(model)
    first: dict[str, float] = {}
    outputs = first_call(PLAIN, lambda: forward(inputs), first)
    classes = likely_classes(outputs, CLASSES)

    by_seewhy = seewhy_calls(model, inputs, classes)
    maps = {name: first_call(name, call, first) for name, call in by_seewhy.items()}
    last = as_numpy(seewhy_calls(model, inputs, classes[-1:])[SEEWHY]())
    assert_same_maps({SEEWHY: np.concatenate([maps[SEEWHY], last], axis=1), MANY: maps[MANY][:, [0, -1]]})

    peers = peers_calls(model, inputs, classes[0]) if backend == "tensorflow" else {}
    theirs = {name: first_call(name, call, first) for name, call in peers.items()}
    if peers:
        assert_same_as_peers(maps[SEEWHY][:, 0], theirs, size)

    calls = {PLAIN: lambda: forward(inputs), AGAIN: lambda: forward(inputs), **by_seewhy, **peers}
    seconds = interleave([contender(*item) for item in calls.items()], rounds, warm_ups)
    versions = ", ".join(f"{package} {version(package)}" for package in ("keras", *PACKAGES[backend]))
    print(json.dumps({"versions": versions, "first": first, "seconds": seconds}))


def contender(name: str, call: Callable[[], Any]) -> Contender:
    return Contender(name, lambda: nullcontext(lambda: as_numpy(call())))


def as_numpy(array: Any) -> Any:
    """As NumPy, so that nothing is left to be computed."""
    import keras

    return keras.ops.convert_to_numpy(array)


def first_call(name: str, call: Callable[[], Any], first: dict[str, float]) -> Any:
    """What it gives, as NumPy; how long it took is noted."""
    start = perf_counter()
    result = as_numpy(call())
    first[name] = perf_counter() - start
    return result


def seewhy_calls(model: Any, inputs: Any, classes: tuple[int, ...]) -> dict[str, Callable[[], Any]]:
    import _keras

    import seewhy

    explainer = seewhy.Explainer(model, layer=_keras.LAYER)
    return {
        SEEWHY: lambda: explainer(inputs, classes[0]).maps,
        MANY: lambda: explainer(inputs, [list(classes)] * len(inputs)).maps,
    }


def peers_calls(model: Any, inputs: Any, class_index: int) -> dict[str, Callable[[], Any]]:
    import _keras_rivals as rivals
    from _keras import LAYER

    n = len(inputs)
    made = {
        ARTICLE: rivals.article(model, LAYER, class_index),
        TF_KERAS_VIS: rivals.tf_keras_vis(model, LAYER, class_index),
        XPLIQUE: rivals.xplique(model, LAYER, class_index, n),
        COARSE: rivals.xplique(model, LAYER, class_index, n, rivals.CoarseGradCAM),
    }
    return {name: lambda call=call: call(inputs) for name, call in made.items()}


def assert_same_as_peers(maps: Maps, theirs: dict[str, Maps], size: int) -> None:
    from _keras_rivals import resized

    coarse = {name: given for name, given in theirs.items() if name != XPLIQUE}
    assert_same_maps({SEEWHY: maps, **coarse})
    assert_same_maps({f"{SEEWHY}, resized": resized(maps, size), XPLIQUE: theirs[XPLIQUE]})


# ---- in the parent ---------------------------------------------------------------------------------------


def measure(backend: str, batch: int, device: str, python: str, arguments: list[str]) -> Timed:
    print(f"measuring {TITLES[backend]}, batch {batch} ...", file=sys.stderr)
    command = [python, __file__, "--worker", backend, "--batch", str(batch), *arguments]
    environment = QUIET | ({} if device.startswith("cuda") else NO_GPU)
    told = json.loads(run(command, KERAS_BACKEND=backend, **environment).stdout.splitlines()[-1])
    return Timed(backend, batch, **told)


def case_table(timed: Timed) -> str:
    def row(name: str) -> tuple[str, ...]:
        first = f"{timed.first[name]:.1f}" if name in timed.first else ""
        return name, first, *timings(timed.seconds, name, PLAIN)

    body = table(("", "first call, s", "ms", f"× {PLAIN}"), map(row, timed.seconds))
    return f"### {timed}\n\n{timed.versions}\n\n{body}"


def wish(timed: Timed) -> Wish:
    cost = ratio(timed.seconds, SEEWHY, PLAIN)
    return Wish(f"{timed}: {SEEWHY} / {PLAIN}", f"≤ {AT_MOST:.2f}", cost.text(), cost.median <= AT_MOST)


def report(timed: list[Timed], rounds: int, where: str) -> str:
    return "\n\n".join(
        [
            "## Grad-CAM on Keras: seewhy, the article's steps and peers",
            f"{where} Rounds after warm-ups: {rounds}.",
            noise(PLAIN, [ratio(one.seconds, AGAIN, PLAIN) for one in timed]),
            wishes_table(list(map(wish, timed))),
            NOTES,
            *map(case_table, timed),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--backend", nargs="+", choices=TITLES, help="all; with --device cuda: torch")
    parser.add_argument("--device", default="cpu", help="cuda: the backend takes the GPU by itself")
    parser.add_argument("--peers-python", default=str(PEERS_PYTHON), help="a Python with peers-requirements.txt")
    parser.add_argument("--quick", action="store_true", help="2 small images, 1 round, to stdout only: does it run?")
    parser.add_argument("--worker", choices=TITLES, help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    rounds, warm_ups, size = (1, 0, 96) if given.quick else (given.rounds, WARM_UPS, 299)
    if given.worker:
        worker(given.worker, given.batch, rounds, warm_ups, size)
        return

    cuda = given.device.startswith("cuda")
    backends = given.backend or (["torch"] if cuda else list(TITLES))  # of the others CPU builds are pinned
    if "tensorflow" in backends and not Path(given.peers_python).exists():
        raise SystemExit(f"no {given.peers_python}: `make .venv-peers/.bench` makes it, see benchmarks/README.md")
    where = machine(more=f"on {given.device}")
    arguments = ["--rounds", str(rounds), *(["--quick"] if given.quick else [])]
    pythons = {"tensorflow": given.peers_python}
    timed = [
        measure(backend, batch, given.device, pythons.get(backend, sys.executable), arguments)
        for backend in backends
        for batch in ((2,) if given.quick else BATCHES)
    ]
    publish("keras_peers-cuda" if cuda else "keras_peers", report(timed, rounds, where), quick=given.quick)


if __name__ == "__main__":
    main()
