"""What an ONNX graph that explains itself says of itself: the names of its inputs and outputs, and its metadata.

Each entry is text under "seewhy." and a name; what is no text is JSON.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from seewhy.errors import InputError
from seewhy.preprocess import Preprocess

IMAGE, CLASS_INDEX = "image", "class_index"
HEATMAP, UPSAMPLED, SCORE, FLAT = "heatmap", "heatmap_upsampled", "score", "flat"
CLASSES = {None: "logits", "softmax": "probabilities", "sigmoid": "probabilities", "log-softmax": "log_probabilities"}
"""What the output of class scores is called, by the final activation that the model was seen to run."""
PREDICTED = -1
"""The class index that stands for the predicted class."""
_PREFIX = "seewhy."


@dataclass(frozen=True)
class About:
    """All that has to be known of a graph to explain photos with it."""

    version: str
    """Of seewhy, which wrote it."""
    model: str
    method: str
    options: Mapping[str, Any]
    """All options of the method, and their values."""
    layer: str
    shape: tuple[int, ...]
    """Of the layer's output, (c, *s)."""
    score: Literal["logit", "output"]
    head: str | None
    """The final activation that the model was seen to run; see seewhy.types.Capture."""
    labels: Sequence[str] | None
    preprocess: Preprocess | None

    def to_metadata(self) -> dict[str, str]:
        """As ONNX keeps it: names to text."""
        fields = {**asdict(self), "preprocess": None if self.preprocess is None else asdict(self.preprocess)}
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
        return {_PREFIX + name: text for name, text in texts.items()}


def from_metadata(metadata: Mapping[str, str]) -> About:
    """What `to_metadata` wrote; KeyError, ValueError, TypeError or InputError where it is something else."""
    texts = {name: metadata[_PREFIX + name] for name in About.__dataclass_fields__}
    values: dict[str, Any] = {
        name: text if name in ("version", "model", "method", "layer", "score") else json.loads(text)
        for name, text in texts.items()
        if name != "head"
    }
    prepare = values.pop("preprocess")
    if values["score"] not in ("logit", "output"):
        raise InputError(f"expected the score 'logit' or 'output', got {values['score']!r}")
    if not (values["labels"] is None or isinstance(values["labels"], list)):
        raise InputError("expected labels as a list with one name for each class")
    return About(
        **{**values, "shape": tuple(values["shape"])},
        head=None if texts["head"] == "null" else texts["head"],
        preprocess=None if prepare is None else Preprocess(**{name: _tuple(value) for name, value in prepare.items()}),
    )


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
