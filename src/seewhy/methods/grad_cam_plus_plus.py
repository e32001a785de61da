"""Grad-CAM++."""

from math import prod

import numpy as np
from array_api_compat import array_namespace

from seewhy.errors import InputError, LayerError
from seewhy.maps import combine, rectify
from seewhy.masking import row_bytes, take
from seewhy.methods._passes import further
from seewhy.methods._plus_plus import alphas, largest, weights
from seewhy.stream import MEMORY, rows_within, run
from seewhy.types import Array, Capture, Gradients, Maps, method

THIRD = 40
"""What PyTorch keeps for three derivatives of what follows a layer, as a multiple of what goes in: 55 from the second
stage of a ResNet-18 on, 40 from the third, 4 from the last."""


@method(paper="Chattopadhay et al. 2018, eq. 10, 11 and 19, arXiv:1710.11063")
def grad_cam_plus_plus(capture: Capture, *, form: str = "exp", memory: float = MEMORY) -> Maps:
    """Each channel weighed by its positive gradients, those at few positions more: several objects of one class.

        w_c = sum_ij alpha_c,ij ReLU(dY/dA_c,ij)                                                       (eq. 11)
        alpha = d2Y/dA^2 / (2 d2Y/dA^2 + sum_ab A_c,ab d3Y/dA^3)      at each position ij             (eq. 10)
        L = ReLU(sum_c w_c A_c)                                       (the ReLU follows for all methods alike)

    form="exp", the paper's shortcut: Y = exp(S), where S is the score that is explained, and what follows the layer is
    taken to be piecewise linear in it. Then the derivatives of Y are exp(S) g, exp(S) g^2 and exp(S) g^3 with
    g = dS/dA, and alpha = g^2 / (2 g^2 + sum_ab A_c,ab g^3) (eq. 19). The factor exp(S), one positive number for a
    whole map, is left out: it would overflow, and it changes no picture. In the paper the activations follow a ReLU;
    where those of a channel add up to less than zero, alpha can be negative, and the position counts for nothing.

    form="general": Y is the score that is explained itself, and its second and third derivatives are computed, one
    activation at a time: thousands of runs of what follows the layer. For score="output" and for nets with smooth
    activations; the logits of a piecewise linear tail have no such derivatives, alpha is 0/0, and LayerError says so.
    `memory`: MiB that a chunk of these runs, and what the model is reckoned to hold for them, may take.

    Where alpha is undefined a position counts for nothing. Chattopadhay, Sarkar, Howlader, Balasubramanian:
    Grad-CAM++: Improved Visual Explanations for Deep Convolutional Networks, WACV 2018. Takes activations (n, c, *s)
    and gradients (n, k, c, *s), returns maps (n, k, *s) in units of the score.

    Raises InputError for another form and for a `memory` too small, LayerError where the general form is 0/0.

    >>> import numpy as np
    >>> A, G = np.ones((1, 1, 2), "f"), np.asarray([[[[1.0, -1.0]]]], "f")
    >>> grad_cam_plus_plus(Capture(A, G, np.ones((1, 1), "f"), None, None, None)).tolist()
    [[[0.25, 0.25]]]
    """
    if form not in ("exp", "general"):
        raise InputError(f"expected form='exp' (the paper's shortcut) or form='general', got {form!r}")
    assert capture.gradients is not None
    gradients, activations = capture.gradients, capture.activations
    if form == "exp":
        unit = largest(gradients)[(..., *[None] * (gradients.ndim - 2))]
        squares = (gradients / unit) ** 2
        weighing = rectify(alphas(squares, squares * gradients, activations))
    else:
        second, third = _derivatives(capture, memory)
        xp = array_namespace(second)
        if not xp.any(second != 0) and xp.any(gradients != 0):
            raise LayerError(
                "the general form of Grad-CAM++ needs second derivatives of the score, and here they are all zero: "
                "what follows the layer is piecewise linear; use form='exp', or score='output' where that is a "
                "probability"
            )
        weighing = alphas(second, third, activations)
    return combine(weights(weighing, gradients), activations)


def _derivatives(capture: Capture, memory: float) -> tuple[Gradients, Gradients]:
    """The second and third derivative of the scores by each activation alone."""
    again, A = further(capture), capture.activations
    xp = array_namespace(A)
    (n, k), size = capture.scores.shape, prod(A.shape[1:])
    rows = rows_within(memory, row_bytes(A), working=THIRD)

    def work(part: slice) -> tuple[Array, Array]:
        of, element = np.divmod(np.arange(part.start, part.stop), size)
        found: tuple[Array, Array] = again.diagonals(take(A, of), of, element)
        return found

    parts = zip(*run(n * size, rows, work, "Grad-CAM++"), strict=True)
    orders = (xp.reshape(xp.concat(list(order), axis=0), (n, size, k)) for order in parts)
    second, third = (xp.reshape(xp.permute_dims(order, (0, 2, 1)), (n, k, *A.shape[1:])) for order in orders)
    return second, third
