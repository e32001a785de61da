"""Explanations that were saved, opened again."""

from pathlib import Path
from typing import Any, NoReturn

from seewhy import archive
from seewhy.errors import InputError
from seewhy.explanation import Explanation
from seewhy.images import Photo
from seewhy.preprocess import Geometry
from seewhy.types import BoundTarget
from seewhy.view import View


def open(path: str | Path) -> Explanation:
    """Open what `explanation.save("x.npz")` wrote: the same explanation, its arrays NumPy's.

    Of structured outputs only the class scores were kept, of targets their names; what the model saw of a ready batch
    is a picture now. Raises InputError where the file is not such an archive.

    >>> import seewhy, tempfile, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = seewhy.explain(net, torch.rand(2, 3, 8, 8), 3).save(f"{folder}/two.npz")
    ...     open(path)
    <Explanation of 2 image(s) x 1 target(s) by grad-cam at 0 of Sequential>
    """
    words, arrays, pictures = archive.read(Path(path))
    views = []
    for i, (size, region, name) in enumerate(words["views"]):
        photo = Photo(pictures[i], name or f"input {i}") if i in pictures else None
        views.append(View(Geometry(tuple(size), tuple((low, high) for low, high in region)), photo))
    return Explanation(
        maps=arrays["maps"],
        scores=arrays["scores"],
        outputs=arrays.get("outputs"),
        blank=arrays["blank"],
        flat=arrays["flat"],
        targets=tuple(tuple(BoundTarget(_forgotten, label, index) for label, index in row) for row in words["targets"]),
        layer=words["layer"],
        method=words["method"],
        model=words["model"],
        views=tuple(views),
        probabilities=arrays.get("probabilities"),
        names=words["names"],
        peak=words["peak"],
        signed=words.get("signed", False),  # there were none yet when older files were written
        pixels=words.get("pixels", False),
        control=words.get("control", False),
    )


def _forgotten(outputs: Any) -> NoReturn:
    raise InputError("a target read from a file keeps its name only: explain the photo again to score other outputs")
