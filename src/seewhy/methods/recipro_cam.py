"""Recipro-CAM."""

from math import prod

import numpy as np
from array_api_compat import array_namespace

from seewhy.errors import InputError
from seewhy.masking import images_of, row_bytes, separable, settle
from seewhy.stream import MEMORY, rows_within, run
from seewhy.types import Array, Capture, Maps, method

NEAR = (0.5, 0.25)
"""The Gaussian mask by its distance from the position, along one axis: 1/4 1/2 1/4."""


@method(paper="Byun and Lee 2022, arXiv:2209.14074", gradients=False, cost="tail passes")
def recipro_cam(capture: Capture, *, gaussian: bool = False, memory: float = MEMORY) -> Maps:
    """The score of the features at one position alone, for every position: no gradients.

        y_p = f(A * M_p)
        L_p = y_p - min over q of y_q

    with the mask M_p 1 at position p and 0 elsewhere; `gaussian`: a small bell around p, 1/4 1/2 1/4 along each axis,
    as in the authors' code.

    Byun, Lee: Recipro-CAM: Fast gradient-free visual explanations for convolutional neural networks, 2022. Their
    division by max - min is left to the picture: a map that is the same everywhere is zero. They take the probability
    for the score, here it is the score that is explained.

    One run of what follows the layer for each position; it serves all targets. `memory` as in Ablation-CAM.

    Takes activations (n, c, *s), returns maps (n, k, *s) in units of the score, none below zero. Raises InputError for
    options out of range.

    >>> import seewhy, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.LazyLinear(2))
    >>> tuple(seewhy.explain(net, torch.rand(5, 3, 8, 8), 1, method="recipro-cam", layer="1").maps.shape)
    (5, 1, 6, 6)
    """
    if not isinstance(gaussian, bool):
        raise InputError(f"expected gaussian=True or False, got {gaussian!r}")
    again, A = capture.again, capture.activations
    assert again is not None
    xp = array_namespace(A)
    n, _, *s = A.shape
    positions = prod(s)
    kernel = np.asarray(NEAR if gaussian else (1.0,))
    rows = rows_within(memory, row_bytes(A), row_bytes(A[:, :1, ...]))

    def work(part: slice) -> Array:
        of, position = np.divmod(np.arange(part.start, part.stop), positions)
        apart = [
            abs(place[:, None] - np.arange(length))
            for place, length in zip(np.unravel_index(position, s), s, strict=True)
        ]
        sides = [np.where(d < len(kernel), kernel[np.minimum(d, len(kernel) - 1)], 0.0) for d in apart]
        return again.tail(separable(sides, A) * images_of(A, of), of)

    scored = xp.concat(list(run(n * positions, rows, work, "Recipro-CAM")), axis=0)  # (n * positions, k)
    flat = xp.permute_dims(xp.reshape(scored, (n, positions, -1)), (0, 2, 1))
    raised = flat - xp.min(flat, axis=-1, keepdims=True)
    raised = settle(raised, xp.max(xp.abs(flat), axis=-1, keepdims=True))
    return xp.reshape(raised, (*raised.shape[:2], *s))
