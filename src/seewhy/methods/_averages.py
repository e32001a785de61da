"""What SmoothGrad and integrated gradients share: a weighed sum of the gradients of many changed images."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from seewhy.masking import images_of, row_bytes, shares
from seewhy.methods._passes import further
from seewhy.stream import rows_within, run
from seewhy.types import Array, Capture, Gradients, Rows

GRAPH = 100
"""What a model keeps for the way back, as a multiple of what goes in: 60 in a ResNet-18, 150 in a ResNet-50."""

Change: TypeAlias = Callable[[Array, npt.NDArray[np.intp], Rows], Array]
"""(images (m, c, *s) or (1, c, *s), step of each row, image of each row) -> changed images (m, c, *s)."""


def summed_gradients(
    capture: Capture, change: Change, weights: Sequence[float] | npt.NDArray[np.float64], *, memory: float, doing: str
) -> Gradients:
    """sum over steps t of w_t * dy/dx at the images as step t changes them: (n, k, c, *s).

    The rows are cut into chunks without a thought for where an image or a step ends, and all targets are asked in each.
    """
    again, X = further(capture), capture.activations
    xp = array_namespace(X)
    n, steps = X.shape[0], len(weights)
    rows = rows_within(memory, row_bytes(X), row_bytes(X) * (GRAPH + capture.scores.shape[1]))

    def work(part: slice) -> Array:
        step, of = np.divmod(np.arange(part.start, part.stop), n)
        slopes = again.gradients(change(images_of(X, of), step, of), of, at_input=True)
        return xp.tensordot(shares(of, n, slopes, np.asarray(weights)[step]), slopes, axes=([1], [0]))

    total = None
    for summed in run(n * steps, rows, work, doing):
        total = summed if total is None else total + summed
    return total
