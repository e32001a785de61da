"""The Open Inference Protocol (V2): typed tensors."""

from collections.abc import Callable
from functools import partial

from fastapi import APIRouter, Request, Response

import seewhy
from seewhy.serve import _answers
from seewhy.serve._accept import JSON, wanted
from seewhy.serve._refusals import Refusal
from seewhy.serve._service import Service
from seewhy.serve._v1 import ERRORS, some
from seewhy.serve._v2_forms import InferAnswer, Live, ModelInfo, ModelReady, Ready, ServerInfo, TensorInfo
from seewhy.serve._v2_reading import read_infer

BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/InferRequest"}}},
    }
}


def router(service: Service) -> APIRouter:
    """The routes of the protocol."""
    routes = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])

    @routes.get("", responses=some(401))
    async def server() -> ServerInfo:
        """What this server is."""
        return ServerInfo(name="seewhy", version=seewhy.__version__, extensions=[])

    @routes.get("/health/live")
    async def live() -> Live:
        """Is the server up?"""
        return Live(live=True)

    @routes.get("/health/ready", responses=some(503))
    async def ready() -> Ready:
        """Does the server take requests? Models are loaded before it listens."""
        if not service.places.open:
            raise Refusal(503, "the server is shutting down", retry_after=5)
        return Ready(ready=True)

    @routes.get("/models/{name}", responses=some(401, 404))
    async def model(name: str) -> ModelInfo:
        """The tensors of a model: photos as BYTES in base64, or prepared images as FP32."""
        served = service.served(name)
        images = [TensorInfo(name="image", datatype="BYTES", shape=[-1])]
        if served.shape is not None:
            images.append(TensorInfo(name="image", datatype="FP32", shape=[-1, *served.shape]))
        return ModelInfo(
            name=name,
            platform=f"seewhy_{served.framework}",
            inputs=[*images, TensorInfo(name="class_index", datatype="INT64", shape=[-1, -1])],
            outputs=[
                TensorInfo(name="map", datatype="FP32", shape=[-1, -1, -1, -1]),
                TensorInfo(name="score", datatype="FP32", shape=[-1, -1]),
                TensorInfo(name="class", datatype="INT64", shape=[-1, -1]),
            ],
        )

    @routes.get("/models/{name}/ready", responses=some(401, 404, 503))
    async def model_ready(name: str) -> ModelReady:
        """Does the model take requests?"""
        service.served(name)
        if not service.places.open:
            raise Refusal(503, "the server is shutting down", retry_after=5)
        return ModelReady(name=name, ready=True)

    @routes.post("/models/{name}/infer", responses={200: {"model": InferAnswer}, **ERRORS}, openapi_extra=BODY)
    async def infer(name: str, request: Request) -> Response:
        """Maps, scores and classes of photos, or of prepared images, as tensors."""
        served = service.served(name)
        wanted(request.headers.get("accept"), [JSON])
        kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
        if kind != JSON:
            raise Refusal(415, f"expected application/json, got {kind[:100]!r}")

        async def work(body: bytes, more: Callable[[int], None]) -> bytes:
            form, asked = await service.in_pool(partial(read_infer, served, body, service.limits))
            more(len(asked.uploads))
            found = await service.explain(served, asked)
            names = [one.name for one in form.outputs or ()] or ["map", "score", "class"]
            return await service.in_pool(partial(_answers.v2_answer, found, name, form.id, names))

        return Response(await service.answer(request, work), media_type=JSON)

    return routes
