"""Explanations as JSON, as tensors and as pictures."""

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from PIL import Image

from seewhy.explanation import Explanation
from seewhy.maps import to_numpy
from seewhy.sentence import predicted
from seewhy.serve._accept import PNG
from seewhy.serve._forms import (
    Box,
    ExplanationAnswer,
    Parameters,
    PredictedClass,
    TargetAnswer,
    V1Explanations,
    V1Predictions,
)
from seewhy.serve._photos import open_photo
from seewhy.serve._refusals import Refusal
from seewhy.serve._v2_forms import InferAnswer, OutputTensor
from seewhy.view import View

SHARPEST = {"quality": 92, "subsampling": "4:4:4"}
"""Of JPEG: thin coloured edges stay where they are."""


def v1_predictions(found: Sequence[Explanation]) -> bytes:
    return V1Predictions(predictions=list(map(_predictions, found))).model_dump_json().encode()


def v1_explanations(found: Sequence[Explanation], name: str, threshold: float) -> bytes:
    answer = V1Explanations(
        predictions=list(map(_predictions, found)),
        explanations=[_explanation(one, name, threshold) for one in found],
    )
    return answer.model_dump_json().encode()


def v2_answer(found: Sequence[Explanation], name: str, asked_id: str | None, wanted: Sequence[str]) -> bytes:
    maps = [to_numpy(one.maps).astype(np.float32) for one in found]
    if len({array.shape for array in maps}) > 1:
        raise Refusal(400, "the maps of these photos differ in shape, and do not make one tensor: send them one by one")
    tensors: dict[Literal["map", "score", "class"], Any] = {
        "map": np.concatenate(maps),
        "score": np.concatenate([to_numpy(one.scores).astype(np.float32) for one in found]),
        "class": np.asarray([[-1 if t.index is None else t.index for t in one.targets[0]] for one in found], np.int64),
    }
    outputs = [
        OutputTensor(
            name=name,
            shape=list(array.shape),
            datatype="INT64" if array.dtype == np.int64 else "FP32",
            data=array.ravel().tolist(),
        )
        for name, array in tensors.items()
        if name in wanted
    ]
    return InferAnswer(model_name=name, id=asked_id, outputs=outputs).model_dump_json(exclude_none=True).encode()


def picture(found: Explanation, data: bytes, parameters: Parameters, kind: str, pixels: int) -> bytes:
    """The heatmap on its photo, for several targets side by side. The photo is decoded again: none is kept."""
    one = replace(found, views=(View(found.views[0].geometry, open_photo(data, "the photo", pixels)),))
    look: dict[str, Any] = {
        "style": parameters.style, "colormap": parameters.colormap, "opacity": parameters.opacity
    }  # fmt: skip
    drawn = one.overlay(**look) if one.blank.size == 1 else one.figure(**look)
    return encoded(drawn, kind)


def encoded(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    if kind == PNG:
        image.save(file, "PNG", compress_level=3)
    else:
        image.save(file, "JPEG", **SHARPEST)
    return file.getvalue()


def _predictions(one: Explanation) -> list[PredictedClass]:
    return [PredictedClass(index=p.index, label=p.label, probability=p.probability) for p in one.predictions(0)]


def _explanation(one: Explanation, name: str, threshold: float) -> ExplanationAnswer:
    geometry = one.views[0].geometry
    targets = [_target(one, j, threshold) for j in range(len(one.targets[0]))]
    begun = predicted(one.predictions(0, top=2))
    return ExplanationAnswer(
        model=name,
        method=one.method,
        layer=one.layer,
        size=(geometry.size[0], geometry.size[1]),
        region=(geometry.region[0], geometry.region[1]),
        description="\n".join(begun + target.sentence for target in targets),  # as describe() has it
        targets=targets,
    )


def _target(one: Explanation, j: int, threshold: float) -> TargetAnswer:
    target, sure = one.targets[0][j], one.probabilities
    return TargetAnswer(
        index=target.index,
        label=target.label,
        probability=None if sure is None or target.index is None else float(sure[0, target.index]),
        score=float(one.scores[0, j]),
        map=to_numpy(one.maps[0, j]).astype(np.float32).tolist(),
        blank=bool(one.blank[0, j]),
        flat=bool(one.flat[0, j]),
        boxes=[Box(**box._asdict()) for box in one.boxes(threshold, 0, j)],
        sentence=one.describe(0, j, predicted=False),
    )
