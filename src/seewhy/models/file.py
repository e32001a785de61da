"""A model file: TorchScript, torch.export, .keras, .onnx of `seewhy export`, or weights of a net (file:PATH@SPEC)."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from seewhy.errors import ModelError
from seewhy.models import open_spec, split_architecture
from seewhy.models._nets import require
from seewhy.models._weights import kind_of, read_pickle, weights_in
from seewhy.vision_model import VisionModel

FORM = "file:PATH"
NEEDS = (("torch", "keras", "onnxruntime"),)
EXTRA = "torch"


def load(name: str, *, weights: str | None, trust: bool) -> VisionModel:
    """The model in a file; what it is, is told from its content."""
    name, architecture = split_architecture(name)
    path = str(Path(name).expanduser())
    short_name = f"file:{Path(path).name}"
    if weights is not None:
        raise ModelError(
            f"weights were given twice, in file:{name} and as weights={weights!r}: leave the second out; or name the "
            'network that they belong to, as load("torchvision:NAME", weights=PATH) or load("keras:NAME", weights=PATH)'
        )
    if architecture is not None:
        if architecture.startswith("file:"):
            raise ModelError(f"expected an architecture after '@', such as torchvision:resnet50, got {architecture!r}")
        model = open_spec(architecture, weights=path, trust=trust)
        return replace(model, name=f"{short_name}@{architecture}")

    kind = kind_of(path)
    if kind in ("keras", "hdf5"):
        from seewhy.models._keras_files import read_keras_model

        return VisionModel(read_keras_model(path, kind, trust=trust), name=short_name)
    if kind == "onnx":
        from seewhy.models._onnx import read_onnx

        return read_onnx(path, short_name)
    require("torch", f"file:{name}", EXTRA)
    if kind == "torchscript":
        from seewhy.models._torchscript import read_torchscript

        return VisionModel(read_torchscript(path), name=short_name)
    if kind == "export":
        from seewhy.models._exported import read_exported

        return VisionModel(read_exported(path, trust=trust), name=short_name)
    return VisionModel(_pickled(path, kind, trust), name=short_name)


def _pickled(path: str, kind: str, trust: bool) -> Any:
    """The whole model that torch.save wrote; ModelError where it is weights alone."""
    torch = require("torch", f"file:{path}", EXTRA)
    if kind == "pickle":
        with warnings.catch_warnings():
            # a pickled network whose class has changed since it was saved
            warnings.filterwarnings("ignore", category=torch.serialization.SourceChangeWarning)
            loaded = read_pickle(path, trust=trust)
        for found in (loaded, loaded.get("model") if isinstance(loaded, dict) else None):
            if isinstance(found, torch.nn.Module):
                return found
        weights_in(loaded, path)  # raises where it holds no weights either
    raise ModelError(
        f"{path} holds weights only, and they say nothing of the network they belong to: name it, as "
        f'load("file:{path}@torchvision:resnet50") or load("torchvision:resnet50", weights="{path}") '
        f"(--model torchvision:resnet50 --weights {path})"
    )
