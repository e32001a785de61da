"""What every method has to beat: a map that knows nothing of the model."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace, device

from seewhy.catalog import NamedMethod, as_method, spelled
from seewhy.compare import Asked, named
from seewhy.types import Capture, Maps, method


def centre(space: Sequence[int]) -> npt.NDArray[np.float64]:
    """1 in the centre of an image of this size, falling in a straight line to 0 in the corners."""
    axes = [(np.arange(length) + 0.5) / length * 2 - 1 for length in space]
    far = sum(np.meshgrid(*[axis**2 for axis in axes], indexing="ij"))
    return np.asarray(1 - np.sqrt(np.asarray(far) / len(axes)))


@method(paper="a control, of no paper", gradients=False, at_input=True, control=True)
def image_centre(capture: Capture) -> Maps:
    """The centre of the image, whatever is in it: 1 there, falling in a straight line to 0 in the corners."""
    images = capture.activations
    n, k = capture.scores.shape
    near = centre(images.shape[2:])
    xp = array_namespace(images)
    maps = np.broadcast_to(near, (n, k, *near.shape)).copy()
    return xp.asarray(maps, dtype=images.dtype, device=device(images))


def with_controls(asked: Sequence[Asked]) -> list[NamedMethod]:
    """The methods that were asked for, and after them the controls that are not among them."""
    centre = NamedMethod("image-centre", image_centre, {}, as_method(image_centre).info)
    if isinstance(asked, list | tuple):  # the centre is no method of the catalogue, but may be asked for by its name
        asked = [centre if isinstance(one, str) and spelled(one) == centre.name else one for one in asked]
    methods = named(asked)
    names = {method.name for method in methods}
    return [*methods, *(control for control in (as_method("random-cam"), centre) if control.name not in names)]
