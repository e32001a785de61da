"""A table as people read it: numbers cut to what tells them apart, the best in bold, controls named as such."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from seewhy.evaluate._drawing import shades, winners
from seewhy.measure import Better


def counted(number: int, what: str) -> str:
    """So many of something.

    >>> counted(1, "photo"), counted(2, "photo"), counted(0, "metric")
    ('1 photo', '2 photos', '0 metrics')
    """
    return f"{number} {what}{'s' * (number != 1)}"


def gathered(why: Mapping[str, str]) -> dict[str, str]:
    """Names with their reasons: those that share a reason as one, what is said of them beginning with "each".

    >>> gathered({"road": "needs a class", "adcc": "needs a class", "pxap": "needs boxes"})
    {'road and adcc': 'each needs a class', 'pxap': 'needs boxes'}
    """
    shared: dict[str, list[str]] = {}
    for name, words in why.items():
        shared.setdefault(words, []).append(name)
    found = {}
    for words, (*before, last) in shared.items():
        found[f"{', '.join(before)} and {last}" if before else last] = f"each {words}" if before else words
    return found


def left_out(why: Mapping[str, str]) -> list[str]:
    """A sentence for each reason for which metrics were left out.

    >>> left_out({"road": "needs a class", "adcc": "needs a class"})
    ['road and adcc were left out: each needs a class']
    """
    return [
        f"{names} {'were left out:' if words.startswith('each ') else 'was left out: it'} {words}"
        for names, words in gathered(why).items()
    ]


@dataclass(frozen=True)
class Cell:
    text: str
    best: bool


@dataclass(frozen=True)
class Row:
    name: str
    """The method; a control is marked."""
    control: bool
    cells: tuple[Cell, ...]


def rows(
    values: npt.NDArray[np.float64], methods: Sequence[str], controls: Sequence[str], better: Sequence[Better]
) -> list[Row]:
    """The table's rows; a number that is not known is no text.

    >>> rows(np.asarray([[0.25], [np.nan]]), ["cam", "chance"], ["chance"], ["neither"])[1]
    Row(name='chance (control)', control=True, cells=(Cell(text='', best=False),))
    """
    best = winners(shades(values, better), [name in controls for name in methods])
    found = []
    for name, row, wins in zip(methods, values, best, strict=True):
        cells = tuple(Cell("" if np.isnan(v) else f"{v:.3g}", bool(w)) for v, w in zip(row, wins, strict=True))
        found.append(Row(f"{name} (control)" if name in controls else name, name in controls, cells))
    return found


def headings(titles: Sequence[str], better: Sequence[Better], signs: Mapping[Better, str]) -> list[str]:
    """The titles of the columns, each with the sign of its direction."""
    return [f"{title} {signs[way]}".rstrip() for title, way in zip(titles, better, strict=True)]


def plain(heads: Sequence[str], body: Sequence[Row], notes: Sequence[str]) -> str:
    """A table and notes below it as lines of text."""
    lines = [["method", *heads], *([row.name, *(cell.text for cell in row.cells)] for row in body)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    said = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in lines]
    return "\n".join([*said, *notes])


def html(heads: Sequence[str], body: Sequence[Row], notes: Sequence[str]) -> str:
    """A table and notes below it, for a notebook; all that is said in it is escaped."""
    right, left = 'style="text-align: right"', 'style="text-align: left"'
    lines = ["<table>", "<thead><tr>", f"<th {left}>method</th>"]
    lines += [f"<th {right}>{escape(head)}</th>" for head in heads]
    lines += ["</tr></thead>", "<tbody>"]
    for row in body:
        name = escape(row.name)
        cells = [f"<b>{escape(cell.text)}</b>" if cell.best else escape(cell.text) for cell in row.cells]
        drawn = "".join(f"<td {right}>{cell}</td>" for cell in cells)
        lines.append(f"<tr><th {left}>{f'<i>{name}</i>' if row.control else name}</th>{drawn}</tr>")
    lines += ["</tbody>", "</table>", *(f"<p>{escape(note)}</p>" for note in notes)]
    return "\n".join(lines)
