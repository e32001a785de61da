"""The image classifiers of keras.applications, with ImageNet weights; and lite0 as a Keras model (keras:lite0)."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import numpy as np

from seewhy.adapters._keras_applications import Application, applications, input_size, preprocess_of
from seewhy.errors import ModelError, unknown
from seewhy.imagenet import imagenet_labels
from seewhy.models._keras_lite0 import load_lite0
from seewhy.models._keras_weights import class_count, load_keras_weights
from seewhy.models._nets import require_keras, short
from seewhy.models._weights import settings
from seewhy.vision_model import VisionModel

FORM = "keras:NAME"
NEEDS = ("keras", ("tensorflow", "jax", "torch"))
EXTRA = "keras"

_PATIENCE = 10
"""Seconds without an answer after which a download has failed."""


def load(name: str, *, weights: str | None, trust: bool) -> VisionModel:
    """The classifier with Keras's ImageNet weights, or with those in a file."""
    spec = f"keras:{name}"
    keras: Any = require_keras(spec)
    if name.casefold() == "lite0":
        return load_lite0(weights, trust=trust)
    known = applications()
    found = next((n for n in known if n.casefold() == name.casefold()), None)
    if found is None:
        raise unknown("model of keras.applications", name, [*known, "lite0"])

    options: dict[str, Any] = {}
    if found.startswith("MobileNetV3"):  # the only ones that take any size, and warn that the weights are for this
        options["input_shape"] = (224, 224, 3) if keras.config.image_data_format() == "channels_last" else (3, 224, 224)
    if weights is None:
        net = _downloaded(known[found], spec, options)
    else:
        net = _from_file(known[found], weights, spec, options)
    size = input_size(net)
    assert size is not None  # all are built for images of one size
    labels = imagenet_labels() if net.output_shape[-1] == 1000 else None
    return VisionModel(net, preprocess_of(known[found], size), labels)


def _downloaded(make: Application, spec: str, options: dict[str, Any]) -> Any:
    try:
        # Keras says on stdout what it downloads, where a command's answer belongs
        with _impatient(), redirect_stdout(sys.stderr):
            return make(weights="imagenet", **options)
    except Exception as error:  # Keras raises plain Exceptions, OSError, ValueError for a wrong checksum
        raise ModelError(
            f"the weights of {spec} could not be downloaded ({short(error)}): download them elsewhere, and pass the "
            "file: weights=PATH (--weights PATH)"
        ) from error


@contextmanager
def _impatient() -> Iterator[None]:
    """While this lasts, connections that stay silent fail: Keras's downloads would wait for minutes."""
    with settings:
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(_PATIENCE if before is None else min(before, _PATIENCE))
        try:
            yield
        finally:
            socket.setdefaulttimeout(before)


def _from_file(make: Application, path: str, spec: str, options: dict[str, Any]) -> Any:
    """The network with the weights in a file, with as many classes as they are for."""
    net = make(weights=None, **options)
    count = class_count(net, path, spec)
    if count is not None and count != net.output_shape[-1]:
        net = make(weights=None, classes=count, **options)
    load_keras_weights(net, path, spec)
    _divide_by_std(net)
    return net


def _divide_by_std(net: Any) -> None:
    """Have an EfficientNet of Keras's ImageNet weights normalise its pixels as it was trained.

    The file holds the std of ImageNet in place of the variance. With weights="imagenet" Keras makes up for that with
    one more layer, a division by the root of std, that it does not build for a file.
    """
    import keras

    for layer in net.layers:
        if type(layer).__name__ == "Normalization" and layer.weights:
            mean, variance = (keras.ops.convert_to_numpy(v.value) for v in (layer.adapt_mean, layer.adapt_variance))
            if mean.shape == (3,) and np.allclose([*mean, *variance], _IMAGENET, atol=1e-3):
                layer.adapt_variance.assign(variance**2)
                layer.finalize_state()


_IMAGENET = (0.485, 0.456, 0.406, 0.229, 0.224, 0.225)
