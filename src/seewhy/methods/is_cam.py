"""IS-CAM, Score-CAM integrated."""

import numpy as np
import numpy.typing as npt

from seewhy.errors import InputError
from seewhy.masking import column
from seewhy.methods._score_weighted import score_weighted
from seewhy.options import check_count
from seewhy.stream import MEMORY
from seewhy.types import Array, Capture, Maps, method


@method(paper="Naidu et al. 2020, arXiv:2010.03023", gradients=False, cost="many passes")
def is_cam(
    capture: Capture,
    *,
    steps: int = 10,
    running_sum: bool = False,
    channels: int | None = None,
    memory: float = MEMORY,
) -> Maps:
    """Score-CAM with weights that are means over the way from the blank image to the masked one.

        C_c = 1/N sum over i = 1 ... N of f(i/N X * H_c) - f(0)
        L = ReLU(sum_c softmax(C)_c A_c)          (the ReLU follows for all methods alike)

    with H_c as in Score-CAM: the integral of the score along a straight line, as a sum of N steps.

    Naidu, Ghosh, Maurya, Nayak K, Kundu: IS-CAM: Integrated Score-CAM for axiomatic-based explanations, 2020; N = 10 is
    theirs. `running_sum`: the steps are added up as they go, 1/N, (1+2)/N, (1+2+3)/N ..., as torchcam does: that way
    leads beyond the image, to (N + 1)/2 times it, and is no integral between the two.

    `steps` passes for each channel that varies. Other options, shapes, units and errors as in Score-CAM.

    >>> import seewhy, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.LazyLinear(2))
    >>> tuple(seewhy.explain(net, torch.rand(2, 3, 8, 8), 1, method="is-cam", layer="1", steps=3).maps.shape)
    (2, 1, 6, 6)
    """
    check_count("steps", steps)
    if not isinstance(running_sum, bool):
        raise InputError(f"expected running_sum=True or False, got {running_sum!r}")
    factors = np.arange(1, steps + 1) / steps
    factors = np.cumsum(factors) if running_sum else factors

    def change(masks: Array, images: Array, channel: npt.NDArray[np.intp], step: npt.NDArray[np.intp]) -> Array:
        return column(factors[step], masks) * masks * images

    return score_weighted(capture, change, steps=steps, channels=channels, memory=memory, doing="IS-CAM")
