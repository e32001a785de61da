"""Private: ONNX files that carry their own explanation."""

from typing import Any

from seewhy.errors import ModelError
from seewhy.models._nets import require, short
from seewhy.vision_model import VisionModel

_ERRORS_ONLY = 3


def read_onnx(path: str, name: str) -> VisionModel:
    """The graph in a session of ONNX Runtime, with what it says of its preprocess and its labels.

    Raises ModelError where it cannot be read, or is none that explains itself.
    """
    ort = require("onnxruntime", f"file:{path}", "onnx")
    try:
        session = open_session(path)
    except Exception as error:  # classes of its own, without a root
        raise ModelError(
            f"{path} cannot be read by ONNX Runtime {ort.__version__} ({short(error)}): it is truncated or damaged, or "
            "needs a newer version"
        ) from error
    from seewhy.adapters import onnxruntime as adapter

    try:
        told = adapter.describe(session)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    return VisionModel(session, told.preprocess, told.labels, name)


def open_session(graph: str | bytes) -> Any:
    """A graph, as a path or as what the file holds, in a session on the CPU that keeps its warnings to itself."""
    ort: Any = require("onnxruntime", "an ONNX graph", "onnx")
    settings = ort.SessionOptions()
    settings.log_severity_level = _ERRORS_ONLY
    return ort.InferenceSession(graph, settings, providers=["CPUExecutionProvider"])
