"""EigenGrad-CAM."""

from array_api_compat import array_namespace

from seewhy.methods._eigen import first_component, pointed
from seewhy.types import Capture, Maps, method


@method(paper="of no paper, as EigenGradCAM of pytorch-grad-cam; after Muhammad and Yeasin 2020, arXiv:2008.00299")
def eigen_grad_cam(capture: Capture) -> Maps:
    """Gradient times activation, projected on its first principal component: Eigen-CAM that knows the class.

        M = dy/dA * A          (one row for each position, one column for each channel)
        L = ReLU(M v_1)        (v_1: the first right singular vector; the ReLU follows for all methods alike)

    Singular vectors have no sign of their own. The columns of M all say what speaks for the score; here v_1 has the
    sign for which its entries add up to more than zero, which is the sign for which L goes with the evidence at each
    position, sum_c M_c. So evidence against the score alone gives a blank map. pytorch-grad-cam centres M, which leaves
    the sign to chance. Takes activations (n, c, *s) and gradients (n, k, c, *s), returns maps (n, k, *s) in units of
    the score.

    Raises OutputError where activations or gradients hold NaN or infinite values.

    >>> import numpy as np
    >>> A, G = np.ones((1, 2, 2), "f"), np.asarray([[[[3.0, 0.0], [4.0, 0.0]]]], "f")
    >>> eigen_grad_cam(Capture(A, G, np.ones((1, 1), "f"), None, None, None)).round().astype(int).tolist()
    [[[5, 0]]]
    """
    assert capture.gradients is not None
    xp = array_namespace(capture.gradients)
    n, k, c, *s = capture.gradients.shape
    evidence = xp.reshape(capture.gradients * capture.activations[:, None, ...], (n * k, c, -1))
    projection, vector = first_component(xp.matrix_transpose(evidence))
    return xp.reshape(pointed(projection, xp.sum(vector, axis=1)), (n, k, *s))
