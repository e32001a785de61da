"""A copy of a Keras model whose weights are drawn anew from the top down; Keras and NumPy only, on every backend."""

from copy import deepcopy
from typing import Any

import keras
import numpy as np

from seewhy.adapters._keras_layers import check, named_layers
from seewhy.adapters._shuffle import orders, topmost
from seewhy.errors import InputError


def randomised(net: Any, share: float, seed: int) -> Any:
    """A copy of the model with the weights of its last layers shuffled; the model itself is not touched.

    Layers are those that hold variables of their own, in the order in which they are registered. Each of their floating
    variables is permuted within itself, and so keeps its values, mean and deviation and loses what it has learnt:
    kernels, biases, and the gains, shifts and moving statistics of norms too.
    """
    check(net)
    copy = _copy(net)
    layers = [own for layer in [copy, *named_layers(copy).values()] if (own := _variables(layer))]
    variables = list({id(v): v for own in topmost(layers, share) for v in own}.values())
    arrays = [np.asarray(keras.ops.convert_to_numpy(v)) for v in variables]
    for variable, array, order in zip(variables, arrays, orders([a.size for a in arrays], seed), strict=True):
        variable.assign(array.ravel()[order].reshape(array.shape))
    return copy


def _variables(layer: Any) -> list[Any]:
    """The floating variables that a layer itself holds, not those of the layers in it, nor the state of its seeds."""
    own = [*getattr(layer, "_trainable_variables", ()), *getattr(layer, "_non_trainable_variables", ())]
    return [variable for variable in own if "float" in str(variable.dtype)]


def _copy(net: Any) -> Any:
    """The model again, with variables of its own: built anew from its config, or else saved and loaded in memory."""
    # a class that was not registered is known all the same: the model is made of it
    own = {type(layer).__name__: type(layer) for layer in [net, *named_layers(net).values()] if _foreign(layer)}
    with keras.saving.custom_object_scope(own):
        if isinstance(net, keras.Sequential | keras.Function):
            try:
                copy = keras.models.clone_model(net)
                copy.set_weights(net.get_weights())
            except Exception:  # a layer in it that does not tell how it is made, or not all of it
                pass
            else:
                return copy
        try:
            return deepcopy(net)  # Keras's own way: to a file in memory and back
        except Exception as error:
            why = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise InputError(
                f"the model {net.name!r} cannot be copied, and its weights are drawn anew in a copy only: see that "
                "copy.deepcopy(model) works, for which classes of your own need get_config and an __init__ that takes "
                f"**kwargs and passes them on. Keras says: {why}"
            ) from error


def _foreign(layer: Any) -> bool:
    return type(layer).__module__.partition(".")[0] != "keras"
