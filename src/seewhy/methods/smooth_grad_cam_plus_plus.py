"""Smooth Grad-CAM++."""

from seewhy.errors import InputError
from seewhy.maps import combine
from seewhy.methods._noise import noisy
from seewhy.methods._passes import further
from seewhy.methods._plus_plus import largest, weights
from seewhy.types import Capture, Maps, method


@method(paper="Omeiza et al. 2019, arXiv:1908.01224", cost="many passes")
def smooth_grad_cam_plus_plus(capture: Capture, *, samples: int = 16, noise: float = 0.15, seed: int = 0) -> Maps:
    """Grad-CAM++ with derivatives that are averaged over noisy copies of the image.

        D1, D2, D3 = 1/samples sum_t g_t, g_t^2, g_t^3          g_t = dS/dA for the image with noise t
        alpha = D2 / (2 D2 + sum_ab A_c,ab D3),   w_c = sum_ij alpha_c,ij ReLU(D1_c,ij)
        L = ReLU(sum_c w_c A_c)                 (the ReLU follows for all methods alike)

    A are the activations of the image itself. The noise is normal, with a deviation of `noise` times the image's range,
    the same for every photo: a map depends on the seed, and not on what else is in its batch. As in Grad-CAM++ the
    powers of g are the derivatives of exp(S) without their factor exp(S); with it one sample would outweigh the others.

    Omeiza, Speakman, Cintas, Weldemariam: Smooth Grad-CAM++: An Enhanced Inference Level Visualization Technique for
    Deep Convolutional Neural Network Models, 2019. Takes activations (n, c, *s), gradients (n, k, c, *s) and
    `again.gradients` of `samples` images for each, returns maps (n, k, *s) in units of the score.

    Raises InputError where `samples` is not at least 1 or `noise` is negative, or for a Capture without further passes.

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> A, G = np.ones((1, 1, 2), "f"), np.asarray([[[[1.0, -1.0]]]], "f")
    >>> again = SimpleNamespace(images=np.zeros((1, 3, 4), "f"),
    ...                         gradients=lambda images, of: SimpleNamespace(gradients=G[of]))
    >>> smooth_grad_cam_plus_plus(Capture(A, G, np.ones((1, 1), "f"), None, None, None, again)).tolist()
    [[[0.25, 0.25]]]
    """
    if not samples >= 1:
        raise InputError(f"expected samples, the noisy copies of each image, of 1 or more, got {samples!r}")
    if not noise >= 0:
        raise InputError(f"expected noise, its share of the image's range, of 0 or more, got {noise!r}")
    assert capture.gradients is not None
    again = further(capture)
    n = capture.scores.shape[0]
    unit = largest(capture.gradients)[(..., *[None] * (capture.gradients.ndim - 2))]
    first = second = third = 0.0 * capture.gradients
    for images, of in noisy(again.images, samples, noise, seed):
        slopes = again.gradients(images, of).gradients  # whole samples: row t n + i is image i
        for t in range(slopes.shape[0] // n):
            g = slopes[t * n : (t + 1) * n, ...]
            square = (g / unit) ** 2
            first, second, third = first + g / samples, second + square / samples, third + square * g / samples
    return combine(weights(first, second, third, capture.activations), capture.activations)
