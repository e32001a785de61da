"""Grad-CAM."""

from seewhy.maps import combine, spatial_mean
from seewhy.types import Capture, Maps, method


@method(paper="Selvaraju et al. 2017, eq. 1 and 2, arXiv:1610.02391")
def grad_cam(capture: Capture) -> Maps:
    """Each channel weighed by the mean of its gradient: where features that raise the score were seen.

        alpha_c = 1/Z sum_ij dy/dA_c,ij        (eq. 1)
        L = ReLU(sum_c alpha_c A_c)            (eq. 2; the ReLU follows for all methods alike)

    Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra: Grad-CAM: Visual Explanations from Deep Networks via
    Gradient-based Localization, ICCV 2017. Takes activations (n, c, *s) and gradients (n, k, c, *s), returns
    maps (n, k, *s) in units of the score.

    >>> import numpy as np
    >>> A, G = np.ones((1, 2, 2, 2), "f"), np.full((1, 1, 2, 2, 2), 0.5, "f")
    >>> grad_cam(Capture(A, G, np.ones((1, 1), "f"), None, None, None)).tolist()
    [[[[1.0, 1.0], [1.0, 1.0]]]]
    """
    assert capture.gradients is not None
    return combine(spatial_mean(capture.gradients), capture.activations)
