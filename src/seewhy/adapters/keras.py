"""Keras 3, on TensorFlow, JAX or PyTorch: activations and gradients at layers, for the cost of the forward pass.

The layer's `call` is wrapped while the model is run or traced, wherever in nested or subclassed models it is: no graph
surgery, no second model. How the gradient is taken is the backend's own: see _keras_tensorflow.py, _keras_jax.py and
_keras_torch.py. Channels-last is turned into channels-first here and nowhere else.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from importlib import import_module
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from seewhy.errors import MissingPackageError

if int(keras.__version__.partition(".")[0]) < 3:  # before what follows is imported, which needs Keras 3
    raise MissingPackageError(
        f"Keras {keras.__version__} is installed, and seewhy explains models of Keras 3: pip install 'keras>=3', and "
        "save the model as .keras"
    )

from seewhy.adapter import Ask
from seewhy.adapters import _keras_layers
from seewhy.adapters._keras_applications import describe
from seewhy.adapters._keras_compiled import once
from seewhy.adapters._keras_inputs import Batch, Pictures, is_batch, place, place_photos, size
from seewhy.adapters._keras_layers import channels_last, check
from seewhy.adapters._keras_pass import Pass, Place, flatten, form, pack
from seewhy.adapters._keras_randomised import randomised
from seewhy.types import INPUT, Capture, LayerInfo, Own, Rows

__all__ = [
    "capture",
    "classes_last",
    "describe",
    "find_layer",
    "full_precision",
    "is_batch",
    "keep",
    "layers",
    "own",
    "pictures",
    "place",
    "place_photos",
    "randomised",
    "size",
    "vary",
]


def _backend() -> Any:
    """The file for the backend that this process runs Keras on."""
    name = keras.config.backend()
    if name not in ("tensorflow", "jax", "torch"):
        raise MissingPackageError(
            f"Keras runs on {name}, which computes no gradients: set KERAS_BACKEND to tensorflow, jax or torch before "
            "Keras is imported"
        )
    return import_module(f"seewhy.adapters._keras_{name}")


def pictures(batch: Batch) -> Pictures:
    """Image i of the first input with spatial axes, as NumPy (c, *s)."""
    return Pictures(batch)


def vary(net: Any, batch: Batch, images: npt.NDArray[np.float32], of: Rows) -> Batch:
    """Placed inputs with these images (m, c, *s) in place of the first image input, and the others to match."""
    turned = np.moveaxis(images, 1, -1) if batch.channels_last else images
    this = Pass(net, (), batch, size(batch)[0], gradients=False, logit=False)
    flat = this.changed(turned, lambda array: keras.ops.take(array, of, axis=0))
    return place(net, pack(batch.inputs, flat))


def find_layer(net: Any, layer: object) -> tuple[str, Any]:
    """The layer of this name or path `outer/inner`, or the path of this layer."""
    check(net)
    return _keras_layers.find_layer(net, layer)


def own(net: Any) -> Own | None:
    """None: its layers can be explained."""
    return None


def classes_last(net: Any) -> bool:
    """Score maps are (n, h, w, classes) if the model's last layer lays its outputs so."""
    return list(channels_last(net).values())[-1]


def layers(net: Any, batch: Batch) -> list[LayerInfo]:
    """Every layer with spatial axes that ran in one forward pass, in order; one is marked as the default.

    The pass is made once for a model and inputs of this shape: it is not compiled, and slower than those that explain.
    """
    check(net)
    n, space = size(batch)
    shapes = (*form(batch.inputs), *(tuple(array.shape[1:]) for array in flatten(batch.inputs)))
    search = partial(_keras_layers.layers, net, lambda restart: _backend().run(net, batch.inputs, restart), n, space)
    return list(once(net, ("layers", shapes), search))


def full_precision() -> AbstractContextManager[None]:
    """A context in which the maths on what was captured is done as written."""
    found: AbstractContextManager[None] = _backend().full_precision()
    return found


def capture(
    net: Any, layers: Sequence[Any], batch: Batch, ask: Ask, *, gradients: bool, logit: bool, guided: bool = False
) -> list[Capture]:
    """One pass through the model, see seewhy.types.Capture; for each of the layers, or INPUT, one.

    `guided`: the gradient goes back through a ReLU only where it is positive. Guided are relu and relu6, wherever they
    are called as Keras's or as the backend's own function; leaky ones and other activations are not.

    Raises LayerError where a layer did not run, has no spatial axes or does not reach the score, or where no ReLU ran
    to be guided at; OutputError where the outputs hold NaN or infinite values.
    """
    this, order = _pass(net, layers, batch, gradients=gradients, logit=logit, guided=guided)
    captures = _backend().capture(this, ask)
    return [captures[place] for place in order]


def keep(
    net: Any, layers: Sequence[Any], batch: Batch, *, gradients: bool, logit: bool, guided: bool = False
) -> Callable[[Ask], list[Capture]]:
    """One pass that any number of questions can be asked of; what comes before the layers is not run again for them.

    In TensorFlow a further question runs what follows the layers, and of an input or guided gradients all of the model.
    """
    this, order = _pass(net, layers, batch, gradients=gradients, logit=logit, guided=guided)
    kept = _backend().keep(this)

    def ask_again(ask: Ask) -> list[Capture]:
        captures = kept(ask)
        return [captures[place] for place in order]

    return ask_again


def _pass(
    net: Any, layers: Sequence[Any], batch: Batch, *, gradients: bool, logit: bool, guided: bool
) -> tuple[Pass, list[int]]:
    """A pass that looks at the layers, each once, and where each of these is found in what it looks at."""
    check(net)
    n, _ = size(batch)
    lasts = channels_last(net)
    places: dict[int, Place] = {}
    for layer in layers:
        name = INPUT if layer == INPUT else _keras_layers.find_layer(net, layer)[0]
        places[id(layer)] = Place(name, layer, batch.channels_last if layer == INPUT else lasts[name])
    this = Pass(net, tuple(places.values()), batch, n, gradients, logit, guided)
    return this, [list(places).index(id(layer)) for layer in layers]
