"""The way of a request: a place, its body, its photos made ready, a batch, an answer; each within the limits."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from threadpoolctl import ThreadpoolController

from seewhy.errors import SeewhyError
from seewhy.explanation import Explanation
from seewhy.serve._asked import Asked, Upload
from seewhy.serve._batching import Batches
from seewhy.serve._limits import Limits, Places
from seewhy.serve._metrics import Metrics
from seewhy.serve._models import PREDICT, Models, Served
from seewhy.serve._photos import Prepared, prepare
from seewhy.serve._refusals import Refusal, refusal_of
from seewhy.serve._work import Item, explain_together, kind_of

ResultT = TypeVar("ResultT")


class Gone(Exception):
    """The client left."""


class Service:
    """What the protocols share; one for an app."""

    def __init__(self, models: Models, limits: Limits, metrics: Metrics) -> None:
        self.models, self.limits, self.metrics = models, limits, metrics
        self.places = Places(limits.queue, max(limits.held, limits.body))
        self.pool = ThreadPoolExecutor(max(2, min(8, os.cpu_count() or 1)), thread_name_prefix="seewhy-photos")
        self._openmp = ThreadpoolController().select(user_api="openmp")
        self._cores = _cores(self._openmp)
        self._threads = min(self._cores, limits.threads) if all(one.side_by_side for one in models.values()) else 1
        self.batches: Batches[Item, Explanation] = Batches(
            partial(explain_together, models),
            size=limits.batch,
            delay=limits.delay,
            coming=lambda: self._coming,
            threads=self._threads,
            among=self._share_cores,
            seen=self._seen,
        )
        self._pace = 0.05
        """Seconds that a photo took lately."""
        self._coming = 0
        """Photos that are being made ready."""
        self.ended = True
        """False: something still ran when it was closed."""
        metrics.waiting.set_function(lambda: self.places.taken)

    def start(self) -> None:
        self.batches.start()

    def close(self) -> None:
        """Take nothing more, and work off what was accepted; no longer than a request may take."""
        self.places.open = False
        self.ended = self.batches.close(self.limits.timeout)
        self.pool.shutdown(cancel_futures=True)

    def served(self, name: str) -> Served:
        if name not in self.models:
            raise Refusal(404, f"unknown model {name[:100]!r}: this server has {', '.join(self.models)}")
        return self.models[name]

    # ---- one request -------------------------------------------------------------------------------------

    async def answer(
        self, request: Request, work: Callable[[bytes, Callable[[int], None]], Awaitable[ResultT]]
    ) -> ResultT:
        """Read a request and let `work` answer its body, in time, and as long as the client is there.

        `work` is given the body, and what to call with the number of photos in it: each has to have a place.
        """
        end = time.monotonic() + self.limits.timeout
        async with self._place() as place:
            try:
                async with asyncio.timeout(self.limits.timeout):
                    body = await place.read(request)
            except TimeoutError:
                raise Refusal(408, f"the request did not arrive within {self.limits.timeout:g} s") from None
            except ClientDisconnect:
                raise Gone from None
            return await self._while_there(request, work(body, place.more), end - time.monotonic())

    @asynccontextmanager
    async def _place(self) -> AsyncIterator["_Place"]:
        """A place before anything is read; left at the end, whatever it was."""
        place = _Place(self.places, lambda: self.places.taken * self._pace)
        try:
            yield place
        finally:
            self.places.leave(place.photos, place.size)

    async def _while_there(self, request: Request, work: Awaitable[ResultT], seconds: float) -> ResultT:
        """The result of `work`; it is given up when the client leaves, and when the time is over."""
        working = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(_gone(request))
        try:
            done, _ = await asyncio.wait(
                (working, leaving), timeout=max(0.0, seconds), return_when=asyncio.FIRST_COMPLETED
            )
            if working in done:
                return working.result()
            if leaving in done:
                raise Gone
            raise Refusal(504, f"no answer within {self.limits.timeout:g} s, and the request was given up")
        finally:
            leaving.cancel()
            if not working.done():
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)

    # ---- steps -------------------------------------------------------------------------------------------

    async def in_pool(self, work: Callable[[], ResultT]) -> ResultT:
        """What takes time and needs no model."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, work)

    async def explain(self, served: Served, asked: Asked, *, predict: bool = False) -> Sequence[Explanation]:
        """The explanation of each photo of a request.

        Raises Refusal for a photo that cannot be read or explained.
        """
        method = PREDICT.name if predict else served.explainer(asked.parameters.method).method.name
        self._coming += len(asked.uploads)
        try:
            items = await asyncio.gather(*(self.in_pool(partial(self._item, served, one)) for one in asked.uploads))
        finally:
            self._coming -= len(asked.uploads)
        kinds = [kind_of(served.name, method, item) for item in items]
        if len(set(kinds)) == 1:
            groups = [(kinds[0], list(range(len(items))))]
        else:
            groups = [(kind, [i for i, own in enumerate(kinds) if own == kind]) for kind in dict.fromkeys(kinds)]
        try:
            parts = await asyncio.gather(*(self.batches(kind, [items[i] for i in at]) for kind, at in groups))
        except SeewhyError as error:
            raise refusal_of(error) from error
        found = {i: one for (_, at), part in zip(groups, parts, strict=True) for i, one in zip(at, part, strict=True)}
        self.metrics.photos.labels(served.name, method).inc(len(items))
        return [found[i] for i in range(len(items))]

    def _item(self, served: Served, upload: Upload) -> Item:
        if not isinstance(upload.content, bytes):
            return Item(Prepared(upload.content, None), upload.row)
        return Item(prepare(served.explainer(), upload.content, upload.name, self.limits.pixels), upload.row)

    def _share_cores(self, threads: int) -> AbstractContextManager[Any]:
        """For a batch in one of so many threads that are at work: its share of the cores.

        Threads that each have a core never wait for each other, as those of one pass do after every operation; alone,
        one pass has all the cores.
        """
        limited: AbstractContextManager[Any] = self._openmp.limit(limits=max(1, self._cores // threads))
        return limited

    def _seen(self, photos: int, seconds: float) -> None:
        """Runs in a model's thread."""
        self._pace = 0.8 * self._pace + 0.2 * seconds / photos / self._threads
        self.metrics.batch_photos.observe(photos)
        self.metrics.batch_seconds.observe(seconds)


def _cores(openmp: ThreadpoolController) -> int:
    """How many cores OpenMP's operations have in this process; where there are none, as with JAX, 1."""
    return min((int(pool["num_threads"]) for pool in openmp.info()), default=1)


class _Place:
    """What one request takes up."""

    def __init__(self, places: Places, wait: Callable[[], float]) -> None:
        places.take(1, wait())
        self.places, self.wait = places, wait
        self.photos, self.size = 1, 0

    async def read(self, request: Request) -> bytes:
        """The body of the request, held chunk by chunk."""
        chunks = []
        async for chunk in request.stream():
            self.places.hold(len(chunk))
            self.size += len(chunk)
            chunks.append(chunk)
        return b"".join(chunks)

    def more(self, photos: int) -> None:
        """A place for each of the photos that the body turned out to hold."""
        if photos > self.places.count:
            most = self.places.count
            raise Refusal(413, f"{photos} photos in one request, and {most} at most find room: send several")
        self.places.take(photos - self.photos, self.wait())
        self.photos = photos


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
