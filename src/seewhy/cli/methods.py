"""seewhy methods: the ways to explain."""

from rich.markup import escape
from rich.table import Table

import seewhy
from seewhy import catalog
from seewhy.cli import _report


def methods() -> None:
    """List the methods, with one line, the cost, the options and the paper of each."""
    table = Table("method", "what it does", "cost", "options", "paper", box=None, pad_edge=False)
    for name, line in seewhy.methods().items():
        info, options = catalog.about(name), " ".join(catalog.options("methods", name))
        table.add_row(name, escape(line), info.cost, escape(options), escape(info.paper))
    _report.out().print(table)
