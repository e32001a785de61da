"""PyTorch: one ONNX graph that returns the class scores and the map that explains one of them, or several.

ONNX Runtime alone runs it, in any language: the forward pass, the way back from the score to the layer and the method's
own function are operators of one graph, for any number of images.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from importlib.metadata import version
from inspect import Parameter, signature
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any

from seewhy.adapters._onnx_metadata import CLASS_INDEX, CLASSES, FLAT, HEATMAP, IMAGE, SCORE, UPSAMPLED, About
from seewhy.errors import InputError, ModelError, SaveError, SeewhyWarning
from seewhy.explain import Explainer
from seewhy.export import _agree, _trial
from seewhy.files import check_target, write_atomically
from seewhy.models._nets import framework, require, short
from seewhy.models._onnx import open_session
from seewhy.preprocess import Preprocess

LARGEST = 2**31 - 1
"""Bytes of an ONNX file: it is one protobuf message."""
UNLIKE = 11
"""Images that a graph is traced with: no other length of the model is likely to be so, and be taken for it."""
NEEDS = ("torch", "onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Written:
    """What was written, and how it was seen to agree."""

    path: Path
    about: About
    apart: float
    """The largest difference to seewhy's own maps, as a share of the largest value of each."""


def check_explainer(explainer: Explainer) -> None:
    """Raise InputError, before any work, where what an explainer does cannot be one graph."""
    info, name = explainer.method.info, explainer.method.name
    fits = "grad-cam, grad-cam-plus-plus, hires-cam, layer-cam and xgrad-cam can"
    if explainer.own is not None:
        raise InputError(f"{explainer.model_name} was exported already, by {explainer.own.method}: take the model that "
                         "it was exported from")  # fmt: skip
    if info.cost != "one pass":
        raise InputError(
            f"the method {name!r} cannot be exported: it makes further passes through the model ({info.cost}), and a "
            f"graph is one; {fits}"
        )
    if info.at_input or info.guided or info.pixels:
        raise InputError(f"the method {name!r} cannot be exported: it explains the input's pixels, and a graph carries "
                         f"the map of a layer; {fits}")  # fmt: skip
    if explainer.signed or explainer.augment is not None or explainer.fuse is not None:
        raise InputError("a graph carries the map of one layer, rectified: leave out signed=, augment= and fuse=")


def write_onnx(
    explainer: Explainer,
    path: str | PathLike[str],
    *,
    images: Any = None,
    classes: int | None = None,
    upsample: bool = False,
) -> Written:
    """Write what an explainer of a PyTorch model does as an ONNX graph; arguments are those of `seewhy.export`."""
    check_explainer(explainer)
    for package in NEEDS:
        require(package, "exporting to ONNX", "export")
    path = _checked_path(path)
    _check_size(explainer)
    _check_inputs(explainer)
    explainer = _in_single_precision(explainer)
    placed = explainer.prepare(_trial_images(explainer) if images is None else images).placed
    found = explainer.find_layers(placed)
    if len(found) != 1:
        raise InputError(f"a graph carries the map of one layer, got {len(found)}: export each on its own")
    batch, images, prepare = _tried(explainer, found[0], placed)
    content, about = _graph(explainer, found[0], images, classes, upsample, prepare)
    apart = _agree.check(Explainer(open_session(content)), explainer, batch, images)
    write_atomically(path, lambda file: file.write(content))
    return Written(path, about, apart)


def _graph(
    explainer: Explainer, layer: tuple[str, Any], batch: Any, classes: int | None, upsample: bool, prepare: Any
) -> tuple[bytes, About]:
    """The graph as a file has it, and what it says of itself."""
    from seewhy.export._torch_trace import Question, traced

    ask = Question(explainer.net, layer[1], (explainer.method,), explainer.logit, classes, upsample, prepare)
    images = batch[:1].expand(UNLIKE, -1, -1, -1).contiguous()
    graph, index, noted = traced(ask, images)
    about = About(
        version=version("seewhy"),
        model=explainer.model_name,
        method=explainer.method.name,
        options=options_of(explainer),
        layer=layer[0],
        shape=noted.shape,
        score="logit" if explainer.logit else "output",
        head=noted.head,
        labels=explainer.labels,
        preprocess=preprocess_of(explainer),
    )
    names = [CLASSES[noted.head], SCORE, HEATMAP] + [UPSAMPLED] * upsample
    names += [FLAT] * explainer.method.info.gradients
    return converted(graph, (images, index), names, about.to_metadata()), about


