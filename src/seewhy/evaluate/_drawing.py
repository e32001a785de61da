"""A table of numbers as a picture."""

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from seewhy.measure import Better

ARROWS = {"higher": "higher is better", "lower": "lower is better", "neither": ""}


def shades(values: npt.NDArray[np.float64], better: Sequence[Better]) -> npt.NDArray[np.float64]:
    """How good each number is within its column, 0 the worst to 1 the best; NaN where that cannot be said.

    >>> shades(np.asarray([[1.0, 1.0], [3.0, 3.0]]), ["higher", "lower"]).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    found = np.full(values.shape, np.nan)
    for j, way in enumerate(better):
        known = np.isfinite(values[:, j])
        if way == "neither" or not known.any():
            continue
        column = values[known, j]
        low, high = column.min(), column.max()
        if high > low:
            share = (column - low) / (high - low)
            found[known, j] = share if way == "higher" else 1 - share
    return found


def draw(
    values: npt.NDArray[np.float64], rows: Sequence[str], controls: Sequence[str], columns: Sequence[str],
    better: Sequence[Better],
) -> Image.Image:  # fmt: skip
    """The table, each column shaded from its worst number to its best one; controls last, below a line."""
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    order = [i for i, name in enumerate(rows) if name not in controls]
    order += [i for i, name in enumerate(rows) if name in controls]
    values, rows = values[order], [rows[i] for i in order]
    good = shades(values, better)
    colours = colormaps["YlGn"](np.nan_to_num(good, nan=0.0) * 0.75)
    colours[np.isnan(good)] = 1.0

    wide, high = 2.4 + 0.95 * len(columns), 2.4 + 0.34 * len(rows)
    sheet = Figure(figsize=(wide, high), dpi=110)
    canvas = FigureCanvasAgg(sheet)
    axes = sheet.add_axes((2.2 / wide, 0.25 / high, 0.95 * len(columns) / wide, 0.34 * len(rows) / high))
    axes.imshow(colours, aspect="auto")
    for i in range(len(rows)):
        for j in range(len(columns)):
            number = "" if np.isnan(values[i, j]) else f"{values[i, j]:.3g}"
            best = good[i, j] == 1
            axes.text(j, i, number, ha="center", va="center", fontsize=9, weight="bold" if best else "normal")
    titles = [f"{name}\n{ARROWS[way]}" for name, way in zip(columns, better, strict=True)]
    axes.set_xticks(range(len(columns)), titles, rotation=40, ha="left", fontsize=8.5)
    axes.set_yticks(range(len(rows)), rows, fontsize=9.5)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    if 0 < len(controls) < len(rows):
        axes.axhline(len(rows) - len([n for n in rows if n in controls]) - 0.5, color="black", linewidth=1.2)
    for side in axes.spines.values():
        side.set_visible(False)
    file = io.BytesIO()
    canvas.print_png(file)  # type: ignore[no-untyped-call]  # matplotlib leaves it without types
    return Image.open(file).convert("RGB")
