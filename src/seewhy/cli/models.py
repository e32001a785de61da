"""seewhy models: where models come from."""

from rich.markup import escape
from rich.table import Table

from seewhy.cli import _report
from seewhy.models import schemes


def models() -> None:
    """List the forms of --model, and what each needs."""
    table = Table("--model", "what it is", "installed", box=None, pad_edge=False)
    for scheme in schemes():
        ready = "yes" if scheme.installed else f'pip install "seewhy[{scheme.extra}]"'
        table.add_row(escape(scheme.form), escape(scheme.what), escape(ready))
    _report.out().print(table)
