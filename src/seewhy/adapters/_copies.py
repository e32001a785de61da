"""How much at once, where what follows a layer cannot be run apart and copies of the image go through the model."""

from seewhy.stream import WORKING, WORKING_TAIL


def rows_of_copies(m: int, changed: int, image: int) -> int:
    """How many of m changed outputs of a layer, `changed` bytes each, run at once with an image of `image` bytes each.

    The m rows were reckoned to fit into memory as rows of what follows the layer (see seewhy.stream): as many images
    are taken as need no more than that, and never less than one.

    >>> rows_of_copies(100, changed=64 * 14 * 14 * 4, image=3 * 224 * 224 * 4)
    2
    """
    return max(1, m * changed * (1 + WORKING_TAIL) // (image * (1 + WORKING)))
