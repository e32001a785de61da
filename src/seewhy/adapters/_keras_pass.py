"""What the backends share: one pass, what is seen in it, and what it leaves."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, TypeVar
from weakref import ref

import keras
import numpy as np
import numpy.typing as npt

from seewhy.adapters._checks import check_classes, check_count, did_not_run
from seewhy.adapters._keras_compiled import once
from seewhy.adapters._keras_inputs import Batch, precision
from seewhy.adapters._keras_taps import tapped
from seewhy.adapters._layout import spatial
from seewhy.errors import LayerError, OutputError
from seewhy.outputs import as_fields, class_scores, map_arrays, with_fields
from seewhy.types import INPUT, Rows

T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """Where a pass is looked at: a layer, or the first image input."""

    name: str
    layer: Any
    """A layer, or INPUT."""
    channels_last: bool
    """Is it (n, *s, c) there?"""

    @property
    def key(self) -> Any:
        """What stands for the layer in what is compiled, which must not hold it."""
        return INPUT if self.is_input else ref(self.layer)

    @property
    def is_input(self) -> bool:
        return isinstance(self.layer, str)


@dataclass(frozen=True)
class Pass:
    """A model that is ready to run on its inputs, and what is wanted of it."""

    net: Any
    places: tuple[Place, ...]
    batch: Batch
    n: int
    gradients: bool
    logit: bool
    guided: bool = False
    """Do gradients go back through a ReLU only where they are positive?"""

    @property
    def space(self) -> tuple[int, ...]:
        """The spatial axes of the inputs."""
        return self.batch.space

    @property
    def image_bytes(self) -> int:
        """Bytes of one image in float32, as which it is reckoned."""
        return 4 * int(math.prod(self.batch.image.shape[1:]))

    @property
    def image(self) -> int:
        """Which of the inputs is the first image."""
        return next(i for i, array in enumerate(flatten(self.batch.inputs)) if array is self.batch.image)

    @property
    def shared(self) -> tuple[bool, ...]:
        """Of each input: is it one for all images, such as a number that the model takes?"""
        return tuple(not len(a.shape) or a.shape[0] != self.n for a in flatten(self.batch.inputs))

    @property
    def signature(self) -> tuple[object, ...]:
        """What tells inputs of another structure, or of other images; shapes are for the backends to add."""
        return (*form(self.batch.inputs), self.image, self.shared)

    def flat(self) -> list[Any]:
        """The inputs, one after another."""
        found = flatten(self.batch.inputs)
        if any(place.is_input for place in self.places):  # there is no gradient at integers
            found[self.image] = self.cast(found[self.image])
        return found

    def changed(self, images: Any, take: Callable[[Any], Any]) -> list[Any]:
        """The inputs with other images; of the other inputs, the rows that `take` takes."""
        given = zip(flatten(self.batch.inputs), self.shared, strict=True)
        at = self.image
        return [self.cast(images) if i == at else a if one else take(a) for i, (a, one) in enumerate(given)]

    def cast(self, images: Any) -> Any:
        """Images as floats, in the precision in which the model takes them."""
        own = keras.backend.standardize_dtype(self.batch.image.dtype)
        return keras.ops.convert_to_tensor(images, own if "float" in own else precision(self.net))


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


Follow: TypeAlias = Callable[[int, Any, int], Any]
"""(index of the place, map, run) -> what goes on into the model in its place."""
Run: TypeAlias = Callable[[list[Any], Follow, Callable[[Any, Any], Any]], tuple[list[Seen], Any]]
"""(inputs, follow, how the model is called with its inputs) -> what was seen at each place, the outputs."""


def runner(this: Pass) -> Run:
    """A function that runs the model, and lets what is seen be followed; it holds the model weakly.

    So it can be a part of what is compiled, and kept for the model: neither would be freed otherwise.
    """
    net_ref, keys, names = ref(this.net), [p.key for p in this.places], [p.name for p in this.places]
    structure, space, image = map_arrays(this.batch.inputs, slot), this.space, this.image

    def run(flat: list[Any], follow: Follow, how: Callable[[Any, Any], Any]) -> tuple[list[Seen], Any]:
        net: Any = net_ref()
        layers = [key if isinstance(key, str) else key() for key in keys]
        seen = [
            Seen(name, layer, space, partial(follow, i))
            for i, (name, layer) in enumerate(zip(names, layers, strict=True))
        ]
        given = list(flat)
        if INPUT in keys:
            look = seen[keys.index(INPUT)]
            changed = look(given[image])
            given[image] = given[image] if changed is None else changed
        with tapped({look.layer: look for look, key in zip(seen, keys, strict=True) if key != INPUT}):
            return seen, how(net, pack(structure, given))

    return run


# ---- rows ------------------------------------------------------------------------------------------------


def steps(shape: tuple[int, ...], element: Rows) -> npt.NDArray[np.float32]:
    """Rows (m, c, *s) that are one at an element of their own, counted flat, and zero elsewhere."""
    rows = np.zeros((shape[0], math.prod(shape[1:])), np.float32)
    rows[np.arange(len(rows)), element] = 1
    return rows.reshape(shape)


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


@dataclass(frozen=True)
class Slot:
    """The place of an array in a structure, without its values."""

    shape: Any
    dtype: Any


def slot(array: Any) -> Slot:
    return Slot(array.shape, array.dtype)


def class_values(outputs: Any, activations: Iterable[tuple[int, ...]], n: int) -> npt.NDArray[np.float32] | None:
    """The class scores as NumPy, found fit to be explained; None where the outputs hold none."""
    try:
        values = np.asarray(class_scores(outputs), np.float32)
    except OutputError:
        values = None
    for shape in activations:
        check_count(n, shape, values)
    check_classes(values)
    return values


# ---- compiled once ---------------------------------------------------------------------------------------


def compiled(this: Pass, signature: object, make: Callable[[], T]) -> T:
    """What `make` compiled for this model, its layers and signature; made anew once the model is another one.

    What is compiled has to refer to the model weakly, or neither would ever be freed.
    """
    places = tuple(place.key for place in this.places)
    return once(this.net, (places, this.gradients, this.logit, this.guided, signature), make)


def form(inputs: Any) -> tuple[object, ...]:
    """What tells inputs of another structure, such as a dict whose keys come in another order."""
    return (type(inputs).__name__, *(inputs if isinstance(inputs, Mapping) else ()))
