"""First principal components, on the device, without a full decomposition."""

import numpy as np
from array_api_compat import array_namespace, device

from seewhy.errors import OutputError
from seewhy.maps import is_finite
from seewhy.types import Array, Float

_STEPS, _CHECK = 200, 10
"""How many steps a power iteration takes at most, and after how many it is looked at."""
_EXACT = 2048
"""The largest matrix that is decomposed where a power iteration did not settle."""


def first_component(
    rows: Float[Array, "b p c"],
) -> tuple[Float[Array, "b p"], Float[Array, "b c"]]:
    """The first right singular vector v of each matrix M, of length 1, and the projection M v; v has either sign.

    By the Gram matrix of the smaller side: v is the first eigenvector of M^T M, or M^T u scaled with u that of M M^T.
    A matrix of zeros is projected to zeros.
    """
    xp = array_namespace(rows)
    if not is_finite(rows):
        raise OutputError("the activations or gradients at the layer hold NaN or infinite values: try float32")
    size = xp.max(abs(rows), axis=(1, 2), keepdims=True)
    rows = rows / xp.where(size > 0, size, xp.ones_like(size))  # squares neither overflow nor vanish
    transposed = xp.matrix_transpose(rows)
    if rows.shape[1] < rows.shape[2]:
        vector = xp.matmul(transposed, leading(xp.matmul(rows, transposed))[1][..., None])
        length = xp.sqrt(xp.sum(vector**2, axis=1, keepdims=True))
        vector = vector / xp.where(length > 0, length, xp.ones_like(length))
    else:
        vector = leading(xp.matmul(transposed, rows))[1][..., None]
    return (size * xp.matmul(rows, vector))[..., 0], vector[..., 0]


def leading(matrices: Float[Array, "b m m"]) -> tuple[Float[Array, "b"], Float[Array, "b m"]]:
    """The largest eigenvalue of symmetric matrices and an eigenvector of length 1, of either sign.

    A power iteration from a start by chance, the same each time. Where the largest eigenvalue is hardly larger than the
    next, or a negative one is larger in size, it does not settle, and the matrix is decomposed.
    """
    xp = array_namespace(matrices)
    b, m = matrices.shape[:2]
    start = np.broadcast_to(np.random.default_rng(0).standard_normal((m, 1)) / np.sqrt(m), (b, m, 1))
    vector = xp.asarray(start.copy(), dtype=matrices.dtype, device=device(matrices))
    close = 16 * xp.finfo(matrices.dtype).eps
    for step in range(1, _STEPS + 1):
        image = xp.matmul(matrices, vector)
        value = xp.sum(vector * image, axis=1)  # (b, 1)
        if step % _CHECK == 0:
            rest = xp.sqrt(xp.sum((image - value[..., None] * vector) ** 2, axis=1))
            if xp.all((rest <= close * value) & (value >= 0)):
                return value[..., 0], vector[..., 0]
        length = xp.sqrt(xp.sum(image**2, axis=1, keepdims=True))
        vector = xp.where(length > 0, image / xp.where(length > 0, length, xp.ones_like(length)), vector)
    if m > _EXACT and xp.all(value >= 0):
        return value[..., 0], vector[..., 0]
    values, vectors = xp.linalg.eigh(matrices)
    return values[..., -1], vectors[..., -1]


def pointed(projection: Float[Array, "b p"], agreement: Float[Array, "b"]) -> Float[Array, "b p"]:
    """The projection with the sign that makes `agreement` positive; where that is zero, its largest value positive."""
    xp = array_namespace(projection)
    high, low = xp.max(projection, axis=1), -xp.min(projection, axis=1)
    turned = (agreement < 0) | ((agreement == 0) & (low > high))
    return xp.where(turned[:, None], -projection, projection)
