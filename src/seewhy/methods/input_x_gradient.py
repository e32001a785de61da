"""Input times gradient."""

from seewhy.maps import combine
from seewhy.types import Capture, Maps, method


@method(paper="Shrikumar et al. 2016, arXiv:1605.01713", at_input=True)
def input_x_gradient(capture: Capture) -> Maps:
    """Each pixel by what it adds to the score, were the score linear: its value times its gradient.

        M = sum_c x_c * dy/dx_c     (elementwise)

    Shrikumar, Greenside, Shcherbina, Kundaje: Not Just a Black Box: Learning Important Features Through Propagating
    Activation Differences, 2016, where it is what the authors compare with. For a net of ReLUs without biases the
    positions of M add up to the score. Takes images (n, c, *s) and gradients (n, k, c, *s), returns maps (n, k, *s) in
    units of the score; a pixel whose values are 0 after the preprocess has no evidence, whatever its gradient.

    >>> import numpy as np
    >>> x, G = np.ones((1, 1, 2), "f"), np.asarray([[[[0.5, -1.0]]]], "f")
    >>> input_x_gradient(Capture(x, G, np.ones((1, 1), "f"), None, None, None)).tolist()
    [[[0.5, -1.0]]]
    """
    assert capture.gradients is not None
    return combine(capture.gradients, capture.activations)
