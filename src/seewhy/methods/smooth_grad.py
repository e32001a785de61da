"""SmoothGrad."""

import numpy as np
import numpy.typing as npt

from seewhy.maps import strongest
from seewhy.masking import images_of
from seewhy.methods._averages import summed_gradients
from seewhy.methods._noise import deviation
from seewhy.methods._noise import noise as normal
from seewhy.options import check_count, check_seed, number
from seewhy.stream import MEMORY
from seewhy.types import Array, Capture, Maps, Rows, method


@method(paper="Smilkov et al. 2017, section 3.1, arXiv:1706.03825", cost="many passes", at_input=True)
def smooth_grad(
    capture: Capture, *, samples: int = 25, noise: float = 0.15, seed: int = 0, memory: float = MEMORY
) -> Maps:
    """The gradient, averaged over noisy copies of the photo: what only flickers falls out.

        M = 1/N sum_t dy/dx at x + e_t,  e_t ~ N(0, sigma^2),  sigma = noise * (max x - min x)
        M_ij = max_c |M_c,ij|                             (as for the gradient)

    Smilkov, Thorat, Kim, Viégas, Wattenberg: SmoothGrad: removing noise by adding noise, 2017, who advise a `noise` of
    0.1 to 0.2 and find little gain beyond 50 `samples`. Gradients are averaged with their signs. The noise depends on
    the seed and the number of the sample alone: a photo's map depends neither on what else is in its batch nor on how
    the work is cut into chunks.

    `samples` passes for each image; they serve all targets. `memory` bounds in MiB what a chunk of them is reckoned
    to take. Takes images (n, c, *s), returns maps (n, k, *s), at least 0, in units of the score for one unit of the
    input. Raises InputError for options out of range.

    >>> import seewhy, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.LazyLinear(2))
    >>> tuple(seewhy.explain(net, torch.rand(5, 3, 8, 8), 1, method="smooth-grad", samples=4).maps.shape)
    (5, 1, 8, 8)
    """
    check_count("samples", samples)
    check_seed(seed)
    share = number("noise", noise, "a share of the input's range, 0 or more", least=0)
    X = capture.activations
    sigma = deviation(X, share)

    def change(images: Array, step: npt.NDArray[np.intp], of: Rows) -> Array:
        return images + normal(seed, step[:, None], X.shape[1:], X) * images_of(sigma, of)

    return strongest(summed_gradients(capture, change, [1 / samples] * samples, memory=memory, doing="SmoothGrad"))
