"""The gradient, or saliency map."""

from seewhy.maps import strongest
from seewhy.types import Capture, Maps, method


@method(paper="Simonyan et al. 2014, section 3.1, arXiv:1312.6034", at_input=True)
def gradient(capture: Capture) -> Maps:
    """Each pixel by how steeply the score changes with it, in its steepest channel.

        M_ij = max_c |dy/dx_c,ij|

    Simonyan, Vedaldi, Zisserman: Deep Inside Convolutional Networks: Visualising Image Classification Models and
    Saliency Maps, ICLR workshop 2014. It shows where the score is sensitive, be it for or against the target. Takes
    gradients (n, k, c, *s) at the input, returns maps (n, k, *s), at least 0, in units of the score for one unit of
    the input.

    >>> import numpy as np
    >>> x, G = np.ones((1, 2, 2), "f"), np.asarray([[[[0.5, -1.0], [0.25, 0.0]]]], "f")
    >>> gradient(Capture(x, G, np.ones((1, 1), "f"), None, None, None)).tolist()
    [[[0.5, 1.0]]]
    """
    assert capture.gradients is not None
    return strongest(capture.gradients)
