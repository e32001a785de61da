"""Guided backpropagation."""

from seewhy.maps import strongest
from seewhy.types import Capture, Maps, method


@method(paper="Springenberg et al. 2015, fig. 1c, arXiv:1412.6806", at_input=True, guided=True)
def guided_backprop(capture: Capture) -> Maps:
    """Each pixel by its gradient, of which each ReLU on the way back lets only the positive part through.

        R_l = (A_l > 0) (R_{l+1} > 0) R_{l+1}     (fig. 1c, at each ReLU)
        M_ij = max_c |R_0,c,ij|                   (over the channels of the input, as for the gradient)

    Springenberg, Dosovitskiy, Brox, Riedmiller: Striving for Simplicity: The All Convolutional Net, ICLR workshop
    2015. **Its sharp pictures show edges of the photo more than reasons of the model**: they hardly change where the
    weights are drawn anew by chance, the parameter randomisation check that it fails (Adebayo et al. 2018,
    arXiv:1810.03292), and hardly with the target. Use it to see what is visible to the model, not why it decided.

    Takes guided gradients (n, k, c, *s) at the input, returns maps (n, k, *s), at least 0. Raises LayerError where
    the model has no ReLU; of a model that has others too, such as Hardswish, only the ReLUs are guided.

    >>> import numpy as np
    >>> x, G = np.ones((1, 2, 2), "f"), np.asarray([[[[0.5, -1.0], [0.25, 0.0]]]], "f")
    >>> guided_backprop(Capture(x, G, np.ones((1, 1), "f"), None, None, None)).tolist()
    [[[0.5, 1.0]]]
    """
    assert capture.gradients is not None
    return strongest(capture.gradients)
