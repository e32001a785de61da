"""LayerCAM."""

from seewhy.maps import combine, rectify
from seewhy.types import Capture, Maps, method


@method(paper="Jiang et al. 2021, eq. 5 to 7, doi:10.1109/TIP.2021.3089943")
def layer_cam(capture: Capture) -> Maps:
    """Each channel weighed by its positive gradient at every position: fine maps from early layers too.

        w_c,ij = ReLU(dy/dA_c,ij)          (eq. 5)
        L = ReLU(sum_c w_c * A_c)          (eq. 6 and 7; the ReLU follows for all methods alike)

    Jiang, Zhang, Hou, Cheng, Wei: LayerCAM: Exploring Hierarchical Class Activation Maps for Localization,
    IEEE Transactions on Image Processing 30, 2021. Takes activations (n, c, *s) and gradients (n, k, c, *s),
    returns maps (n, k, *s) in units of the score.

    >>> import numpy as np
    >>> A, G = np.ones((1, 1, 2), "f"), np.asarray([[[[0.5, -1.0]]]], "f")
    >>> layer_cam(Capture(A, G, np.ones((1, 1), "f"), None, None, None)).tolist()
    [[[0.5, 0.0]]]
    """
    assert capture.gradients is not None
    return combine(rectify(capture.gradients), capture.activations)
