"""seewhy metrics: the ways to measure."""

from rich.markup import escape
from rich.table import Table

import seewhy
from seewhy import catalog
from seewhy.cli import _report
from seewhy.measure import metric_info


def metrics() -> None:
    """List the metrics, with one line, direction, needs, options and paper of each."""
    table = Table("metric", "what it measures", "better", "needs", "options", "paper", box=None, pad_edge=False)
    for name, line in seewhy.metrics().items():
        info, options = metric_info(catalog.get("metrics", name)), " ".join(catalog.options("metrics", name))
        table.add_row(name, escape(line), info.better, ", ".join(info.needs), escape(options), escape(info.paper))
    _report.out().print(table)
