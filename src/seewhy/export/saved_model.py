"""Keras on TensorFlow: a SavedModel that returns the class scores and the map that explains one of them.

TensorFlow alone runs it: the forward pass, the way back from the score to the layer and the method's own function are
one graph, for any number of images.
"""

import json
from copy import copy
from dataclasses import asdict
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from seewhy.adapters._checks import NO_GRADIENT
from seewhy.adapters._keras_compiled import tracing
from seewhy.adapters._keras_inputs import Batch
from seewhy.adapters._keras_layers import channels_last
from seewhy.adapters._keras_pass import Pass, Place, call, pack, runner
from seewhy.adapters._keras_tensorflow_graph import noted, reachable
from seewhy.adapters._keras_tensorflow_question import Facts, full_precision
from seewhy.adapters._onnx_metadata import CLASS_INDEX, CLASSES, FLAT, HEATMAP, IMAGE, PREDICTED, SCORE, About
from seewhy.errors import InputError, LayerError, ModelError, SeewhyError
from seewhy.explain import Explainer
from seewhy.export import _trial
from seewhy.export._agree import EQUAL
from seewhy.export._graph_arrays import GraphArray
from seewhy.export.onnx import Written, options_of, preprocess_of
from seewhy.files import write_folder
from seewhy.maps import rectify
from seewhy.outputs import class_scores
from seewhy.types import Capture

SETTINGS = Path("assets.extra", "explained.json")
"""What the graph says of itself, where SavedModels keep what is no part of the graph."""
OURS = (SETTINGS.as_posix(), "saved_model.pb", "fingerprint.pb", "variables/variables.*", "assets/")
"""All that a folder of ours holds."""


def write_saved_model(explainer: Explainer, folder: str | PathLike[str], *, images: Any = None) -> Written:
    """Write what an explainer of a Keras model does as a SavedModel; arguments are those of `seewhy.export`.

    Before it appears under its name it is loaded, and has to agree with seewhy's own maps within 1e-4 of their maximum.
    """
    batch: Batch = explainer.prepare(_trial_images(explainer) if images is None else images).placed
    if batch.inputs is not batch.image:
        raise InputError("a graph takes one image input, and this model takes several inputs, or one in a structure")
    [(layer, _), *more] = explainer.find_layers(batch)
    if more:
        raise InputError(f"a graph carries the map of one layer, got {len(more) + 1}: export each on its own")
    explainer(batch.inputs)  # says what is wrong with the labels, the layer or the model, if anything is
    facts = Facts()
    explain, shape = _traced(explainer, layer, batch, facts)
    about = _about(explainer, layer, facts, shape)
    said = json.dumps(asdict(about), ensure_ascii=False)
    apart: list[float] = []

    module = tf.Module()
    module.weights = [variable.value for variable in explainer.net.variables]  # what is not held is not saved
    module.explain = explain
    module.about = tf.function(lambda: tf.constant(said), input_signature=[])

    def fill(inside: Path) -> None:
        tf.saved_model.save(module, str(inside), signatures={"serving_default": explain})
        (inside / SETTINGS).parent.mkdir()
        (inside / SETTINGS).write_text(said, encoding="utf-8")
        loaded = tf.saved_model.load(str(inside))  # held: its variables are freed with it
        apart.append(_check(loaded.explain, explainer, batch.inputs))

    return Written(write_folder(folder, fill, OURS), about, apart[0])


def _about(explainer: Explainer, layer: str, facts: Facts, shape: tuple[int, ...]) -> About:
    return About(
        version=version("seewhy"),
        model=explainer.model_name,
        method=explainer.method.name,
        options=options_of(explainer),
        layer=layer,
        shape=shape,
        score="logit" if explainer.logit else "output",
        head=facts.head,
        labels=explainer.labels,
        preprocess=preprocess_of(explainer),
    )


def _trial_images(explainer: Explainer) -> Any:
    """Test pictures, or, where it is not said how photos are prepared, a batch of the size that the model takes."""
    if explainer.preprocess is not None:
        return _trial.pictures()
    wanted: Any = getattr(explainer.net, "inputs", None) or ()
    shape = tuple(wanted[0].shape[1:]) if len(wanted) == 1 else ()
    if not shape or None in shape:
        raise InputError(
            f"{explainer.model_name} does not say how large its one input is: pass images=, a ready batch, or "
            "preprocess=seewhy.Preprocess(size=...)"
        )
    return np.random.default_rng(0).normal(size=(_trial.COUNT, *shape)).astype(np.float32)


# ---- the graph -------------------------------------------------------------------------------------------


