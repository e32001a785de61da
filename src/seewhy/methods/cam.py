"""CAM, the class activation mapping that began it."""

import math

import numpy as np
from array_api_compat import array_namespace, device

from seewhy.errors import LayerError
from seewhy.maps import combine, spatial_mean
from seewhy.methods._passes import further
from seewhy.types import Activations, Array, Bool, Capture, Gradients, Maps, Scores, method

_TOLERANCE = 0.01
"""Half-precision models round by this much; a hidden layer in between changes the score by far more."""


@method(paper="Zhou et al. 2016, eq. 2, arXiv:1512.04150", cost="tail passes")
def cam(capture: Capture) -> Maps:
    """Each channel weighed by its weight in the linear layer that follows global average pooling.

        w_c = Z dS/dA_c                    (the weight itself; Z positions share it)
        M(x, y) = sum_c w_c f_c(x, y)      (eq. 2; the ReLU that follows for all methods alike is not in the paper)

    It needs a model whose layer is followed by global average pooling and one linear layer, and no more; that is
    checked by numbers: the gradient of the score must be the same at every position, and the score must be linear in
    the layer, also where its activations are mixed up. Where it holds, CAM is Grad-CAM times Z.

    Zhou, Khosla, Lapedriza, Oliva, Torralba: Learning Deep Features for Discriminative Localization, CVPR 2016.
    Takes activations (n, c, *s), gradients (n, k, c, *s) and `again.tail`, returns maps (n, k, *s) whose mean is the
    score without its bias.

    Raises LayerError for a model that is not so, InputError for a Capture without further passes.

    >>> from types import SimpleNamespace
    >>> A, G = np.asarray([[[1, 3]]], "f"), np.full((1, 1, 1, 2), 0.5, "f")
    >>> again = SimpleNamespace(tail=lambda a, of: a.mean(2))
    >>> cam(Capture(A, G, np.full((1, 1), 2, "f"), None, None, None, again)).tolist()
    [[[1.0, 3.0]]]
    """
    assert capture.gradients is not None
    _check(capture, capture.gradients)
    positions = math.prod(capture.activations.shape[2:])
    return combine(spatial_mean(capture.gradients) * positions, capture.activations)


def _check(capture: Capture, gradients: Gradients) -> None:
    """Raise LayerError where no global average pooling and one linear layer follow."""
    activations = capture.activations
    xp = array_namespace(activations)
    means = spatial_mean(gradients)[(..., *[None] * (activations.ndim - 2))]
    if not xp.max(abs(gradients - means)) <= _TOLERANCE * xp.max(abs(gradients)):
        raise _not_so("the gradient of the score differs from position to position")

    n = activations.shape[0]
    others = [_mixed(activations, seed) for seed in range(3)]
    rows = xp.concat([xp.zeros_like(activations), *others], axis=0)
    scores = further(capture).tail(rows, np.tile(np.arange(n, dtype=np.intp), 1 + len(others)))
    scores = xp.reshape(scores, (1 + len(others), *capture.scores.shape))
    at_zero = scores[0, ...]
    linear = _is_linear(gradients, activations, at_zero, capture.scores)
    for i, changed in enumerate(others, start=1):
        linear = linear & _is_linear(gradients, changed, at_zero, scores[i, ...])
    if not xp.all(linear):
        raise _not_so("the score is not a linear function of the layer")


def _mixed(activations: Activations, seed: int) -> Activations:
    """Other activations of the same sort: channels change places, and every value is made smaller by chance."""
    xp = array_namespace(activations)
    generator = np.random.default_rng(seed)
    order = xp.asarray(generator.permutation(activations.shape[1]), device=device(activations))
    factors = generator.uniform(0, 1, activations.shape[1:])
    return xp.take(activations, order, axis=1) * xp.asarray(
        factors, dtype=activations.dtype, device=device(activations)
    )


def _is_linear(gradients: Gradients, activations: Activations, at_zero: Scores, scores: Scores) -> Bool[Array, "n k"]:
    """(n, k): is a score what the gradient at the true activations says, up to rounding?"""
    xp = array_namespace(gradients)
    parts = xp.sum(gradients * activations[:, None, ...], axis=tuple(range(3, gradients.ndim)))  # (n, k, c)
    size = xp.sqrt(xp.sum(parts**2, axis=-1)) + abs(at_zero) + abs(scores)
    return abs(at_zero + xp.sum(parts, axis=-1) - scores) <= _TOLERANCE * size


def _not_so(why: str) -> LayerError:
    return LayerError(
        "CAM needs a layer that is followed by global average pooling and one linear layer, and a score before any "
        f"softmax or sigmoid, and here {why}: try method='grad-cam', which needs no such model and is CAM up to a "
        "factor on one; or the last layer before the pooling, its activation included (a module: a function such as "
        "F.relu is no layer); or score='logit' and a class as the target"
    )
