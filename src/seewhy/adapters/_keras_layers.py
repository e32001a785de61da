"""The layers of a Keras model by name, how their outputs lie, and the search for the one to explain."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import keras

from seewhy.adapters._keras_taps import tapped
from seewhy.adapters._layout import spatial
from seewhy.adapters._search import Search
from seewhy.errors import InputError, LayerError, OutputError, unknown
from seewhy.outputs import as_fields, class_scores, is_array
from seewhy.types import LayerInfo

CONVOLUTIONS = tuple(
    getattr(keras.layers, f"{kind}{axes}D{more}")
    for axes in (1, 2, 3)
    for kind, more in (("Conv", ""), ("Conv", "Transpose"), ("DepthwiseConv", ""), ("SeparableConv", ""))
    if hasattr(keras.layers, f"{kind}{axes}D{more}")
)
MATMULS = (keras.layers.Dense, keras.layers.EinsumDense)
ATTENTION = (
    keras.layers.MultiHeadAttention,
    keras.layers.GroupQueryAttention,
    keras.layers.Attention,
    keras.layers.AdditiveAttention,
)


def named_layers(net: Any) -> dict[str, Any]:
    """Every layer, and every operation of a functional model such as `x + y`, by its path: `outer/inner`.

    One that is shared goes by the first path that leads to it. Layers side by side that have one name are numbered, as
    a subclassed model can have them: `conv#1`, `conv#2`.
    """
    return dict(_walk(net, "", {id(net)}))


def _walk(part: Any, prefix: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    children = [child for child in _children(part) if not isinstance(child, keras.layers.InputLayer)]
    named: dict[str, list[Any]] = {}
    for child in children:
        named.setdefault(child.name, []).append(child)
    for child in children:
        if id(child) in seen:
            continue
        seen.add(id(child))
        alike = named[child.name]
        number = f"#{1 + next(i for i, other in enumerate(alike) if other is child)}" if len(alike) > 1 else ""
        name = f"{prefix}{child.name}{number}"
        yield name, child
        yield from _walk(child, f"{name}/", seen)


def _children(part: Any) -> Sequence[Any]:
    if isinstance(part, keras.Function):  # functional models: operations are parts of them too
        return list(part.operations)
    if isinstance(part, keras.layers.Layer):
        # the layers of a composite layer have no public list, those of a model have (`layers`), and this is both
        return list(part._flatten_layers(recursive=False, include_self=False))
    return []


def find_layer(net: Any, layer: object) -> tuple[str, Any]:
    """The layer of this name or path, or the path of this layer; UnknownNameError with the nearest names."""
    named = named_layers(net)
    if not isinstance(layer, str):
        found = next(((name, own) for name, own in named.items() if own is layer), None)
        if found is None:
            kind = type(layer).__name__
            known = isinstance(layer, keras.Operation)
            raise LayerError(
                (f"this {kind} is not a layer of the model" if known else f"expected a layer or its name, got a {kind}")
                + ": pass one of the model's own layers, such as model.get_layer(NAME)"
            )
        return found
    if layer in named:
        return layer, named[layer]
    inner = [name for name in named if f"/{name}".partition("#")[0].endswith(f"/{layer}")] if layer else []
    if len(inner) > 1:
        raise LayerError(f"{len(inner)} layers are called {layer!r}: give one of the paths {', '.join(inner)}")
    if not inner:
        raise unknown("layer", layer, named, "(seewhy.layers(model, images) lists them)")
    return inner[0], named[inner[0]]


def check(net: Any) -> None:
    """Raise InputError for a model that cannot be explained as it is."""
    if not isinstance(net, keras.layers.Layer):
        raise InputError(f"expected a keras.Model, got {type(net).__name__}")
    if not net.built:
        raise InputError(
            f"the model {net.name!r} is not built yet, so it has no weights to explain: call it once on a batch, or "
            "begin it with keras.Input(shape=...), and load or train its weights"
        )


# ---- layout ----------------------------------------------------------------------------------------------


def channels_last(net: Any) -> dict[str, bool]:
    """For every layer by name: are its outputs (n, *s, c)? Under "", the same of the model's inputs.

    As the layer itself says; else as the nearest one before it does; else as Keras is set.
    """
    named = named_layers(net)
    own = [getattr(layer, "data_format", None) for layer in named.values()]
    latest = next(filter(None, own), keras.config.image_data_format())
    formats = {"": _input_format(net, latest)}
    for name, said in zip(named, own, strict=True):
        latest = said or latest
        formats[name] = latest
        for outer in _containers(name):  # what a nested model hands on was made by its last layer
            formats[outer] = latest
    return {name: found != "channels_first" for name, found in formats.items()}


def _input_format(net: Any, first: str) -> str:
    """How the model's images lie, if its first layers say `first`: a model may turn its input before them."""
    inputs: Any = getattr(net, "inputs", None) or ()
    if len(inputs) == 1 and len(inputs[0].shape) == 4:
        _, front, _, back = inputs[0].shape
        here, there = (front, back) if first == "channels_first" else (back, front)
        if here not in (1, 3) and there in (1, 3):
            return "channels_last" if first == "channels_first" else "channels_first"
    return first


def _containers(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:i]) for i in range(1, len(parts))]


# ---- search ----------------------------------------------------------------------------------------------


def layers(net: Any, run: Callable[[Callable[[], None]], Any], n: int, space: tuple[int, ...]) -> list[LayerInfo]:
    """Every layer with spatial axes that ran, in the order in which they finished; one is marked as the default.

    `space` holds the spatial axes of the input. Where no convolution ran none is marked.
    """
    searches = [Search()]
    named = named_layers(net)
    # attention has layers of its own, whose heads would read as a spatial axis
    inner = tuple(f"{name}/" for name, layer in named.items() if isinstance(layer, ATTENTION))
    named = {name: layer for name, layer in named.items() if not name.startswith(inner)}
    lasts = channels_last(net)

    def restart() -> None:  # for a backend that has to run the model in another way
        searches[:] = [Search()]

    def finish(name: str, layer: Any, output: Any) -> None:
        [search] = searches
        if isinstance(layer, MATMULS):
            search.matmul()
        if isinstance(layer, ATTENTION):
            search.attention()
        try:
            _, array = spatial(output, space)
        except LayerError:
            return
        if array.shape[0] not in (n, None):
            return
        axes = tuple(array.shape[1:])
        shape = (axes[-1], *axes[:-1]) if lasts[name] else axes
        if isinstance(layer, CONVOLUTIONS):
            search.convolution(shape[0], shape[1:])
        search.finish(name, type(layer).__name__, shape, array)

    with tapped({layer: partial(finish, name, layer) for name, layer in named.items()}):
        outputs = run(restart)
    [search] = searches
    chosen = search.chosen(_class_count(outputs, lasts[""]))
    return search.infos(chosen[0] if chosen else None)


def _class_count(outputs: Any, last: bool) -> int | None:
    """How many classes the outputs have, one score each or, as in segmentation, a map each."""
    try:
        return int(class_scores(outputs).shape[1])
    except OutputError:
        parts = [outputs] if is_array(outputs) else list((as_fields(outputs) or {}).values())
        shapes = [part.shape for part in parts if is_array(part) and len(part.shape) > 2]
        return int(shapes[0][-1 if last else 1]) if shapes else None
