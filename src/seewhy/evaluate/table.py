"""What was measured: methods by metrics, kept as sums, so that tables of other photos can be added."""

import csv
import io
import json
import shutil
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from seewhy.errors import InputError, MissingPackageError, SaveError, UnknownNameError, unknown
from seewhy.evaluate._columns import Column, column, own_metric
from seewhy.evaluate._drawing import draw
from seewhy.evaluate._showing import counted, headings, html, left_out, plain, rows
from seewhy.evaluate._shown import apart
from seewhy.files import write_atomically
from seewhy.render import figure

FORMAT = "seewhy evaluation 3"

ANNOTATED = "the annotated classes"
"""What is asked of photos where annotations name their classes."""

SHARES = ("average-drop", "drop-in-deletion", "adcc")
"""Metrics that divide by the probability of the class."""

Measured = dict[str, dict[str, list[float]]]
"""For one photo and target: method -> metric -> sums."""


@dataclass(frozen=True, repr=False)
class Table:
    """Methods by metrics, over all photos that were measured.

    `table["grad-cam", "insertion"]` is one number. `to_pandas()`, `save("x.csv")` and `save("x.png")` give all of them;
    `save("x.json")` keeps what every photo gave, so that `open_table` has the table back and `merge` can add another.

    >>> seconds = column("seconds")
    >>> one, two = (Table("net", ("cam",), (), (seconds,), {name: {"cat": {"cam": {"seconds": [taken, 1.0]}}}})
    ...             for name, taken in (("a.jpg", 1.0), ("b.jpg", 2.0)))
    >>> one["cam", "seconds"], one.merge(two)["cam", "seconds"]
    (1.0, 1.5)
    """

    model: str
    methods: tuple[str, ...]
    controls: tuple[str, ...]
    """The methods that know nothing of the model: what is no better than these tells nothing."""
    columns: tuple[Column, ...]
    measured: Mapping[str, Mapping[str, Measured]]
    """Photo -> target -> what was measured."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Metrics that could not be measured, and why."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """Photos, methods and metrics that failed, and why; the others went on."""
    asked: Mapping[str, str] = field(default_factory=dict)
    """What else was asked, in words: the target, the layer, the seed, options ..."""
    targets: Mapping[str, str] = field(default_factory=dict)
    """Photo -> what was asked of it, in words; grids of four are not among them."""
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """Photo, or grid of four -> what tells its content from any other's."""
    faint: Mapping[str, str] = field(default_factory=dict)
    """Photo -> its class and that one's probability, where it is below 1 %."""

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(c.title for c in self.columns)

    def __getitem__(self, which: Any) -> float:
        """One number; the options of a method or a metric may be left out where it is there once."""
        if not isinstance(which, tuple) or len(which) != 2:
            raise InputError(
                f"expected a method and a metric, table[{self.methods[0]!r}, {(*self.metrics, 'insertion')[0]!r}], got "
                f"{which!r}; table.to_pandas() gives rows and columns"
            )
        method, metric = which
        called = [m for m in self.methods if m == method] or [m for m in self.methods if m.split(" (")[0] == method]
        if len(called) != 1:
            raise unknown("method in this table", method, self.methods)
        named = [c for c in self.columns if c.title == metric] or [c for c in self.columns if c.name == metric]
        if len(named) != 1:
            raise unknown("metric in this table", metric, self.metrics)
        return self._value(called[0], named[0])

    def values(self) -> npt.NDArray[np.float64]:
        """All numbers, (methods, metrics); NaN where nothing was measured."""
        return np.asarray([[self._value(method, c) for c in self.columns] for method in self.methods], np.float64)

    def values_of(self, metric: str) -> npt.NDArray[np.float64]:
        """The numbers of one metric, (methods,)."""
        return np.asarray([self[method, metric] for method in self.methods], np.float64)

    def __repr__(self) -> str:
        size = f"{counted(len(self.methods), 'method')} x {counted(len(self.columns), 'metric')}"
        return f"<Table of {size} on {counted(self.counted(), 'photo')} by {self.model}>"

    def __str__(self) -> str:
        better = [c.better for c in self.columns]
        heads = headings(self.metrics, better, {"higher": "^", "lower": "v", "nearest 0": "0", "neither": ""})
        notes = [self.caption(), *self.cautions()]
        width = shutil.get_terminal_size((1000, 0)).columns  # in a file nothing is split
        return plain(heads, rows(self.values(), self.methods, self.controls, better), notes, width)

    def _repr_html_(self) -> str:
        better = [c.better for c in self.columns]
        heads = headings(self.metrics, better, {"higher": "↑", "lower": "↓", "nearest 0": "0", "neither": ""})
        best = "the best in bold, unless a control is as good"
        notes = [f"{self.caption('↑', '↓')}; {best}", *self.cautions(), *left_out(self.left_out)]
        if self.errors:
            notes.append(f"{counted(len(self.errors), 'failure')}: see the table's errors")
        return html(heads, rows(self.values(), self.methods, self.controls, better), notes)

    def about(self) -> str:
        """What was measured: how many photos by which model, and where annotations said what was explained."""
        photos = counted(self.counted(), "photo")
        if self.counted() < len(self.targets):
            photos = f"{self.counted()} of {counted(len(self.targets), 'photo')}"
        said = [f"{photos}, {self.model}"]
        if self.asked.get("target") == ANNOTATED:
            said.append("explained for the annotated classes")
        if any(len(found) > 1 for name, found in self.measured.items() if name in self.targets):
            said.append("a photo of several classes counts once, by their mean")
        return "; ".join(said)

    def caption(self, up: str = "^", down: str = "v") -> str:
        """What was measured, and what the signs of the columns mean."""
        zero = ", 0 nearest to 0" if any(c.better == "nearest 0" for c in self.columns) else ""
        return f"{self.about()}; {up} higher is better, {down} lower{zero}"

    def cautions(self) -> list[str]:
        """In which photos the class is hardly probable, where metrics are shares of its probability."""
        shares = [c.title for c in self.columns if c.name in SHARES]
        if not (self.faint and shares):
            return []
        some = [f"{name} ({words})" for name, words in self.faint.items()]
        more = f" and {len(some) - 3} more" if len(some) > 3 else ""
        return [
            f"the class has a probability below 0.01 in {', '.join(some[:3])}{more}: shares of it, "
            f"{', '.join(shares)}, mean little there, and may rule the mean"
        ]

    def counted(self) -> int:
        """How many photos were measured, grids of four not counted."""
        return sum(name in self.targets for name in self.measured)

    def merge(self, *others: Any) -> "Table":
        """This table and those of other photos as one; InputError where they are not of the same things.

        A photo is another one where its name or its content is. A metric that one of them had to leave out is that of
        the other's photos alone; `left_out` goes on saying why.
        """
        merged = self
        for other in others:
            if not isinstance(other, Table):
                raise InputError(f"expected tables to merge, as seewhy.evaluate gives them, got {other!r:.60}")
            merged = merged._and(other)
        return merged

    def _and(self, other: "Table") -> "Table":
        if (found := difference(self, other)) is not None:
            what, one, another = found
            raise InputError(f"tables of different {what} cannot be merged: {one} and {another}")
        other = _apart_from(self, other)
        if both := sorted(set(self.measured) & set(other.measured)):
            more = f" and {len(both) - 5} more" if len(both) > 5 else ""
            raise InputError(
                f"photos are in both tables, and would count twice: {', '.join(both[:5])}{more}: measure each in one "
                "of the tables only; of two photos that are all the same, give the paths of two files"
            )
        columns = together(self.columns, other.columns)
        return replace(
            self,
            columns=columns,
            measured={**self.measured, **other.measured},
            left_out=_left_out(self, other, {c.title for c in columns}),
            errors={**self.errors, **other.errors},
            targets={**self.targets, **other.targets},
            fingerprints={**self.fingerprints, **other.fingerprints},
            faint={**self.faint, **other.faint},
        )

    def _value(self, method: str, column: Column) -> float:
        found = []
        for name, targets in self.measured.items():
            here = [one[method][column.title] for one in targets.values() if column.title in one.get(method, {})]
            if here:
                found.append(self._of_photo(name, here))
        return column.metric.compute(np.sum(found, axis=0)) if found else float("nan")

    def _of_photo(self, name: str, found: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
        """The sums of one photo: of several targets their mean, so that a photo weighs no more than another.

        A target of which the metric says nothing, whose sums are 0, is none of them. Each photo in a grid counts.
        """
        sums = np.asarray(found, np.float64)
        total: npt.NDArray[np.float64] = sums.sum(axis=0)
        counting = int(np.count_nonzero(sums.any(axis=1)))
        return total / counting if counting and name in self.targets else total

    # ---- as others want it -------------------------------------------------------------------------------

    def to_pandas(self) -> Any:
        """A DataFrame: a row for each method, a column for each metric.

        Raises MissingPackageError without pandas: pip install "seewhy[evaluate]".
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingPackageError('a DataFrame needs pandas: pip install "seewhy[evaluate]"') from error
        return pandas.DataFrame(self.values(), index=list(self.methods), columns=list(self.metrics))

    def to_csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["method", *self.metrics])
        for method, row in zip(self.methods, self.values(), strict=True):
            writer.writerow([method, *("" if np.isnan(value) else repr(float(value)) for value in row)])
        return text.getvalue()

    def to_json(self) -> str:
        """All that was measured, photo by photo, and the numbers of the table."""
        values = {
            method: {m: None if np.isnan(v) else float(v) for m, v in zip(self.metrics, row, strict=True)}
            for method, row in zip(self.methods, self.values(), strict=True)
        }
        kept = {
            "format": FORMAT,
            "model": self.model,
            "methods": self.methods,
            "controls": self.controls,
            "metrics": [{"name": c.name, "options": c.options, "better": c.better} for c in self.columns],
            "values": values,
            "left_out": self.left_out,
            "errors": self.errors,
            "asked": self.asked,
            "targets": self.targets,
            "fingerprints": self.fingerprints,
            "faint": self.faint,
            "measured": self.measured,
        }
        return json.dumps(kept, indent=1)

    def figure(self) -> Image.Image:
        """The table as a picture: in each column the best is dark, the worst is pale; controls stand below a line."""
        better = [c.better for c in self.columns]
        return draw(
            self.values(),
            self.methods,
            self.controls,
            self.metrics,
            better,
            "\n".join([self.about(), *self.cautions()]),
        )

    def save(self, path: str | Path) -> Path:
        """Write .csv, .json or a picture; the file appears whole or not at all. Raises SaveError where it cannot."""
        path = Path(path)
        texts = {".csv": self.to_csv, ".json": self.to_json}
        if path.suffix.lower() in figure.SUFFIXES:
            return figure.save(self.figure(), path)
        if path.suffix.lower() not in texts:
            raise SaveError(
                f"{path}: a table is written as {', '.join(texts)}, or as a picture, {', '.join(figure.SUFFIXES)}"
            )
        said = texts[path.suffix.lower()]().encode()
        return write_atomically(path, lambda file: file.write(said))


def difference(one: Table, other: Table) -> tuple[str, Any, Any] | None:
    """The first thing in which two tables were asked something else: its name, and what each has.

    Metrics are those that were asked for: what could not be measured in one of them may have been in the other.
    """
    for what in ("model", "methods"):
        if getattr(one, what) != getattr(other, what):
            return what, getattr(one, what), getattr(other, what)
    if {*one.metrics, *one.left_out} != {*other.metrics, *other.left_out}:
        return "metrics", one.metrics, other.metrics
    for what in {**one.asked, **other.asked}:
        if one.asked.get(what) != other.asked.get(what):
            return what, one.asked.get(what), other.asked.get(what)
    return None


def together(one: Sequence[Column], other: Sequence[Column]) -> tuple[Column, ...]:
    """The columns of both: those of the first, and what only the other has behind what stands before it there."""
    found = {c.title: c for c in one}
    for i, c in enumerate(other):
        if c.title not in found:
            titles = list(found)
            place = titles.index(other[i - 1].title) + 1 if i else 0
            found = {title: found.get(title, c) for title in [*titles[:place], c.title, *titles[place:]]}
    return tuple(found.values())


def _apart_from(one: Table, other: Table) -> Table:
    """The other table, with another name for each photo that is called as one here and is another."""
    names = {
        name: apart(name, other.fingerprints[name])
        for name in {**other.measured, **other.targets}
        if name in {**one.measured, **one.targets}
        and one.fingerprints.get(name) and other.fingerprints.get(name)
        and one.fingerprints[name] != other.fingerprints[name]
    }  # fmt: skip
    if not names:
        return other

    def key(words: str) -> str:
        about = [name for name in names if words == name or words.endswith(f": {name}")]
        return words.removesuffix(name := max(about, key=len)) + names[name] if about else words

    return replace(
        other,
        measured={names.get(name, name): found for name, found in other.measured.items()},
        errors={key(words): why for words, why in other.errors.items()},
        targets={names.get(name, name): words for name, words in other.targets.items()},
        fingerprints={names.get(name, name): one for name, one in other.fingerprints.items()},
        faint={names.get(name, name): words for name, words in other.faint.items()},
    )


def _left_out(one: Table, other: Table, measured: Container[str]) -> dict[str, str]:
    """Why metrics were left out in one of two tables or in both; with how many photos, where others were measured."""

    def why(table: Table, title: str) -> str:
        words = table.left_out[title]
        if title not in measured or (title in table.metrics and not np.isnan(table.values_of(title)).all()):
            return words
        return f"{words} (left out for {counted(table.counted(), 'photo')})"

    found: dict[str, list[str]] = {}
    for table in (one, other):
        for title in table.left_out:
            if (words := why(table, title)) not in found.setdefault(title, []):
                found[title].append(words)
    return {title: "; ".join(words) for title, words in found.items()}


def open_table(path: str | Path, metrics: Sequence[Any] = ()) -> Table:
    """Open what `table.save("x.json")` wrote. `metrics` are functions of your own that it was measured with.

    Raises InputError where the file is not there or is no such table, UnknownNameError for a metric of somebody's own
    that is not among `metrics`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Table("net", ("cam",), (), (column("seconds"),), {}).save(f"{folder}/table.json")
    ...     open_table(path).metrics
    ('seconds',)
    """
    path = Path(path)
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["format"] != FORMAT:
            raise InputError(f"{path} was written by another version of seewhy ({kept['format']!r}, not {FORMAT!r})")
        own = dict(own_metric(make) for make in metrics)
        columns = tuple(column((own.get(m["name"], m["name"]), m["options"])) for m in kept["metrics"])
        return Table(
            kept["model"], tuple(kept["methods"]), tuple(kept["controls"]), columns, kept["measured"],
            kept["left_out"], kept["errors"], kept["asked"], kept["targets"],
            kept["fingerprints"], kept["faint"],
        )  # fmt: skip
    except UnknownNameError as error:
        raise UnknownNameError(
            f"{path} was measured with a metric that is none of seewhy's: {error}; a function of your own that made it "
            "is given as open_table(path, metrics=[...])"
        ) from error
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: expected a file that table.save('x.json') wrote") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is no table that seewhy saved as .json, or is damaged") from error
