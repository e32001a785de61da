"""The file that a run is kept in, and goes on from."""

from collections.abc import Container
from dataclasses import replace
from pathlib import Path

from seewhy.errors import InputError, SaveError, UnknownNameError
from seewhy.evaluate.table import Table, difference, open_table, together


def check_state(state: str | Path | None) -> None:
    """Raise InputError or SaveError where a run cannot be kept in this file, before any work."""
    if state is None:
        return
    if Path(state).suffix.lower() != ".json":
        raise InputError(f"expected state= as a file that ends in .json, got {str(state)!r}")
    if not Path(state).absolute().parent.is_dir():
        raise SaveError(f"{state}: its folder is not there")


def is_about(key: str, names: Container[str]) -> bool:
    """Is this error, `photo` or `what: photo`, about one of these?"""
    parts = key.split(": ")
    return any(": ".join(parts[i:]) in names for i in range(len(parts)))


def resumed(table: Table, state: str | Path | None) -> Table:
    """What an interrupted run has measured already, of these photos and perhaps of others.

    Whether there are four photos for a grid may be another thing each time: metrics of grids come and go with it. Of a
    photo whose content is another than it was, nothing counts as measured.
    """
    if state is None or not Path(state).exists():
        return table
    try:
        kept = open_table(state, [c.make for c in table.columns if c.make.__module__.partition(".")[0] != "seewhy"])
    except UnknownNameError as error:  # a metric of somebody's own that is not asked for now
        raise InputError(f"{state} holds a run of other metrics: give another file, or remove it") from error
    if (found := difference(kept, table)) is not None:
        what, before, _ = found
        raise InputError(f"{state} holds a run of other {what} ({before}): give another file, or remove it")
    columns = together(table.columns, kept.columns)
    either = [c for c in columns if (c.title in table.metrics) != (c.title in kept.metrics)]
    if any("grid" not in c.info.needs for c in either):
        raise InputError(f"{state} holds a run of other metrics ({kept.metrics}): give another file, or remove it")
    contents = kept.fingerprints
    kept = _without(kept, {name for name, content in table.fingerprints.items() if contents.get(name) != content})
    for name, words in table.targets.items():
        if (before := kept.targets.get(name, words)) != words:
            raise InputError(
                f"{state} holds a run of other targets ({before} of {name}): give another file, or remove it"
            )
    titles = {c.title for c in columns}
    return replace(
        table,
        columns=columns,
        measured=kept.measured,
        errors={key: why for key, why in kept.errors.items() if is_about(key, kept.measured)},
        left_out={title: why for title, why in table.left_out.items() if title not in titles},
        targets={**kept.targets, **table.targets},
        fingerprints={**kept.fingerprints, **table.fingerprints},
        faint=kept.faint,
    )


def _without(table: Table, replaced: set[str]) -> Table:
    """A table without these photos and the grids that they are in: other photos go by their names now."""
    gone = {
        name for name in table.measured
        if name in replaced or (name not in table.targets and any(photo in name for photo in replaced))
    }  # fmt: skip
    return replace(
        table,
        measured={name: found for name, found in table.measured.items() if name not in gone},
        targets={name: words for name, words in table.targets.items() if name not in replaced},
        fingerprints={name: one for name, one in table.fingerprints.items() if name not in gone},
        faint={name: words for name, words in table.faint.items() if name not in replaced},
    )
