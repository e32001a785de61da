"""Grad-CAM on Keras with TensorFlow by others: the steps of the article, tf-keras-vis and xplique.

Each is made once and then called with a ready batch, and returns maps (n, h, w) after the ReLU.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tf_keras_vis.gradcam import Gradcam
from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
from tf_keras_vis.utils.scores import CategoricalScore
from xplique.attributions import GradCAM

Call: TypeAlias = Callable[[Any], npt.NDArray[np.float32]]


def logits_model(model: Any) -> Any:
    """A copy that returns the numbers before the softmax, for those that can only explain what a model returns."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    copy.layers[-1].activation = keras.activations.linear
    return copy


def article(model: Any, layer: str, class_index: int) -> Call:
    """The model split in two at the layer, an eager tape over the tail, the channels weighted in a loop."""
    logits = logits_model(model)
    last_conv = logits.get_layer(layer)
    last_conv_model = keras.Model(logits.input, last_conv.output)
    tail = tail_input = keras.Input(shape=last_conv.output.shape[1:])
    for following in logits.layers[logits.layers.index(last_conv) + 1 :]:
        tail = following(tail)
    classifier_model = keras.Model(tail_input, tail)

    def one(image: Any) -> npt.NDArray[np.float32]:  # (1, h, w, 3), as in the article
        with tf.GradientTape() as tape:
            activations = last_conv_model(image)
            tape.watch(activations)
            score = classifier_model(activations)[:, class_index]
        pooled = tf.reduce_mean(tape.gradient(score, activations), axis=(0, 1, 2)).numpy()
        weighted = activations.numpy()[0]
        for channel in range(len(pooled)):
            weighted[:, :, channel] *= pooled[channel]
        heatmap: npt.NDArray[np.float32] = np.maximum(np.sum(weighted, axis=-1), 0)
        return heatmap

    return lambda batch: np.stack([one(batch[i : i + 1]) for i in range(len(batch))])


def tf_keras_vis(model: Any, layer: str, class_index: int) -> Call:
    cam = Gradcam(model, model_modifier=ReplaceToLinear(), clone=True)

    def call(batch: Any) -> npt.NDArray[np.float32]:
        raw: npt.NDArray[np.float32] = cam(
            CategoricalScore([class_index] * len(batch)),
            batch,
            penultimate_layer=layer,
            seek_penultimate_conv_layer=False,
            expand_cam=False,
            normalize_cam=False,
        )
        return raw

    return call


class CoarseGradCAM(GradCAM):  # type: ignore[misc]
    """xplique's own steps up to the raw map: its call would go on to resize it."""

    def explain(self, inputs: Any, targets: Any) -> Any:
        activations, gradients = self._gradient(inputs, targets)
        return self._apply_weights(self._compute_weights(gradients, activations), activations)[..., None]


def xplique(model: Any, layer: str, class_index: int, batch_size: int, kind: type[GradCAM] = GradCAM) -> Call:
    logits = logits_model(model)  # of its own: it leaves wrappers on the layer
    cam = kind(logits, batch_size=batch_size, operator="classification", conv_layer=layer)
    classes = logits.output.shape[-1]

    def call(batch: Any) -> npt.NDArray[np.float32]:
        maps: npt.NDArray[np.float32] = cam(batch, tf.one_hot([class_index] * len(batch), classes)).numpy()
        return maps[..., 0]

    return call


def resized(maps: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """Maps (n, h, w) resized as xplique does it."""
    large: npt.NDArray[Any] = tf.image.resize(maps[..., None], (size, size), method="bicubic").numpy()[..., 0]
    return large
