"""The layers of a sweep through the network."""

from collections import Counter
from collections.abc import Sequence
from math import log2

from seewhy.types import LayerInfo


def sweep(infos: Sequence[LayerInfo]) -> list[str]:
    """The last layer to finish at each resolution, from the finest on: what the network sees, stage by stage.

    Lengths nearer to each other than to a halving, as after a padding, are one resolution: that of most layers counts.
    What comes before the first convolution or after the default layer is left out, and so is what has a single position
    along an axis.

    >>> sides = {"rescale": 18, "conv1": 9, "block1": 9, "pad": 10, "block2": 4}
    >>> sweep([LayerInfo(name, name, (8, side, side), name == "block2") for name, side in sides.items()])
    ['block1', 'block2']
    """
    begin = next((i for i, info in enumerate(infos) if "conv" in info.kind.lower()), 0)
    last = next((i for i, info in enumerate(infos) if info.default), len(infos) - 1)
    finest: tuple[int, ...] = ()
    stages: dict[tuple[int, ...], list[LayerInfo]] = {}
    for info in infos[begin : last + 1]:
        if min(info.shape[1:]) > 1:
            finest = finest or info.shape[1:]
            halvings = (log2(most / length) for most, length in zip(finest, info.shape[1:], strict=False))
            stages.setdefault(tuple(map(round, halvings)), []).append(info)
    found = []
    for stage in stages.values():
        shapes = Counter(info.shape[1:] for info in reversed(stage))  # of equally many the last
        [(most, _)] = shapes.most_common(1)
        last_of = next(info for info in reversed(stage) if info.shape[1:] == most)
        found.append(next((info for info in stage if info.default), last_of))
    place = {info.name: i for i, info in enumerate(infos)}
    return sorted((info.name for info in found), key=place.__getitem__)
