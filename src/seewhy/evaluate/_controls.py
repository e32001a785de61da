"""What every method has to beat: a map that knows nothing of the model."""

import numpy as np
from array_api_compat import array_namespace, device

from seewhy.catalog import NamedMethod, as_method
from seewhy.types import Capture, Maps, method

CONTROLS = ("random-cam", "image-centre")


@method(paper="a control, of no paper", gradients=False, at_input=True)
def image_centre(capture: Capture) -> Maps:
    """The centre of the image, whatever is in it: 1 there, falling in a straight line to 0 in the corners."""
    images = capture.activations
    n, k = capture.scores.shape
    axes = [(np.arange(length) + 0.5) / length * 2 - 1 for length in images.shape[2:]]
    far = sum(np.meshgrid(*[axis**2 for axis in axes], indexing="ij"))
    near = 1 - np.sqrt(np.asarray(far) / len(axes))
    xp = array_namespace(images)
    maps = np.broadcast_to(near, (n, k, *near.shape)).copy()
    return xp.asarray(maps, dtype=images.dtype, device=device(images))


def with_controls(methods: list[NamedMethod]) -> list[NamedMethod]:
    """The methods, and after them the controls that are not among them."""
    names = {method.name for method in methods}
    controls = [as_method("random-cam"), NamedMethod("image-centre", image_centre, {}, as_method(image_centre).info)]
    return [*methods, *(control for control in controls if control.name not in names)]
