"""SmoothGrad."""

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace, device

from seewhy.errors import InputError
from seewhy.maps import strongest
from seewhy.masking import check_count, check_seed, images_of
from seewhy.methods._averages import summed_gradients
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
    if isinstance(noise, bool) or not isinstance(noise, int | float) or not 0 <= noise < np.inf:
        raise InputError(f"expected noise= as a share of the input's range, 0 or more, got {noise!r}")
    X = capture.activations
    xp = array_namespace(X)
    flat = xp.reshape(X, (X.shape[0], -1))
    sigma = xp.reshape(noise * (xp.max(flat, axis=1) - xp.min(flat, axis=1)), (-1, *[1] * (X.ndim - 1)))

    def change(images: Array, step: npt.NDArray[np.intp], of: Rows) -> Array:
        drawn = {t: np.random.default_rng((seed, t)).standard_normal(X.shape[1:], np.float32) for t in set(step)}
        rows = xp.asarray(np.stack([drawn[t] for t in step]), dtype=X.dtype, device=device(X))
        return images + rows * images_of(sigma, of)

    return strongest(summed_gradients(capture, change, [1 / samples] * samples, memory=memory, doing="SmoothGrad"))
