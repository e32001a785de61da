"""FEM, the feature explanation method."""

from array_api_compat import array_namespace

from seewhy.maps import for_every_target
from seewhy.options import number
from seewhy.types import Capture, Maps, method


@method(paper="Ahmed Asif Fuad et al. 2020, doi:10.1109/IPTA50016.2020.9286629", gradients=False)
def fem(capture: Capture, *, sigmas: float = 2.0) -> Maps:
    """Where channels are unusually strong, each channel weighed by its mean: where features are rare and large.

        B_c,ij = 1 where A_c,ij > mean(A_c) + sigmas * deviation(A_c), else 0      (the K-sigma rule, K = 2)
        L = ReLU(sum_c mean(A_c) B_c)

    Ahmed Asif Fuad, Martin, Giot, Bourqui, Benois-Pineau, Zemmari: Features Understanding in 3D CNNs for Actions
    Recognition in Video, IPTA 2020. It looks at no class: the maps of all targets are the same. A channel that is
    the same everywhere has no unusual position. The class FEM of pytorch-grad-cam computes something else, the
    activations weighed by the share of unusual positions. Takes activations (n, c, *s), returns maps (n, k, *s) in
    units of the activations.

    Raises InputError where `sigmas` is no number of 0 or more.

    >>> import numpy as np
    >>> A = np.asarray([[[0, 0, 0, 0, 0, 9], [1, 1, 1, 1, 1, 1]]], "f")
    >>> fem(Capture(A, None, np.ones((1, 1), "f"), None, None, None)).tolist()
    [[[0.0, 0.0, 0.0, 0.0, 0.0, 1.5]]]
    """
    many = number("sigmas", sigmas, "a number of standard deviations, 0 or more", least=0)
    activations = capture.activations
    xp = array_namespace(activations)
    axes = tuple(range(2, activations.ndim))
    mean = xp.mean(activations, axis=axes, keepdims=True)
    deviation = xp.sqrt(xp.mean((activations - mean) ** 2, axis=axes, keepdims=True))
    # rounding sets the mean of equal values beside them, where sigmas < 1 would find them all above it
    varies = xp.max(activations, axis=axes, keepdims=True) > xp.min(activations, axis=axes, keepdims=True)
    unusual = varies & (activations - mean > many * deviation)
    return for_every_target(xp.sum(xp.where(unusual, mean, xp.zeros_like(mean)), axis=1), capture.scores.shape[1])
