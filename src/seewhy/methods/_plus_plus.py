"""The weights of Grad-CAM++ from the derivatives of a score, whatever they were taken by."""

from array_api_compat import array_namespace

from seewhy.maps import rectify
from seewhy.types import Activations, Array, Float, Gradients


def alphas(second: Gradients, third: Gradients, activations: Activations) -> Gradients:
    """alpha = second / (2 second + sum_ab A_ab third) (eq. 10).

    It is undefined, and zero, where the denominator is zero, or no more than what rounding left of terms that cancel.
    """
    xp = array_namespace(second, activations)
    total = xp.sum(activations[:, None, ...], axis=tuple(range(3, second.ndim)), keepdims=True)  # (n, 1, c, 1...)
    denominator = 2 * second + total * third
    size = 2 * abs(second) + abs(total * third)
    defined = abs(denominator) > size * xp.finfo(second.dtype).eps * 4
    ones, zeros = xp.ones_like(denominator), xp.zeros_like(denominator)
    return xp.where(defined, second / xp.where(defined, denominator, ones), zeros)


def weights(alphas: Gradients, first: Gradients) -> Float[Array, "n k c"]:
    """w_c = sum_ij alpha_c,ij ReLU(first_c,ij) (eq. 11)."""
    xp = array_namespace(alphas)
    return xp.sum(alphas * rectify(first), axis=tuple(range(3, first.ndim)))


def largest(gradients: Gradients) -> Float[Array, "n k"]:
    """The largest size of a gradient for each image and target, 1 where there is none: what its powers are scaled by.

    alpha stays what it is when the second derivative is divided by u^2 and the third by u^2 too; the square of a small
    gradient in single precision would be zero.
    """
    xp = array_namespace(gradients)
    size = xp.max(abs(xp.reshape(gradients, (*gradients.shape[:2], -1))), axis=-1)
    return xp.where(size > 0, size, xp.ones_like(size))
