"""What is asked and answered in the Open Inference Protocol (V2), as the OpenAPI document shows it."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from seewhy.serve._forms import PIXEL, Parameters

Datatype = Literal["BYTES", "FP32", "INT32", "INT64"]


class Tensor(BaseModel):
    """A typed tensor; data as a flat list in row-major order, or as nested lists."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(max_length=100)
    shape: list[int] = Field(min_length=1, max_length=4)
    datatype: Datatype
    data: list[Any]


class WantedOutput(BaseModel):
    """An output that is asked for."""

    name: Literal["map", "score", "class"]


class InferRequest(BaseModel):
    """`image`: photos as BYTES (n), base64, or prepared images as FP32 (n, c, h, w); `class_index`, if given: INT64 (n)
    or (n, k), what is explained of each."""

    model_config = ConfigDict(frozen=True)

    id: str | None = Field(default=None, max_length=200)
    parameters: Parameters = Parameters()
    inputs: list[Tensor] = Field(
        min_length=1,
        max_length=2,
        examples=[[{"name": "image", "shape": [1], "datatype": "BYTES", "data": [PIXEL]}]],
    )
    outputs: list[WantedOutput] | None = Field(default=None, description="Without it, all: map, score, class.")


class OutputTensor(BaseModel):
    """`map` FP32 (n, k, h, w), `score` FP32 (n, k), `class` INT64 (n, k), -1 where a target is no class."""

    name: Literal["map", "score", "class"]
    shape: list[int]
    datatype: Literal["FP32", "INT64"]
    data: list[float] | list[int]


class InferAnswer(BaseModel):
    """Typed tensors for the photos of one request."""

    model_name: str
    id: str | None = None
    outputs: list[OutputTensor]


class TensorInfo(BaseModel):
    """What a tensor looks like; -1 stands for any length."""

    name: str
    datatype: Datatype
    shape: list[int]


class ModelInfo(BaseModel):
    """One model's tensors."""

    name: str
    versions: list[str] = []
    platform: str
    inputs: list[TensorInfo]
    outputs: list[TensorInfo]


class ServerInfo(BaseModel):
    """What this server is."""

    name: str
    version: str
    extensions: list[str]


class Live(BaseModel):
    """Is the server up?"""

    live: bool


class Ready(BaseModel):
    """Does the server take requests?"""

    ready: bool


class ModelReady(Ready):
    """Does the model take requests?"""

    name: str
