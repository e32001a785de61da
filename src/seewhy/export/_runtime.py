"""Private: the files of onnxruntime-web that a page needs, from npm or from where they are kept."""

import base64
import gzip
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

from seewhy.errors import InputError, MissingPackageError

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Of the package of this version, so that what is fetched is what was tested."""
FILES = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)
"""For WebAssembly alone, and for WebGPU; the page loads one of the two."""
_PATIENCE = 300
"""Seconds after which npm has failed."""
_WHERE = f"the file that npm pack {PACKAGE}@{VERSION} wrote, or the folder that it was unpacked to"
_INSTEAD = (
    f"or fetch the package elsewhere (npm pack {PACKAGE}@{VERSION}), and name the file or the folder that it was "
    "unpacked to: --runtime PATH"
)


def place_runtime(folder: Path, source: Path | None) -> None:
    """Copy the runtime's files into `folder`: out of a package's file or folder, or out of npm.

    Raises MissingPackageError where npm is not installed or does not get the package, InputError where `source` is
    none.
    """
    if source is not None:
        _place(folder, source)
        return
    with tempfile.TemporaryDirectory() as kept:
        _place(folder, _fetched(Path(kept)))


def _fetched(folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise MissingPackageError(
            f"the page runs the model with {PACKAGE}, which comes from npm, and npm is not installed: install Node.js, "
            f"{_INSTEAD}"
        )
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--silent", "--pack-destination", str(folder)]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_PATIENCE)
        said = done.stderr.strip() or done.stdout.strip()
    except subprocess.TimeoutExpired:
        said = f"no answer within {_PATIENCE} seconds"
    packages = list(folder.glob("*.tgz"))
    if len(packages) != 1:
        last = said.splitlines()[-1] if said else "it said nothing"
        raise MissingPackageError(f"npm could not fetch {PACKAGE} {VERSION} ({last}): is its registry reached? Try "
                                  f"again, {_INSTEAD}")  # fmt: skip
    digest = base64.b64encode(hashlib.sha512(packages[0].read_bytes()).digest()).decode()
    if digest != SHA512:
        raise MissingPackageError(f"what npm fetched as {PACKAGE} {VERSION} is not what was published under that name")
    return packages[0]


def _place(folder: Path, source: Path) -> None:
    if source.is_file():
        try:
            with tarfile.open(source) as archive:
                _copy(folder, source, lambda name: archive.extractfile(f"package/dist/{name}"))
        except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InputError(f"{source} is no package of npm (.tgz), or is damaged: name {_WHERE}") from error
        return
    if not source.exists():
        raise InputError(f"the file or folder {source} does not exist: name {_WHERE}")
    inside = (source, source / "dist", source / "node_modules" / PACKAGE / "dist")
    found = next((place for place in inside if (place / FILES[0]).is_file()), None)
    if found is None:
        raise InputError(f"expected the package {PACKAGE} in {source}, a .tgz of npm or a folder with dist/{FILES[0]}")
    _copy(folder, source, lambda name: (found / name).open("rb"))


def _copy(folder: Path, source: Path, read: Callable[[str], IO[bytes] | None]) -> None:
    for name in FILES:
        try:
            file = read(name)
        except (KeyError, FileNotFoundError):
            file = None
        if file is None:
            raise InputError(f"{source} holds no {name}: it is another version of {PACKAGE} than {VERSION}")
        with file, (folder / name).open("wb") as copy:
            shutil.copyfileobj(file, copy)
