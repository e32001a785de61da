"""Occlusion."""

from collections.abc import Sequence
from math import prod

import numpy as np
from array_api_compat import array_namespace, device

from seewhy.masking import images_of, row_bytes, separable, settle, windows_over
from seewhy.methods._passes import further
from seewhy.options import Colour, colour
from seewhy.stream import MEMORY, rows_within, run
from seewhy.types import Array, Capture, Maps, method


@method(paper="Zeiler and Fergus 2014, arXiv:1311.2901", gradients=False, cost="many passes", at_input=True)
def occlusion(
    capture: Capture,
    *,
    window: int | Sequence[int] | None = None,
    stride: int | Sequence[int] | None = None,
    fill: Colour = 0.0,
    memory: float = MEMORY,
) -> Maps:
    """What the score loses where a window of the image is covered.

        L_p = mean over the windows W that cover p of f(X) - f(X with `fill` in W)

    Zeiler, Fergus: Visualizing and Understanding Convolutional Networks, ECCV 2014, section 4.2. They cover a photo
    with a grey square: zero in the units of a normalised input. `fill` is a number, one for each channel, or "mean":
    each image's own mean colour. `window` and `stride` are in pixels, one number or one for each axis; the last window
    along an axis is cut off at the border.

    One pass for each window; it serves all targets. `memory`: MiB that the covered images of one chunk, and what the
    model is reckoned to hold for them, may take.

    Takes images (n, c, *s), returns maps (n, k, *s) in units of the score. Raises InputError for options out of range.

    >>> import seewhy, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.LazyLinear(2))
    >>> tuple(seewhy.explain(net, torch.rand(5, 3, 8, 8), 1, method="occlusion", window=4, stride=2).maps.shape)
    (5, 1, 8, 8)
    """
    again, X = further(capture), capture.activations
    xp = array_namespace(X)
    n, _, *s = X.shape
    filled = colour("fill", fill, X)
    covers = windows_over(s, window, stride)  # (windows, length) for each axis
    windows = [len(cover) for cover in covers]
    count = prod(windows)
    rows = rows_within(memory, row_bytes(X), row_bytes(X[:, :1, ...]))

    def work(part: slice) -> Array:
        of, number = np.divmod(np.arange(part.start, part.stop), count)
        places = np.unravel_index(number, windows)
        covered = separable([cover[place] for cover, place in zip(covers, places, strict=True)], X) > 0
        return again.scores(xp.where(covered, images_of(filled, of), images_of(X, of)), of)

    scored = xp.concat(list(run(n * count, rows, work, "occlusion")), axis=0)  # (n * count, k)
    scored = xp.permute_dims(xp.reshape(scored, (n, count, -1)), (0, 2, 1))
    score = capture.scores[..., None]
    lost = xp.reshape(settle(score - scored, score), (n, scored.shape[1], *windows))
    for axis, cover in enumerate(covers, start=2):  # the mean over a grid of windows is one mean along each axis
        share = cover.T / cover.sum(axis=0)[:, None]  # (length, windows)
        share = xp.asarray(share, dtype=lost.dtype, device=device(lost))
        lost = xp.moveaxis(xp.tensordot(lost, share, axes=([axis], [1])), -1, axis)
    return lost
