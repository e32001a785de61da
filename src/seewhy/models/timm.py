"""timm's image classifiers, by name, or as hf_hub:USER/NAME or local-dir:FOLDER."""

import urllib.error
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from math import floor
from typing import Any

from seewhy.errors import ModelError, SeewhyError, SeewhyWarning, unknown
from seewhy.imagenet import imagenet_labels
from seewhy.models._hub import hub
from seewhy.models._nets import exact, require, require_torchvision, short
from seewhy.models._weights import build, only_tensors
from seewhy.preprocess import Preprocess
from seewhy.vision_model import VisionModel

FORM = "timm:NAME"
NEEDS = ("torch", "torchvision", "timm")
EXTRA = "zoo"

_LOCAL = "pass a local file instead, weights=PATH (--weights PATH), or a folder, timm:local-dir:FOLDER"


def load(name: str, *, weights: str | None, trust: bool) -> VisionModel:
    """The classifier with timm's pretrained weights, or with those in a file."""
    spec = f"timm:{name}"
    require_torchvision(spec)  # timm imports it
    timm: Any = require("timm", spec, EXTRA)
    repository = _repository(timm, name, pretrained=weights is None)
    with _trouble(spec), only_tensors(trust):
        if repository is None or (weights is not None and ":" not in name):
            net = _create(timm, name, weights, trust)
        else:
            with hub(repository, spec, _LOCAL):
                net = _create(timm, name, weights, trust)
    if net.num_classes == 0:
        warnings.warn(f"{spec} has no classifier: its outputs are features, not classes", SeewhyWarning, stacklevel=3)
    config = timm.data.resolve_model_data_config(net)
    theirs = timm.data.create_transform(**config, is_training=False)
    return VisionModel(net, exact(_preprocess(config), theirs), _labels(timm, net))


@contextmanager
def _trouble(spec: str) -> Iterator[None]:
    try:
        yield
    except SeewhyError:
        raise
    except urllib.error.URLError as error:
        raise ModelError(f"the weights of {spec} could not be downloaded ({short(error)}): {_LOCAL}") from error
    except Exception as error:  # OSError, RuntimeError, KeyError ... for what a folder or repository lacks
        raise ModelError(f"{spec} could not be loaded: {short(error)}") from error


def _repository(timm: Any, name: str, *, pretrained: bool) -> str | None:
    """Where on the hub the weights are; None: not there. UnknownNameError for a name that timm does not have."""
    source, colon, rest = name.partition(":")
    if colon and source.lower().replace("_", "-") == "hf-hub":
        return rest.partition("@")[0]
    if colon and source.lower() == "local-dir":
        return None
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise unknown("timm model", name, timm.list_models())
    have = timm.list_pretrained(f"{architecture}*")
    if tag and name not in have:
        raise unknown("timm model", name, have)
    config = timm.get_pretrained_cfg(name)
    if pretrained and (config is None or not config.has_weights):
        more = f"; with weights there are {', '.join(have[:3])}" if have else ""
        raise ModelError(f"timm has no pretrained weights for {name!r}: {_LOCAL}{more}")
    return config.hf_hub_id if config is not None else None


def _create(timm: Any, name: str, path: str | None, trust: bool) -> Any:
    if path is None:
        return timm.create_model(name, pretrained=True)

    def make(classes: int | None) -> Any:
        return timm.create_model(name, pretrained=False, **({} if classes is None else {"num_classes": classes}))

    return build(make, path, f"timm:{name}", trust=trust)


def _preprocess(config: dict[str, Any]) -> Preprocess | None:
    """timm's data configuration as ours, where ours can say it."""
    channels, h, w = config["input_size"]
    if channels != 3 or config["interpolation"] == "random":
        return None
    scaled = floor(h / config["crop_pct"]), floor(w / config["crop_pct"])
    return Preprocess(
        size=(h, w),
        resize=scaled if config["crop_mode"] == "squash" else scaled[0],
        interpolation=config["interpolation"],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )


def _labels(timm: Any, net: Any) -> tuple[str, ...] | None:
    """The names that come with the weights; else those of the ImageNet subset with so many classes."""
    count = net.num_classes
    config = net.pretrained_cfg
    names, described = config.get("label_names"), config.get("label_descriptions")
    if names and len(names) == count:
        return tuple(described.get(n, n) if isinstance(described, dict) else n for n in names)
    if count == 1000:
        return imagenet_labels()
    subset = timm.data.infer_imagenet_subset(net)
    if subset is None:
        return None
    found = tuple(timm.data.ImageNetInfo(subset).label_descriptions())
    return found if len(found) == count else None
