"""ONNX Runtime: graphs that carry their own explanation, as `seewhy.export` writes them; no other framework is needed.

The model is an onnxruntime.InferenceSession. Its layers cannot be seen, so there is one method at one layer.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from onnxruntime import InferenceSession

from seewhy.adapter import Ask
from seewhy.adapters._checks import check_classes
from seewhy.adapters._onnx_metadata import (
    CLASS_INDEX,
    CLASSES,
    FLAT,
    HEATMAP,
    IMAGE,
    PREDICTED,
    SCORE,
    About,
    from_metadata,
)
from seewhy.errors import InputError, LayerError, ModelError
from seewhy.types import Capture, LayerInfo, Own, Rows
from seewhy.vision_model import VisionModel

Floats = npt.NDArray[np.float32]

_known: WeakKeyDictionary[InferenceSession, About] = WeakKeyDictionary()


def about(net: InferenceSession) -> About:
    """What the graph says of itself; ModelError that says what it lacks where it is none that explains itself."""
    if net not in _known:
        _known[net] = _read(net)
    return _known[net]


def _read(net: InferenceSession) -> About:
    given = {*(node.name for node in net.get_inputs()), *(node.name for node in net.get_outputs())}
    lacks = [f"the {kind} {name!r}" for kind, name in (("input", IMAGE), ("input", CLASS_INDEX), ("output", SCORE),
                                                       ("output", HEATMAP)) if name not in given]  # fmt: skip
    if not given & set(CLASSES.values()):
        lacks.append("the output 'logits' (or 'probabilities')")
    said = ""
    if not lacks:
        try:
            return from_metadata(net.get_modelmeta().custom_metadata_map)
        except KeyError as error:
            lacks = [f"the metadata entry {error.args[0]!r}"]
        except (ValueError, TypeError) as error:
            lacks, said = ["sound metadata"], f" ({error})"
    raise ModelError(
        f"this ONNX graph carries no explanation: it lacks {', '.join(lacks)}{said}. ONNX Runtime takes no gradients, "
        "so it explains what carries its explanation: export the model that the graph was made from, "
        "seewhy.export(model, 'explained.onnx') (seewhy export --model SPEC --out explained.onnx), and load that"
    )


def describe(net: InferenceSession) -> VisionModel:
    """The model with the preprocess and the labels that its file carries."""
    told = about(net)
    return VisionModel(net, told.preprocess, told.labels, told.model)


def own(net: InferenceSession) -> Own | None:
    """The explanation that the graph carries."""
    told = about(net)
    return Own(told.method, told.options, told.layer, told.score)


# ---- inputs ----------------------------------------------------------------------------------------------


def image_shape(net: InferenceSession) -> tuple[int, ...]:
    """(c, h, w) of the images that the graph takes."""
    return tuple(next(node.shape for node in net.get_inputs() if node.name == IMAGE)[1:])


def is_batch(net: InferenceSession, images: object) -> bool:
    """A NumPy array of more axes than a photo has."""
    return isinstance(images, np.ndarray) and images.ndim > 3


def place(net: InferenceSession, inputs: Any) -> Floats:
    """The batch in single precision; InputError where it is of another size than the graph's."""
    expected, shape = image_shape(net), inputs.shape
    if tuple(shape[1:]) != expected:
        raise InputError(f"{about(net).model} was exported for images (n, {', '.join(map(str, expected))}), got a "
                         f"batch {tuple(shape)}")  # fmt: skip
    if not len(inputs):
        raise InputError(f"the batch is empty: shape {tuple(shape)}")
    return np.ascontiguousarray(inputs, np.float32)


def place_photos(net: InferenceSession, photos: Floats) -> Floats:
    """Prepared photos (n, c, h, w)."""
    return place(net, photos)


def vary(net: InferenceSession, inputs: Floats, images: Floats, of: Rows) -> Floats:
    """These images."""
    return place(net, images)


def size(inputs: Floats) -> tuple[int, tuple[int, ...]]:
    """The number of images, and their spatial axes."""
    return len(inputs), tuple(inputs.shape[2:])


def pictures(inputs: Floats) -> Callable[[int], Floats]:
    """Image i, (c, h, w)."""
    return lambda i: inputs[i]


# ---- the one layer ---------------------------------------------------------------------------------------


