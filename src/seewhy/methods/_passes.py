"""What methods that need more than one pass share."""

from seewhy.errors import InputError
from seewhy.types import Capture, MorePasses


def further(capture: Capture) -> MorePasses:
    """The further passes of a capture; InputError where it was made by hand and has none."""
    if capture.again is None:
        raise InputError(
            "this method runs the model, or what follows the layer, again, and this Capture cannot: expected one that "
            "seewhy.explain made, or one with again=..., see seewhy.types.MorePasses"
        )
    return capture.again
