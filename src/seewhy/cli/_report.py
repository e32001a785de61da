"""What the commands print: words for people, to stderr where they are no result."""

import sys
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from seewhy.errors import SaveError, SeewhyError

debug = False
"""Whether errors are shown with their traceback; set by --debug."""
stopped: Literal[0, 130, 143] = 0
"""The exit code, once Ctrl-C or SIGTERM has come; what fails then, fails for that."""


def out() -> Console:
    # in a pipe nothing is cut or wrapped
    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 1000)


def err() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)


def error(text: str) -> None:
    err().print("error:", text, style="red", markup=False)


def note(text: str) -> None:
    err().print("note:", text, style="yellow", markup=False)


def in_words(error: BaseException) -> str:
    """An error as one line; one that seewhy did not foresee is named by its type."""
    if isinstance(error, SeewhyError):
        return str(error)
    return f"{type(error).__name__}: {error} (--debug shows where it comes from)"


def show_warning(message: Any, *_: Any, **__: Any) -> None:
    note(str(message))


def make_folder(folder: Path) -> None:
    """Make a folder for pictures, where it is not there; SaveError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise SaveError(f"the folder {folder} cannot be made: a file of this name is there") from error
    except OSError as error:
        raise SaveError(f"the folder {folder} cannot be made: {error.strerror}") from error
