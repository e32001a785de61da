"""Make what the docs show: the demo picture and the page of the command line's help. Run by `make docs`."""

import re
import sys
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

DOCS = Path(__file__).parent


def demo_picture() -> None:
    """docs/demo.jpg: the four photos in one, explained for four classes, kept small."""
    import seewhy
    from seewhy.photos import explain_grid
    from seewhy.render import figure

    sheet = explain_grid(seewhy.load("lite0")).figure()
    figure.save(sheet.resize((1200, round(1200 * sheet.height / sheet.width))), DOCS / "demo.jpg")


def cli_page() -> str:
    """docs/cli.md: the help of every command, as `seewhy COMMAND --help` prints it."""
    from seewhy.cli import app

    command = get_command(app)
    context = typer.Context(command, info_name="seewhy", terminal_width=100)
    parts = ["# The command line", "Made by `make docs`; a test holds it against the program.", _help(command, context)]
    for name, sub in sorted(command.commands.items()):
        inner = typer.Context(sub, info_name=name, parent=context, terminal_width=100)
        parts += [f"## seewhy {name}", _help(sub, inner)]
    return "\n\n".join(parts) + "\n"


def _help(command: Any, context: typer.Context) -> str:
    lines = command.get_help(context).splitlines()
    return "```\n" + "\n".join(re.sub(r"\s+$", "", line) for line in lines).strip("\n") + "\n```"


if __name__ == "__main__":
    (DOCS / "cli.md").write_text(cli_page(), encoding="utf-8")
    demo_picture()
    print("made docs/cli.md and docs/demo.jpg", file=sys.stderr)
