"""The words of the program as types: shapes, Capture, targets, methods.

n images in the batch, k targets for each, c channels at the layer, *s its spatial axes.

The shapes in the annotations are checked where jaxtyping was imported before seewhy (the tests do so);
otherwise they cost nothing and need no package.
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from seewhy.errors import OutputError, TargetError, unknown

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    from jaxtyping import Bool as Bool
    from jaxtyping import Float as Float
else:

    class _Unchecked:
        def __class_getitem__(cls, item: object) -> object:
            return Any

    Bool = Float = _Unchecked

Array: TypeAlias = Any
"""An array of any framework of the array API standard: numpy.ndarray, torch.Tensor, jax.Array."""

Activations: TypeAlias = Float[Array, "n c *s"]
Gradients: TypeAlias = Float[Array, "n k c *s"]
Scores: TypeAlias = Float[Array, "n k"]
Maps: TypeAlias = Float[Array, "n k *s"]
Heatmap: TypeAlias = npt.NDArray[np.float32]
Rows: TypeAlias = npt.NDArray[np.intp]
"""For each of m rows, the image of the batch that it was made from."""

INPUT = "input"
"""What stands for a layer where a method explains the model's input itself."""


@dataclass(frozen=True)
class Capture:
    """All that one pass through the model tells a method."""

    activations: Activations
    gradients: Gradients | None
    """d scores / d activations; None where the method did not ask for them."""
    scores: Scores
    outputs: Any
    """What the model returned, detached."""
    classes: npt.NDArray[np.float32] | None
    """(n, classes): the class scores that targets were taken from; None where there is no class vector."""
    head: str | None
    """The final activation that was seen to run: "softmax", "log-softmax", "sigmoid"; None: none was seen."""
    again: "MorePasses | None" = None
    """Further passes, for methods that change the input or the layer; None in a Capture made by hand."""
    maps: "Maps | None" = None
    """The maps of the scores that the model made itself, where it carries its explanation; then it shows no channels,
    activations are (n, 0, *s)."""
    flat: "Bool[np.ndarray, 'n k'] | None" = None
    """Of those maps, as the model says it: has the score no gradient at the layer at all? None where it does not."""


@dataclass(frozen=True)
class Own:
    """What is known of the explanation that a model carries itself."""

    method: str
    options: Mapping[str, Any]
    """All that the method has, as they were when the model was made."""
    layer: str
    score: Literal["logit", "output"]
    """Is the number before a final softmax or sigmoid explained, or the model's output? See Explainer."""


@runtime_checkable
class MorePasses(Protocol):
    """Further passes through the model that was captured, asked the same questions, at the same layer.

    A pass takes m images, or m outputs of the layer, at once; `of` (m,) says for each of them which image of the batch
    it was made from: that image's targets are asked of it, and for a model of several inputs its other inputs go with
    it. Arrays are of the kind that the Capture has, channels first. What was predicted is not predicted anew: the
    targets stay those of the first pass. A method keeps m within what memory allows (see seewhy.stream).
    """

    @property
    def images(self) -> Float[Array, "n c *_"]:
        """The first image input of the model as it was prepared, at least float32."""

    def scores(self, images: Float[Array, "m c *_"], of: Rows) -> Float[Array, "m k"]:
        """The scores of changed images; no gradient is taken."""

    def gradients(
        self, images: Float[Array, "m c *_"], of: Rows, *, at_input: bool = False, guided: bool = False
    ) -> Float[Array, "m k c *s"]:
        """The gradients of the scores of changed images, with respect to the captured layer or to the input.

        `guided`: the gradient goes back through a ReLU only where it is positive (Springenberg et al. 2015, eq. in
        fig. 1c). Raises LayerError where the model has no ReLU to be guided at.
        """

    def tail(self, activations: Float[Array, "m c *s"], of: Rows) -> Float[Array, "m k"]:
        """The scores where these take the place of the layer's output; where it can be, only what follows is run.

        The activations are given away: what follows may overwrite them.
        """

    def curvature(self) -> Gradients:
        """H A for each image and target: the second derivative of the score at the layer, times the activations."""

    def diagonals(
        self, activations: Float[Array, "m c *s"], of: Rows, element: Rows
    ) -> tuple[Float[Array, "m k"], Float[Array, "m k"]]:
        """The second and third derivative of each row's scores by one activation of that row alone, d2 y / dA_e^2 and
        d3 y / dA_e^3, where these take the place of the layer's output; `element` (m,) counts along (c, *s), flat.
        """

    def biases(self) -> list[Array]:
        """The bias-gradients of every layer with a bias and spatial axes, (n, k, c, *s) each: d score / d b times b at
        every position (Srinivas and Fleuret 2019, section 3.1 and eq. 8). The bias of a layer that is not linear is
        what it adds beside what grows with its input, y - J x: for a normalisation with statistics of its own
        shift - mean * gain / deviation. With those of the layers without spatial axes, and with images * gradients,
        they add up to the score of a net of ReLUs.
        """


