"""HiResCAM."""

from seewhy.maps import combine
from seewhy.types import Capture, Maps, method


@method(paper="Draelos and Carin 2020, eq. 3, arXiv:2011.08891")
def hires_cam(capture: Capture) -> Maps:
    """Each channel weighed by its gradient at every position: no averaging, so no evidence is moved.

        L = sum_c dy/dA_c * A_c     (elementwise)

    Draelos, Carin: Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks,
    2020. Where one linear layer follows the activations, the positions of L add up to the score less its bias.
    Takes activations (n, c, *s) and gradients (n, k, c, *s), returns maps (n, k, *s) in units of the score.

    >>> import numpy as np
    >>> A, G = np.ones((1, 1, 2), "f"), np.asarray([[[[0.5, -1.0]]]], "f")
    >>> hires_cam(Capture(A, G, np.ones((1, 1), "f"), None, None, None)).tolist()
    [[[0.5, -1.0]]]
    """
    assert capture.gradients is not None
    return combine(capture.gradients, capture.activations)
