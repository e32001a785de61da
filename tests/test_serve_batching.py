"""The queue alone: what goes together, who waits how long, what an error or a leaver costs the others."""

import asyncio
import threading
import time
from contextlib import contextmanager

import pytest

from seewhy.serve._batching import Batches
from seewhy.stream import run


class Work:
    """Doubles numbers, remembers its batches, and can be held up."""

    def __init__(self):
        self.batches = []
        self.go = threading.Event()
        self.go.set()
        self.busy = threading.Event()

    def __call__(self, key, items):
        self.batches.append((key, list(items)))
        self.busy.set()
        assert self.go.wait(10)
        return [ValueError(f"{item} is odd") if item % 2 else 2 * item for item in items]


def running(work, scenario, **options):
    batches = Batches(work, **{"size": 4, "delay": 0.0, **options})
    batches.start()
    try:
        return asyncio.run(scenario(batches))
    finally:
        if isinstance(work, Work):
            work.go.set()
        batches.close()


async def held(work, batches):
    """A first item that keeps the thread busy, so that what comes next waits."""
    work.go.clear()
    first = asyncio.ensure_future(batches("a", [0]))
    await asyncio.get_running_loop().run_in_executor(None, work.busy.wait, 10)
    return first


def test_what_waits_is_worked_on_together_oldest_first_and_never_mixed():
    work = Work()

    async def scenario(batches):
        first = await held(work, batches)
        asked = [
            asyncio.ensure_future(batches(key, [item])) for key, item in zip("bacbaa", range(2, 14, 2), strict=True)
        ]
        await asyncio.sleep(0.05)
        work.go.set()
        return await first, await asyncio.gather(*asked)

    first, rest = running(work, scenario)
    assert first == [0] and rest == [[4], [8], [12], [16], [20], [24]]
    assert work.batches == [("a", [0]), ("b", [2, 8]), ("a", [4, 10, 12]), ("c", [6])]


def test_no_batch_is_larger_than_its_bound_and_a_request_may_span_several():
    work = Work()

    async def scenario(batches):
        return await batches("a", list(range(0, 20, 2)))

    assert running(work, scenario) == list(range(0, 40, 4))
    assert [len(items) for _, items in work.batches] == [4, 4, 2]


def test_one_that_fails_costs_no_other():
    work = Work()

    async def scenario(batches):
        first = await held(work, batches)
        asked = [asyncio.ensure_future(batches("a", [item])) for item in (2, 3, 4)]
        await asyncio.sleep(0.05)
        work.go.set()
        await first
        return await asyncio.gather(*asked, return_exceptions=True)

    two, three, four = running(work, scenario)
    assert (two, four) == ([4], [8]) and str(three) == "3 is odd"
    assert len(work.batches) == 2


def test_work_that_breaks_leaves_the_thread_alive():
    def broken(key, items):
        if key == "bad":
            raise RuntimeError("no")
        return items

    async def scenario(batches):
        with pytest.raises(RuntimeError, match="no"):
            await batches("bad", [1, 2])
        return await batches("good", [3])

    assert running(broken, scenario) == [3]


def test_a_client_that_leaves_is_taken_out_of_the_queue():
    work = Work()

    async def scenario(batches):
        first = await held(work, batches)
        leaver = asyncio.ensure_future(batches("a", [2]))
        stayer = asyncio.ensure_future(batches("a", [4]))
        await asyncio.sleep(0.05)
        leaver.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        work.go.set()
        await first
        return await stayer

    assert running(work, scenario) == [8]
    assert work.batches == [("a", [0]), ("a", [4])]


def test_an_idle_thread_waits_for_what_is_coming_but_not_for_long():
    work, coming = Work(), 0

    async def scenario(batches):
        nonlocal coming
        alone = time.perf_counter()
        await batches("a", [2])  # nothing else is coming
        alone = time.perf_counter() - alone
        coming = 1
        first = asyncio.ensure_future(batches("a", [4]))
        await asyncio.sleep(0.05)
        assert len(work.batches) == 1
        coming = 0
        await asyncio.gather(first, batches("a", [6]))
        coming = 1
        late = time.perf_counter()
        await batches("a", [8])  # waits, in vain
        late = time.perf_counter() - late
        full = time.perf_counter()
        await batches("a", [2, 4, 6, 8])
        return alone, late, time.perf_counter() - full

    alone, late, full = running(work, scenario, delay=0.4, coming=lambda: coming)
    assert alone < 0.3 <= late < 3 and full < 0.3
    assert [items for _, items in work.batches] == [[2], [4, 6], [8], [2, 4, 6, 8]]


