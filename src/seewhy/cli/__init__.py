"""The command line: one file for each command; parse, call, print."""

import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

import seewhy
from seewhy.allocation import keep_freed_memory
from seewhy.cli import _report
from seewhy.cli.check import check
from seewhy.cli.compare import compare
from seewhy.cli.demo import demo
from seewhy.cli.evaluate import evaluate
from seewhy.cli.explain import explain
from seewhy.cli.export import export
from seewhy.cli.layers import layers
from seewhy.cli.methods import methods
from seewhy.cli.metrics import metrics
from seewhy.cli.models import models
from seewhy.cli.serve import serve
from seewhy.cli.targets import targets
from seewhy.cli.web import web

app = typer.Typer(
    name="seewhy",
    help="Shows where a vision model looked: the prediction, and the parts of the photo that speak for it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (explain, compare, check, evaluate, web, serve, export, demo, layers, models, methods, targets, metrics):
    app.command()(command)


def _version(asked: bool) -> bool:
    if asked:
        print(f"seewhy {seewhy.__version__}")
        raise typer.Exit
    return asked


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    pass


def main() -> None:
    """The `seewhy` command: errors are one line on stderr and exit code 1, with --debug the whole traceback."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    keep_freed_memory()
    _report.debug = len(arguments) < len(sys.argv) - 1  # --debug may stand anywhere
    with _in_order(), warnings.catch_warnings():
        if not _report.debug:
            warnings.simplefilter("ignore")
            warnings.simplefilter("default", seewhy.SeewhyWarning)
            warnings.showwarning = _report.show_warning
        try:
            app(arguments)
        except SystemExit as end:
            if _report.stopped and end.code:
                _end()
            raise
        except KeyboardInterrupt:
            _report.stopped = 130
            _end()
        except Exception as error:
            if _report.debug:
                raise
            if _report.stopped:  # an import, or a mode of a framework, that was cut short fails in a way of its own
                _end()
            _report.error(_report.in_words(error))
            sys.exit(1)


@contextmanager
def _in_order() -> Iterator[None]:
    """While this lasts, SIGTERM ends the program as Ctrl-C does, in order: unfinished files are removed.

    `seewhy serve` has handlers of its own in their place. What the caller ignores, as a shell lets its background
    processes ignore Ctrl-C, stays ignored.
    """
    _report.stopped = 0
    usual: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    main = threading.current_thread() is threading.main_thread()  # others may set none
    ours = [one for one, handler in usual.items() if main and signal.getsignal(one) is handler]
    for one in ours:
        signal.signal(one, _stop)
    try:
        yield
    finally:
        for one in ours:
            if signal.getsignal(one) is _stop:
                signal.signal(one, usual[one])


def _stop(number: int, frame: FrameType | None) -> None:
    if number == signal.SIGINT:
        _report.stopped = 130
        raise KeyboardInterrupt
    _report.stopped = 143
    sys.exit(143)


def _end() -> NoReturn:
    _report.error("interrupted" if _report.stopped == 130 else "terminated")
    sys.exit(_report.stopped)
