"""seewhy metrics: the ways to measure."""

from rich.markup import escape
from rich.table import Table

import seewhy
from seewhy import catalog
from seewhy.cli import _report
from seewhy.measure import metric_info


def metrics() -> None:
    """List the metrics, with one line, the direction, what each needs, and the paper."""
    table = Table("metric", "what it measures", "better", "needs", "paper", box=None, pad_edge=False)
    for name, line in seewhy.metrics().items():
        info = metric_info(catalog.get("metrics", name))
        table.add_row(name, escape(line), info.better, ", ".join(info.needs), escape(info.paper))
    _report.out().print(table)
