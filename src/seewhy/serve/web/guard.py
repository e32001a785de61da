"""What is refused before Gradio sees it: addresses in place of files, which it would fetch."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

UPLOAD = "/gradio_api/upload"
"""Where files are sent; Gradio answers other paths that end in /upload, /gradio_api/run/upload among them."""
LONGEST = 2**20
"""Bytes of what the page sends beside files: names and numbers."""


class NoAddresses:
    """ASGI middleware: a request of the page that names a file by an address is answered 400, a long one 413."""

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"].endswith(UPLOAD):
            await self.app(scope, receive, send)
            return
        body = b""
        while True:
            message = await receive()
            if message["type"] != "http.request":  # the client has left
                return
            body += message.get("body", b"")
            if len(body) > LONGEST:
                await _refuse(send, 413, "this is longer than anything that the page sends")
                return
            if not message.get("more_body", False):
                break
        if names_an_address(body):
            await _refuse(send, 400, "photos are uploaded: nothing is fetched from an address")
            return
        given = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return given.pop() if given else await receive()

        await self.app(scope, replay, send)


def names_an_address(body: bytes) -> bool:
    """Is a file in this JSON named by an address, and not by where it was laid?

    >>> names_an_address(b'{"data": [{"path": "http://10.0.0.1/"}]}'), names_an_address(b'{"data": ["http"]}')
    (True, False)
    """
    try:
        waiting = [json.loads(body)]
    except (ValueError, RecursionError):
        return False  # what is no JSON is refused further on
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            if "://" in str(one.get("path", "")):
                return True
            waiting += one.values()
    return False


async def _refuse(send: Send, status: int, words: str) -> None:
    body = json.dumps({"detail": words}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
