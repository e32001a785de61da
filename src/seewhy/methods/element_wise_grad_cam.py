"""Element-wise Grad-CAM."""

from array_api_compat import array_namespace

from seewhy.maps import rectify
from seewhy.types import Capture, Maps, method


@method(paper="of no paper, as GradCAMElementWise of pytorch-grad-cam")
def element_wise_grad_cam(capture: Capture) -> Maps:
    """Gradient times activation, of which only what speaks for the score is added up.

        L = sum_c ReLU(dy/dA_c * A_c)      (elementwise)

    HiResCAM with the ReLU before the sum: what one channel says against the score takes nothing from what another
    says for it. Takes activations (n, c, *s) and gradients (n, k, c, *s), returns maps (n, k, *s), at least 0, in
    units of the score.

    >>> import numpy as np
    >>> A, G = np.ones((1, 2, 2), "f"), np.asarray([[[[0.5, -1.0], [-0.5, -1.0]]]], "f")
    >>> element_wise_grad_cam(Capture(A, G, np.ones((1, 1), "f"), None, None, None)).tolist()
    [[[0.5, 0.0]]]
    """
    assert capture.gradients is not None
    xp = array_namespace(capture.gradients)
    return xp.sum(rectify(capture.gradients * capture.activations[:, None, ...]), axis=2)