def converted(graph: Any, examples: tuple[Any, Any], outputs: list[str], metadata: dict[str, str]) -> bytes:
    """A traced graph as ONNX, for any number of images; ModelError where ONNX has no operator for a part of it."""
    import onnx_ir as ir
    import torch

    batch = torch.export.Dim("batch", min=1, max=2**20)
    try:
        with _quiet():
            program = torch.export.export(graph, examples, dynamic_shapes=({0: batch}, {0: batch}))
            made = torch.onnx.export(
                program, (), dynamo=True, input_names=[IMAGE, CLASS_INDEX], output_names=outputs, verbose=False
            )
    except Exception as error:  # classes of the exporter's own
        raise ModelError(_why(error)) from error
    assert made is not None
    for value in (*made.model.graph.inputs, *made.model.graph.outputs):
        value.shape = ir.Shape(["batch", *list(value.shape or ())[1:]])
    made.model.metadata_props.update(metadata)
    content: bytes = made.model_proto.SerializeToString()
    return content


def _why(error: BaseException) -> str:
    """What stopped the conversion: the innermost error says it."""
    link = error
    while link.__cause__ is not None:
        link = link.__cause__
    return (
        f"an operation of the model, or of the method, has no form in ONNX ({short(link) or type(link).__name__}): put "
        "others in its place, or explain the model itself, seewhy.explain"
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says to the console, and its warnings of its own deprecations."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


# ---- what is asked ---------------------------------------------------------------------------------------


def _checked_path(path: str | PathLike[str]) -> Path:
    found = Path(path)
    if found.is_dir():
        raise SaveError(f"{path} is a folder: give the name of a file in it, such as {found / 'explained.onnx'}")
    if found.suffix.lower() != ".onnx":
        raise InputError(f"expected a file called .onnx, such as explained.onnx, got {str(path)!r}")
    check_target(found)
    return found


def _check_size(explainer: Explainer) -> None:
    size = 4 * sum(array.numel() for array in chain(explainer.net.parameters(), explainer.net.buffers()))
    if size > LARGEST:
        raise ModelError(f"{explainer.model_name} has weights of {size / 2**30:.1f} GiB, and one ONNX file holds 2")


def _check_inputs(explainer: Explainer) -> None:
    """Raise InputError where the model cannot be called with one image alone."""
    if framework(explainer.net) != "torch":
        return
    try:
        signature(explainer.net.forward).bind(None)
    except ValueError:  # nothing is known of it
        return
    except TypeError as error:
        raise InputError(
            f"a graph takes one image input, and {explainer.model_name} takes several ({error}): wrap it in a model "
            "that takes the image alone and gives the others itself"
        ) from None


def _in_single_precision(explainer: Explainer) -> Explainer:
    """The explainer of a copy on the CPU in single precision, which graphs are of, unless the model is so already."""
    import torch

    net = explainer.net
    arrays = list(chain(net.parameters(), net.buffers()))
    if all(a.device.type == "cpu" and a.dtype in (torch.float32, torch.int64, torch.bool) for a in arrays):
        return explainer
    try:
        return explainer.with_net(deepcopy(net).to("cpu", torch.float32))
    except Exception as error:
        raise ModelError(
            f"{explainer.model_name} cannot be copied to the CPU in single precision: {short(error)}"
        ) from error


def _trial_images(explainer: Explainer) -> Any:
    if explainer.preprocess is None:
        raise InputError(
            f"{explainer.model_name} does not say how large its input is: pass images=, a ready batch (n, c, h, w), or "
            "preprocess=seewhy.Preprocess(size=...)"
        )
    return _trial.pictures()


def _tried(explainer: Explainer, layer: tuple[str, Any], placed: Any) -> tuple[Any, Any, Any]:
    """The batch as the model takes it, the same as the graph takes it, and how the model is made ready for such."""
    if framework(explainer.net) == "keras":
        from seewhy.export._keras_torch import subject

        return subject(explainer.net, layer, placed)
    batch = _as_trial(placed)
    return batch, batch, None


def _as_trial(placed: Any) -> Any:
    """The batch that the graph is tried with."""
    import torch

    if not isinstance(placed, torch.Tensor) or placed.ndim != 4 or not placed.is_floating_point():
        raise InputError("a graph takes one image input of floats, (n, c, h, w), and this model takes another")
    return placed if len(placed) > 1 else torch.cat([placed, placed.flip(-1)])  # several are to stay apart


def options_of(explainer: Explainer) -> dict[str, Any]:
    parameters = signature(explainer.method.function).parameters.values()
    known = {p.name: p.default for p in parameters if p.kind is Parameter.KEYWORD_ONLY and p.default is not p.empty}
    return {**known, **explainer.method.options}


def preprocess_of(explainer: Explainer) -> Preprocess | None:
    if explainer.preprocess is None or isinstance(explainer.preprocess, Preprocess):
        return explainer.preprocess
    warnings.warn(
        f"the preprocess of {explainer.model_name} is a function of Python, which no file can carry: whoever loads the "
        "graph has to pass it again, seewhy.load(..., preprocess=...), or prepare the photos",
        SeewhyWarning,
        stacklevel=6,
    )
    return None
