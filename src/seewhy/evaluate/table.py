"""What was measured: methods by metrics, kept as sums, so that tables of other photos can be added."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from seewhy import catalog
from seewhy.errors import InputError, MissingPackageError, unknown
from seewhy.evaluate._drawing import draw
from seewhy.files import write_atomically
from seewhy.measure import Better, Metric, MetricInfo, metric_info
from seewhy.render import figure

FORMAT = "seewhy evaluation 1"

Measured = dict[str, dict[str, list[float]]]
"""For one photo and target: method -> metric -> sums."""


@dataclass(frozen=True)
class Column:
    """A metric of the table, with its options."""

    name: str
    options: Mapping[str, Any]
    make: Callable[..., Metric] = field(repr=False)

    @property
    def info(self) -> MetricInfo:
        return metric_info(self.make)

    @property
    def metric(self) -> Metric:
        return self.make(**self.options)

    @property
    def better(self) -> Better:
        return self.metric.better or self.info.better

    @property
    def title(self) -> str:
        """The name, and the options where there are any."""
        said = ", ".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.name} ({said})" if said else self.name


def column(asked: Any) -> Column:
    """A metric by its name, a pair of a name and options, or a function of options that makes a Metric.

    Raises UnknownNameError for a name that no metric has, InputError for what the metric does not take.
    """
    name, given = asked if isinstance(asked, tuple) else (asked, {})
    make = catalog.get("metrics", name) if isinstance(name, str) else name
    said = catalog.spelled(name) if isinstance(name, str) else getattr(name, "__name__", type(name).__name__)
    options = _kept(said, given)
    try:
        made = make(**options)
    except TypeError as error:
        raise InputError(f"the metric {said!r} does not take these options: {error}") from error
    if not isinstance(made, Metric):
        raise InputError(f"expected {said!r} to make a seewhy.measure.Metric, got {type(made).__name__}")
    return Column(said, options, make)


def _kept(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as a file gives them back: lists for tuples, plain numbers for NumPy's."""
    try:
        kept: dict[str, Any] = json.loads(json.dumps(dict(options), default=_plain))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the options of {name!r} are kept with the table: expected numbers, words and lists of them, got {options}"
        ) from error
    return kept


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not kept in JSON")


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

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(c.title for c in self.columns)

    def __getitem__(self, which: tuple[str, str]) -> float:
        method, metric = which
        if method not in self.methods:
            raise unknown("method in this table", method, self.methods)
        if metric not in self.metrics:
            raise unknown("metric in this table", metric, self.metrics)
        return self._value(method, self.columns[self.metrics.index(metric)])

    def values(self) -> npt.NDArray[np.float64]:
        """All numbers, (methods, metrics); NaN where nothing was measured."""
        return np.asarray([[self._value(method, c) for c in self.columns] for method in self.methods], np.float64)

    def __repr__(self) -> str:
        size = f"{len(self.methods)} methods x {len(self.columns)} metrics"
        return f"<Table of {size} on {self.counted()} photo(s) by {self.model}>"

    def counted(self) -> int:
        """How many photos were measured, grids of four not counted."""
        return sum(name in self.targets for name in self.measured)

    def merge(self, other: "Table") -> "Table":
        """This table and one of other photos as one; InputError where they are not of the same things."""
        if (found := difference(self, other)) is not None:
            what, one, another = found
            raise InputError(f"tables of different {what} cannot be merged: {one} and {another}")
        both = sorted(set(self.measured) & set(other.measured))
        if both:
            raise InputError(f"photos are in both tables, and would count twice: {', '.join(both[:5])}")
        return replace(
            self,
            measured={**self.measured, **other.measured},
            left_out={**self.left_out, **other.left_out},
            errors={**self.errors, **other.errors},
            targets={**self.targets, **other.targets},
        )

    def _value(self, method: str, column: Column) -> float:
        found = [
            of_target[method][column.title]
            for targets in self.measured.values()
            for of_target in targets.values()
            if column.title in of_target.get(method, {})
        ]
        return column.metric.compute(np.sum(np.asarray(found, np.float64), axis=0)) if found else float("nan")

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
            "measured": self.measured,
        }
        return json.dumps(kept, indent=1)

    def figure(self) -> Image.Image:
        """The table as a picture: in each column the best is dark, the worst is white; controls stand below a line."""
        count = self.counted()
        title = f"{self.model}, {count} photo{'s' * (count != 1)}; the best of each column in bold"
        better = [c.better for c in self.columns]
        return draw(self.values(), self.methods, self.controls, self.metrics, better, title)

    def _repr_png_(self) -> bytes:
        return figure.png(self.figure())

    def save(self, path: str | Path) -> Path:
        """Write .csv, .json or a picture; the file appears whole or not at all. Raises SaveError where it cannot."""
        path = Path(path)
        text = {".csv": self.to_csv, ".json": self.to_json}.get(path.suffix.lower())
        if text is None:
            return figure.save(self.figure(), path)
        said = text().encode()
        return write_atomically(path, lambda file: file.write(said))


def difference(one: Table, other: Table) -> tuple[str, Any, Any] | None:
    """The first thing in which two tables were asked something else: its name, and what each has."""
    for what in ("model", "methods", "metrics"):
        if getattr(one, what) != getattr(other, what):
            return what, getattr(one, what), getattr(other, what)
    for what in {**one.asked, **other.asked}:
        if one.asked.get(what) != other.asked.get(what):
            return what, one.asked.get(what), other.asked.get(what)
    return None


def open_table(path: str | Path, metrics: Sequence[Any] = ()) -> Table:
    """Open what `table.save("x.json")` wrote. `metrics` are functions of your own that it was measured with.

    Raises InputError where the file is no such table.

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
        own = {c.name: c.make for c in map(column, metrics)}
        columns = tuple(column((own.get(m["name"], m["name"]), m["options"])) for m in kept["metrics"])
        return Table(
            kept["model"], tuple(kept["methods"]), tuple(kept["controls"]), columns, kept["measured"],
            kept["left_out"], kept["errors"], kept["asked"], kept["targets"],
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is no table that seewhy saved as .json, or is damaged") from error
