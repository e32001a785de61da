"""Maps of several layers as one."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

from array_api_compat import array_namespace

from seewhy.errors import InputError, unknown
from seewhy.maps import rectify, upsample
from seewhy.types import Array

WAYS = ("max", "mean", "product")


def check_fuse(fuse: str | None, signed: bool, several: bool) -> str | None:
    """The way, once it is known to make sense."""
    if fuse is not None and not several:
        raise InputError("fuse= makes one map of several layers: give them, layer=[...] or layer='all'")
    if fuse is not None and signed:
        raise InputError("signed maps are not fused, since each is scaled to 0 to 1 first: leave out signed or fuse")
    if fuse is not None and fuse not in WAYS:
        raise unknown("way to fuse layers", fuse, WAYS)
    return fuse


def fuse_maps(maps: Sequence[Array], fuse: str) -> Array:
    """Maps (n, k, *s) of several layers on the finest of their grids: the largest value, the mean or the product.

    Layers differ in their units, so each map is rectified, laid on that grid and divided by its highest value before
    they meet: the result goes from 0 to 1 and has no unit. LayerCAM (Jiang et al. 2021) fuses by "max" too, but scales
    shallow layers by a tanh as well.
    """
    space = [max(lengths) for lengths in zip(*(m.shape[2:] for m in maps), strict=True)]
    scaled = [_to_one(upsample(rectify(m), space)) for m in maps]
    xp = array_namespace(*scaled)
    if fuse == "max":
        return reduce(xp.maximum, scaled)
    if fuse == "mean":
        total: Any = sum(scaled)
        return total / len(scaled)
    return reduce(xp.multiply, scaled)


def _to_one(maps: Array) -> Array:
    xp = array_namespace(maps)
    peak = xp.max(maps, axis=tuple(range(2, maps.ndim)), keepdims=True)
    return xp.where(peak > 0, maps / xp.where(peak > 0, peak, xp.ones_like(peak)), xp.zeros_like(maps))
