"""RISE."""

from collections.abc import Sequence

import numpy as np
from array_api_compat import array_namespace

from seewhy.errors import InputError
from seewhy.masking import cell_length, images_of, row_bytes, settle, shares, shifted
from seewhy.methods._passes import further
from seewhy.options import check_count, check_seed, number, per_axis
from seewhy.stream import MEMORY, rows_within, run
from seewhy.types import Array, Capture, Maps, method


@method(paper="Petsiuk et al. 2018, eq. 6, arXiv:1806.07421", gradients=False, cost="many passes", at_input=True)
def rise(
    capture: Capture,
    *,
    masks: int = 4000,
    cells: int | Sequence[int] = 7,
    p: float = 0.5,
    seed: int = 0,
    centred: bool = True,
    memory: float = MEMORY,
) -> Maps:
    """The mean score of the images in which a pixel is seen, over many random masks.

        L_p = 1 / (N E[M]) sum over i of f(X * M_i) M_i,p                    (eq. 6)
        L_p = 1 / (N E[M]) sum over i of (f(X * M_i) - mean f) M_i,p         centred, as it is unless told

    Petsiuk, Das, Saenko: RISE: Randomized Input Sampling for Explanation of Black-box Models, BMVC 2018; 4000 masks
    of 7 x 7 cells, each seen by chance p = E[M] = 0.5, are theirs. A mask is a grid of cells, laid on a little more
    than the image, bilinear, and shifted by chance within one cell. The mean score that is taken off adds about the
    same number at every pixel, which tells of no place: without it the sign says whether seeing the pixel raises the
    score.

    The masks depend on the seed alone: a photo's map depends neither on its batch nor on how the work is cut into
    chunks. `cells` is one number or one for each axis; where an axis has fewer pixels, each is a cell.

    `masks` passes for each image; they serve all targets. `memory` as in occlusion.

    Takes images (n, c, *s), returns maps (n, k, *s) in units of the score. Raises InputError for options out of range.

    >>> import seewhy, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.LazyLinear(2))
    >>> tuple(seewhy.explain(net, torch.rand(5, 3, 8, 8), 1, method="rise", masks=50, cells=4).maps.shape)
    (5, 1, 8, 8)
    """
    check_count("masks", masks)
    check_seed(seed)
    chance = number("p", p, "a chance between 0 and 1", above=0, below=1)
    if not isinstance(centred, bool):
        raise InputError(f"expected centred=True or False, got {centred!r}")
    again, X = further(capture), capture.activations
    xp = array_namespace(X)
    n, _, *s = X.shape
    k = capture.scores.shape[1]
    grid = [min(count, length) for count, length in zip(per_axis("cells", cells, len(s)), s, strict=True)]
    random = np.random.default_rng(seed)
    grids = random.random((masks, *grid)) < chance
    most = [cell_length(length, count) for length, count in zip(s, grid, strict=True)]
    shifts = random.integers(0, most, (masks, len(s)), endpoint=True)
    rows = rows_within(memory, row_bytes(X), row_bytes(X[:, :1, ...]))

    def work(part: slice) -> tuple[Array, Array, Array]:
        number, of = np.divmod(np.arange(part.start, part.stop), n)
        drawn = shifted(grids[number], shifts[number], s, X)
        whole = images_of(capture.scores, of)
        raised = settle(again.scores(drawn * images_of(X, of), of) - whole, whole)  # (m, k); sums of it round less
        mine = shares(of, n, X)  # (n, m)
        each = mine[:, None, :] * xp.permute_dims(xp.astype(raised, X.dtype), (1, 0))[None, ...]
        each = xp.reshape(each, (n * k, len(of)))
        flat = xp.reshape(drawn, (len(of), -1))
        return xp.matmul(each, flat), xp.matmul(mine[:1, :], flat), xp.sum(each, axis=1, keepdims=True)

    weighed, seen, total = 0.0, 0.0, 0.0  # (n * k, pixels), (1, pixels), (n * k, 1)
    for parts in run(masks * n, rows, work, "RISE"):
        weighed, seen, total = weighed + parts[0], seen + parts[1], total + parts[2]
    whole = xp.reshape(xp.astype(capture.scores, X.dtype), (n * k, 1))
    maps = weighed - total / masks * seen if centred else weighed + whole * seen
    return xp.reshape(maps / (masks * chance), (n, k, *s))
