"""What the Keras benchmarks run: Xception with seeded random weights, on the backend that KERAS_BACKEND names."""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np

LAYER = "block14_sepconv2_act"
SIZE = 299


def build(batch: int, size: int = SIZE) -> tuple[Any, Any]:
    """The model, and a ready batch (n, h, w, 3) in the backend's own tensor."""
    keras.utils.set_random_seed(0)
    model = keras.applications.Xception(weights=None, input_shape=(size, size, 3))
    photos = np.random.default_rng(0).uniform(-1, 1, (batch, size, size, 3)).astype(np.float32)
    return model, keras.ops.convert_to_tensor(photos)


def forward(model: Any) -> Callable[[Any], Any]:
    """The outputs of the model, as fast as the backend makes them."""
    backend = keras.config.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(lambda images: model(images, training=False))
    if backend == "jax":
        import jax

        weights = [v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables]
        return partial(jax.jit(lambda w, images: model.stateless_call(*w, images, training=False)[0]), weights)
    import torch

    return torch.no_grad()(lambda images: model(images, training=False))