def find_layer(net: InferenceSession, layer: object) -> tuple[str, str]:
    """The one layer."""
    name = about(net).layer
    if layer != name:
        raise LayerError(f"this model carries its explanation at the layer {name!r}, and shows no other, got {layer!r}")
    return name, name


def classes_last(net: InferenceSession) -> bool:
    """Class scores are (n, classes)."""
    return False


def layers(net: InferenceSession, inputs: Floats) -> list[LayerInfo]:
    """The one layer."""
    told = about(net)
    return [LayerInfo(told.layer, "exported", told.shape, True)]


def randomised(net: InferenceSession, share: float, seed: int) -> InferenceSession:
    """Raises InputError: the weights of a session cannot be changed."""
    raise InputError("the weights of an exported graph cannot be shuffled: take the model that it was exported from")


def full_precision() -> AbstractContextManager[None]:
    """Nothing has to be switched off."""
    return nullcontext()


# ---- capture ---------------------------------------------------------------------------------------------


def capture(
    net: InferenceSession,
    layers: Sequence[Any],
    inputs: Floats,
    ask: Ask,
    *,
    gradients: bool,
    logit: bool,
    guided: bool = False,
) -> list[Capture]:
    """The maps of the asked classes. One run for as many targets as the graph takes at once.

    Where the predicted class is asked for, the run that predicts it explains it. Raises InputError for what is not the
    score of a class.
    """
    n, wanted = len(inputs), ask.indices(None)
    if wanted is not None and wanted.max() >= _class_count(net):
        wanted = None  # the question itself says what is wrong, once it sees the classes
    asked = np.full((n, 1), PREDICTED, np.int64) if wanted is None else wanted
    outputs, scores, maps, flat = _run(net, inputs, asked)
    classes = np.asarray(outputs, np.float32)
    check_classes(classes)
    if wanted is None:
        wanted = ask.indices(classes)
        if wanted is None:
            raise InputError(
                f"{about(net).model} carries its explanation for scores of single classes: ask for classes by index or "
                "by name, or for seewhy.top(k); other targets can be asked of the model that it was exported from"
            )
        if wanted.shape[1] > 1 or (wanted[:, 0] != classes.argmax(axis=1)).any():
            outputs, scores, maps, flat = _run(net, inputs, wanted)
    ask(outputs, classes)  # the scores come out of the graph, and what they are called is told here
    unseen = np.zeros((n, 0, *maps.shape[2:]), np.float32)
    return [Capture(unseen, None, scores, outputs, classes, about(net).head, maps=maps, flat=flat)]


def keep(
    net: InferenceSession,
    layers: Sequence[Any],
    inputs: Floats,
    *,
    gradients: bool,
    logit: bool,
    guided: bool = False,
) -> Callable[[Ask], list[Capture]]:
    """A graph hands nothing out of its midst: each question runs it."""
    return partial(capture, net, layers, inputs, gradients=gradients, logit=logit, guided=guided)


def _run(
    net: InferenceSession, images: Floats, wanted: npt.NDArray[np.int64]
) -> tuple[Floats, Floats, Floats, npt.NDArray[np.bool_] | None]:
    """The class scores (n, classes), and of these classes (n, k) the explained scores (n, k), the maps (n, k, *s), and
    whether they are flat (n, k); None where the graph does not say it, as older ones do not.
    """
    known = {node.name: node.shape for node in net.get_inputs()}
    several = len(known[CLASS_INDEX]) > 1
    at_once = int(known[CLASS_INDEX][1]) if several else 1
    asked = [_class_scores(net).name, SCORE, HEATMAP] + [FLAT] * any(node.name == FLAT for node in net.get_outputs())
    parts, k = [], wanted.shape[1]
    for start in range(0, k, at_once):
        columns = np.minimum(np.arange(start, start + at_once), k - 1)  # the last one fills up
        index = wanted[:, columns] if several else wanted[:, start]
        outputs, *answers = net.run(asked, {IMAGE: images, CLASS_INDEX: index})
        parts.append(answers if several else [answer[:, None] for answer in answers])
    scores, maps, *flat = (np.concatenate(part, axis=1)[:, :k] for part in zip(*parts, strict=True))
    return outputs, scores, maps, flat[0] if flat else None


def _class_scores(net: InferenceSession) -> Any:
    """The output (n, classes)."""
    return next(node for node in net.get_outputs() if node.name in CLASSES.values())


def _class_count(net: InferenceSession) -> int:
    return int(_class_scores(net).shape[1])
