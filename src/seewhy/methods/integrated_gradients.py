"""Integrated gradients."""

import numpy as np
import numpy.typing as npt

from seewhy.maps import combine
from seewhy.masking import column, images_of
from seewhy.methods._averages import summed_gradients
from seewhy.options import Colour, check_count, colour
from seewhy.stream import MEMORY
from seewhy.types import Array, Capture, Maps, Rows, method


@method(paper="Sundararajan et al. 2017, eq. 1, arXiv:1703.01365", cost="many passes", at_input=True)
def integrated_gradients(capture: Capture, *, steps: int = 50, baseline: Colour = 0.0, memory: float = MEMORY) -> Maps:
    """Each pixel by what it adds to the score on the straight way from a blank image to the photo.

        M = sum_c (x_c - x'_c) * integral over a from 0 to 1 of dy/dx_c at x' + a (x - x')       (eq. 1)

    Sundararajan, Taly, Yan: Axiomatic Attribution for Deep Networks, ICML 2017. Completeness (proposition 1): the
    positions of M add up to y(x) - y(x'). The integral is a sum at the `steps` points of Gauss and Legendre, which lie
    closer at both ends: near the blank image the score changes most. Smooth nets need few. A net of ReLUs has kinks on
    the way, and a deep one needs many whatever the rule, though fewer than with midpoints or trapezoids: take more
    where the sum is off by more than the authors' 5 %.

    `baseline`, x', in the model's input after its preprocess: one number for all, one for each channel, or "mean", each
    channel's mean over the photo. 0, as it is unless told, is the mean colour of what a model was trained on where the
    preprocess takes that off, and black where it does not. What has the baseline's colour gets no evidence.

    `steps` passes for each image; they serve all targets. `memory` bounds in MiB what a chunk of them is reckoned
    to take. Takes images (n, c, *s), returns maps (n, k, *s) in units of the score. Raises InputError for options out
    of range.

    >>> import seewhy, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.LazyLinear(2))
    >>> tuple(seewhy.explain(net, torch.rand(5, 3, 8, 8), 1, method="integrated-gradients", steps=4).maps.shape)
    (5, 1, 8, 8)
    """
    check_count("steps", steps)
    X = capture.activations
    start = colour("baseline", baseline, X)
    points, weights = np.polynomial.legendre.leggauss(steps)  # on [-1, 1]

    def change(images: Array, step: npt.NDArray[np.intp], of: Rows) -> Array:
        blank = images_of(start, of)
        return blank + column((points[step] + 1) / 2, X) * (images - blank)

    slopes = summed_gradients(capture, change, weights / 2, memory=memory, doing="integrated gradients")
    return combine(slopes, X - start)
