"""What is answered where a request is not: a status and words, in the form of both protocols."""

from typing import Any

from starlette.responses import JSONResponse, Response

from seewhy.errors import SeewhyError


class Refusal(Exception):
    """A request that is not answered as asked, in words for the client.

    >>> Refusal(404, "no such model").status
    404
    """

    def __init__(self, status: int, words: str, *, retry_after: int | None = None) -> None:
        super().__init__(words)
        self.status = status
        self.retry_after = retry_after


def refusal_of(error: Exception, where: str = "") -> Refusal:
    """What a client is told of an error: what seewhy raises on purpose is the request's fault, all else is ours."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, SeewhyError):
        return Refusal(400, f"{where}{error}")
    raise error


def refused(status: int, words: str, headers: dict[str, str] | None = None) -> Response:
    """The answer, as KServe's V1 and the Open Inference Protocol both write it: {"error": "..."}."""
    content: dict[str, Any] = {"error": words}
    return JSONResponse(content, status, headers)


def answer_to(refusal: Refusal) -> Response:
    headers = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
    if refusal.status in (408, 413):  # what is left of the body is not read
        headers["Connection"] = "close"
    if refusal.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return refused(refusal.status, str(refusal), headers)
