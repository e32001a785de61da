"""seewhy methods: the ways to explain."""

from rich.markup import escape
from rich.table import Table

import seewhy
from seewhy import catalog
from seewhy.cli import _report


def methods() -> None:
    """List the methods, with one line and the paper of each."""
    table = Table("method", "what it does", "paper", box=None, pad_edge=False)
    for name, line in seewhy.methods().items():
        table.add_row(name, escape(line), escape(catalog.paper(name)))
    _report.out().print(table)
