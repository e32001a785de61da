"""READ FIRST: from a model and its images to an Explanation, in the steps of the Grad-CAM paper."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any, overload

import numpy as np

from seewhy import catalog
from seewhy.adapter import Ask, Passes
from seewhy.augment import Variation, mean, variations
from seewhy.captured import checked, class_probabilities, first_images, is_flat, warn_of_outputs
from seewhy.carried import check_own, own_method
from seewhy.catalog import NamedMethod
from seewhy.errors import InputError, LayerError, SeewhyError
from seewhy.explanation import Explanation
from seewhy.explanations import Explanations, fused
from seewhy.fuse import check_fuse
from seewhy.inputs import Inputs, prepare, varied, warn_of_range
from seewhy.maps import is_blank, is_zero, rectify, to_numpy
from seewhy.preprocess import Preprocess, as_preprocess
from seewhy.sweep import sweep
from seewhy.targets._forms import Question, as_rows, bind_rows
from seewhy.types import INPUT, Capture, LayerInfo, Method, MethodInfo
from seewhy.vision_model import VisionModel, as_labels

DEFAULT = "grad-cam"
"""The method unless told, where the model carries none itself."""


class Explainer:
    """Explains one model by one method at one layer, found once; use it for any number of images, from any thread.

    `model` is a torch.nn.Module, a keras.Model or a VisionModel (what `seewhy.load` returns). `method` is a name
    (`seewhy.methods()` lists them) or a function from a Capture to maps; `options` are the method's own; None is
    "grad-cam". A model that `seewhy.export` wrote carries one method and one layer: it takes no others. `layer` is a
    dotted name (in Keras a path, `outer/inner`), a module or layer of the model, or None: found by one more forward
    pass, at the first call. A layer that runs several times in one pass is explained at its last run. A list of layers
    are several, all seen in one pass, and "all" is the last one at each resolution: `each` explains at each of them,
    and `fuse` ("max", "mean", "product") makes one map of them, see seewhy.fuse. A method that explains the input
    itself takes no layer.

    `preprocess` says how photos become inputs: a `seewhy.Preprocess`, "imagenet", or any function from a PIL image to
    a (c, h, w) array that only resizes, crops and normalises. `labels` names the classes. `score="logit"` explains the
    number before a final softmax or sigmoid, as the paper does; `score="output"` what the model returns. `signed=True`
    leaves out the last ReLU: maps keep what speaks against the target too, below 0. `augment` ("flips", "scales",
    "noise", or a list of them) shows each image in several ways in one batch, and takes the mean of the maps, each laid
    back to where it belongs, see seewhy.augment.

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
        method: str | Method | NamedMethod | None = None,
        layer: Any = None,
        *,
        preprocess: Preprocess | Callable[[Any], Any] | str | None = None,
        labels: Sequence[str] | Mapping[int, str] | None = None,
        score: str = "logit",
        fuse: str | None = None,
        augment: str | Sequence[str] | None = None,
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
        self.own = self.adapter.own(self.net)
        if self.own is not None:
            check_own(self.own, self.model_name, layer=layer, signed=signed, score=score)
        self.method = self.as_method(method, options)
        self.signed = signed
        self.fuse = check_fuse(fuse, signed, several=layer == "all" or isinstance(layer, list | tuple))
        self.augment = variations(augment) if augment is not None else None
        self._said = self._in_range = False
        self._layers = self._given_layers(layer)
        self._sweep = layer == "all"

    def __call__(self, images: Any, target: Any = None) -> Explanation:
        """Explain images for a target; both in the forms that `seewhy.explain` lists.

        Raises InputError where the explainer looks at several layers and was not told how to fuse them.
        """
        [found] = self.ask(images, target, [self.method])
        if len(found) > 1 and self.fuse is None:
            raise InputError(
                f"this explainer looks at {len(found)} layers: explainer.each(images) explains at each of them, "
                "and Explainer(..., fuse='max'), 'mean' or 'product' makes one map of them"
            )
        return found[0] if self.fuse is None else self.fused(found)

    def fused(self, found: list[Explanation]) -> Explanation:
        """Explanations at several layers as one, in the way that was asked for."""
        assert self.fuse is not None
        with self.adapter.full_precision():
            return fused(found, self.fuse)

    def each(self, images: Any, target: Any = None) -> Explanations:
        """Explain images at each of the layers, all seen in one pass: an explanation for each layer."""
        [found] = self.ask(images, target, [self.method])
        return Explanations(tuple(found), tuple(explanation.layer for explanation in found))

    def ask(self, images: Any, target: Any, methods: Sequence[NamedMethod]) -> list[list[Explanation]]:
        """Explain images by several methods, an explanation for each method and layer.

        Methods that look at the same thing share one forward and one backward pass.
        """
        return self.ask_prepared(self.prepare(images), target, methods)

    def ask_prepared(
        self, inputs: Inputs, target: Any, methods: Sequence[NamedMethod], passes: Passes | None = None
    ) -> list[list[Explanation]]:
        """The same, for inputs that `prepare` made; `passes` makes the passes, or has made them before."""
        rows = as_rows(target, len(inputs.views))
        batch = inputs.placed if self.augment is None else varied(self.adapter, self.net, inputs.placed, self.augment)
        found: dict[int, list[Explanation]] = {}
        for wants, group in _alike(methods):
            layers = [(INPUT, INPUT)] if wants.at_input else self.find_layers(inputs.placed)
            question = Question(rows, self._names, self.adapter.classes_last(self.net))
            # 1. capture: one forward pass, and one backward pass from the scores to the layers
            captures = (passes or self.adapter).capture(
                self.net,
                [layer for _, layer in layers],
                batch,
                question if self.augment is None else _varied(question, self.augment),
                gradients=any(method.info.gradients for _, method in group),
                logit=self.logit,
                guided=wants.guided,
            )
            question.settle(captures[0].outputs)
            self._said = self._said or warn_of_outputs(captures[0], self.model_name, logit=self.logit)
            for place, method in group:
                found[place] = [
                    self._explanation(method, name, capture, question, inputs)
                    for (name, _), capture in zip(layers, captures, strict=True)
                ]
        return [found[place] for place in range(len(methods))]

    def _explanation(
        self, method: NamedMethod, layer: str, capture: Capture, question: Question, inputs: Inputs
    ) -> Explanation:
        """What a method makes of a capture."""
        n, (_, space) = len(inputs.views), self.adapter.size(inputs.placed)
        # 2. weigh the channels, 3. combine them
        with self.adapter.full_precision():
            maps = method.function(capture, **method.options)
            maps = checked(maps, capture, space if method.info.pixels else None, method.name)
            if self.augment is not None:
                if maps.ndim - 2 != len(space):
                    raise LayerError(
                        f"the layer {layer!r} has {maps.ndim - 2} spatial axes and the input {len(space)}, so the maps "
                        "of moved images cannot be laid back: choose another layer, or leave out augment="
                    )
                maps, capture = mean(maps, self.augment), first_images(capture, n)
        # 4. rectify: what speaks for the target remains
        if not self.signed:
            maps = rectify(maps)
        # 5. result: the raw maps, and all that is needed to read them
        blank = to_numpy(is_zero(maps) if self.signed else is_blank(maps))
        known = method.info.gradients or capture.flat is not None
        return Explanation(
            maps=maps,
            scores=capture.scores,
            outputs=capture.outputs,
            blank=blank,
            flat=blank & is_flat(capture) if blank.any() and known else np.zeros_like(blank),
            targets=tuple(map(tuple, question.bound)),
            layer=layer,
            method=method.name,
            model=self.model_name,
            views=inputs.views,
            probabilities=class_probabilities(capture),
            names=self._names(capture.classes),
            peak=float(abs(maps).max()),
            signed=self.signed,
            pixels=method.info.pixels or method.info.at_input,
            control=method.info.control,
        )

    def with_net(self, net: Any) -> "Explainer":
        """The same explainer for another network of the same layers, such as a copy with other weights."""
        other = copy(self)
        other.net, other._said, other._in_range = net, True, True
        names = None if self._layers is None else [name for name, _ in self._layers]
        other._layers = None if names is None else [self.adapter.find_layer(net, name) for name in names]
        return other

    def at(self, layer: Any) -> "Explainer":
        """The same explainer at another layer, or layers."""
        other = copy(self)
        other._layers, other._sweep = other._given_layers(layer), layer == "all"
        return other

    def as_method(
        self, method: str | Method | NamedMethod | None, options: Mapping[str, Any] | None = None
    ) -> NamedMethod:
        """A method with its options, ready to be asked of this model; None for the one that the model carries itself.

        Raises UnknownNameError for a name that no method has, InputError for an option that it does not have, and for
        all but a model's own where it carries one.
        """
        if self.own is not None:
            return own_method(self.own, method, options or {}, self.model_name)
        return catalog.as_method(method if method is not None else DEFAULT, options)

    def check(self, target: Any) -> None:
        """Raise what a call for this target would raise for its class names and indices, before any pass."""
        if self.labels is None:
            return
        rows, ramp = as_rows(target, 1), np.arange(len(self.labels), dtype=np.float32)[None]
        try:
            bind_rows(rows, self.labels, ramp)
        except SeewhyError:  # what is wrong is so whichever class is the best
            bind_rows(rows, self.labels, -ramp)

    def prepare(self, images: Any) -> Inputs:
        """The model's input made of images, and where each lies on its photo."""
        inputs = prepare(self.adapter, self.net, self.preprocess, self.model_name, images)
        if inputs.ready and not self._in_range:
            self._in_range = True  # said once
            warn_of_range(self.preprocess, self.model_name, self.adapter.pictures(inputs.placed)(0))
        return inputs

    def _given_layers(self, layer: Any) -> list[tuple[str, Any]] | None:
        """The layers that the user named; None: they are found by a pass."""
        if self.method.info.at_input and layer not in (None, INPUT):
            raise LayerError(
                f"the method {self.method.name!r} explains the model's input and no layer: leave layer= out"
            )
        if self.own is not None:
            return [self.adapter.find_layer(self.net, self.own.layer)]
        if layer is None or layer == "all" or self.method.info.at_input:
            return None
        if not isinstance(layer, list | tuple):
            return [self.adapter.find_layer(self.net, layer)]
        if not layer:
            raise LayerError("expected layers as a list of names or modules, got none")
        found = [self.adapter.find_layer(self.net, one) for one in layer]
        names = [name for name, _ in found]
        if len(set(names)) < len(names):
            raise LayerError(f"a layer is given twice: {', '.join(names)}")
        return found

    def find_layers(self, placed: Any) -> list[tuple[str, Any]]:
        """The layers that are explained, by name; unless they were given they are found by a pass on placed inputs."""
        if self._layers is None:  # two threads may both search at the first call: they find the same
            infos = self.adapter.layers(self.net, placed)
            names = sweep(infos) if self._sweep else [info.name for info in infos if info.default]
            if not names:
                raise LayerError(
                    "no convolution with more than one position ran, so no layer can be chosen: pass "
                    "layer=NAME; seewhy.layers(model, images) lists what ran"
                )
            self._layers = [self.adapter.find_layer(self.net, name) for name in names]
        return self._layers

    def _names(self, classes: Any) -> Sequence[str] | None:
        if classes is not None and self.labels is not None and len(self.labels) != classes.shape[1]:
            raise InputError(
                f"{len(self.labels)} labels for a model of {classes.shape[1]} classes: "
                "pass one name for each class, labels=[...]"
            )
        return self.labels


