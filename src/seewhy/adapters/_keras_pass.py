"""What the backends share: one pass, what it leaves, and functions compiled once for a model."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, ref

import keras
import numpy as np
import numpy.typing as npt

from seewhy.adapters._checks import check_classes, check_count, did_not_run
from seewhy.adapters._keras_layers import named_layers
from seewhy.adapters._keras_taps import tapped
from seewhy.adapters._layout import spatial
from seewhy.errors import LayerError, OutputError
from seewhy.outputs import as_fields, class_scores, map_arrays, with_fields

T = TypeVar("T")


@dataclass(frozen=True)
class Pass:
    """A model that is ready to run on its inputs, and what is wanted of it."""

    net: Any
    layer: Any
    name: str
    inputs: Any
    n: int
    space: tuple[int, ...]
    """The spatial axes of the inputs."""
    channels_last: bool
    """Is the layer's output (n, *s, c)?"""
    gradients: bool
    logit: bool


def call(net: Any, inputs: Any, weights: Iterable[tuple[Any, Any]] = ()) -> Any:
    """The outputs of the model in inference, with other values for some of its variables.

    What else a call leaves in a model is dropped: a changed state, the losses of regularizers (which in a graph are
    symbols that belong to no one else).
    """
    with keras.StatelessScope(list(weights)):
        outputs = net(inputs, training=False)
    if isinstance(outputs, dict) and isinstance(net, keras.Function):
        return {key: outputs[key] for key in net.output}  # PyTorch sorts them
    return outputs


# ---- the layer -------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """The map in the layer's output, each time it ran in one pass; the last counts.

    Runs without spatial axes do not count: an activation that a model shares may run after the pooling too.
    """

    name: str
    layer: Any
    space: tuple[int, ...]
    follow: Callable[[Any, int], Any]
    """(map, run) -> what goes on into the model in its place, with the gradient to be taken there."""
    runs: int = 0
    activations: Any = None
    problem: LayerError | None = None

    def __call__(self, output: Any) -> Any:
        try:
            key, array = spatial(output, self.space)
        except LayerError as problem:
            self.problem = problem
            return None
        self.runs += 1
        following = self.activations = self.follow(array, self.runs)
        return following if key is None else with_fields(output, {**(as_fields(output) or {}), key: following})

    def found(self) -> Any:
        """The map of the last run; LayerError where there is none."""
        if self.activations is None:
            raise did_not_run(self.name, self.layer, self.problem)
        return self.activations


@contextmanager
def watch(seen: Seen) -> Iterator[Seen]:
    with tapped({seen.layer: seen}):
        yield seen


# ---- outputs ---------------------------------------------------------------------------------------------


def flatten(outputs: Any) -> list[Any]:
    """All arrays in a model's outputs, in order."""
    found: list[Any] = []

    def note(array: Any) -> Any:
        found.append(array)
        return array

    map_arrays(outputs, note)
    return found


def pack(structure: Any, arrays: Sequence[Any]) -> Any:
    """Arrays in the structure that `flatten` took apart."""
    following = iter(arrays)
    return map_arrays(structure, lambda _: next(following))


def class_values(outputs: Any, activations: tuple[int, ...], n: int) -> npt.NDArray[np.float32] | None:
    """The class scores as NumPy, found fit to be explained; None where the outputs hold none."""
    try:
        values = np.asarray(class_scores(outputs), np.float32)
    except OutputError:
        values = None
    check_count(n, activations, values)
    check_classes(values)
    return values


# ---- compiled once ---------------------------------------------------------------------------------------

tracing = threading.RLock()
"""Held while a model is traced: one at a time, since what a trace sees of the model is wrapped meanwhile."""

_compiled: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()


def compiled(this: Pass, signature: object, make: Callable[[], T]) -> T:
    """What `make` compiled for this model, layer and signature; made anew once the model is another one.

    What is compiled has to refer to the model weakly, or neither would ever be freed.
    """
    return once(this.net, (ref(this.layer), this.gradients, this.logit, signature), make)


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


def form(inputs: Any) -> tuple[object, ...]:
    """What tells inputs of another structure, such as a dict whose keys come in another order."""
    return (type(inputs).__name__, *(inputs if isinstance(inputs, Mapping) else ()))


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
    activation = getattr(layer, "activation", None)
    return getattr(activation, "__func__", activation)  # a method of the model's own would keep the model


def _statistics(layer: Any) -> object:
    if not isinstance(layer, keras.layers.Normalization):
        return None
    known = (getattr(layer, name, None) for name in ("mean", "variance"))  # none before it is adapted
    return tuple(None if array is None else keras.ops.convert_to_numpy(array).tobytes() for array in known)
