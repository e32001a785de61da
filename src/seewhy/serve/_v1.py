"""KServe's V1 protocol: predict and explain."""

from collections.abc import Callable
from functools import partial
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response

from seewhy.serve import _answers
from seewhy.serve._accept import JPEG, JSON, PNG, wanted
from seewhy.serve._asked import Asked
from seewhy.serve._forms import ErrorAnswer, V1Explanations, V1Model, V1Models, V1Predictions
from seewhy.serve._models import Served
from seewhy.serve._refusals import Refusal
from seewhy.serve._service import Service
from seewhy.serve._v1_reading import read_form, read_json

ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorAnswer, "description": "What was sent does not fit, and why"},
    401: {"model": ErrorAnswer, "description": "A token is missing"},
    404: {"model": ErrorAnswer, "description": "No such model"},
    405: {"model": ErrorAnswer, "description": "The method does not go with the path"},
    406: {"model": ErrorAnswer, "description": "No such kind of answer"},
    408: {"model": ErrorAnswer, "description": "The request did not arrive in time"},
    413: {"model": ErrorAnswer, "description": "Too many bytes, pixels or photos"},
    415: {"model": ErrorAnswer, "description": "Neither JSON nor a form"},
    503: {"model": ErrorAnswer, "description": "Too many photos wait; Retry-After says when to come again"},
    504: {"model": ErrorAnswer, "description": "No answer in time"},
}
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/V1Request"}},
            "multipart/form-data": {"schema": {"$ref": "#/components/schemas/V1Upload"}},
        },
    }
}
PICTURES = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in (PNG, JPEG)}


def some(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: ERRORS[status] for status in statuses}


def router(service: Service) -> APIRouter:
    """The routes of the protocol."""
    routes = APIRouter(prefix="/v1", tags=["KServe V1"])

    @routes.get("/models", responses=some(401))
    async def models() -> V1Models:
        """The models that may be asked for."""
        return V1Models(models=list(service.models))

    @routes.get("/models/{name}", responses=some(401, 404, 405))
    async def model(name: str) -> V1Model:
        """One model: is it ready, what may it be asked?"""
        if name.endswith((":predict", ":explain")):
            raise HTTPException(405, "Method Not Allowed", {"Allow": "POST"})
        served = service.served(name)
        return V1Model(
            name=name,
            ready=service.places.open,
            methods=list(served.methods),
            layer=served.layer,
            classes=served.classes,
        )

    @routes.post("/models/{name}:predict", responses={200: {"model": V1Predictions}, **ERRORS}, openapi_extra=BODY)
    async def predict(name: str, request: Request) -> Response:
        """The best classes of each photo."""
        served = service.served(name)
        wanted(request.headers.get("accept"), [JSON])

        async def work(body: bytes, more: Callable[[int], None]) -> bytes:
            asked = await _asked(service, served, body, request)
            more(len(asked.uploads))
            return _answers.v1_predictions(await service.explain(served, asked, predict=True))

        return Response(await service.answer(request, work), media_type=JSON)

    @routes.post(
        "/models/{name}:explain",
        responses={200: {"model": V1Explanations, "content": PICTURES}, **ERRORS},
        openapi_extra=BODY,
    )
    async def explain(name: str, request: Request) -> Response:
        """Where the model saw what is asked for: as JSON, or by the header Accept as a picture of one photo."""
        served = service.served(name)
        kind = wanted(request.headers.get("accept"))

        async def work(body: bytes, more: Callable[[int], None]) -> bytes:
            asked = await _asked(service, served, body, request)
            more(len(asked.uploads))
            if kind != JSON and len(asked.uploads) > 1:
                raise Refusal(400, "a picture is drawn of one photo: send one, or ask for application/json")
            found = await service.explain(served, asked)
            if kind == JSON:
                threshold = asked.parameters.threshold
                return await service.in_pool(partial(_answers.v1_explanations, found, name, threshold))
            data = asked.uploads[0].content
            assert isinstance(data, bytes)
            pixels = service.limits.pixels
            return await service.in_pool(partial(_answers.picture, found[0], data, asked.parameters, kind, pixels))

        return Response(await service.answer(request, work), media_type=kind)

    return routes


async def _asked(service: Service, served: Served, body: bytes, request: Request) -> Asked:
    kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if kind == JSON:
        return await service.in_pool(partial(read_json, served, body, service.limits))
    if kind == "multipart/form-data":
        return await read_form(served, body, request.headers, service.limits)
    raise Refusal(415, f"expected application/json or multipart/form-data, got {kind[:100]!r}")
