"""What is asked of a run: photos with their targets and annotations, metrics, and the words that tell runs apart."""

import hashlib
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seewhy.catalog import NamedMethod
from seewhy.errors import InputError, PhotoError, SeewhyError, SeewhyWarning, TargetError
from seewhy.evaluate._columns import Column, column
from seewhy.evaluate._showing import counted, gathered
from seewhy.evaluate._shown import Shown
from seewhy.evaluate.annotations import AnyPhoto, Mapped, Truths, read_truths
from seewhy.evaluate.table import ANNOTATED
from seewhy.explain import Explainer
from seewhy.images import open_header
from seewhy.measure import Need, Truth
from seewhy.outputs import is_array
from seewhy.targets._forms import as_rows, as_target
from seewhy.types import Target


def refuse_explainer(model: Any, call: str) -> None:
    """Raise InputError for an Explainer in place of its model; `call` is the function that was given it."""
    if isinstance(model, Explainer):
        raise InputError(
            f"expected the model itself, got an Explainer, which has one method: seewhy.{call}(net, ...) takes "
            "labels=, preprocess= and the other options as Explainer(net, ...) does"
        )


# ---- annotations and targets -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Annotations:
    """What is annotated in those photos that could be opened."""

    truths: Truths
    place: Mapping[int, int]
    """From a photo's place among all to that among the opened."""

    def classes(self, i: int) -> list[int]:
        return self.truths.classes(self.place[i]) if i in self.place else []

    @property
    def name_classes(self) -> bool:
        """Is any class named? Masks name none."""
        return any(self.truths.classes(i) for i in self.place.values())

    def seen(self, i: int, region: Sequence[tuple[float, float]]) -> float | None:
        """The share of the area of a photo's boxes, of whichever class, that lies in this part of it."""
        return self.truths.seen(self.place[i], region)

    def of(self, i: int, index: int | None) -> Truth | None:
        return self.truths.of(self.place[i], index) if i in self.place else None


def annotations_of(
    boxes: str | Path | None, shown: Sequence[Shown], explainer: Explainer, classes: Mapped | None
) -> Annotations | None:
    """What `boxes` say; a photo that cannot be opened costs no other, it is named where it is measured."""
    if boxes is None:
        return None
    opened: dict[int, AnyPhoto] = {}
    failed: list[PhotoError] = []
    for i, given in enumerate(shown):
        try:
            opened[i] = open_header(given.image)
        except PhotoError as error:
            failed.append(error)
    if not opened:
        raise failed[0]
    truths = read_truths(boxes, list(opened.values()), explainer.labels, classes=classes)
    return Annotations(truths, {i: place for place, i in enumerate(opened)})


def warn_of_unseen(annotated: Annotations | None, shown: Sequence[Shown], explainer: Explainer) -> None:
    """Warn where the annotated objects lie outside what is cut from the photos for the model."""
    if annotated is None:
        return
    unseen, regions = [], {}
    for i in annotated.place:
        size = annotated.truths.sizes[annotated.place[i]]
        if size not in regions:  # what is seen depends on a photo's size alone
            try:
                regions[size] = explainer.prepare(shown[i].image).views[0].geometry.region
            except SeewhyError:  # said where it is measured
                continue
        share = annotated.seen(i, regions[size])
        if share is not None and share < 0.5:
            unseen.append(shown[i].name)
    if unseen:
        some = ", ".join(unseen[:3]) + (f" and {len(unseen) - 3} more" if len(unseen) > 3 else "")
        warnings.warn(
            f"in {len(unseen)} of {counted(len(annotated.place), 'photo')} the annotated objects lie mostly outside of "
            f"what the model sees: {some}; look at resize= and size= of its preprocess",
            SeewhyWarning,
            stacklevel=3,
        )


def targets_of(explainer: Explainer, target: Any, n: int, annotated: Annotations | None) -> list[list[Target]]:
    """What is asked of each photo: one target, or each of the annotated classes."""
    if target is None and annotated is not None:
        named = [annotated.classes(i) for i in range(n)]
        return [[as_target(index) for index in found] or [as_target(None)] for found in named]
    rows = as_rows(target, n)
    if any(len(row) > 1 for row in rows):
        raise TargetError("one target is measured for each photo: give one for all, or a list with one for each photo")
    for one in {repr(row): row[0] for row in rows}.values():
        explainer.check(one)
    return rows


