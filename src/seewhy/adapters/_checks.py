"""What would draw a wrong picture, found after a pass; alike for every framework."""

import numpy as np
import numpy.typing as npt

from seewhy.errors import InputError, LayerError, OutputError

NO_GRADIENT = (
    "the score does not depend on the layer (or, for a method of pixels, on the input), or the model or the target "
    "cuts the gradient (no_grad, detach, NumPy, argmax): choose another layer, or a method without gradients"
)


def check_count(n: int, activations: tuple[int, ...], classes: npt.NDArray[np.float32] | None) -> None:
    """Raise InputError where the images of the batch did not stay apart."""
    if activations[0] != n or (classes is not None and len(classes) != n):
        raise InputError(
            f"a batch of {n} came out of the layer as {activations}: expected images "
            "(n, c, h, w); for a single one write image[None]"
        )


def check_classes(classes: npt.NDArray[np.float32] | None) -> None:
    """Raise OutputError that names the images whose class scores are NaN or infinite."""
    if classes is None or np.isfinite(classes).all():
        return
    n = len(classes)
    bad = [i for i in range(n) if not np.isfinite(classes[i]).all()]
    raise OutputError(
        f"the model returned NaN or infinite class scores for image{'s' * (len(bad) != 1)} {bad} of "
        f"the batch of {n}: check the weights, the input's range and the precision"
    )


def did_not_run(name: str, layer: object, problem: LayerError | None) -> LayerError:
    """The error for a layer that left nothing to explain."""
    quantized = getattr(layer, "quantization_mode", None) is not None  # Keras runs such a layer in another way
    why = problem or ("it is quantized, and cannot be reached" if quantized else "it did not run in the forward pass")
    return LayerError(
        f"the layer {name!r} ({type(layer).__name__}) cannot be explained: {why}; choose another one, "
        "seewhy.layers(model, images) lists them"
    )
