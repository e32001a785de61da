"""Write a file whole or not at all."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from seewhy.errors import SaveError


def write_atomically(
    path: str | os.PathLike[str], write: Callable[[BinaryIO], object], protect: Sequence[Path] = ()
) -> Path:
    """Let `write` fill a new file in the same folder, and give it its name once it is complete.

    Until then whatever stood at `path` stays as it is, and after an exception nothing is left behind.
    `protect` names files that must not be overwritten, such as the photo that was read.

    Raises SaveError where the file cannot or must not be written; what else `write` raises passes through.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder) / "note.txt", lambda file: file.write(b"hello")).read_bytes()
    b'hello'
    """
    path = Path(path)
    try:
        target = Path(os.path.realpath(path))  # through a link, not in its place
        _check(path, target, protect)
        unfinished = target.with_name(f".seewhy-{os.urandom(8).hex()}.part")
        try:
            with unfinished.open("xb") as file:
                write(file)
            os.replace(unfinished, target)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
    except SaveError:
        raise
    except OSError as error:
        raise SaveError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def _check(path: Path, target: Path, protect: Sequence[Path]) -> None:
    if target.is_dir():
        raise SaveError(f"{path} is a folder: give the name of a file in it")
    if not target.parent.is_dir():
        raise SaveError(f"{path} cannot be written: there is no folder {target.parent}; make it first")
    for kept in protect:
        if target == Path(os.path.realpath(kept)) or (target.exists() and kept.exists() and target.samefile(kept)):
            raise SaveError(f"{path} is the input photo {kept}, and would be overwritten: give another name")
    if target.exists():
        if not target.is_file():
            raise SaveError(f"{path} is not a regular file: give another name")
        with target.open("r+b"):  # the folder would let a write-protected file be replaced: its owner does not
            pass


def check_target(path: str | os.PathLike[str]) -> None:
    """Raise SaveError, before any work is done, where a file could not be written at `path`."""
    path = Path(path)
    try:
        _check(path, Path(os.path.realpath(path)), ())
    except SaveError:
        raise
    except OSError as error:
        raise SaveError(f"{path} cannot be written: {error.strerror or error}") from error
