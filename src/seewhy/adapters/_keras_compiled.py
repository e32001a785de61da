"""Functions compiled once for a Keras model, and made anew once it is another one."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, ref

import keras

from seewhy.adapters._keras_layers import named_layers

T = TypeVar("T")

tracing = threading.RLock()
"""Held while a model is traced: one at a time, since what a trace sees of the model is wrapped meanwhile."""

_compiled: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()


def once(net: Any, what: object, make: Callable[[], T]) -> T:
    """What `make` made of this model; made anew once the model is another one."""
    key = (what, _fingerprint(net))
    kept = _compiled.setdefault(net, {})
    found: T | None = kept.get(key)
    if found is None:
        with tracing:
            found = kept.get(key)
            if found is None:
                for old in [old for old in kept if old[-1] != key[-1]]:
                    del kept[old]
                found = kept[key] = make()
    return found


def _fingerprint(net: Any) -> tuple[object, ...]:
    """What tells that a model was changed after it was compiled: other layers, another activation, another precision.

    Weights are inputs of what is compiled, but for the statistics of Normalization layers, which are not variables.
    Other attributes of a layer are taken as they were, as Keras itself does.
    """
    return tuple(
        (ref(layer), _activation(layer), str(getattr(layer, "dtype_policy", "")), _statistics(layer))
        for layer in named_layers(net).values()
    )


def _activation(layer: Any) -> object:
    activation: Any = getattr(layer, "activation", None)
    while hasattr(activation, "__wrapped__"):  # another thread may look at it now
        activation = activation.__wrapped__
    return getattr(activation, "__func__", activation)  # a method of the model's own would keep the model


def _statistics(layer: Any) -> object:
    if not isinstance(layer, keras.layers.Normalization):
        return None
    known = (getattr(layer, name, None) for name in ("mean", "variance"))  # none before it is adapted
    return tuple(None if array is None else keras.ops.convert_to_numpy(array).tobytes() for array in known)
