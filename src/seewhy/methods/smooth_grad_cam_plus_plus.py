"""Smooth Grad-CAM++."""

import numpy as np
from array_api_compat import array_namespace

from seewhy.maps import combine, rectify
from seewhy.masking import images_of, row_bytes, shares
from seewhy.methods._noise import deviation
from seewhy.methods._noise import noise as normal
from seewhy.methods._passes import further
from seewhy.methods._plus_plus import alphas, largest, weights
from seewhy.options import check_count, check_seed, number
from seewhy.stream import MEMORY, rows_within, run
from seewhy.types import Array, Capture, Maps, method


@method(paper="Omeiza et al. 2019, arXiv:1908.01224", cost="many passes")
def smooth_grad_cam_plus_plus(
    capture: Capture, *, samples: int = 16, noise: float = 0.15, seed: int = 0, memory: float = MEMORY
) -> Maps:
    """Grad-CAM++ with derivatives that are averaged over noisy copies of the image.

        D1, D2, D3 = 1/samples sum_t g_t, g_t^2, g_t^3          g_t = dS/dA for the image with noise t
        alpha = D2 / (2 D2 + sum_ab A_c,ab D3),   w_c = sum_ij alpha_c,ij ReLU(D1_c,ij)
        L = ReLU(sum_c w_c A_c)                 (the ReLU follows for all methods alike)

    A are the activations of the image itself. The noise is normal, with a deviation of `noise` times the image's range,
    drawn from the seed and the number of the sample alone: a map depends neither on what else is in its batch nor on
    how the work is cut into chunks, which `memory` bounds in MiB. As in Grad-CAM++ the powers of g are the derivatives
    of exp(S) without their factor exp(S); with it one sample would outweigh the others; and a
    negative alpha counts for nothing.

    Omeiza, Speakman, Cintas, Weldemariam: Smooth Grad-CAM++: An Enhanced Inference Level Visualization Technique for
    Deep Convolutional Neural Network Models, 2019. Takes activations (n, c, *s), gradients (n, k, c, *s) and
    `again.gradients` of `samples` images for each, returns maps (n, k, *s) in units of the score.

    Raises InputError for options out of range, and for a Capture without further passes.

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> A, G = np.ones((1, 1, 2), "f"), np.asarray([[[[1.0, -1.0]]]], "f")
    >>> again = SimpleNamespace(images=np.zeros((1, 3, 4), "f"),
    ...                         gradients=lambda images, of: G[of])
    >>> smooth_grad_cam_plus_plus(Capture(A, G, np.ones((1, 1), "f"), None, None, None, again)).tolist()
    [[[0.25, 0.25]]]
    """
    check_count("samples", samples)
    check_seed(seed)
    share = number("noise", noise, "a share of the image's range, 0 or more", least=0)
    assert capture.gradients is not None
    again = further(capture)
    images = again.images
    xp = array_namespace(images)
    n, k = capture.scores.shape
    sigma = deviation(images, share)
    unit = largest(capture.gradients)[(..., *[None] * (capture.gradients.ndim - 2))]
    at_layer = row_bytes(capture.activations)
    rows = rows_within(memory, row_bytes(images), at_layer * (2 + 3 * k))

    def derivatives(part: slice) -> list[Array]:
        sample, of = np.divmod(np.arange(part.start, part.stop), n)
        noises = normal(seed, sample[:, None], images.shape[1:], images)
        slopes = again.gradients(images_of(images, of) + noises * images_of(sigma, of), of)
        mine = shares(of, n, slopes, 1 / samples)
        squares = (slopes / images_of(unit, of)) ** 2
        return [xp.tensordot(mine, d, axes=([1], [0])) for d in (slopes, squares, squares * slopes)]

    orders: list[Array] = []
    for parts in run(n * samples, rows, derivatives, "Smooth Grad-CAM++"):
        orders = [a + b for a, b in zip(orders, parts, strict=True)] if orders else parts
    first, second, third = orders
    return combine(weights(rectify(alphas(second, third, capture.activations)), first), capture.activations)
