"""The layers of a sweep through the network."""

from collections import Counter
from collections.abc import Sequence
from math import log2

from seewhy.types import LayerInfo


def sweep(infos: Sequence[LayerInfo]) -> list[str]:
    """The last layer to finish at each resolution, from the finest on: what the network sees, stage by stage.

    Lengths that differ by less than a halving, as after a padding, are one resolution: that of most layers counts. What
    has a single position along an axis is left out, and so is what finishes after the default layer.

    >>> ran = [("conv1", (8, 9, 9)), ("block1", (8, 9, 9)), ("pad", (8, 10, 10)), ("block2", (16, 4, 4))]
    >>> sweep([LayerInfo(name, "Conv2d", shape, name == "block2") for name, shape in ran])
    ['block1', 'block2']
    """
    last = next((i for i, info in enumerate(infos) if info.default), len(infos) - 1)
    stages: dict[tuple[int, ...], list[LayerInfo]] = {}
    for info in infos[: last + 1]:
        if min(info.shape[1:]) > 1:
            stages.setdefault(tuple(round(log2(length)) for length in info.shape[1:]), []).append(info)
    found = []
    for stage in stages.values():
        [(most, _)] = Counter(info.shape[1:] for info in stage).most_common(1)
        found.append(next(info for info in reversed(stage) if info.shape[1:] == most))
    place = {info.name: i for i, info in enumerate(infos)}
    return sorted((info.name for info in found), key=place.__getitem__)
