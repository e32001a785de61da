"""The weights of Grad-CAM++ from the derivatives of a score, whatever they were taken by."""

from array_api_compat import array_namespace

from seewhy.maps import rectify
from seewhy.types import Activations, Array, Float, Gradients


def weights(first: Gradients, second: Gradients, third: Gradients, activations: Activations) -> Float[Array, "n k c"]:
    """w_c = sum_ij alpha_c,ij ReLU(first), alpha = second / (2 second + sum_ab A_ab third) (eq. 10 and 11).

    Where the denominator is zero, or no more than what rounding left of two terms that cancel, alpha is undefined, and
    the position counts for nothing.
    """
    xp = array_namespace(first, activations)
    axes = tuple(range(3, first.ndim))
    total = xp.sum(activations[:, None, ...], axis=axes, keepdims=True)  # (n, 1, c, 1...)
    denominator = 2 * second + total * third
    size = 2 * abs(second) + abs(total * third)
    defined = abs(denominator) > size * xp.finfo(first.dtype).eps * 4
    ones, zeros = xp.ones_like(denominator), xp.zeros_like(denominator)
    alphas = xp.where(defined, second / xp.where(defined, denominator, ones), zeros)
    return xp.sum(alphas * rectify(first), axis=axes)


def largest(gradients: Gradients) -> Float[Array, "n k"]:
    """The largest size of a gradient for each image and target, 1 where there is none: what its powers are scaled by.

    alpha stays what it is when the second derivative is divided by u^2 and the third by u^2 too; the square of a small
    gradient in single precision would be zero.
    """
    xp = array_namespace(gradients)
    size = xp.max(abs(xp.reshape(gradients, (*gradients.shape[:2], -1))), axis=-1)
    return xp.where(size > 0, size, xp.ones_like(size))
