"""A table as people read it: numbers cut to what tells them apart, the best in bold, controls named as such."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from seewhy.evaluate._drawing import printed, shades, winners
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
        cells = tuple(Cell(printed(v), bool(w)) for v, w in zip(row, wins, strict=True))
        found.append(Row(f"{name} (control)" if name in controls else name, name in controls, cells))
    return found


def headings(titles: Sequence[str], better: Sequence[Better], signs: Mapping[Better, str]) -> list[str]:
    """The titles of the columns, each with the sign of its direction."""
    return [f"{title} {signs[way]}".rstrip() for title, way in zip(titles, better, strict=True)]


def plain(
    heads: Sequence[str], body: Sequence[Row], notes: Sequence[str], width: int,
    mark: Callable[[str, bool], str] = lambda text, best: text,
) -> str:  # fmt: skip
    """A table and notes below it as lines of text; `mark` may colour a name or number, and is told which are the best.

    Where not all columns are within the width there are several tables, one under the other, each with all rows.

    >>> row = Row("cam", False, (Cell("0.25", False), Cell("9", False)))
    >>> print(plain(["sparseness", "complexity"], [row], [], 20))
    method  sparseness
    cam           0.25
    <BLANKLINE>
    method  complexity
    cam              9
    """
    lines = [("method", [Cell(head, False) for head in heads]), *((row.name, row.cells) for row in body)]
    first = max(len(name) for name, _ in lines)
    widths = [max(len(cells[j].text) for _, cells in lines) for j in range(len(heads))]
    said: list[str] = []
    for part in _parts(widths, width - first):
        said += [""] if said else []
        for name, cells in lines:
            numbers = [mark(cells[j].text.rjust(widths[j]), cells[j].best) for j in part]
            said.append("  ".join([mark(name.ljust(first), False), *numbers]).rstrip())
    return "\n".join([*said, *notes])


def _parts(widths: Sequence[int], room: int) -> list[list[int]]:
    """Which columns stand side by side, each with two spaces before it: as many as there is room for, and one at least.

    >>> _parts([10, 10, 30], 25), _parts([], 25)
    ([[0, 1], [2]], [[]])
    """
    parts: list[list[int]] = [[]]
    for j in range(len(widths)):
        if parts[-1] and sum(widths[i] + 2 for i in [*parts[-1], j]) > room:
            parts.append([])
        parts[-1].append(j)
    return parts


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