def test_a_long_run_ends_once_nobody_waits_for_it():
    chunks = []

    def long(key, items):
        return [list(run(1000, 1, lambda part: chunks.append(time.sleep(0.01)), "counting")) for _ in items]

    async def scenario(batches):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(batches("a", [2]), 0.1)
        await asyncio.get_running_loop().run_in_executor(None, batches.close)

    running(long, scenario)
    assert 0 < len(chunks) < 500


class Crew(Work):
    """Work of several threads: who was at work beside each batch, and a gate for each item."""

    def __init__(self):
        super().__init__()
        self.at_work = []
        self.let_go = {item: threading.Event() for item in range(0, 40, 2)}

    @contextmanager
    def among(self, threads):
        self.at_work.append(threads)
        yield

    def __call__(self, key, items):
        self.batches.append((key, list(items)))
        assert all(self.let_go[item].wait(10) for item in items)
        return [2 * item for item in items]

    async def until(self, condition):
        for _ in range(500):
            if condition(self):
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"it did not come to pass: {self.batches}")


def test_idle_threads_share_what_waits_and_one_alone_is_told_so():
    work = Crew()

    async def scenario(batches):
        alone = asyncio.ensure_future(batches("a", [0]))
        await work.until(lambda w: w.at_work == [1])
        work.let_go[0].set()
        await alone
        await work.until(lambda w: batches._idle == {0, 1})
        many = asyncio.ensure_future(batches("a", [2, 4, 6, 8, 10]))
        await work.until(lambda w: len(w.batches) == 3)
        more = asyncio.ensure_future(batches("a", [12, 14, 16, 18, 20, 22]))
        await asyncio.sleep(0.05)
        assert len(work.batches) == 3  # both are busy
        for item in (2, 4, 6):
            work.let_go[item].set()  # the first is idle again: it takes all that it may
        await work.until(lambda w: len(w.batches) == 4)
        for gate in work.let_go.values():
            gate.set()
        return await many, await more

    many, more = running(work, scenario, threads=2, among=work.among)
    assert many == [4, 8, 12, 16, 20] and more == [24, 28, 32, 36, 40, 44]
    assert sorted(work.batches[1:3]) == [("a", [2, 4, 6]), ("a", [8, 10])]
    assert work.batches[3:] == [("a", [12, 14, 16, 18]), ("a", [20, 22])]
    assert work.at_work == [1, 2, 2, 2, work.at_work[4]]


def test_all_threads_end_when_it_is_closed_and_what_waits_is_finished():
    work = Work()

    async def scenario(batches):
        asked = [asyncio.ensure_future(batches(key, [2])) for key in "abcdefg"]
        await asyncio.sleep(0.05)
        await asyncio.get_running_loop().run_in_executor(None, batches.close)
        assert not any(thread.is_alive() for thread in batches._threads)
        return await asyncio.gather(*asked)

    assert running(work, scenario, threads=3) == [[4]] * 7


def test_what_waits_when_it_is_closed_is_finished():
    work = Work()

    async def scenario(batches):
        first = await held(work, batches)
        second = asyncio.ensure_future(batches("b", [2]))
        await asyncio.sleep(0.05)
        closing = asyncio.get_running_loop().run_in_executor(None, batches.close)
        await asyncio.sleep(0.05)
        with pytest.raises(RuntimeError, match="closed"):
            await batches("c", [4])
        work.go.set()
        await closing
        return await first, await second

    assert running(work, scenario) == ([0], [4])


def test_a_wrong_number_of_results_is_told_and_the_thread_lives_on():
    async def scenario(batches):
        with pytest.raises(RuntimeError, match="0 results for 1 items"):
            await batches("short", [1])
        return await batches("a", [2])

    assert running(lambda key, items: [] if key == "short" else list(items), scenario) == [2]