@overload
def explain(
    model: Any, images: Any, target: Any = None, *, method: str | Method | None = ..., layer: list[Any], **options: Any
) -> Explanations: ...


@overload
def explain(
    model: Any, images: Any, target: Any = None, *, method: str | Method | None = ..., layer: Any = ..., **options: Any
) -> Explanation: ...


def explain(
    model: Any,
    images: Any,
    target: Any = None,
    *,
    method: str | Method | None = None,
    layer: Any = None,
    **options: Any,
) -> Any:
    """Explain what a model sees in images: one call for one answer; for many calls make an `Explainer`.

    `images`: a path, bytes, a PIL image, a NumPy array (h, w, 3), a list of any of these, or a ready batch: a tensor
    (n, c, *s), in Keras as the model takes it, mostly (n, *s, c), or a tuple or dict of tensors for a model of several
    inputs. Of NumPy arrays with four axes, uint8 ones (n, h, w, 3) are photos, others ready batches. A ready batch is
    not copied: draw its pictures before you change it.

    `target`: None, the predicted class of each image; a class by index or name, `seewhy.top(k)`, `seewhy.negative(...)`
    or a function from the model's outputs to (n,) scores: the same for all; a list of length n, one for each image; a
    list of lists, several for each image; for a single image a flat list, several targets.

    Other arguments are those of `Explainer`, and the method's own options. Where `layer` is a list or "all" and `fuse`
    is not given, the answer is one `Explanations` with an explanation for each layer.

    Raises PhotoError, InputError, UnknownNameError, TargetError, LayerError or OutputError; see seewhy.errors.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
    ...                           torch.nn.Flatten(), torch.nn.Linear(4, 2))
    >>> photo = np.zeros((48, 64, 3), np.uint8)
    >>> explain(net, photo, ["cat", "dog"], preprocess="imagenet", labels=["cat", "dog"]).labels
    [['cat', 'dog']]
    """
    explainer = Explainer(model, method, layer, **options)
    several = (layer == "all" or isinstance(layer, list | tuple)) and explainer.fuse is None
    return explainer.each(images, target) if several else explainer(images, target)


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
    return explainer.adapter.layers(explainer.net, explainer.prepare(images).placed)


def _alike(methods: Sequence[NamedMethod]) -> Iterator[tuple[MethodInfo, list[tuple[int, NamedMethod]]]]:
    """The methods that can share a capture, each with its place among all."""
    groups: dict[tuple[bool, bool], list[tuple[int, NamedMethod]]] = {}
    for place, method in enumerate(methods):
        groups.setdefault((method.info.at_input, method.info.guided), []).append((place, method))
    return ((group[0][1].info, group) for group in groups.values())


def _varied(question: Question, ways: Sequence[Variation]) -> Ask:
    return question.of(np.tile(np.arange(len(question.rows)), len(ways)), moved=any(way.moves for way in ways))
