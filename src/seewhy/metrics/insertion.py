"""Insertion."""

from functools import partial

import numpy as np

from seewhy.errors import InputError
from seewhy.measure import Case, Metric, mean_of, metric
from seewhy.metrics._curve import inserted_area
from seewhy.metrics._variants import Images
from seewhy.options import check_count


@metric(paper="Petsiuk et al. 2018, arXiv:1806.07421", better="higher", passes=224)
def insertion(*, step: int = 224, kernel: int = 11, sigma: float = 5.0) -> Metric:
    """How soon the target becomes probable while the strongest pixels are put into the blurred photo, step by step.

        area under f(blurred X with the first i pixels of X), over i / pixels from 0 to 1, the mean over photos

    Petsiuk, Das, Saenko: RISE: Randomized Input Sampling for Explanation of Black-box Models, BMVC 2018, and the
    authors' code: `step` pixels at a time, one row of a photo of 224 x 224; the photo is blurred by a Gaussian of
    `sigma` in a window of `kernel` pixels along each axis, its tails folded back into the window, with zeros outside
    the photo. The area is taken by the trapezoid rule; the last step is as wide as it has pixels.

    f is the target's probability, so the area is between 0 and 1, and more is better; for a target that is no class it
    is its score. Ties and blank maps are as in deletion. Takes positions on any number of axes. Raises InputError for
    options out of range.

    >>> import numpy as np
    >>> insertion(step=512).compute(np.asarray([1.5, 2.0]))
    0.75
    """
    check_count("step", step)
    check_count("kernel", kernel)
    if kernel % 2 == 0:
        raise InputError(f"expected kernel= as an odd number of pixels, which has a centre, got {kernel}")
    if isinstance(sigma, bool) or not isinstance(sigma, int | float) or not 0 < sigma < float("inf"):
        raise InputError(f"expected sigma= as a number of pixels above 0, got {sigma!r}")
    return mean_of(partial(_area, step, kernel, sigma))


def _area(step: int, kernel: int, sigma: float, case: Case) -> float:
    return inserted_area(case, blurred(case.image, kernel, sigma), step)


def blurred(image: Images, kernel: int, sigma: float) -> Images:
    """The image (c, *s) blurred along its spatial axes."""
    from scipy.ndimage import convolve1d, gaussian_filter1d  # here, so that `import seewhy` stays quick

    weights = gaussian_filter1d((np.arange(kernel) == kernel // 2).astype(np.float64), sigma)
    for axis in range(1, image.ndim):
        image = convolve1d(image, weights, axis=axis, mode="constant")
    return image
