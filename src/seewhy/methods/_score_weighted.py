"""What Score-CAM and its kin share: channels as masks of the input, weighed by how far each raises the score."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from seewhy.maps import combine
from seewhy.masking import by_channel, channel_masks, images_of, most_varying, row_bytes, softmax, varying
from seewhy.methods._passes import further, images_at
from seewhy.stream import rows_within, run
from seewhy.types import Array, Capture, Maps

Change: TypeAlias = Callable[[Array, Array, npt.NDArray[np.intp], npt.NDArray[np.intp]], Array]
"""(masks (m, 1, *S), images (m, c, *S) or (1, c, *S), channel of each row, step of each row) -> changed images."""


def score_weighted(
    capture: Capture, change: Change, *, steps: int, channels: int | None, memory: float, doing: str
) -> Maps:
    """L = sum_c w_c A_c, with w the softmax over channels of what masks made of them add to the score of a blank image.

    Every channel is scored in `steps` changed images, whose mean counts. One run of them serves all targets. A channel
    whose activations are the same at all positions has the empty mask, which adds nothing: no pass is made for it.
    Only one chunk of masks is held at a time, whatever the number of channels.
    """
    again, A = further(capture), capture.activations
    images = images_at(capture)
    xp = array_namespace(images)
    (n, c), size = A.shape[:2], images.shape[2:]
    chosen = most_varying(A, channels)
    of, channel = np.nonzero(chosen & varying(A))
    rows = rows_within(memory, row_bytes(images), row_bytes(images[:, :1, ...]))

    def work(part: slice) -> Array:
        row, step = np.divmod(np.arange(part.start, part.stop), steps)
        masks = xp.astype(channel_masks(A, of[row], channel[row], size), images.dtype)
        changed = change(masks, images_of(images, of[row]), channel[row], step)
        return again.scores(changed, of[row])

    baseline = again.scores(xp.zeros_like(images), np.arange(n))  # (n, k)
    scored = xp.concat([baseline[:0, ...], *run(len(of) * steps, rows, work, doing)], axis=0)
    raised = xp.mean(xp.reshape(scored, (len(of), steps, baseline.shape[1])), axis=1) - images_of(baseline, of)
    weights = softmax(by_channel(raised, of, channel, n, c), chosen)
    return combine(xp.astype(weights, A.dtype), A)
