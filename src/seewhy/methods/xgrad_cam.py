"""XGrad-CAM."""

from array_api_compat import array_namespace

from seewhy.maps import combine
from seewhy.types import Capture, Maps, method


@method(paper="Fu et al. 2020, section 3.2, arXiv:2008.02312")
def xgrad_cam(capture: Capture) -> Maps:
    """Each channel weighed by the mean of its gradient, positions counted by their share of the channel's activation.

        w_c = sum_ij (A_c,ij / sum_ab A_c,ab) * dy/dA_c,ij
        L = ReLU(sum_c w_c A_c)            (the ReLU follows for all methods alike)

    Fu, Hu, Dong, Guo, Gao, Li: Axiom-based Grad-CAM: Towards Accurate Visualization and Explanation of CNNs, BMVC
    2020. The positions of L add up to those of gradient * activation, channel by channel. A channel whose
    activations add up to nothing has no such shares, and counts for nothing. Takes activations (n, c, *s) and
    gradients (n, k, c, *s), returns maps (n, k, *s) in units of the score.

    >>> import numpy as np
    >>> A, G = np.asarray([[[1, 3]]], "f"), np.asarray([[[[4.0, 8.0]]]], "f")
    >>> xgrad_cam(Capture(A, G, np.ones((1, 1), "f"), None, None, None)).tolist()
    [[[7.0, 21.0]]]
    """
    assert capture.gradients is not None
    xp = array_namespace(capture.activations)
    axes = tuple(range(2, capture.activations.ndim))
    total = xp.sum(capture.activations, axis=axes)  # (n, c)
    size = xp.sum(abs(capture.activations), axis=axes)
    some = abs(total) > size * xp.finfo(total.dtype).eps * 4  # less is what rounding left of values that cancel
    share = xp.where(some, 1 / xp.where(some, total, xp.ones_like(total)), xp.zeros_like(total))
    weighed = capture.gradients * capture.activations[:, None, ...]
    return combine(xp.sum(weighed, axis=tuple(a + 1 for a in axes)) * share[:, None, :], capture.activations)
