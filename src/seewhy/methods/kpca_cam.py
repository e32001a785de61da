"""KPCA-CAM."""

from math import prod

from array_api_compat import array_namespace

from seewhy.errors import InputError, OutputError
from seewhy.maps import for_every_target, is_finite
from seewhy.methods._eigen import leading, pointed
from seewhy.options import number
from seewhy.types import Array, Capture, Float, Maps, method

POSITIONS = 2**12
"""At most so many: a kernel between them takes 64 MiB in float32, of which five are held at once, and an image that
needs its full decomposition minutes."""


@method(paper="Karmani et al. 2024, arXiv:2410.00267", gradients=False)
def kpca_cam(capture: Capture, *, kernel: str = "sigmoid", gamma: float | None = None) -> Maps:
    """The first principal component of a kernel between positions: Eigen-CAM that follows what is not linear.

        K_pq = tanh(gamma a_p . a_q + 1), or exp(-gamma |a_p - a_q|^2)      (a_p: the channels at position p, less their
                                                                            mean over positions)
        K' = K - 1K - K1 + 1K1 with 1 = 1/Z everywhere,    K' u = lambda u for the largest lambda
        L = ReLU(sqrt(lambda) u)                  (the ReLU follows for all methods alike)

    It looks at no class: the maps of all targets are the same. `kernel` and `gamma`, 1 / c where it is None, are those
    of the authors' code, and of scikit-learn's KernelPCA that it calls. The centred component adds up to zero; here it
    has the sign for which it grows with the length of the activations at a position. Where all positions are alike the
    map is blank.

    Karmani, Sivakaran, Prasad, Ali, Yang, Tang: KPCA-CAM: Visual Explainability of Deep Computer Vision Models using
    Kernel PCA, 2024. Takes activations (n, c, *s), returns maps (n, k, *s) without a unit; K' holds the square of the
    number of positions, of which there may be 4096 (64 x 64): it is held one image at a time.

    Raises InputError for another kernel, a gamma that is not positive, or a layer of more positions, OutputError
    where the activations hold NaN or infinite values.

    >>> import numpy as np
    >>> A = np.asarray([[[0, 3, 0], [0, 4, 0]]], "f")
    >>> maps = kpca_cam(Capture(A, None, np.ones((1, 1), "f"), None, None, None), kernel="rbf")
    >>> (maps * 100).round().astype(int).tolist()
    [[[-47, 94, -47]]]
    """
    if kernel not in ("sigmoid", "rbf"):
        raise InputError(f"expected kernel='sigmoid' or kernel='rbf', got {kernel!r}")
    activations = capture.activations
    n, c, *s = activations.shape
    width = 1 / c if gamma is None else number("gamma", gamma, "a number above 0, or None for 1 / channels", above=0)
    if prod(s) > POSITIONS:
        raise InputError(
            f"expected a layer of at most {POSITIONS} positions, got {prod(s)} ({' x '.join(map(str, s))}): a kernel "
            "between all pairs of them takes too much memory and time: choose a later layer, or method='eigen-cam'"
        )
    if not is_finite(activations):
        raise OutputError("the activations at the layer hold NaN or infinite values: try float32")
    xp = array_namespace(activations)
    points = xp.matrix_transpose(xp.reshape(activations, (n, c, -1)))
    each = [_component(points[i : i + 1, ...], kernel, width) for i in range(n)]  # a kernel matrix may be large
    return for_every_target(xp.reshape(xp.concat(each, axis=0), (n, *s)), capture.scores.shape[1])


def _component(points: Float[Array, "1 p c"], kernel: str, gamma: float) -> Float[Array, "1 p"]:
    xp = array_namespace(points)
    centred = points - xp.mean(points, axis=1, keepdims=True)
    products = xp.matmul(centred, xp.matrix_transpose(centred))
    if kernel == "sigmoid":
        matrix = xp.tanh(gamma * products + 1)
    else:
        squares = xp.sum(centred**2, axis=2)
        distances = squares[:, :, None] + squares[:, None, :] - 2 * products
        matrix = xp.exp(-gamma * xp.where(distances > 0, distances, xp.zeros_like(distances)))
    size = xp.max(abs(matrix))
    means = xp.mean(matrix, axis=1, keepdims=True)
    matrix = matrix - means - xp.matrix_transpose(means) + xp.mean(means, axis=2, keepdims=True)
    value, vector = leading(matrix)
    some = value > size * xp.finfo(points.dtype).eps * 4 * points.shape[1]  # less is what rounding left
    scale = xp.sqrt(xp.where(some, value, xp.zeros_like(value)))
    lengths = xp.sqrt(xp.sum(points**2, axis=2))
    vector = vector * scale[:, None]
    return pointed(vector, xp.sum(vector * (lengths - xp.mean(lengths, axis=1, keepdims=True)), axis=1))
