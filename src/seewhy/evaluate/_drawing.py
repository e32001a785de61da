"""A table of numbers as a picture."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from seewhy.measure import Better
from seewhy.render.text import Font, font, line_height, wrap, write

ARROWS = {"higher": "higher is better", "lower": "lower is better", "nearest 0": "nearest 0 is best", "neither": ""}

DPI = 110
CELL = (126, 37)
"""Pixels of a cell, across and down."""
MARGIN = 12
NARROWEST = 420
"""Pixels across, so that what is said below a small table has room."""
HEADS, NAMES, NOTES = 8.5, 9.5, 9
"""Points of the letters over the columns, before the rows, and below."""


def printed(value: float) -> str:
    """A number as the table shows it; nothing where it is not known.

    >>> printed(0.03356), printed(float("nan"))
    ('0.0336', '')
    """
    return "" if np.isnan(value) else f"{value:.3g}"


def shades(values: npt.NDArray[np.float64], better: Sequence[Better]) -> npt.NDArray[np.float64]:
    """How good each number is within its column, 0 the worst to 1 the best; NaN where that cannot be said.

    Numbers are taken as they are printed, so that what looks the same is the same.

    >>> shades(np.asarray([[1.0, 1.0], [3.0, 3.0]]), ["higher", "lower"]).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    >>> shades(np.asarray([[-0.5], [0.25], [0.0]]), ["nearest 0"]).ravel().tolist()
    [0.0, 0.5, 1.0]
    """
    values = np.asarray([[float(printed(value) or "nan") for value in row] for row in values]).reshape(values.shape)
    found = np.full(values.shape, np.nan)
    for j, way in enumerate(better):
        known = np.isfinite(values[:, j])
        if way == "neither" or not known.any():
            continue
        column = np.abs(values[known, j]) if way == "nearest 0" else values[known, j]
        low, high = column.min(), column.max()
        if high > low:
            share = (column - low) / (high - low)
            found[known, j] = share if way == "higher" else 1 - share
    return found


def winners(good: npt.NDArray[np.float64], controls: Sequence[bool]) -> npt.NDArray[np.bool_]:
    """Which are the best of their column; none where a control is as good, for that is no merit.

    >>> winners(np.asarray([[1.0, 0.5], [0.0, 0.2], [0.5, 1.0]]), [False, False, True]).tolist()
    [[True, False], [False, False], [False, False]]
    """
    best = good == 1
    as_good = np.any(best & np.asarray(controls, bool)[:, None], axis=0)
    found: npt.NDArray[np.bool_] = best & ~as_good
    return found


def draw(
    values: npt.NDArray[np.float64], rows: Sequence[str], controls: Sequence[str], columns: Sequence[str],
    better: Sequence[Better], title: str = "",
) -> Image.Image:  # fmt: skip
    """The table, each column shaded from its worst number to its best one; controls last, below a line."""
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    order = [i for i, name in enumerate(rows) if name not in controls]
    order += [i for i, name in enumerate(rows) if name in controls]
    values, rows = values[order], [rows[i] for i in order]
    good = shades(values, better)
    best = winners(good, [name in controls for name in rows])
    colours = colormaps["YlGn"](np.nan_to_num(good, nan=0.0) * 0.75)
    colours[np.isnan(good)] = 1.0

    # all in pixels: the room round the cells is that of the words which stand there
    names = [f"{name} (control)" if name in controls else name for name in rows]
    heads = [heading(name, way) for name, way in zip(columns, better, strict=True)]
    left = MARGIN + round(max((_face(NAMES).getlength(name) for name in names), default=0)) + MARGIN
    across, down = CELL[0] * len(columns), CELL[1] * len(rows)
    wide = max(left + across + MARGIN, NARROWEST)
    said = wrap("\n".join(legend(title, good, best)), _face(NOTES), wide - 2 * MARGIN)
    line = line_height(_face(HEADS))
    top = MARGIN + line * max((len(head) for head in heads), default=0) + MARGIN // 2
    high = top + down + MARGIN + line_height(_face(NOTES)) * len(said) + MARGIN

    sheet = Figure(figsize=(wide / DPI, high / DPI), dpi=DPI)
    canvas = FigureCanvasAgg(sheet)
    axes = sheet.add_axes((left / wide, 1 - (top + down) / high, across / wide, down / high))
    axes.imshow(colours, aspect="auto")
    for i in range(len(rows)):
        for j in range(len(columns)):
            weight = "bold" if best[i, j] else "normal"
            axes.text(j, i, printed(values[i, j]), ha="center", va="center", fontsize=9, weight=weight)
    if 0 < len(controls) < len(rows):
        axes.axhline(len(rows) - len([n for n in rows if n in controls]) - 0.5, color="black", linewidth=1.2)
    axes.set_axis_off()
    drawn = _drawn(canvas)
    for j, head in enumerate(heads):
        write(drawn, head, _face(HEADS), left + (j + 0.5) * CELL[0], top - MARGIN // 2 - line * len(head), "black")
    pen = ImageDraw.Draw(drawn)
    for i, name in enumerate(names):
        pen.text((left - MARGIN, top + (i + 0.5) * CELL[1]), name, "black", _face(NAMES), anchor="rm")
    for i, words in enumerate(said):
        y = top + down + MARGIN + i * line_height(_face(NOTES))
        pen.text((MARGIN, y), words, "black", _face(NOTES), anchor="la")
    return drawn


def heading(name: str, way: Better) -> list[str]:
    """What stands over a column, in lines that are no wider than it.

    >>> heading("parameter-randomisation", "nearest 0")
    ['parameter-', 'randomisation', 'nearest 0 is best']
    """
    return wrap(f"{name}\n{ARROWS[way]}".rstrip(), _face(HEADS), CELL[0] - MARGIN)


def legend(title: str, good: npt.NDArray[np.float64], best: npt.NDArray[np.bool_]) -> list[str]:
    """What stands below the table: what was measured, and what shades and bold numbers mean where there are any.

    >>> legend("2 photos, net", np.asarray([[np.nan]]), np.asarray([[False]]))
    ['2 photos, net']
    """
    said = [title] if title else []
    if np.isfinite(good).any():
        said.append("Shading: from the column's worst number (pale) to its best (dark), relative within the column.")
    if best.any():
        said.append("Bold: the column's best, unless a control is as good.")
    return said


def _face(points: float) -> Font:
    return font(round(points * DPI / 72))


def _drawn(canvas: Any) -> Image.Image:
    file = io.BytesIO()
    canvas.print_png(file)
    return Image.open(file).convert("RGB")
