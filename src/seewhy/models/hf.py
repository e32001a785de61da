"""Image classifiers of transformers, from the Hugging Face hub or a folder."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image

from seewhy.errors import ModelError, SeewhyError
from seewhy.models._hub import hub
from seewhy.models._nets import exact, require, require_torchvision, short
from seewhy.models._weights import TRUST, build, only_tensors
from seewhy.preprocess import Preprocess
from seewhy.vision_model import VisionModel

FORM = "hf:REPO_OR_FOLDER"
NEEDS = ("torch", "transformers", "safetensors")
EXTRA = "zoo"


def load(name: str, *, weights: str | None, trust: bool) -> VisionModel:
    """The classifier of a repository or folder, with its own image processor."""
    spec = f"hf:{name}"
    require("torch", spec, EXTRA)
    if find_spec("torchvision") is not None:
        # transformers imports it wherever it is installed
        require_torchvision(spec, "; or remove it, since transformers works without: pip uninstall torchvision")
    transformers: Any = require("transformers", spec, EXTRA)
    folder = Path(name).expanduser()
    local = folder.is_dir()
    source = str(folder) if local else name
    reach = nullcontext() if local else hub(name, spec, "load from a folder instead: hf:FOLDER")
    with _trouble(spec, local), _quiet(transformers), only_tensors(trust), reach:
        net = _net(transformers, source, spec, weights, trust)
        processor = _processor(transformers, source, trust)
    labels = net.config.id2label
    return VisionModel(net, _prepared(processor), tuple(str(labels[i]) for i in range(len(labels))) or None)


@contextmanager
def _trouble(spec: str, local: bool) -> Iterator[None]:
    try:
        yield
    except SeewhyError:
        raise
    except Exception as error:  # OSError for files that are not there, ValueError for what transformers does not know
        if "trust_remote_code" in str(error):
            raise ModelError(f"{spec} brings Python code of its own. {TRUST}") from error
        if "safetensors" in str(error):
            raise ModelError(f"{spec} holds no safetensors, and other weights are unpickled. {TRUST}") from error
        what = "the folder of " if local else ""
        raise ModelError(f"{what}{spec} holds no image classifier that transformers can load: {short(error)}"
                         ) from error  # fmt: skip


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """What transformers logs while it loads is said by our errors."""
    log = transformers.utils.logging
    before, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity(log.CRITICAL)
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(before)
        if bars:
            log.enable_progress_bar()


def _net(transformers: Any, source: str, spec: str, path: str | None, trust: bool) -> Any:
    auto = transformers.AutoModelForImageClassification
    if path is not None:
        config = transformers.AutoConfig.from_pretrained(source, trust_remote_code=trust)

        def make(classes: int | None) -> Any:
            config.num_labels = config.num_labels if classes is None else classes
            return auto.from_config(config, trust_remote_code=trust)

        return build(make, path, spec, trust=trust)
    net, info = auto.from_pretrained(
        source, trust_remote_code=trust, use_safetensors=None if trust else True, output_loading_info=True
    )
    missing = sorted(info["missing_keys"])
    if missing:
        # transformers would fill them with random numbers, and the heatmap would explain those
        raise ModelError(f"{spec} holds no weights for {', '.join(missing[:3])}: it is not trained to classify images")
    return net


def _processor(transformers: Any, source: str, trust: bool) -> Any | None:
    try:
        return transformers.AutoImageProcessor.from_pretrained(source, backend="pil", trust_remote_code=trust)
    except (OSError, ValueError) as error:
        if "preprocessor_config.json" in str(error):
            return None  # the repository says nothing about photos
        raise


def _prepared(processor: Any | None) -> Any:
    if processor is None:
        return None

    def theirs(image: Image.Image) -> Any:
        return processor(images=image, return_tensors="np")["pixel_values"][0]

    return exact(_preprocess(processor), theirs)


def _preprocess(processor: Any) -> Preprocess | None:
    """The fields of an image processor as ours, where ours can say it."""
    resize = _edges(processor, "size") if _flag(processor, "do_resize") else None
    crop = _edges(processor, "crop_size") if _flag(processor, "do_center_crop") else None
    fraction = getattr(processor, "crop_pct", None)
    if fraction is not None and isinstance(resize, int):
        # ConvNeXt: below 384 a part of the resized photo, from there on all of it
        crop = resize, resize
        resize = int(resize / fraction) if resize < 384 else crop
    if isinstance(crop, int):
        crop = crop, crop
    size = crop or resize
    if not isinstance(size, tuple):
        return None  # an input as large as the photo
    normal = _flag(processor, "do_normalize")
    return Preprocess(
        size=size,
        resize=resize,
        interpolation=_filter(getattr(processor, "resample", None)),
        mean=_three(processor.image_mean) if normal else (0.0,) * 3,
        std=_three(processor.image_std) if normal else (1.0,) * 3,
        scale=float(processor.rescale_factor) if _flag(processor, "do_rescale") else 1.0,
        colour="bgr" if _flag(processor, "do_flip_channel_order") else "rgb",
        rounding="floor",
    )


def _flag(processor: Any, name: str) -> bool:
    return bool(getattr(processor, name, False))


def _edges(processor: Any, name: str) -> int | tuple[int, int] | None:
    """(h, w), or the shorter edge alone; None: something else."""
    given = getattr(processor, name, None)
    if isinstance(given, int):
        return given
    if given is None:
        return None
    fields = given if isinstance(given, Mapping) else vars(given)
    h, w = fields.get("height"), fields.get("width")
    if h and w:
        return int(h), int(w)
    short_edge, long_edge = fields.get("shortest_edge"), fields.get("longest_edge")
    return int(short_edge) if short_edge and not long_edge else None


def _filter(resample: Any) -> Any:
    return Image.Resampling(int(resample)).name.lower() if resample is not None else "bilinear"


def _three(values: Any) -> tuple[float, ...]:
    return tuple(map(float, values)) if isinstance(values, list | tuple) else (float(values),) * 3
