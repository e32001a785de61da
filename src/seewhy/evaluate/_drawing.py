"""A table of numbers as a picture."""

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from seewhy.measure import Better

ARROWS = {"higher": "higher is better", "lower": "lower is better", "nearest 0": "nearest 0 is best", "neither": ""}

ROUNDING = 1e-5
"""Numbers of a column that are nearer to each other than this share of them are equal."""

CELL = (0.95, 0.34)
"""Inches of a cell, across and down."""


def shades(values: npt.NDArray[np.float64], better: Sequence[Better]) -> npt.NDArray[np.float64]:
    """How good each number is within its column, 0 the worst to 1 the best; NaN where that cannot be said.

    >>> shades(np.asarray([[1.0, 1.0], [3.0, 3.0]]), ["higher", "lower"]).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    >>> shades(np.asarray([[-0.5], [0.25], [0.0]]), ["nearest 0"]).ravel().tolist()
    [0.0, 0.5, 1.0]
    """
    found = np.full(values.shape, np.nan)
    for j, way in enumerate(better):
        known = np.isfinite(values[:, j])
        if way == "neither" or not known.any():
            continue
        column = np.abs(values[known, j]) if way == "nearest 0" else values[known, j]
        low, high = column.min(), column.max()
        if high - low > ROUNDING * max(abs(high), abs(low)):
            share = (column - low) / (high - low)
            found[known, j] = share if way == "higher" else 1 - share
    return found


def winners(good: npt.NDArray[np.float64], controls: Sequence[bool]) -> npt.NDArray[np.bool_]:
    """Which are the best of their column; none where a control is as good, for that is no merit.

    >>> winners(np.asarray([[1.0, 0.5], [0.0, 0.2], [0.5, 1.0]]), [False, False, True]).tolist()
    [[True, False], [False, False], [False, False]]
    """
    best = good > 1 - ROUNDING
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

    left, right, top, below = 2.1, 1.3, 1.75, 0.4 if title else 0.15  # inches round the cells
    across, down = CELL[0] * len(columns), CELL[1] * len(rows)
    wide, high = left + across + right, top + down + below
    sheet = Figure(figsize=(wide, high), dpi=110)
    canvas = FigureCanvasAgg(sheet)
    axes = sheet.add_axes((left / wide, below / high, across / wide, down / high))
    sheet.text(left / wide, 0.12 / high, title, fontsize=9)
    axes.imshow(colours, aspect="auto")
    for i in range(len(rows)):
        for j in range(len(columns)):
            number = "" if np.isnan(values[i, j]) else f"{values[i, j]:.3g}"
            axes.text(j, i, number, ha="center", va="center", fontsize=9, weight="bold" if best[i, j] else "normal")
    titles = [f"{name}\n{ARROWS[way]}" for name, way in zip(columns, better, strict=True)]
    axes.set_xticks(range(len(columns)), titles, rotation=40, ha="left", fontsize=8.5)
    names = [f"{name} (control)" if name in controls else name for name in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=9.5)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    if 0 < len(controls) < len(rows):
        axes.axhline(len(rows) - len([n for n in rows if n in controls]) - 0.5, color="black", linewidth=1.2)
    for side in axes.spines.values():
        side.set_visible(False)
    file = io.BytesIO()
    canvas.print_png(file)  # type: ignore[no-untyped-call]  # matplotlib leaves it without types
    return Image.open(file).convert("RGB")
