"""What waits is worked on together: a thread takes the oldest, and all that can go with it, up to a size.

While the threads work, what comes in meanwhile waits, and makes the next batch; so batches grow with the load by
themselves. Only where a thread is idle is there a delay, and only as long as more is known to come: a lone client never
waits. Where several threads are idle they share what waits; the first is the first to take.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Generic, TypeVar

from seewhy.stream import reporting

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class GivenUp(Exception):
    """Nobody waits for the batch any more."""


@dataclass(eq=False)
class _Job(Generic[ItemT, ResultT]):
    key: Hashable
    item: ItemT
    future: "asyncio.Future[ResultT]"
    since: float = field(default_factory=time.monotonic)


class Batches(Generic[ItemT, ResultT]):
    """Gives items of the same key to `run` together, in threads of its own.

    An idle thread waits as long as more items are `coming`, for `delay` seconds from the oldest on at most.
    `run` takes a key and items, at most `size` of them, and gives a result or an exception for each. It runs within
    `among(threads)`, told how many of the threads are at work. An item that nobody waits for any more is taken out of
    the queue; a long run that nobody waits for ends with its next chunk.
    """

    def __init__(
        self,
        run: Callable[[Hashable, Sequence[ItemT]], Sequence[ResultT | Exception]],
        *,
        size: int,
        delay: float,
        coming: Callable[[], int] = lambda: 0,
        threads: int = 1,
        among: Callable[[int], AbstractContextManager[Any]] = nullcontext,
        seen: Callable[[int, float], None] = lambda size, seconds: None,
    ) -> None:
        self._run, self._size, self._delay, self._coming = run, size, delay, coming
        self._among, self._seen = among, seen
        self._waiting: list[_Job[ItemT, ResultT]] = []
        self._changed = threading.Condition()
        self._closed = False
        self._idle = set(range(threads))
        self._threads = [
            threading.Thread(target=self._work, args=(number,), name=f"seewhy-model-{number}", daemon=True)
            for number in range(threads)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self, timeout: float | None = None) -> bool:
        """Work off what waits, and end the threads; wait for that no longer than `timeout` seconds. Have they ended?"""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        end = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            if thread.is_alive():
                thread.join(None if end is None else max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    async def __call__(self, key: Hashable, items: Sequence[ItemT]) -> list[ResultT]:
        """The results of these items, which may be worked on in different batches; raises the first exception."""
        loop = asyncio.get_running_loop()
        jobs: list[_Job[ItemT, ResultT]] = [_Job(key, item, loop.create_future()) for item in items]
        with self._changed:
            if self._closed:
                raise RuntimeError("the queue is closed")
            self._waiting += jobs
            self._changed.notify_all()
        try:
            return list(await asyncio.gather(*(job.future for job in jobs)))
        finally:
            left = {id(job) for job in jobs if not job.future.done() or job.future.cancelled()}
            if left:
                with self._changed:
                    self._waiting = [job for job in self._waiting if id(job) not in left]
            for job in jobs:
                job.future.cancel()

    def _work(self, number: int) -> None:
        while True:
            batch, at_work = self._next(number)
            if not batch:
                return
            start = time.monotonic()
            with self._among(at_work):
                results = self._results(batch)
            self._seen(len(batch), time.monotonic() - start)
            by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Job[ItemT, ResultT], ResultT | Exception]]] = {}
            for job, result in zip(batch, results, strict=True):
                by_loop.setdefault(job.future.get_loop(), []).append((job, result))
            for loop, done in by_loop.items():
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_deliver, done)
            del batch, results, by_loop  # nothing is held while nothing is asked

    def _results(self, batch: list[_Job[ItemT, ResultT]]) -> Sequence[ResultT | Exception]:
        def wanted(doing: str, done: int, total: int) -> None:
            if all(job.future.done() for job in batch):
                raise GivenUp

        try:
            with reporting(wanted):
                results = self._run(batch[0].key, [job.item for job in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"{len(results)} results for {len(batch)} items")
            return results
        except Exception as error:  # the thread lives on, whatever it was
            return [error] * len(batch)

    def _next(self, number: int) -> tuple[list[_Job[ItemT, ResultT]], int]:
        """The next batch for a thread, once there is one, and how many threads are at work then.

        No batch once the queue is closed and empty.
        """
        with self._changed:
            self._idle.add(number)
            while True:
                if not self._waiting and self._closed:
                    return [], 0
                if not self._waiting or min(self._idle) < number:
                    self._changed.wait()
                    continue
                together = self._together()
                left = together[0].since + self._delay - time.monotonic()
                if len(together) >= self._size or left <= 0 or not self._coming() or self._closed:
                    break
                self._changed.wait(left)
            batch = together[: min(self._size, ceil(len(together) / len(self._idle)))]
            taken = set(map(id, batch))
            self._waiting = [job for job in self._waiting if id(job) not in taken]
            self._idle.remove(number)
            self._changed.notify_all()
            return batch, len(self._threads) - max(0, len(self._idle) - len(self._waiting))

    def _together(self) -> list[_Job[ItemT, ResultT]]:
        key = self._waiting[0].key
        return [job for job in self._waiting if job.key == key]


def _deliver(done: Sequence[tuple[_Job[ItemT, ResultT], ResultT | Exception]]) -> None:
    for job, result in done:
        if job.future.done():
            continue
        if isinstance(result, Exception):
            job.future.set_exception(result)
        else:
            job.future.set_result(result)