@dataclass(frozen=True)
class LayerInfo:
    """One layer that ran, as `seewhy.layers` lists it."""

    name: str
    kind: str
    shape: tuple[int, ...]
    """Shape of its output without the batch axis, channels first: (c, *s)."""
    default: bool
    runs: int = 1
    """How often it ran in one pass; it is explained at its last run."""


@dataclass(frozen=True)
class Prediction:
    """One class and its probability in [0, 1]."""

    index: int
    label: str
    probability: float


# ---- targets ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BoundTarget:
    """One number to explain: `score` takes the outputs of the whole batch to (n,) scores."""

    score: Callable[[Any], Array]
    label: str
    index: int | None = None
    """The class it is about, where it is about one."""


@dataclass(frozen=True)
class Classes:
    """The classes of a model as one image sees them: their names, and its class scores."""

    names: Sequence[str] | None
    values: npt.NDArray[np.float32] | None
    last: bool = False
    """Are classes the last axis of the model's outputs, where these have positions too?"""

    def label(self, index: int) -> str:
        return self.names[index] if self.names is not None else f"class {index}"

    def best(self, k: int) -> list[int]:
        """The k classes of the highest score, best first."""
        if self.values is None:
            raise OutputError(
                "the model's outputs hold no array (n, classes) with one score for each class, so there is no "
                "best class: "
                "pass target=CALLABLE, a function from the outputs to (n,) scores"
            )
        if k > len(self.values):
            raise TargetError(f"top({k}) asks for more classes than the model has ({len(self.values)})")
        return [int(i) for i in np.argsort(-self.values, kind="stable")[:k]]

    def index(self, which: int | str) -> int:
        """The index of a class given by index or by name (case, `_` and `-` do not matter)."""
        if isinstance(which, str):
            return self._find(which)
        count = len(self.values) if self.values is not None else len(self.names) if self.names is not None else None
        if which < 0 or (count is not None and which >= count):
            known = f"0 to {count - 1}" if count is not None else "0 and up"
            raise TargetError(f"class index {which} is out of range: this model's classes are {known}")
        return which

    def _find(self, label: str) -> int:
        if self.names is None:
            if (numbered := re.fullmatch(r"class (\d+)", label)) is not None:  # as `label` calls it
                return self.index(int(numbered[1]))
            raise TargetError(
                f"class {label!r} was asked for by name, but this model has no class names: "
                "pass labels=[...], or give the class by its index"
            )
        wanted = fold_label(label)
        found = [i for i, name in enumerate(self.names) if fold_label(name) == wanted]
        if not found:
            raise unknown("class", label, self.names)
        if len(found) > 1:
            raise TargetError(f"{len(found)} classes are called {label!r}: give one of the indices {found}")
        return found[0]


def fold_label(label: str) -> str:
    """A class name without what people write differently: case, `_`, `-`, spaces at the ends."""
    return " ".join(label.casefold().replace("_", " ").replace("-", " ").split())


@runtime_checkable
class Target(Protocol):
    """What a user asks for: it becomes numbers to explain once the classes and one image's scores are known."""

    def bind(self, classes: Classes) -> Sequence[BoundTarget]: ...


# ---- methods ---------------------------------------------------------------------------------------------

Method: TypeAlias = Callable[..., Maps]
"""A function from a Capture, and its own options, to maps."""

Cost: TypeAlias = Literal["one pass", "two passes", "tail passes", "many passes"]
"""What a method costs: "one pass", a forward pass and what goes back from the scores to the layer; "two passes", one
more of these; "tail passes", the first and many runs of what follows the layer; "many passes", many of the whole."""

_MethodT = TypeVar("_MethodT", bound=Callable[..., Any])


@dataclass(frozen=True)
class MethodInfo:
    """What a method says of itself beside its docstring."""

    paper: str = ""
    gradients: bool = True
    cost: Cost = "one pass"
    at_input: bool = False
    """Does it explain the model's input, and no layer? Then activations are the images."""
    guided: bool = False
    """Does it want guided gradients (Springenberg et al. 2015)?"""
    pixels: bool = False
    """Do its maps have the input's positions, though it looks at a layer?"""
    control: bool = False
    """Does it know nothing of the target, to be what others are held against?"""


def method(
    *,
    paper: str,
    gradients: bool = True,
    cost: Cost = "one pass",
    at_input: bool = False,
    guided: bool = False,
    pixels: bool = False,
    control: bool = False,
) -> Callable[[_MethodT], _MethodT]:
    """Declare a function to be a method: the paper it follows, what it needs, and what it costs."""

    def declare(function: _MethodT) -> _MethodT:
        function.__dict__["method_info"] = MethodInfo(paper, gradients, cost, at_input, guided, pixels, control)
        return function

    return declare


def method_info(function: Method) -> MethodInfo:
    """What `method` declared; a bare function is taken to need gradients."""
    info = getattr(function, "method_info", None)
    return info if isinstance(info, MethodInfo) else MethodInfo()
