"""What stands round the whole app: each request is counted and logged, its token checked, its body kept in bounds."""

import asyncio
import contextlib
import hmac
import json
import logging
import time
import traceback
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seewhy.serve._metrics import Metrics
from seewhy.serve._refusals import Refusal, answer_to, refused

log = logging.getLogger("seewhy.serve")
OPEN = ("/v2/health/live", "/v2/health/ready")
"""What is asked without a token: by those who look whether the server is up."""
API = ("/v1/", "/v2/")
LINGER = 2.0
"""Seconds for which a body that is too long is let go by, unread."""


class Watch:
    """Counts and logs each request, gives it an id, and answers 500 in words where something broke."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status, sent, said = time.perf_counter(), 0, 0, ""
        of_api = scope["path"].startswith(API)
        request_id = scope.setdefault("state", {})["request_id"] = uuid4().hex

        async def watched(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            elif message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
            await send(message)

        self.metrics.running += of_api
        try:
            await self.app(scope, receive, watched)
        except Exception:
            said = traceback.format_exc()
            if not status:
                await refused(500, "something broke in the server; its log says more")(scope, receive, watched)
        finally:
            self.metrics.running -= of_api
            route, seconds = route_of(scope), time.perf_counter() - start
            self.metrics.requests.labels(route, str(status)).inc()
            self.metrics.seconds.labels(route).observe(seconds)
            self._log(scope, route, status, sent, seconds, said)

    def _log(self, scope: Scope, route: str, status: int, sent: int, seconds: float, said: str) -> None:
        client = scope.get("client")
        about: dict[str, Any] = {
            "id": scope["state"]["request_id"],
            "method": scope["method"],
            "route": route,
            "model": None if status == 404 else (scope.get("path_params") or {}).get("name"),
            "status": status,
            "seconds": round(seconds, 4),
            "received": Headers(scope=scope).get("content-length"),
            "sent": sent,
            "client": client[0] if client else None,
        }
        if said:
            log.error("something broke", extra={**about, "traceback": said})
        else:
            log.info("answered" if status else "the client left", extra=about)


def route_of(scope: Scope) -> str:
    """The route as the app declares it, so that what clients write makes no new names.

    >>> route_of({"type": "http"})
    'none'
    """
    return str(getattr(scope.get("route"), "path", None) or "none")


class Token:
    """Lets pass who has the token, and who only asks whether the server is up."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app, self.token = app, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or (scope["type"] == "http" and scope["path"] in OPEN):
            await self.app(scope, receive, send)
            return
        kind, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self.token):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            refusal = Refusal(401, "this server wants a token: send the header Authorization: Bearer TOKEN")
            await answer_to(refusal)(scope, receive, send)


class BodyLimit:
    """Stops to read a body that is longer than allowed, whatever its headers say."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app, self.most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        told = Headers(scope=scope).get("content-length", "")
        if told.isdigit() and int(told[:20]) > self.most:
            await self._refuse(scope, receive, send)
            return
        read, over, started = 0, False, False

        async def bounded() -> Message:
            nonlocal read, over
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.most:
                over = True
                raise _TooLong
            return message

        async def unless_over(message: Message) -> None:
            nonlocal started
            if over and not started:
                return  # what the app makes of a body that broke off
            started = True
            await send(message)

        try:
            await self.app(scope, bounded, unless_over)
        except Exception:
            if not over:
                raise
        if over and not started:
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        if "100-continue" not in Headers(scope=scope).get("expect", "").lower():
            await self._let_run(receive)
        refusal = Refusal(413, f"the request is too long: at most {self.most} bytes are taken")
        await answer_to(refusal)(scope, receive, send)

    async def _let_run(self, receive: Receive) -> None:
        """Let go by what is still on its way, up to a bound: who is cut off while sending never reads the answer."""
        left = 2 * self.most
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                while left > 0:
                    message = await receive()
                    left -= len(message.get("body", b""))
                    if message["type"] != "http.request" or not message.get("more_body", False):
                        break


class _TooLong(Exception):
    """The body is longer than allowed."""


class JsonLines(logging.Formatter):
    """A log record as one line of JSON: time, level, message, and what was said of it in `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _PLAIN and value is not None}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


_PLAIN = {*vars(logging.makeLogRecord({})), "message", "asctime", "color_message"}
