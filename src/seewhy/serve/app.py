"""The app of `seewhy serve`: both protocols over the same models, guards round them, and a place for the web page."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

import seewhy
from seewhy.serve import _v1, _v2
from seewhy.serve._forms import V1Request, V1Upload
from seewhy.serve._guards import BodyLimit, Token, Watch
from seewhy.serve._limits import Limits
from seewhy.serve._metrics import CONTENT_TYPE, Metrics
from seewhy.serve._models import Models
from seewhy.serve._refusals import Refusal, answer_to, refused
from seewhy.serve._service import Gone, Service
from seewhy.serve._v2_forms import InferRequest

__all__ = ["Limits", "Models", "create_app"]

LEFT = 499
"""What is logged where the client left before the answer; nobody receives it."""


def create_app(
    models: Models,
    limits: Limits | None = None,
    *,
    token: str | None = None,
    page: Callable[[FastAPI, Models, Limits], object] | None = None,
) -> FastAPI:
    """The ASGI app that serves these models, and no others.

    `token`: what clients have to send as `Authorization: Bearer TOKEN`. `page` is called with the app, the models and
    the limits, to mount a web page on it.

    >>> from seewhy.models import load
    >>> app = create_app(Models({"lite0": load("lite0")}), Limits(batch=8))
    >>> "/v1/models/{name}:explain" in app.openapi()["paths"]
    True
    """
    limits = limits or Limits()
    metrics = Metrics()
    service = Service(models, limits, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        try:
            yield
        finally:
            service.close()

    app = FastAPI(
        title="seewhy",
        version=seewhy.__version__,
        summary="Shows where a vision model looked.",
        lifespan=lifespan,
        docs_url=None,  # these pages load their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(_v1.router(service))
    app.include_router(_v2.router(service))

    @app.get("/metrics", include_in_schema=False)
    async def metrics_page() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    app.add_exception_handler(Refusal, _on_refusal)
    app.add_exception_handler(Gone, _on_gone)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    # the last that is added is the outermost
    app.add_middleware(BodyLimit, most=limits.body)
    if token:
        app.add_middleware(Token, token=token)
    app.add_middleware(Watch, metrics=metrics)
    app.state.service, app.state.page = service, page is not None
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    if page is not None:
        page(app, models, limits)
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the forms of bodies that the routes read themselves."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        bodies = [(form, "validation") for form in (V1Request, V1Upload, InferRequest)]
        _, definitions = models_json_schema(bodies, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
        schemas = document["components"]["schemas"]
        schemas |= definitions["$defs"]
        for route in document["paths"].values():
            for operation in route.values():
                operation["responses"].pop("422", None)  # FastAPI's own: here it is 400, with words
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        app.openapi_schema = document
    return app.openapi_schema


async def _on_refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return answer_to(error)


async def _on_gone(_: Request, error: Exception) -> Response:
    return refused(LEFT, "the client left")


async def _on_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refused(error.status_code, str(error.detail), dict(error.headers or {}))


async def _on_invalid(_: Request, error: Exception) -> Response:
    return refused(422, "what was asked does not fit the route")
