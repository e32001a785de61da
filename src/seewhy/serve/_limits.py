"""What a server takes upon itself, and the places that requests wait in."""

from dataclasses import dataclass, fields

from seewhy.errors import InputError
from seewhy.serve._refusals import Refusal


@dataclass(frozen=True)
class Limits:
    """How much is taken: of one request, together in one batch, and at one time.

    >>> Limits(batch=4).batch
    4
    """

    body: int = 20_000_000
    """Bytes of one request."""
    pixels: int = 40_000_000
    """Pixels of one photo."""
    photos: int = 16
    """Photos in one request."""
    targets: int = 10
    """Targets for each photo."""
    batch: int = 8
    """Photos that are explained together."""
    threads: int = 4
    """Batches that are explained at a time, on PyTorch's CPU; elsewhere, and with fewer cores, there are fewer."""
    delay: float = 0.02
    """Seconds that a photo waits at most for others that are being made ready, while a thread is idle."""
    queue: int = 128
    """Photos that are accepted and not yet answered; beyond them the answer is 503."""
    held: int = 256_000_000
    """Bytes of all requests that are read and not yet answered; beyond them the answer is 503."""
    timeout: float = 30.0
    """Seconds until a request is answered, or given up."""

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            least = 0 if one.name == "delay" else 1 if one.type is int else 1e-3
            if value < least:
                raise InputError(f"expected {one.name} as a number of {least} or more, got {value}")


class Places:
    """The places of the photos that are accepted and not yet answered, and the bytes that they came in; for one loop.

    >>> places = Places(2, 1000)
    >>> places.take(2)
    >>> places.leave(1, 0)
    >>> places.taken
    1
    """

    def __init__(self, count: int, most: int) -> None:
        self.count, self.most = count, most
        self.taken = self.held = 0
        self.open = True

    def take(self, photos: int, wait: float = 1.0) -> None:
        """Take places; a 503 that says after how many seconds to come again where there are not as many."""
        if not self.open:
            raise Refusal(503, "the server is shutting down", retry_after=5)
        if self.taken + photos > self.count:
            raise Refusal(
                503,
                f"the server is busy: of {self.count} photos at most {self.taken} are there already; try again later",
                retry_after=max(1, min(60, round(wait))),
            )
        self.taken += photos

    def hold(self, size: int) -> None:
        """Hold bytes of a request; a 503 where there are too many."""
        if self.held + size > self.most:
            raise Refusal(503, "the server is busy: it holds as much as it may; try again later", retry_after=1)
        self.held += size

    def leave(self, photos: int, size: int) -> None:
        self.taken -= photos
        self.held -= size
