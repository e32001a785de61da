"""Write a file, or a folder, whole or not at all."""

import os
import shutil
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO

from seewhy.errors import SaveError

NAMED = 3
"""How many of the files that are in the way are named."""


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


def write_folder(path: str | os.PathLike[str], fill: Callable[[Path], object], ours: Sequence[str] = ()) -> Path:
    """Let `fill` put files into a new folder beside, and give that its name once it is complete.

    A folder that stands at `path` is replaced where it is empty, or was written so before and holds nothing else:
    `ours` are the files that `fill` writes, as patterns of their names in the folder, and the first is what such a
    folder is known by. Until then it stays as it is, and after an exception nothing is left behind.

    Raises SaveError where the folder cannot or must not be written; what else `fill` raises passes through.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = write_folder(Path(folder) / "page", lambda inside: (inside / "a.txt").write_bytes(b"hello"))
    ...     (made / "a.txt").read_bytes()
    b'hello'
    """
    path = Path(path)
    try:
        target = Path(os.path.realpath(path))
        if not target.parent.is_dir():
            raise SaveError(f"{path} cannot be written: there is no folder {target.parent}; make it first")
        if target.exists() and not target.is_dir():
            raise SaveError(f"{path} is a file: give the name of a new folder")
        _check_folder(path, target, ours)
        unfinished = target.with_name(f".seewhy-{os.urandom(8).hex()}.part")
        unfinished.mkdir()
        try:
            fill(unfinished)
            _check_folder(path, target, ours)  # that may have taken minutes
            _take_place(unfinished, target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except SaveError:
        raise
    except OSError as error:
        raise SaveError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def _check_folder(path: Path, target: Path, ours: Sequence[str]) -> None:
    """Raise SaveError where the folder that stands there holds what would be lost."""
    if not target.exists() or not any(target.iterdir()):
        return
    if not ours or not (target / ours[0]).is_file():
        raise SaveError(f"{path} holds other files: give the name of a new folder")
    strange = [found for found in sorted(target.rglob("*")) if not _is_ours(found, target, ours)]
    # a folder that is not ours stands for all that is in it
    strange = [found for found in strange if found.parent not in strange]
    if strange:
        names = [found.relative_to(target).as_posix() for found in strange]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        raise SaveError(
            f"{path} holds {', '.join(names[:NAMED])}{more}, which seewhy did not write: move "
            f"{'it' if len(names) == 1 else 'them'}, or give the name of a new folder"
        )


def _is_ours(found: Path, folder: Path, ours: Sequence[str]) -> bool:
    name = found.relative_to(folder).as_posix()
    if found.is_dir() and not found.is_symlink():
        return any(pattern.startswith(f"{name}/") for pattern in ours)
    return any(fnmatchcase(name, pattern) for pattern in ours)


def _take_place(finished: Path, target: Path) -> None:
    """Rename a folder to what another may be called now; that one is there again if it fails."""
    if not target.exists():
        os.replace(finished, target)
        return
    before = finished.with_suffix(".before")
    os.replace(target, before)
    try:
        os.replace(finished, target)
    except BaseException:
        os.replace(before, target)
        raise
    shutil.rmtree(before, ignore_errors=True)


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
