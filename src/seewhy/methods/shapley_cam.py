"""ShapleyCAM."""

from seewhy.maps import combine, spatial_mean
from seewhy.methods._passes import further
from seewhy.types import Capture, Maps, method


@method(paper="Cai 2025, arXiv:2501.06261", cost="two passes")
def shapley_cam(capture: Capture) -> Maps:
    """Each channel weighed by its gradient less half of its share of the curvature: a Shapley value to second order.

        w_c = 1/Z sum_ij (dy/dA - 1/2 H A)_c,ij       (H: the second derivatives of the score at the layer)
        L = ReLU(sum_c w_c A_c)                       (the ReLU follows for all methods alike)

    Cai: CAMs as Shapley Value-based Explainers, 2025. Where what follows the layer is piecewise linear in it, such as
    pooling and a linear layer, the second derivatives of a logit are zero, and this is Grad-CAM; with score="output" a
    softmax brings curvature. Takes activations (n, c, *s), gradients (n, k, c, *s) and `again.curvature()`, returns
    maps (n, k, *s) in units of the score.

    Raises InputError for a Capture without further passes.

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> A, G = np.ones((1, 1, 2), "f"), np.ones((1, 1, 1, 2), "f")
    >>> again = SimpleNamespace(curvature=lambda: np.full((1, 1, 1, 2), 0.5, "f"))
    >>> shapley_cam(Capture(A, G, np.ones((1, 1), "f"), None, None, None, again)).tolist()
    [[[0.75, 0.75]]]
    """
    assert capture.gradients is not None
    slopes = capture.gradients - further(capture).curvature() / 2
    return combine(spatial_mean(slopes), capture.activations)
