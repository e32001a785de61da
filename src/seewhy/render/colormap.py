"""Colours for numbers in [0, 1], by the names that matplotlib gives them."""

from functools import cache

import numpy as np
import numpy.typing as npt

from seewhy.errors import InputError, unknown
from seewhy.types import Heatmap


def colours(heatmap: Heatmap, name: str) -> npt.NDArray[np.uint8]:
    """The colour of each value: (H, W) in [0, 1] -> (H, W, 3).

    Raises UnknownNameError where matplotlib has no colormap of this name, InputError for values outside [0, 1].

    >>> colours(np.array([[0.0, 1.0]], np.float32), "gray").tolist()
    [[[0, 0, 0], [255, 255, 255]]]
    """
    table = steps(name)
    if heatmap.size and not (
        heatmap.min() >= -1e-4 and heatmap.max() <= 1 + 1e-4
    ):  # NaN is neither; noise is rounded off
        raise InputError(f"expected a heatmap with values in [0, 1], got [{heatmap.min():g}, {heatmap.max():g}]")
    picture: npt.NDArray[np.uint8] = table[np.rint(heatmap * 255).astype(np.uint8)]
    return picture


@cache
def steps(name: str) -> npt.NDArray[np.uint8]:
    """256 steps of a colormap: (256, 3)."""
    from matplotlib import colormaps

    if name not in colormaps:
        raise unknown("colormap", name, (n for n in colormaps if not n.endswith("_r")), 'or any of these with "_r"')
    table = np.asarray(colormaps[name](np.linspace(0, 1, 256), bytes=True)[:, :3], np.uint8)
    table.flags.writeable = False
    return table
