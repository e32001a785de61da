"""seewhy targets: what can be asked."""

from rich.markup import escape
from rich.table import Table

import seewhy
from seewhy.cli import _report


def targets() -> None:
    """List the targets, with one line each."""
    table = Table("target", "what it asks", box=None, pad_edge=False)
    for name, line in seewhy.targets().items():
        table.add_row(name, escape(line))
    _report.out().print(table)
