"""Ablation-CAM."""

import numpy as np
from array_api_compat import array_namespace, device

from seewhy.maps import combine, to_numpy
from seewhy.masking import by_channel, images_of, row_bytes, settle
from seewhy.methods._passes import further
from seewhy.options import number
from seewhy.stream import MEMORY, WORKING_TAIL, rows_within, run
from seewhy.types import Array, Capture, Maps, method

LARGEST = 1e3
"""No weight is larger: see `ablation_cam`."""


@method(
    paper="Ramaswamy and Desai 2020, doi:10.1109/WACV45572.2020.9093360",
    gradients=False,
    cost="tail passes",
)
def ablation_cam(capture: Capture, *, fill: float = 0.0, memory: float = MEMORY) -> Maps:
    """Each channel weighed by how much of the score is lost without it: no gradients.

        w_c = (y - y_c) / |y|
        L = ReLU(sum_c w_c A_c)          (the ReLU follows for all methods alike)

    with y_c the score where channel c is `fill` everywhere and all others are as they were captured.

    Ramaswamy, Desai: Ablation-CAM: Visual Explanations for Deep Convolutional Network via Gradient-free Localization,
    WACV 2020. The paper divides by y. That is the same for the positive scores it has in mind; for a negative one it
    would turn the map's sign round, and show what speaks against the target. The quotient only sets the map's scale,
    so where y is so near zero that a weight would exceed 1000, |y| is taken to be a thousandth of the largest loss.

    One run of what follows the layer for each channel that is not `fill` already; it serves all targets. `memory`: MiB
    that the changed activations of one chunk, and what the model is reckoned to hold for them, may take.

    Takes activations (n, c, *s), returns maps (n, k, *s) in units of the activations. Raises InputError for options
    out of range.

    >>> import seewhy, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.LazyLinear(2))
    >>> tuple(seewhy.explain(net, torch.rand(5, 3, 8, 8), 1, method="ablation-cam", layer="1").maps.shape)
    (5, 1, 6, 6)
    """
    filled = number("fill", fill, "a finite number")
    again, A = further(capture), capture.activations
    xp = array_namespace(A)
    n, c, *s = A.shape
    of, channel = np.nonzero(to_numpy(xp.any(xp.reshape(filled != A, (n, c, -1)), axis=-1)))
    rows = rows_within(memory, row_bytes(A), working=WORKING_TAIL)
    every = np.arange(c)

    def work(part: slice) -> Array:
        here = xp.asarray(channel[part][:, None] == every, device=device(A))
        here = xp.reshape(here, (*here.shape, *(1,) * len(s)))
        # each row anew from what was captured: no row's fill is seen by another
        ablated = xp.where(here, xp.asarray(filled, dtype=A.dtype, device=device(A)), images_of(A, of[part]))
        return again.tail(ablated, of[part])

    y = capture.scores
    without = xp.concat([y[:0, ...], *run(len(of), rows, work, "Ablation-CAM")], axis=0)
    lost = settle(images_of(y, of) - without, images_of(y, of))
    lost = by_channel(lost, of, channel, n, c)  # (n, k, c)
    largest = xp.max(xp.abs(lost), axis=-1)
    divisor = xp.maximum(xp.abs(y), largest / LARGEST)
    weights = lost / xp.where(divisor > 0, divisor, xp.ones_like(divisor))[..., None]
    return combine(xp.astype(weights, A.dtype), A)
