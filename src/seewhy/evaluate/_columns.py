"""The metrics of a table: by name or of somebody's own, with their options."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import Parameter, signature
from typing import Any

import numpy as np

from seewhy import catalog
from seewhy.errors import InputError
from seewhy.measure import Better, Metric, MetricInfo, metric_info


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
    """A metric by its name, or a function of options that makes a Metric; or a pair of one of these and its options.

    Raises UnknownNameError for a name that no metric has, InputError for what the metric does not take, and for a
    function of one's own that is called as one of seewhy's metrics: a table's file knows metrics by their names.
    """
    which, given = asked if isinstance(asked, tuple) and len(asked) == 2 else (asked, {})
    if isinstance(which, str):
        name, make = catalog.spelled(which), catalog.get("metrics", which)
    else:
        name, make = own_metric(which)
    options = _kept(name, given)
    _check_options(name, make, options)
    try:
        made = make(**options)
    except InputError as error:  # a value that it refuses
        raise InputError(f"the metric {name!r}: {error}") from error
    if not isinstance(made, Metric):
        raise InputError(
            f"expected {name!r} to make a seewhy.measure.Metric, got {type(made).__name__}: return Metric(update=..., "
            "compute=...), from a case to an array of sums and from all sums to a number, or mean_of(...), of a "
            "function from a case to a number"
        )
    return Column(name, options, make)


def own_metric(make: Any) -> tuple[str, Callable[..., Metric]]:
    """The name of a function that makes a metric: its own, or the catalogue's where it is the catalogue's."""
    if isinstance(make, Metric):
        raise InputError(
            "got a seewhy.measure.Metric, which has no name for the table: give a function that makes it, such as "
            "def my_metric(): return mean_of(...), and metrics=[my_metric]"
        )
    if not callable(make):
        raise InputError(
            "expected each metric as a name, a function that makes a seewhy.measure.Metric, or a pair of one of these "
            f"and its options, such as ('insertion', {{'step': 3584}}), got {make!r:.80}"
        )
    name = str(getattr(make, "__name__", type(make).__name__))
    if (spelled := catalog.spelled(name)) in catalog.names("metrics"):
        if catalog.get("metrics", spelled) is not make:
            raise InputError(
                f"your own metric {name!r} is called as one of seewhy's, and they could not be told apart in the "
                "table's file: give the function another name"
            )
        return spelled, make
    return name, make


def _check_options(name: str, make: Callable[..., Metric], options: Mapping[str, Any]) -> None:
    takes = signature(make)
    kinds = {p.kind for p in takes.parameters.values()}
    if Parameter.VAR_KEYWORD not in kinds:
        by_name = (Parameter.KEYWORD_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
        known = [p.name for p in takes.parameters.values() if p.kind in by_name]
        catalog.refuse_unknown(f"the metric {name!r}", known, options)
    try:
        takes.bind(**options)
    except TypeError as error:
        raise InputError(
            f"the metric {name!r} cannot be made of these options: {error}; give them, metrics=[({name!r}, {{...}})]"
        ) from error


def _kept(name: str, options: Any) -> dict[str, Any]:
    """Options as a file gives them back: lists for tuples, plain numbers for NumPy's."""
    if not isinstance(options, Mapping):
        raise InputError(f"expected the options of {name!r} as a dict, such as {{'step': 3584}}, got {options!r:.80}")
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
