"""What is asked and answered in KServe's V1 protocol, as the OpenAPI document shows it."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

Class = Annotated[StrictInt, Field(ge=0, lt=2**31)] | Annotated[StrictStr, Field(min_length=1, max_length=200)]
"""A class by its index or its name."""
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFElEQVR4nGOsr69nwAaYsIoOWgkALcUBjTy/9hgAAAAASUVORK5CYII="
"""A small grey PNG, as an example that works."""


class Strict(BaseModel):
    """What is written wrong is told, and not passed over."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class Parameters(Strict):
    """What is asked of the photos of one request, and how it is drawn."""

    method: str | None = Field(
        default=None, max_length=100, description="How; GET /v1/models/NAME lists them, first the one taken without."
    )
    targets: list[Class] | None = Field(
        default=None,
        min_length=1,
        fail_fast=True,
        description="Classes by index or name; without it, the best.",
    )
    top: int | None = Field(default=None, ge=1, le=1000, description="In place of targets: the best classes, as many.")
    threshold: float = Field(default=0.15, ge=0, lt=1, description="Of boxes: the share of the map's maximum.")
    style: Literal["blend", "classic"] = "blend"
    colormap: str | None = Field(default=None, max_length=100, description="Of pictures: a colormap of matplotlib.")
    opacity: float | None = Field(default=None, ge=0, le=1, description="Of the map on pictures.")


class Instance(Strict):
    """One photo."""

    b64: str = Field(description="The bytes of a JPEG, PNG, WebP, TIFF, BMP or GIF file, in base64.", examples=[PIXEL])
    targets: list[Class] | None = Field(
        default=None, min_length=1, fail_fast=True, description="In place of the request's."
    )


class V1Request(BaseModel):
    """Photos, and what is asked of them."""

    model_config = ConfigDict(frozen=True)

    instances: list[Instance | str] = Field(
        min_length=1, fail_fast=True, description="Photos: base64, or objects with it.", examples=[[{"b64": PIXEL}]]
    )
    parameters: Parameters = Parameters()


class V1Upload(Strict):
    """The same as a form: photos are files, and parameters are fields."""

    image: list[bytes] = Field(min_length=1, description="Photos; the field may be repeated.")
    method: str | None = None
    targets: list[str] | None = Field(default=None, description="Classes by index or name; the field may be repeated.")
    top: int | None = Field(default=None, ge=1, le=1000)
    threshold: float = Field(default=0.15, ge=0, lt=1)
    style: Literal["blend", "classic"] = "blend"
    colormap: str | None = None
    opacity: float | None = Field(default=None, ge=0, le=1)


class PredictedClass(BaseModel):
    """One class and its probability in [0, 1]."""

    index: int
    label: str
    probability: float


class Box(BaseModel):
    """Pixels of the photo: columns left to right - 1, rows top to bottom - 1."""

    left: int
    top: int
    right: int
    bottom: int


class TargetAnswer(BaseModel):
    """Where the model saw one thing that was asked for."""

    index: int | None
    """The class; None where the target is about none."""
    label: str
    probability: float | None
    score: float
    """The explained number."""
    map: list[list[float]]
    """The raw evidence (h, w), 0 or more, never normalised."""
    blank: bool
    """Does nothing speak for the target?"""
    flat: bool
    """Is the map blank since the score has no gradient, so that it tells nothing?"""
    boxes: list[Box]
    """Round each connected part above the threshold, the largest part first."""
    sentence: str


class ExplanationAnswer(BaseModel):
    """The explanation of one photo."""

    model: str
    method: str
    layer: str
    size: tuple[int, int]
    """Height and width of the photo, upright."""
    region: tuple[tuple[float, float], tuple[float, float]]
    """Where the map lies on the photo: (top, bottom), (left, right) in its pixels."""
    description: str
    targets: list[TargetAnswer]


class V1Predictions(BaseModel):
    """The best classes of each photo."""

    predictions: list[list[PredictedClass]]


class V1Explanations(V1Predictions):
    """The best classes of each photo, and where the model saw what was asked for."""

    explanations: list[ExplanationAnswer]


class V1Models(BaseModel):
    """The models that may be asked for."""

    models: list[str]


class V1Model(BaseModel):
    """One model, and what it may be asked."""

    name: str
    ready: bool
    methods: list[str]
    layer: str
    classes: int


class ErrorAnswer(BaseModel):
    """What was wrong, in words."""

    error: str
