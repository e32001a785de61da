"""How much memory `explain` takes at its peak on Keras with TensorFlow, against the compiled plain forward pass.

    python benchmarks/keras_memory.py [--runs 3] [--quick]

Each run is a fresh process that builds the model, calls it three times and reports its own peak, see _memory.py.
"""

import argparse
from collections.abc import Callable
from typing import Any

from _memory import measure, print_peak, report
from _timing import machine, publish

PLAIN, SEEWHY = "plain forward", "seewhy"
KINDS = (PLAIN, SEEWHY)
BATCH = 8
ENVIRONMENT = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}

NOTES = """\
`keras.applications.Xception`, `block14_sepconv2_act`, one class, seeded random weights, 299 x 299, float32. Tracing and
compiling are in both peaks."""


def worker(kind: str, batch: int) -> None:
    import _keras

    model, inputs = _keras.build(batch)
    print_peak(_call(kind, model, inputs))


def _call(kind: str, model: Any, inputs: Any) -> Callable[[], Any]:
    import _keras

    if kind == PLAIN:
        forward = _keras.forward(model)
        return lambda: forward(inputs).numpy()
    import seewhy

    explainer = seewhy.Explainer(model, layer=_keras.LAYER)
    return lambda: explainer(inputs, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="1 run, to stdout only")
    parser.add_argument("--worker", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        worker(given.worker, given.batch)
        return
    runs = 1 if given.quick else given.runs
    where = machine("keras", "tensorflow", more="on cpu")
    peaks = measure(__file__, [(kind, BATCH) for kind in KINDS], runs, **ENVIRONMENT)
    text = report("Peak memory on Keras with TensorFlow", "Xception", PLAIN, peaks, runs, where, NOTES)
    publish("keras_memory", text, quick=given.quick)


if __name__ == "__main__":
    main()
