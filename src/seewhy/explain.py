"""READ FIRST: from a model and its images to an Explanation, in the steps of the Grad-CAM paper."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from inspect import Parameter, signature
from typing import Any

import numpy as np
import numpy.typing as npt

from seewhy import catalog
from seewhy.errors import InputError, LayerError, OutputError, SeewhyError, SeewhyWarning
from seewhy.explanation import Explanation
from seewhy.images import is_photo, open_photos
from seewhy.maps import is_blank, is_finite, is_zero, rectify, to_numpy
from seewhy.outputs import class_candidates, class_scores, is_ambiguous, looks_like_probabilities, probabilities
from seewhy.preprocess import Geometry, Preprocess, as_preprocess
from seewhy.targets._forms import Question, as_rows, bind_rows
from seewhy.types import INPUT, Capture, LayerInfo, Method, method_info
from seewhy.view import View
from seewhy.vision_model import VisionModel, as_labels


class Explainer:
    """Explains one model by one method at one layer, found once; use it for any number of images, from any thread.

    `model` is a torch.nn.Module, a keras.Model or a VisionModel (what `seewhy.load` returns). `method` is a name
    (`seewhy.methods()` lists them) or a function from a Capture to maps; `options` are the method's own. `layer` is a
    dotted name (in Keras a path, `outer/inner`), a module or layer of the model, or None: found by one more forward
    pass, at the first call. A layer that runs several times in one pass is explained at its last run.

    `preprocess` says how photos become inputs: a `seewhy.Preprocess`, "imagenet", or any function from a PIL image to
    a (c, h, w) array that only resizes, crops and normalises. `labels` names the classes. `score="logit"` explains the
    number before a final softmax or sigmoid, as the paper does; `score="output"` what the model returns.
    `signed=True` leaves out the last ReLU: maps keep what speaks against the target too, below 0.

    The model is explained in eval mode and left as it was: modes, hooks, flags, gradients, also after an error.

    Raises UnknownNameError for a method, layer or label that nothing goes by, InputError for an unknown option.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
    ...                           torch.nn.Flatten(), torch.nn.Linear(4, 2))
    >>> explanation = Explainer(net)(torch.rand(5, 3, 8, 8), target=1)
    >>> explanation.layer, tuple(explanation.maps.shape), tuple(explanation.scores.shape)
    ('1', (5, 1, 6, 6), (5, 1))
    """

    def __init__(
        self,
        model: Any,
        method: str | Method = "grad-cam",
        layer: Any = None,
        *,
        preprocess: Preprocess | Callable[[Any], Any] | str | None = None,
        labels: Sequence[str] | Mapping[int, str] | None = None,
        score: str = "logit",
        signed: bool = False,
        **options: Any,
    ) -> None:
        if score not in ("logit", "output"):
            raise InputError(f"expected score='logit' (before a final softmax) or score='output', got {score!r}")
        self.net = model.net if isinstance(model, VisionModel) else model
        self.adapter = catalog.adapter_for(self.net)
        vision = model if isinstance(model, VisionModel) else self.adapter.describe(model)
        self.model_name = vision.name or type(self.net).__name__
        self.preprocess = as_preprocess(preprocess if preprocess is not None else vision.preprocess)
        self.labels = as_labels(labels if labels is not None else vision.labels)
        self.logit = score == "logit"
        self.signed = signed
        self.method: Method = catalog.get("methods", method) if isinstance(method, str) else method
        self.method_name = (
            method.replace("_", "-") if isinstance(method, str) else getattr(method, "__name__", type(method).__name__)
        )
        self.options = _checked_options(self.method, self.method_name, options)
        self._said = self._in_range = False
        self._layer = self._given_layer(layer)

    def __call__(self, images: Any, target: Any = None) -> Explanation:
        """Explain images for a target; both in the forms that `seewhy.explain` lists."""
        inputs, views = self._prepare(images)
        rows = as_rows(target, len(views))
        name, layer = self._find_layer(inputs)

        question = Question(rows, self._names, self.adapter.classes_last(self.net))
        # 1. capture: one forward pass, and one backward pass from the scores to the layer
        info = method_info(self.method)
        [capture] = self.adapter.capture(
            self.net, [layer], inputs, question, gradients=info.gradients, logit=self.logit, guided=info.guided
        )
        question.settle(capture.outputs)
        # 2. weigh the channels, 3. combine them
        with self.adapter.full_precision():
            maps = self.method(capture, **self.options)
        _check(maps, capture, self.adapter.size(inputs)[1] if info.pixels else None, self.method_name)
        self._warn(capture)
        # 4. rectify: what speaks for the target remains
        if not self.signed:
            maps = rectify(maps)
        # 5. result: the raw maps, and all that is needed to read them
        blank = to_numpy(is_zero(maps) if self.signed else is_blank(maps))
        return Explanation(
            maps=maps,
            scores=capture.scores,
            outputs=capture.outputs,
            blank=blank,
            flat=blank & _is_flat(capture) if blank.any() else blank,
            targets=tuple(map(tuple, question.bound)),
            layer=name,
            method=self.method_name,
            model=self.model_name,
            views=views,
            probabilities=_probabilities(capture),
            names=self._names(capture.classes),
            peak=float(abs(maps).max()),
            signed=self.signed,
        )

    def _given_layer(self, layer: Any) -> tuple[str, Any] | None:
        if method_info(self.method).at_input:
            if layer not in (None, INPUT):
                raise LayerError(
                    f"the method {self.method_name!r} explains the model's input and no layer: leave layer= out"
                )
            return INPUT, INPUT
        return self.adapter.find_layer(self.net, layer) if layer is not None else None

    def check(self, target: Any) -> None:
        """Raise what a call for this target would raise for its class names and indices, before any pass."""
        if self.labels is None:
            return
        rows, ramp = as_rows(target, 1), np.arange(len(self.labels), dtype=np.float32)[None]
        try:
            bind_rows(rows, self.labels, ramp)
        except SeewhyError:  # what is wrong is so whichever class is the best
            bind_rows(rows, self.labels, -ramp)

    def _prepare(self, images: Any) -> tuple[Any, tuple[View, ...]]:
        """The model's input, and for each image where it lies on its photo."""
        if isinstance(images, np.ndarray) and images.ndim == 4 and images.dtype == np.uint8:
            images = list(images)  # photos (n, h, w, 3)
        if self.adapter.is_batch(self.net, images):
            inputs = self.adapter.place(self.net, images)
            n, space = self.adapter.size(inputs)
            whole = Geometry(space, tuple((0.0, float(length)) for length in space))
            pictures = self.adapter.pictures(inputs)
            self._check_range(pictures(0))
            return inputs, tuple(View(whole, None, partial(pictures, i)) for i in range(n))
        photos = open_photos([images] if is_photo(images) else _as_list(images))
        if self.preprocess is None:
            raise InputError(
                f"{self.model_name} does not say how a photo becomes its input: pass "
                "preprocess=seewhy.Preprocess(size=..., mean=..., std=...), preprocess='imagenet', or your own "
                "transform; on the command line --model python:MODULE:FACTORY, a function that returns a "
                "seewhy.VisionModel with one; or pass a ready batch, with an axis for its images"
            )
        arrays, geometries = zip(*map(self.preprocess, photos), strict=True)
        if len({array.shape for array in arrays}) > 1:
            shapes = sorted({array.shape for array in arrays})
            raise InputError(
                f"the preprocess made inputs of different shapes {shapes}: explain these photos one by one"
            )
        inputs = self.adapter.place_photos(self.net, np.stack(arrays))
        return inputs, tuple(View(g, p) for g, p in zip(geometries, photos, strict=True))

    def _check_range(self, image: npt.NDArray[np.float32]) -> None:
        """Say once where a ready batch does not look like what the model takes: its answers would mean nothing."""
        if self._in_range or not isinstance(self.preprocess, Preprocess):
            return
        self._in_range = True
        if np.isfinite(image).all() and (words := self.preprocess.strange(image)) is not None:
            warnings.warn(f"the inputs of {self.model_name} {words}: prepare them", SeewhyWarning, stacklevel=4)

    def _find_layer(self, inputs: Any) -> tuple[str, Any]:
        if self._layer is None:  # two threads may both search at the first call: they find the same
            default = next((info.name for info in self.adapter.layers(self.net, inputs) if info.default), None)
            if default is None:
                raise LayerError(
                    "no convolution with more than one position ran, so no layer can be chosen: pass "
                    "layer=NAME; seewhy.layers(model, images) lists what ran"
                )
            self._layer = self.adapter.find_layer(self.net, default)
        return self._layer

    def _warn(self, capture: Capture) -> None:
        """Say once what the reader of the pictures should know of this model's outputs."""
        if self._said:
            return
        other = next(reversed(class_candidates(capture.outputs)), None)
        unseen = capture.head is None and capture.classes is not None and looks_like_probabilities(capture.classes)
        for true, words in (
            (
                self.logit and unseen,
                "look like probabilities, but no final softmax was seen to run: the scores explained are these "
                "outputs, not the numbers before the softmax",
            ),
            (
                is_ambiguous(capture.outputs),
                "hold several arrays (n, classes), and the first is taken for the class scores: if it is another, "
                f"pass target=lambda outputs: outputs[{other!r}][:, CLASS]",
            ),
        ):
            if true:
                self._said = True
                warnings.warn(f"the outputs of {self.model_name} {words}", SeewhyWarning, stacklevel=3)

    def _names(self, classes: Any) -> Sequence[str] | None:
        if classes is not None and self.labels is not None and len(self.labels) != classes.shape[1]:
            raise InputError(
                f"{len(self.labels)} labels for a model of {classes.shape[1]} classes: "
                "pass one name for each class, labels=[...]"
            )
        return self.labels


