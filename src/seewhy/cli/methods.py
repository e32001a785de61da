"""seewhy methods: the ways to explain."""

from rich.markup import escape
from rich.table import Table

import seewhy
from seewhy import catalog
from seewhy.cli import _report


def methods() -> None:
    """List the methods, with one line, the cost and the paper of each."""
    table = Table("method", "what it does", "cost", "paper", box=None, pad_edge=False)
    for name, line in seewhy.methods().items():
        info = catalog.about(name)
        table.add_row(name, escape(line), info.cost, escape(info.paper))
    _report.out().print(table)
