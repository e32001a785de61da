"""The queue alone: what goes together, who waits how long, what an error or a leaver costs the others."""

import asyncio
import threading
import time

import pytest

from seewhy.serve._batching import Batches


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


def test_an_idle_thread_waits_for_as_many_as_there_were_but_not_for_long():
    work = Work()

    async def scenario(batches):
        await batches("a", [2])  # a lone client never waits
        alone = time.perf_counter()
        await batches("a", [4])
        alone = time.perf_counter() - alone
        await asyncio.gather(*(batches("a", [item]) for item in (6, 8, 10)))  # one, and then two together
        await asyncio.gather(*(batches("a", [item]) for item in (6, 8, 10)))
        late = time.perf_counter()
        await batches("a", [12])  # waits for a second, in vain
        return alone, time.perf_counter() - late

    alone, late = running(work, scenario, delay=0.25)
    assert alone < 0.2 <= late < 2


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
