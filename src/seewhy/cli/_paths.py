"""Where the pictures of a command go."""

import re
from pathlib import Path

from seewhy.cli import _report
from seewhy.errors import SaveError
from seewhy.render.figure import SUFFIXES


class Paths:
    """Where each picture goes; no two to the same file, none over an input photo."""

    def __init__(self, photos: list[str], out: Path | None) -> None:
        self.inputs = {Path(photo).resolve() for photo in photos}
        self.used: set[Path] = set()
        self.file = out if out is not None and out.suffix and not out.is_dir() else None
        self.folder = out if out is not None and self.file is None else Path()
        if self.file is not None and self.file.suffix.lower() not in (*SUFFIXES, ".npz"):
            raise SaveError(f"{self.file}: expected one of {', '.join((*SUFFIXES, '.npz'))}, or a folder")
        if self.file is not None and len(photos) > 1:
            raise SaveError(f"{self.file} is one file for {len(photos)} photos: give a folder")
        if self.file is not None and self.file.resolve() in self.inputs:
            raise SaveError(f"{self.file} is a photo to explain and would be overwritten: choose another name")
        _report.make_folder(self.folder)

    def of(self, photo: str, labels: list[str]) -> list[Path]:
        base = self.file if self.file is not None else self.folder / f"{Path(photo).stem}_cam.jpg"
        several = len(labels) > 1
        return [self._free(base.with_stem(f"{base.stem}_{_slug(label)}") if several else base) for label in labels]

    def _free(self, path: Path) -> Path:
        candidate, number = path, 1
        while candidate.resolve() in self.used or candidate.resolve() in self.inputs:
            number += 1
            candidate = path.with_stem(f"{path.stem}_{number}")
        self.used.add(candidate.resolve())
        return candidate


def _slug(label: str) -> str:
    return re.sub(r"\W+", "-", label).strip("-").lower()[:60] or "target"
