"""What waits is worked on together: one thread takes the oldest, and all that can go with it, up to a size.

While the thread works, what comes in meanwhile waits, and makes the next batch; so batches grow with the load by
themselves. Only where the thread is idle is there a delay, and only as long as fewer wait than there were the last
time: a lone client never waits.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


@dataclass(eq=False)
class _Job(Generic[ItemT, ResultT]):
    key: Hashable
    item: ItemT
    future: "asyncio.Future[ResultT]"
    since: float = field(default_factory=time.monotonic)


class Batches(Generic[ItemT, ResultT]):
    """Gives items of the same key to `run` together, in a thread of its own.

    `run` takes a key and items, at most `size` of them, and gives a result or an exception for each. An item that
    nobody waits for any more is taken out of the queue.
    """

    def __init__(
        self,
        run: Callable[[Hashable, Sequence[ItemT]], Sequence[ResultT | Exception]],
        *,
        size: int,
        delay: float,
        seen: Callable[[int, float], None] = lambda size, seconds: None,
    ) -> None:
        self._run, self._size, self._delay, self._seen = run, size, delay, seen
        self._waiting: list[_Job[ItemT, ResultT]] = []
        self._changed = threading.Condition()
        self._closed = False
        self._expected = 1
        self._thread = threading.Thread(target=self._work, name="seewhy-model", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self, timeout: float | None = None) -> None:
        """Work off what waits, and end the thread; wait for that no longer than `timeout` seconds."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(timeout)

    async def __call__(self, key: Hashable, items: Sequence[ItemT]) -> list[ResultT]:
        """The results of these items, which may be worked on in different batches; raises the first exception."""
        loop = asyncio.get_running_loop()
        jobs: list[_Job[ItemT, ResultT]] = [_Job(key, item, loop.create_future()) for item in items]
        with self._changed:
            if self._closed:
                raise RuntimeError("the queue is closed")
            self._waiting += jobs
            self._changed.notify()
        try:
            return list(await asyncio.gather(*(job.future for job in jobs)))
        finally:
            left = {id(job) for job in jobs if not job.future.done() or job.future.cancelled()}
            if left:
                with self._changed:
                    self._waiting = [job for job in self._waiting if id(job) not in left]
            for job in jobs:
                job.future.cancel()

    def _work(self) -> None:
        while batch := self._next():
            start = time.monotonic()
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
        try:
            results = self._run(batch[0].key, [job.item for job in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"{len(results)} results for {len(batch)} items")
            return results
        except Exception as error:  # the thread lives on, whatever it was
            return [error] * len(batch)

    def _next(self) -> list[_Job[ItemT, ResultT]]:
        """The next batch, once there is one; none once the queue is closed and empty."""
        with self._changed:
            while True:
                together = self._together()
                if not together:
                    if self._closed:
                        return []
                    self._changed.wait()
                    continue
                left = together[0].since + self._delay - time.monotonic()
                if len(self._waiting) >= self._expected or len(together) == self._size or left <= 0 or self._closed:
                    break
                self._changed.wait(left)
            self._expected = len(self._waiting)
            taken = set(map(id, together))
            self._waiting = [job for job in self._waiting if id(job) not in taken]
            return together

    def _together(self) -> list[_Job[ItemT, ResultT]]:
        if not self._waiting:
            return []
        key = self._waiting[0].key
        return [job for job in self._waiting if job.key == key][: self._size]


def _deliver(done: Sequence[tuple[_Job[ItemT, ResultT], ResultT | Exception]]) -> None:
    for job, result in done:
        if job.future.done():
            continue
        if isinstance(result, Exception):
            job.future.set_exception(result)
        else:
            job.future.set_result(result)