# ---- metrics ---------------------------------------------------------------------------------------------


def columns_of(metrics: Sequence[Any]) -> list[Column]:
    if isinstance(metrics, str) or not metrics:
        raise InputError(f"expected metrics as a list, such as ['insertion', 'sparseness'], got {metrics!r}")
    columns = [column(asked) for asked in metrics]
    titles = [c.title for c in columns]
    if len(set(titles)) < len(titles):
        raise InputError(f"a metric is given twice: {', '.join(titles)}")
    return columns


def sorted_out(
    columns: Sequence[Column], missing: Mapping[Need, str], *, chosen: bool
) -> tuple[list[Column], dict[str, str]]:
    """The metrics that can be measured, and why others cannot; InputError where those were asked for by name."""
    why = {c.title: words for c in columns for need, words in missing.items() if need in c.info.needs}
    if why and chosen:
        said_once = gathered({f"the metric {title!r}": words for title, words in why.items()})
        raise InputError("; ".join(f"{names} {words}" for names, words in said_once.items()))
    kept = [c for c in columns if c.title not in why]
    if not kept:
        raise InputError("nothing is left to be measured: " + "; ".join(f"{t} {w}" for t, w in gathered(why).items()))
    return kept, why


# ---- methods ---------------------------------------------------------------------------------------------


def titles_of(methods: Sequence[NamedMethod]) -> tuple[str, ...]:
    """What the rows are called: each method's name, and its options where there are any."""
    titles = []
    for method in methods:
        options = ", ".join(f"{key}={value if isinstance(value, str) else said(value)}"
                            for key, value in method.options.items())  # fmt: skip
        titles.append(f"{method.name} ({options})" if options else method.name)
    if len(set(titles)) < len(titles):
        raise InputError(f"a method is given twice: {', '.join(titles)}")
    return tuple(titles)


# ---- words -----------------------------------------------------------------------------------------------


def said(value: Any) -> str:
    """Anything in words that are the same in another process: no addresses, and long ones cut and hashed.

    >>> said(lambda outputs: outputs), said({"channels": 32})
    ('<function <lambda>>', "{'channels': 32}")
    """
    words = re.sub(r" at 0x[0-9A-Fa-f]+", "", repr(value))
    return words if len(words) <= 200 else f"{words[:80]} ... ({hashlib.sha256(words.encode()).hexdigest()[:12]})"


def question(
    explainer: Explainer, target: Any, layer: Any, boxes: Any, annotated: Annotations | None, classes: Any, seed: int,
    augment: Any,
) -> dict[str, str]:  # fmt: skip
    """All that makes a table another one, beside the model's name, the methods' and the metrics'."""
    several = isinstance(target, list | tuple) or is_array(target)
    best = ANNOTATED if annotated is not None and annotated.name_classes else "the predicted class"
    return {
        "target": "one for each photo" if several else best if target is None else said(as_target(target)),
        "layer": "the default" if layer is None else explainer.adapter.find_layer(explainer.net, layer)[0],
        "seed": str(int(seed)),
        "score": "logit" if explainer.logit else "output",
        "augment": said(augment),
        "preprocess": said(explainer.preprocess),
        "labels": said(None if explainer.labels is None else list(explainer.labels)),
        "boxes": "none" if boxes is None else Path(boxes).name,
        "classes": said(classes),
    }


def first_that_works(shown: Sequence[Shown], ask: Any) -> Any:
    """What `ask(i)` gives for the first photo for which it raises nothing; None where no photo can be read.

    Raises what the first raised where all fail, and not since they cannot be read.
    """
    errors: list[SeewhyError] = []
    for i in range(len(shown)):
        try:
            return ask(i)
        except SeewhyError as error:
            errors.append(error)
    if other := [error for error in errors if not isinstance(error, PhotoError)]:
        raise other[0]
    return None
