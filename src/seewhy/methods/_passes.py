"""What methods that need more than one pass share."""

from typing import Any

from seewhy.errors import InputError
from seewhy.types import Capture


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
