"""torchvision's image classifiers, with ImageNet weights."""

import pickle
from typing import Any

from seewhy.errors import ModelError, unknown
from seewhy.imagenet import imagenet_labels
from seewhy.models._nets import exact, require_torchvision, short
from seewhy.models._weights import TRUST, build, class_count, only_tensors
from seewhy.preprocess import Preprocess
from seewhy.vision_model import VisionModel

FORM = "torchvision:NAME"
NEEDS = ("torch", "torchvision")
EXTRA = "zoo"


def load(name: str, *, weights: str | None, trust: bool) -> VisionModel:
    """The classifier with torchvision's default weights, or with those in a file."""
    spec = f"torchvision:{name}"
    models: Any = require_torchvision(spec).models
    known = models.list_models(module=models)  # the classifiers: detection and so on live in modules of their own
    if name.lower() not in known:
        raise unknown("torchvision model", name, known)
    default = models.get_model_weights(name).DEFAULT
    categories = default.meta["categories"]
    labels: tuple[str, ...] | None = imagenet_labels() if len(categories) == 1000 else tuple(categories)

    if weights is not None:
        net = _from_file(models, name, default, weights, trust)
        labels = labels if class_count(net.state_dict(), net) == len(categories) else None
        return VisionModel(net, _preprocess(default.transforms()), labels)
    try:
        with only_tensors(trust):
            net = models.get_model(name, weights=default)
    except pickle.UnpicklingError as error:
        raise ModelError(f"the weights of {spec} hold Python objects beside tensors. {TRUST}") from error
    except (OSError, RuntimeError) as error:
        raise ModelError(f"the weights of {spec} could not be downloaded from {default.url} ({short(error)}): "
                         "download them elsewhere, and pass the file: weights=PATH (--weights PATH)"
                         ) from error  # fmt: skip
    return VisionModel(net, _preprocess(default.transforms()), labels)


def _from_file(models: Any, name: str, default: Any, path: str, trust: bool) -> Any:
    options: dict[str, Any] = {}
    if name.lower() in ("googlenet", "inception_v3"):
        # what torchvision sets beside its own weights; files are made from those
        options = {"transform_input": True, "init_weights": False, "aux_logits": False}
    if "min_size" in default.meta and name.lower().startswith("vit_"):
        options["image_size"] = default.meta["min_size"][0]

    def make(classes: int | None) -> Any:
        more = {} if classes is None else {"num_classes": classes}
        return models.get_model(name, weights=None, **options, **more)

    auxiliary = ("aux1.", "aux2.", "AuxLogits.")  # for training only
    return build(make, path, f"torchvision:{name}", trust=trust, without=auxiliary)


def _preprocess(preset: Any) -> Any:
    """torchvision's ImageClassification preset, as ours."""
    ours = Preprocess(
        size=(preset.crop_size[0],) * 2,
        resize=preset.resize_size[0],
        interpolation=preset.interpolation.value,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    )
    return exact(ours, preset)
