"""Write a model together with its explanation."""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seewhy.errors import InputError
from seewhy.explain import Explainer
from seewhy.models._nets import framework
from seewhy.preprocess import Preprocess
from seewhy.types import Method

if TYPE_CHECKING:
    from seewhy.export.onnx import Written


def export(
    model: Any,
    path: str | PathLike[str],
    *,
    method: str | Method | None = None,
    layer: Any = None,
    images: Any = None,
    classes: int | None = None,
    upsample: bool = False,
    preprocess: Preprocess | Callable[[Any], Any] | str | None = None,
    labels: Sequence[str] | Mapping[int, str] | None = None,
    score: str = "logit",
    **options: Any,
) -> Path:
    """Write a PyTorch model as one ONNX graph that explains itself: `seewhy.load("file:explained.onnx")` takes it.

    The graph has the inputs `image` (n, c, h, w), float32, prepared as the model takes it, and `class_index` (n,),
    int64: the class to explain of each image, -1 for the predicted one. It has the outputs `logits` (n, classes), as
    the model returns them (`probabilities` where it ends in a softmax or sigmoid, `log_probabilities`); `score` (n,),
    the explained number; and `heatmap` (n, h, w), the raw map at the layer, rectified and not normalised. n is any
    number of images. With `classes=k` it takes k classes of each image at once, `class_index` (n, k), and gives
    `score` (n, k) and `heatmap` (n, k, h, w); with `upsample` also `heatmap_upsampled`, the map on the input's pixels.
    Its metadata hold the labels, the preprocess, the layer, the method and its options.

    `images` is a batch, or photos, of the size that the graph is to take; None: test pictures, prepared by the model's
    preprocess. Other arguments are those of `Explainer`, and the method's own options. Before the file appears, ONNX
    Runtime has run the graph on the images, and its maps were within 1e-4 of seewhy's, as a share of the largest value.

    Raises InputError for a method that takes more than one pass or what does not fit, ModelError where the model cannot
    be one graph, MissingPackageError without the extra "export", SaveError where the file cannot be written.

    >>> import os, tempfile, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
    ...                           torch.nn.Flatten(), torch.nn.Linear(4, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = export(net, os.path.join(folder, "explained.onnx"), images=torch.rand(2, 3, 8, 8))
    ...     path.name
    'explained.onnx'
    """
    explainer = Explainer(model, method, layer, preprocess=preprocess, labels=labels, score=score, **options)
    return write(explainer, path, images=images, classes=classes, upsample=upsample).path


def write(
    explainer: Explainer,
    path: str | PathLike[str],
    *,
    images: Any = None,
    classes: int | None = None,
    upsample: bool = False,
) -> "Written":
    """Write what an explainer does; see `export`."""
    if classes is not None and classes < 1:
        raise InputError(f"expected classes=k of 1 or more, the number of classes explained at once, got {classes}")
    if explainer.own is None and framework(explainer.net) != "torch":
        raise InputError(f"{explainer.model_name} is no PyTorch model, and only those are exported to ONNX")
    from seewhy.export.onnx import write_onnx

    return write_onnx(explainer, path, images=images, classes=classes, upsample=upsample)
