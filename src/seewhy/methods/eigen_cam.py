"""Eigen-CAM."""

from array_api_compat import array_namespace

from seewhy.maps import for_every_target
from seewhy.methods._eigen import first_component, pointed
from seewhy.types import Capture, Maps, method


@method(paper="Muhammad and Yeasin 2020, arXiv:2008.00299", gradients=False)
def eigen_cam(capture: Capture) -> Maps:
    """The activations projected on their first principal component: where most happens at the layer.

        O = U S V^T          (O: one row for each position, one column for each channel)
        L = ReLU(O v_1)      (v_1: the first right singular vector; the ReLU follows for all methods alike)

    It looks at no class: the maps of all targets are the same. Singular vectors have no sign of their own; here the
    projection has the sign for which its positions add up to more than zero. As in the paper the activations are not
    centred; pytorch-grad-cam centres them, and leaves the sign to chance. Where the projection is the same everywhere
    it tells no position from another, and the map is blank.

    Muhammad, Yeasin: Eigen-CAM: Class Activation Map using Principal Components, IJCNN 2020. Takes activations
    (n, c, *s), returns maps (n, k, *s) in units of the activations.

    Raises OutputError where the activations hold NaN or infinite values.

    >>> import numpy as np
    >>> A = np.asarray([[[0, 3, 0], [0, 4, 0]]], "f")
    >>> eigen_cam(Capture(A, None, np.ones((1, 1), "f"), None, None, None)).round().astype(int).tolist()
    [[[0, 5, 0]]]
    """
    activations = capture.activations
    xp = array_namespace(activations)
    n, c, *s = activations.shape
    projection, _ = first_component(xp.matrix_transpose(xp.reshape(activations, (n, c, -1))))
    projection = pointed(projection, xp.sum(projection, axis=1))
    high, low = xp.max(projection, axis=1, keepdims=True), xp.min(projection, axis=1, keepdims=True)
    varies = high - low > 64 * xp.finfo(projection.dtype).eps * high  # less is rounding
    maps = xp.where(varies, projection, xp.zeros_like(projection))
    return for_every_target(xp.reshape(maps, (n, *s)), capture.scores.shape[1])