def _traced(explainer: Explainer, layer: str, batch: Batch, facts: Facts) -> tuple[Any, tuple[int, ...]]:
    """The whole as one function of any number of images, and the shape of the layer's output (c, *s)."""
    net = explainer.net
    place = Place(layer, explainer.adapter.find_layer(net, layer)[1], channels_last(net)[layer])
    run = runner(Pass(net, (place,), batch, batch.image.shape[0], gradients=True, logit=explainer.logit))

    shapes: list[tuple[int, ...]] = []

    def explain(image: Any, class_index: Any) -> dict[str, Any]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:

            def follow(_: int, array: Any, __: int) -> Any:
                following = tf.identity(array)  # of its own: a layer may hand on what it was given
                tape.watch(following)
                return following

            seen, outputs = run([image], follow, call)
            activations = seen[0].found()
            reachable(layer, activations)
            asked = noted(facts, outputs, explainer.logit)
            raw = full_precision(class_scores(outputs))
            predicted = tf.argmax(raw, axis=1)
            beyond = tf.cast(raw.shape[1], tf.int64)
            unknown = tf.where(class_index < 0, beyond, class_index)  # as far out as one too large
            index = tf.where(class_index == PREDICTED, predicted, unknown)[:, None]
            scores = tf.gather(full_precision(class_scores(pack(facts.asked, asked))), index, batch_dims=1)  # (n, 1)
        gradients = tape.gradient(scores, activations)  # images do not meet: of the sum is of each
        if gradients is None:
            raise LayerError(NO_GRADIENT)
        captured = [full_precision(a) for a in (activations, gradients)]
        if place.channels_last:
            captured = [tf.transpose(a, [0, a.ndim - 1, *range(1, a.ndim - 1)]) for a in captured]
        shapes.append(tuple(captured[0].shape[1:]))
        maps = tf.map_fn(
            lambda one: _map(explainer, *one),
            (*captured, scores),
            fn_output_signature=tf.TensorSpec(captured[0].shape[2:], captured[0].dtype),
        )
        found = {CLASSES[facts.head]: raw, SCORE: scores[:, 0], HEATMAP: maps}
        if explainer.method.info.gradients:
            found[FLAT] = _is_zero(maps) & _is_zero(captured[1])
        return found

    function = tf.function(
        explain,
        input_signature=[
            tf.TensorSpec([None, *batch.image.shape[1:]], batch.image.dtype, IMAGE),
            tf.TensorSpec([None], tf.int64, CLASS_INDEX),
        ],
        autograph=False,
    )
    try:
        with tracing:
            function.get_concrete_function()
    except SeewhyError:
        raise
    except Exception as error:  # code that looks at values, or counts the images
        raise ModelError(
            "this model cannot be one graph for any number of images, which a SavedModel is: its code looks at values "
            f"or counts the images ({str(error).splitlines()[0]})"
        ) from error
    return function, shapes[-1]


def _is_zero(array: Any) -> Any:
    """True for each image of which all is 0: (n, ...) -> (n,)."""
    return tf.reduce_all(array == 0, axis=list(range(1, array.ndim)))


def _map(explainer: Explainer, activations: Any, gradients: Any, score: Any) -> Any:
    """What the method makes of one image: (c, *s), (c, *s), (1,) -> (*s). All shapes are known here."""
    capture = Capture(
        GraphArray(activations[None]), GraphArray(gradients[None, None]), GraphArray(score[None]), None, None, None
    )
    return rectify(explainer.method.function(capture, **explainer.method.options)).tensor[0, 0]


# ---- is it right? ----------------------------------------------------------------------------------------


def _check(explain: Any, explainer: Explainer, images: Any) -> float:
    """How far the graph's answers are from the explainer's, as a share of the largest; ModelError where too far.

    Held against it for several classes of each image. What is not rectified is the measure: a map that is blank, or all
    but blank, is no smaller than its rounding.
    """
    signed = copy(explainer)
    signed.signed = True
    n, farthest = len(images), 0.0
    raw = class_scores(signed(images).outputs)
    best = np.argsort(-raw, axis=1, kind="stable")
    for index in [-np.ones(n, int), *best.T[:3], best[:, -1]]:
        found = explain(images, tf.constant(index, tf.int64))
        known = signed(images, [[int(i)] for i in np.where(index < 0, best[:, 0], index)])
        for what, ours, theirs, most in (
            ("map", known.maps[:, 0].clip(min=0), found[HEATMAP].numpy(), abs(known.maps).max()),
            ("score", known.scores[:, 0], found[SCORE].numpy(), abs(known.scores).max()),
            ("output", raw, found[next(name for name in CLASSES.values() if name in found)].numpy(), abs(raw).max()),
        ):
            apart = float(abs(ours - theirs).max())
            farthest = max(farthest, apart / float(most or 1))
            if not apart <= EQUAL * most:
                raise ModelError(
                    f"the graph does not give what seewhy explains, and was not written: for the classes "
                    f"{index.tolist()} its {what} is off by {apart:.3g}, where values go up to {most:.3g}"
                )
    return farthest
