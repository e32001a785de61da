"""Long runs in chunks: how many rows memory allows, one chunk after the other, and a word on how far it has come."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from math import ceil
from time import perf_counter
from typing import TypeAlias, TypeVar

from seewhy.allocation import is_kept
from seewhy.errors import InputError
from seewhy.options import number

T = TypeVar("T")

MIB = 2**20
MEMORY = 256.0
"""MiB that a chunk is reckoned to take, unless a method's option `memory` says otherwise."""
CPU_MEMORY = 64.0
"""The same on the CPU, where evaluation shows a model thousands of images, unless freed memory is kept: what an
operation of larger batches gives is too large for the C library, is handed back to the system, and every page of the
next one is fetched and cleared anew, which takes as long again as the arithmetic."""
WORKING = 16
"""What a model holds while it runs, as a multiple of what goes in: 10 to 20 in a ResNet, where the first block is the
widest. A guess is better than none: what the model holds is most of what a chunk takes."""
WORKING_TAIL = 4
"""The same for what follows a layer: nets hold less and less from there on. Larger chunks pay there, since where the
tail cannot be cut out of the model each of them costs one pass up to the layer as well."""
PATIENCE = 1.5
"""Seconds until a run is long enough for a bar of its own."""


# ---- how much at once ------------------------------------------------------------------------------------


def memory_on(device: object) -> float:
    """MiB of a chunk that is shown to a whole model on this device, as its arrays name it.

    >>> memory_on("cpu"), memory_on("cuda:0")
    (64.0, 256.0)
    """
    return CPU_MEMORY if "cpu" in str(device).lower() and not is_kept() else MEMORY


def rows_within(memory: float, goes_in: int, beside: int = 0, working: int = WORKING) -> int:
    """How many rows a chunk may have within `memory` MiB.

    A row takes `goes_in` bytes of what the model is given, `working` times as many while it runs, and `beside` bytes
    beside it. Raises InputError where not even one row fits.

    >>> rows_within(64, goes_in=3 * 224 * 224 * 4, beside=224 * 224 * 4)
    6
    """
    memory = number("memory", memory, "a number of MiB above 0", above=0)
    row = (1 + working) * goes_in + beside
    if memory * MIB < row:
        needed = max(ceil(row / MIB * 100) / 100, 0.01)
        raise InputError(
            f"memory={memory:g} MiB is too small: one changed input of this size, and what the model is "
            f"reckoned to hold for it, take {needed:g} MiB: pass memory={needed:g} or more"
        )
    return int(memory * MIB // row)


def slices(total: int, size: int) -> Iterator[slice]:
    """0 to total in slices of `size`; the last may be shorter.

    >>> list(slices(7, 3))
    [slice(0, 3, None), slice(3, 6, None), slice(6, 7, None)]
    >>> list(slices(0, 3))
    []
    """
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))


def run(total: int, size: int, work: Callable[[slice], T], doing: str) -> Iterator[T]:
    """What `work` makes of each chunk of the rows 0 to total, one after the other.

    How far it has come is told to whom `reporting` names; otherwise, once it takes longer, a bar is drawn on stderr if
    that is a terminal. An interrupt ends it between or within chunks, and the bar with it.

    >>> list(run(5, 2, lambda part: part.stop - part.start, "counting"))
    [2, 2, 1]
    """
    with _telling(doing, total) as tell:
        for part in slices(total, size):
            yield work(part)
            tell(part.stop)


# ---- how far it has come ---------------------------------------------------------------------------------

Report: TypeAlias = Callable[[str, int, int], None]
"""(what is done, rows done, rows in all), called after each chunk; the last time with as many done as there are."""

_report: ContextVar[Report | None] = ContextVar("report", default=None)


@contextmanager
def reporting(report: Report) -> Iterator[None]:
    """For a time, in this context, long runs tell how far they have come to `report`, and draw no bar of their own.

    >>> with reporting(lambda doing, done, total: print(doing, done, "of", total)):
    ...     _ = list(run(3, 2, lambda part: None, "masking"))
    masking 2 of 3
    masking 3 of 3
    """
    token = _report.set(report)
    try:
        yield
    finally:
        _report.reset(token)


@contextmanager
def silent() -> Iterator[None]:
    """For a time, long runs draw no bar, as in a run that has one; whom `reporting` names is told of them all the same.

    >>> with silent():
    ...     list(run(3, 2, lambda part: part.stop, "masking"))
    [2, 3]
    """
    with reporting(_report.get() or (lambda doing, done, total: None)):
        yield


@contextmanager
def _telling(doing: str, total: int) -> Iterator[Callable[[int], None]]:
    report = _report.get()
    if report is not None:
        yield lambda done: report(doing, done, total)
    elif sys.stderr is not None and sys.stderr.isatty() and threading.current_thread() is threading.main_thread():
        with _bar(doing, total) as tell:
            yield tell
    else:
        yield lambda done: None


@contextmanager
def _bar(doing: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar that is drawn from the first chunk on that ends after PATIENCE seconds, and wiped away at the end."""
    start = perf_counter()
    update: Callable[[int], None] | None = None
    with ExitStack() as stack:

        def tell(done: int) -> None:
            nonlocal update
            if update is None and done < total and perf_counter() - start > PATIENCE:
                update = _draw(stack, doing, total)
            if update is not None:
                update(done)

        yield tell


def _draw(stack: ExitStack, doing: str, total: int) -> Callable[[int], None]:
    from rich.console import Console  # here, so that `import seewhy` stays quick
    from rich.progress import Progress

    bar = Progress(console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False)
    stack.enter_context(bar)
    task = bar.add_task(doing, total=total)
    return lambda done: bar.update(task, completed=done)
