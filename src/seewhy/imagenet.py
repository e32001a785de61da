"""ImageNet-1k: the names of its classes."""

from functools import cache
from importlib import resources


@cache
def imagenet_labels() -> tuple[str, ...]:
    """The names of the 1000 ImageNet-1k classes, short, and each one different.

    >>> imagenet_labels()[386]
    'African elephant'
    """
    text = resources.files("seewhy").joinpath("imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())
