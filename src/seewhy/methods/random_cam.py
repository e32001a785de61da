"""RandomCAM, the control."""

import numpy as np
from array_api_compat import array_namespace, device

from seewhy.maps import combine
from seewhy.options import check_seed
from seewhy.types import Capture, Maps, method


@method(paper="a control, of no paper", gradients=False, control=True)
def random_cam(capture: Capture, *, seed: int = 0) -> Maps:
    """Each channel weighed by chance, the same for every photo: a control that knows nothing of the target.

        w_c uniform in [-1, 1], drawn from `seed`; L = ReLU(sum_c w_c A_c)

    A method whose maps do no better than these tells nothing. The weights depend on the seed, the place of the
    target among its k, and the channel alone: a photo's map does not depend on what else is in its batch.
    Takes activations (n, c, *s), returns maps (n, k, *s). Raises InputError for a seed that is no whole number of
    0 or more.

    >>> A = np.ones((2, 3, 2, 2), "f")
    >>> maps = random_cam(Capture(A, None, np.ones((2, 1), "f"), None, None, None), seed=7)
    >>> maps.shape, bool((maps[0] == maps[1]).all())
    ((2, 1, 2, 2), True)
    """
    check_seed(seed)
    activations = capture.activations
    (n, k), c = capture.scores.shape, activations.shape[1]
    drawn = np.random.default_rng(seed).uniform(-1, 1, (k, c))
    xp = array_namespace(activations)
    weights = xp.asarray(np.broadcast_to(drawn, (n, k, c)).copy(), dtype=activations.dtype, device=device(activations))
    return combine(weights, activations)
