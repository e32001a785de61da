"""What methods that need more than one pass share."""

from typing import Any

from seewhy.errors import InputError, LayerError
from seewhy.types import Array, Capture


def further(capture: Capture) -> Any:
    """The further passes of a capture: a MorePasses, or in examples as much of one as a method needs.

    Raises InputError for a Capture that was made by hand and has none.
    """
    if capture.again is None:
        raise InputError(
            "this method runs the model, or what follows the layer, again, and this Capture cannot: expected one that "
            "seewhy.explain made, or one with again=..., see seewhy.types.MorePasses"
        )
    return capture.again


def images_at(capture: Capture) -> Array:
    """The images (n, c, *s), of a model whose layer has as many spatial axes, so that its maps can be laid on them.

    Raises LayerError where it has others, such as the spectrogram of a signal.
    """
    images, axes = further(capture).images, capture.activations.ndim - 2
    if images.ndim - 2 != axes:
        raise LayerError(
            f"the layer has {axes} spatial axes and the input {images.ndim - 2}, so that its maps cannot be laid on "
            "the input, which this method does: choose another layer, or a method that looks at the layer alone, such "
            "as grad-cam"
        )
    return images
