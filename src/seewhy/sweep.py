"""The layers of a sweep through the network."""

from collections.abc import Sequence

from seewhy.types import LayerInfo


def sweep(infos: Sequence[LayerInfo]) -> list[str]:
    """The last layer to finish at each resolution, from the finest on: what the network sees, stage by stage.

    What has a single position along an axis is left out, and so is what finishes after the default layer.

    >>> ran = [("conv1", (8, 9, 9)), ("block1", (8, 9, 9)), ("block2", (16, 4, 4)), ("pool", (16, 1, 1))]
    >>> sweep([LayerInfo(name, "Conv2d", shape, name == "block2") for name, shape in ran])
    ['block1', 'block2']
    """
    last = next((i for i, info in enumerate(infos) if info.default), len(infos) - 1)
    found: dict[tuple[int, ...], str] = {}
    for info in infos[: last + 1]:
        if min(info.shape[1:]) > 1:
            found.pop(info.shape[1:], None)  # so that the order is that of the last to finish
            found[info.shape[1:]] = info.name
    return list(found.values())