def explain(
    model: Any, images: Any, target: Any = None, *, method: str | Method = "grad-cam", layer: Any = None, **options: Any
) -> Explanation:
    """Explain what a model sees in images: one call for one answer; for many calls make an `Explainer`.

    `images`: a path, bytes, a PIL image, a NumPy array (h, w, 3), a list of any of these, or a ready batch: a tensor
    (n, c, *s), in Keras as the model takes it, mostly (n, *s, c), or a tuple or dict of tensors for a model of several
    inputs. Of NumPy arrays with four axes, uint8 ones (n, h, w, 3) are photos, others ready batches. A ready batch is
    not copied: draw its pictures before you change it.

    `target`: None, the predicted class of each image; a class by index or name, `seewhy.top(k)`, `seewhy.negative(...)`
    or a function from the model's outputs to (n,) scores: the same for all; a list of length n, one for each image; a
    list of lists, several for each image; for a single image a flat list, several targets.

    Other arguments are those of `Explainer`, and the method's own options.

    Raises PhotoError, InputError, UnknownNameError, TargetError, LayerError or OutputError; see seewhy.errors.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
    ...                           torch.nn.Flatten(), torch.nn.Linear(4, 2))
    >>> photo = np.zeros((48, 64, 3), np.uint8)
    >>> explain(net, photo, ["cat", "dog"], preprocess="imagenet", labels=["cat", "dog"]).labels
    [['cat', 'dog']]
    """
    return Explainer(model, method, layer, **options)(images, target)


