"""Photo after photo: explain, write a picture, print or tell in JSON; one that fails costs no other."""

import contextlib
import json as json_format
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from seewhy.catalog import NamedMethod
from seewhy.cli import _report
from seewhy.cli._paths import Paths
from seewhy.explanation import Explanation
from seewhy.explanations import Explanations
from seewhy.images import Photo, open_photo
from seewhy.stream import reporting

Found: TypeAlias = Explanation | Explanations


def explain_each(
    photos: list[str],
    explain: Callable[[Photo], Found],
    paths: Paths,
    look: dict[str, Any],
    *,
    model: str,
    json: bool,
) -> None:
    """Explain the photos one by one; exit code 1 where one could not be."""
    failed = 0
    console = _report.out()
    with _bar(console, len(photos), json) as progress:
        for photo in progress.track(photos, description="explaining"):
            try:
                start = time.perf_counter()
                with stdout_for_results_only(), _long_runs(progress):
                    found = explain(open_photo(photo))
                seconds = time.perf_counter() - start
                written = found.save(paths.of(photo), **look)
            except Exception as error:  # whatever it was, the other photos go on
                if _report.debug or _report.stopped:
                    raise
                failed += 1
                words = _report.in_words(error)
                _report.error(words if photo in words else f"{photo}: {words}")
                continue
            if json:
                print(json_format.dumps(_record(photo, found, written, model, seconds)), flush=True)
            else:
                _print(console, photo, found, written)
    if failed:
        if len(photos) > 1:
            _report.error(f"{failed} of {len(photos)} photos could not be explained")
        raise typer.Exit(1)


def stdout_for_results_only() -> contextlib.AbstractContextManager[Any]:
    """Models and their libraries may print: that goes to stderr."""
    return contextlib.redirect_stdout(sys.stderr)


def say_costs(methods: Sequence[NamedMethod]) -> None:
    """Say before the work starts which methods will take long."""
    slow = [method.name for method in methods if method.info.cost == "many passes"]
    if slow:
        _report.note(f"{', '.join(slow)}: many passes through the model for each photo")


def _bar(console: Console, photos: int, json: bool) -> Progress:
    # below the results where both go to one terminal, and never among results that go elsewhere
    below = console if console.is_terminal and not json else _report.err()
    return Progress(
        console=below,
        transient=True,
        disable=photos == 1 or not below.is_terminal,
        redirect_stdout=False,
        redirect_stderr=False,
    )


@contextlib.contextmanager
def _long_runs(progress: Progress) -> Iterator[None]:
    """Long runs within a photo are a second line of the bar; where there is none they draw their own."""
    if progress.disable:
        yield
        return
    tasks: dict[str, Any] = {}

    def report(doing: str, done: int, total: int) -> None:
        if doing not in tasks:
            tasks[doing] = progress.add_task(doing, total=total)
        progress.update(tasks[doing], completed=done, total=total)

    with reporting(report):
        try:
            yield
        finally:
            for task in tasks.values():
                progress.remove_task(task)


# ---- results ---------------------------------------------------------------------------------------------


def _record(photo: str, found: Found, written: Path, model: str, seconds: float) -> dict[str, Any]:
    one = found[0] if isinstance(found, Explanations) else found
    about = {"photo": photo, "output": str(written), "model": model}
    predictions = {"predictions": [vars(p) for p in one.predictions(0)]}
    took = {"seconds": round(seconds, 4)}
    if isinstance(found, Explanation):
        how = {"method": found.method, "layer": found.layer}
        return {**about, **how, **predictions, "targets": _targets(found), **took}
    each = [{"method": e.method, "layer": e.layer, "targets": _targets(e)} for e in found]
    return {**about, **predictions, "explanations": each, **took}


def _targets(explanation: Explanation) -> list[dict[str, Any]]:
    boxes = [explanation.boxes(i=0, j=j)[:1] for j in range(len(explanation.targets[0]))]
    return [
        {
            "index": target.index,
            "label": target.label,
            "score": float(explanation.scores[0, j]),
            "blank": bool(explanation.blank[0, j]),
            "box": list(boxes[j][0]) if boxes[j] else None,
        }
        for j, target in enumerate(explanation.targets[0])
    ]


def _print(console: Console, photo: str, found: Found, written: Path) -> None:
    console.print(f"[bold]{escape(photo)}[/bold]")
    table = Table(box=None, show_header=False, pad_edge=False)
    one = found[0] if isinstance(found, Explanations) else found
    for prediction in one.predictions(0):
        bar = "█" * round(prediction.probability * 24)
        table.add_row(
            f"  {prediction.index}", escape(prediction.label), f"{prediction.probability:6.1%}", f"[blue]{bar}"
        )
    console.print(table)
    console.print(escape(found.describe()))
    console.print(f"  -> {escape(str(written))}")
