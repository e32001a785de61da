"""A static page that runs an explained graph in its visitor's browser."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib.resources import files
from os import PathLike
from pathlib import Path

from seewhy.adapters._onnx_metadata import CLASSES
from seewhy.errors import InputError
from seewhy.export._runtime import FILES, place_runtime
from seewhy.export.onnx import Written
from seewhy.files import write_folder
from seewhy.preprocess import Locator, Preprocess
from seewhy.render.colormap import steps

GRAPH, SETTINGS = "explained.onnx", "explained.json"
OPACITY = 0.6
"""Of the heatmap at first; that of Explanation.overlay."""


def write_page(
    folder: str | PathLike[str], make: Callable[[Path], Written], *, runtime: str | PathLike[str] | None = None
) -> Written:
    """Write a folder with a page that explains photos in its visitor's browser, by the ONNX graph that `make` writes.

    All that the page needs lies in the folder: serve it from anywhere, also without a network. `runtime`: where the npm
    package onnxruntime-web is kept (its .tgz, or a folder); None: it is fetched by npm. The folder appears whole or not
    at all, and takes the place of a page that was written before.

    Raises MissingPackageError where npm is missing or its registry is not reached, InputError where `runtime` is no
    such package, SaveError where the folder holds other files or cannot be written.
    """
    source = None if runtime is None else Path(runtime).expanduser()
    made: list[Written] = []

    scripts = [file for file in (files("seewhy.export") / "page").iterdir() if file.is_file()]

    def fill(inside: Path) -> None:
        (inside / "runtime").mkdir()
        place_runtime(inside / "runtime", source)
        for file in scripts:
            (inside / file.name).write_bytes(file.read_bytes())
        made.append(make(inside / GRAPH))
        about = made[0].about
        settings = {
            **asdict(about),
            "scores": CLASSES[about.head],
            "bytes": (inside / GRAPH).stat().st_size,
            "opacity": OPACITY,
            "colours": ["".join(f"{part:02x}" for part in colour) for colour in steps("viridis").tolist()],
        }
        (inside / SETTINGS).write_text(json.dumps(settings, ensure_ascii=False), encoding="utf-8")

    ours = [SETTINGS, GRAPH, *(file.name for file in scripts), *(f"runtime/{name}" for name in FILES)]
    path = write_folder(folder, fill, ours)
    return replace(made[0], path=path)


def check_preprocess(preprocess: Preprocess | Locator | None, model: str) -> None:
    """Raise InputError for a preprocess that a page cannot do."""
    if not isinstance(preprocess, Preprocess):
        came = "none" if preprocess is None else "a function of Python, which no browser runs"
        raise InputError(
            f"a page has to prepare photos as {model} takes them, and its preprocess is {came}: pass "
            "preprocess=seewhy.Preprocess(size=..., resize=..., mean=..., std=...)"
        )