def layers(model: Any, images: Any = None, **options: Any) -> list[LayerInfo]:
    """The layers that can be explained, in the order in which they ran; one is marked as the default.

    `images` are as in `explain`; where the model says how photos are prepared they can be left out. `options` are
    those of `Explainer`.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
    ...                           torch.nn.Flatten(), torch.nn.Linear(4, 2))
    >>> [(info.name, info.kind, info.shape, info.default) for info in layers(net, torch.rand(1, 3, 8, 8))][:2]
    [('0', 'Conv2d', (4, 6, 6), False), ('1', 'ReLU', (4, 6, 6), True)]
    """
    explainer = Explainer(model, **options)
    if images is None:
        if not isinstance(explainer.preprocess, Preprocess):
            raise InputError("to list the layers of this model one pass is needed: pass images, such as a ready batch")
        images = np.full((*explainer.preprocess.size, 3), 127, np.uint8)
    inputs, _ = explainer._prepare(images)
    return explainer.adapter.layers(explainer.net, inputs)


def _as_list(images: Any) -> list[Any]:
    if not isinstance(images, list | tuple):
        raise InputError(
            f"expected a photo (path, bytes, PIL image, array), a list of photos, or a ready batch in the "
            f"model's own tensors, got {type(images).__name__}"
        )
    if not images:
        raise InputError("the list of images is empty")
    return list(images)


def _checked_options(method: Method, name: str, options: dict[str, Any]) -> dict[str, Any]:
    known = [p.name for p in signature(method).parameters.values() if p.kind is Parameter.KEYWORD_ONLY]
    for option in options:
        if option not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise InputError(
                f"the method {name!r} has no option {option!r}: {has}; the explainer's own are preprocess, "
                "labels, score and signed"
            )
    return options


def _check(maps: Any, capture: Capture, space: tuple[int, ...] | None, method: str) -> None:
    expected = (*capture.scores.shape, *(space or capture.activations.shape[2:]))
    if tuple(maps.shape) != expected:
        raise InputError(
            f"the method {method!r} must return maps (n, k, *s) of shape {expected}, got {tuple(maps.shape)}"
        )
    if not is_finite(maps) or not is_finite(capture.scores):
        raise OutputError(
            "the score or its map holds NaN or infinite values: the gradient overflowed, or the target "
            "divides by zero; try the model in float32"
        )


def _is_flat(capture: Capture) -> npt.NDArray[np.bool_]:
    """(n, k): True where the score has no gradient at the layer at all; False where a method asked for none."""
    if capture.gradients is None:
        return np.zeros(capture.scores.shape, np.bool_)
    changes = to_numpy(capture.gradients != 0).reshape(*capture.scores.shape, -1)
    return np.logical_not(changes.any(axis=-1))


def _probabilities(capture: Capture) -> Any:
    if capture.classes is None:
        return None
    return probabilities(np.asarray(to_numpy(class_scores(capture.outputs)), np.float32), capture.head)
