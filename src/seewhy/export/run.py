"""Write a model together with its explanation."""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from seewhy.errors import InputError
from seewhy.explain import Explainer
from seewhy.export.onnx import Written, check_explainer, write_onnx
from seewhy.models._nets import framework
from seewhy.preprocess import Preprocess
from seewhy.types import Method

FORMS = ("onnx", "savedmodel", "page")
"""What can be written."""


def export(
    model: Any,
    path: str | PathLike[str],
    *,
    to: str | None = None,
    method: str | Method | None = None,
    layer: Any = None,
    images: Any = None,
    classes: int | None = None,
    upsample: bool = False,
    runtime: str | PathLike[str] | None = None,
    preprocess: Preprocess | Callable[[Any], Any] | str | None = None,
    labels: Sequence[str] | Mapping[int, str] | None = None,
    score: str = "logit",
    **options: Any,
) -> Path:
    """Write a model together with its explanation: as an ONNX graph, a SavedModel, or a page for browsers.

    `to="onnx"`, of a PyTorch model, or a Keras model on PyTorch: one graph, which `seewhy.load("file:explained.onnx")`
    takes. It has the inputs `image` (n, c, h, w), float32, prepared as the model takes it, and `class_index` (n,),
    int64: the class to explain of each image, -1 for the predicted one. It has the outputs `logits` (n, classes), as
    the model returns them (`probabilities` where it ends in a softmax or sigmoid, `log_probabilities`); `score` (n,),
    the explained number; `heatmap` (n, h, w), the raw map at the layer, rectified and not normalised; and `flat` (n,):
    is it blank because the score has no gradient there? n is any number of images. With `classes=k` it takes k classes
    of each image at once, `class_index` (n, k), and gives `score` (n, k), `flat` (n, k) and `heatmap` (n, k, h, w);
    with `upsample` also `heatmap_upsampled`, the map on the input's pixels. Its metadata hold the labels, the
    preprocess, the layer, the method and its options.

    `to="savedmodel"`, of a Keras model on TensorFlow: a folder that TensorFlow alone runs, with the same inputs and
    outputs, as its function `explain` and as its signature; `image` lies as the model takes it, mostly (n, h, w, c).
    `to="page"`: a folder with the ONNX graph, a web page that runs it, and the runtime: `runtime` is where the npm
    package onnxruntime-web is kept, a .tgz or a folder; None: npm fetches it. None: a SavedModel of Keras on
    TensorFlow, ONNX of all others.

    `images` is a batch, or photos, of the size that the graph is to take; None: test pictures, prepared by the model's
    preprocess. Other arguments are those of `Explainer`, and the method's own options. Before anything appears the
    graph has been run on the images, and its maps were within 1e-4 of seewhy's, as a share of the largest value.

    Raises InputError for a method that takes more than one pass or what does not fit, ModelError where the model cannot
    be one graph, MissingPackageError without the extra "export", or npm, SaveError where it cannot be written.

    >>> import os, tempfile, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
    ...                           torch.nn.Flatten(), torch.nn.Linear(4, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = export(net, os.path.join(folder, "explained.onnx"), images=torch.rand(2, 3, 8, 8))
    ...     path.name
    'explained.onnx'
    """
    explainer = Explainer(model, method, layer, preprocess=preprocess, labels=labels, score=score, **options)
    return write(explainer, path, to, images=images, classes=classes, upsample=upsample, runtime=runtime).path


def write(
    explainer: Explainer,
    path: str | PathLike[str],
    to: str | None = None,
    *,
    images: Any = None,
    classes: int | None = None,
    upsample: bool = False,
    runtime: str | PathLike[str] | None = None,
) -> Written:
    """Write what an explainer does; see `export`."""
    if classes is not None and classes < 1:
        raise InputError(f"expected classes=k of 1 or more, the number of classes explained at once, got {classes}")
    kind = to or usual(explainer, path)
    _check_options(kind, classes, upsample, runtime)
    _check_framework(kind, explainer)
    check_explainer(explainer)
    if kind == "onnx":
        return write_onnx(explainer, path, images=images, classes=classes, upsample=upsample)
    if kind == "page":
        from seewhy.export.page import check_preprocess, write_page

        check_preprocess(explainer.preprocess, explainer.model_name)
        return write_page(path, lambda graph: write_onnx(explainer, graph, images=images), runtime=runtime)
    from seewhy.export.saved_model import write_saved_model

    return write_saved_model(explainer, path, images=images)


def usual(explainer: Explainer, path: str | PathLike[str] | None) -> str:
    """What is written where nobody said: a SavedModel of Keras on TensorFlow, ONNX of all others."""
    to_onnx = path is not None and Path(path).suffix.lower() == ".onnx"
    return "savedmodel" if not to_onnx and _runs_on(explainer) == "Keras on tensorflow" else "onnx"


def _check_options(kind: str, classes: int | None, upsample: bool, runtime: object) -> None:
    if kind not in FORMS:
        raise InputError(f"expected to={', '.join(map(repr, FORMS))}, got {kind!r}")
    if kind != "onnx" and (classes is not None or upsample):
        raise InputError("classes= and upsample= are for ONNX graphs, to='onnx': leave them out")
    if kind != "page" and runtime is not None:
        raise InputError("runtime= is where the files of a page lie, to='page': leave it out")


def _check_framework(kind: str, explainer: Explainer) -> None:
    """Raise InputError where a model of this framework cannot be written so."""
    runs_on = _runs_on(explainer)
    fitting = ("Keras on tensorflow",) if kind == "savedmodel" else ("PyTorch", "Keras on torch")
    if explainer.own is not None or runs_on in fitting:  # what was exported already is refused with better words
        return
    what = {"onnx": "an ONNX graph", "page": "a page, which runs an ONNX graph,", "savedmodel": "a SavedModel"}[kind]
    if not runs_on.startswith("Keras"):
        raise InputError(f"{what} is written of models of {' or '.join(fitting)}, and {explainer.model_name} is of "
                         f"{runs_on}: leave out to={kind!r}")  # fmt: skip
    instead = {
        (False, "Keras on tensorflow"): "; or write a SavedModel, to='savedmodel'",
        (False, "Keras on jax"): "; or KERAS_BACKEND=tensorflow for a SavedModel",
    }
    raise InputError(
        f"{what} is written of models of {' or '.join(fitting)}, and Keras runs on {runs_on.rpartition(' ')[2]} here: "
        f"save the model as .keras, set KERAS_BACKEND={fitting[-1].rpartition(' ')[2]} before Python starts, and load "
        f"it again{instead.get((kind == 'savedmodel', runs_on), '')}"
    )


def _runs_on(explainer: Explainer) -> str:
    """What computes the model: "PyTorch", "Keras on tensorflow" ..."""
    kind = framework(explainer.net)
    if kind != "keras":
        return "PyTorch" if kind == "torch" else str(kind)
    import keras

    return f"Keras on {keras.config.backend()}"
