"""SS-CAM, Score-CAM smoothed by noise."""

import numpy as np
import numpy.typing as npt

from seewhy.errors import InputError
from seewhy.methods._noise import noise
from seewhy.methods._score_weighted import score_weighted
from seewhy.options import check_count, check_seed, number
from seewhy.stream import MEMORY
from seewhy.types import Array, Capture, Maps, method


@method(paper="Wang et al. 2020b, arXiv:2006.14255", gradients=False, cost="many passes")
def ss_cam(
    capture: Capture,
    *,
    samples: int = 35,
    std: float = 2.0,
    noise_on: str = "mask",
    seed: int = 0,
    channels: int | None = None,
    memory: float = MEMORY,
) -> Maps:
    """Score-CAM with weights that are means over noise: what holds for one mask only counts less.

        C_c = mean over N of f(X * (H_c + noise)) - f(0)        noise_on="mask"
        C_c = mean over N of f(X * H_c + noise) - f(0)          noise_on="image"
        L = ReLU(sum_c softmax(C)_c A_c)                        (the ReLU follows for all methods alike)

    with H_c as in Score-CAM, and noise from a normal distribution of deviation `std`, in units of the mask, which runs
    from 0 to 1, or of the model's input.

    Wang, Naidu, Michael, Kundu: SS-CAM: Smoothed Score-CAM for Sharper Visual Feature Localization, 2020; N = 35 and
    deviation 2 are theirs. The noise depends on the seed, the channel and the number of the sample alone: a photo's
    map depends neither on what else is in its batch nor on how the work is cut into chunks.

    `samples` passes for each channel that varies. Other options, shapes, units and errors as in Score-CAM.

    >>> import seewhy, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.LazyLinear(2))
    >>> tuple(seewhy.explain(net, torch.rand(2, 3, 8, 8), 1, method="ss-cam", layer="1", samples=3).maps.shape)
    (2, 1, 6, 6)
    """
    check_count("samples", samples)
    check_seed(seed)
    sigma = number("std", std, "a number of 0 or more", least=0)
    if noise_on not in ("mask", "image"):
        raise InputError(f"expected noise_on='mask' or noise_on='image', got {noise_on!r}")

    def change(masks: Array, images: Array, channel: npt.NDArray[np.intp], step: npt.NDArray[np.intp]) -> Array:
        one = masks.shape[1:] if noise_on == "mask" else images.shape[1:]
        drawn = sigma * noise(seed, np.stack([channel, step], axis=1), one, masks)
        return (masks + drawn) * images if noise_on == "mask" else masks * images + drawn

    return score_weighted(capture, change, steps=samples, channels=channels, memory=memory, doing="SS-CAM")
