"""Private: tensors of a TensorFlow graph as arrays of the array API.

The methods are written on the array API, and TensorFlow's tensors have none. These few lines lend them one, so that a
method's own maths is traced into the graph, and is written once: operators are the tensors' own, functions those of
TensorFlow's NumPy. Shapes must be known, since methods count with them: they see one image at a time.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow.experimental.numpy as tnp

from seewhy.errors import InputError


def _with(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of tensors as one of arrays."""

    def of_arrays(*args: Any, **kwargs: Any) -> Any:
        return _array(function(*map(_tensor, args), **kwargs))

    return of_arrays


def _turned(function: Callable[..., Any]) -> Callable[..., Any]:
    return _with(lambda right, left: function(left, right))


@dataclass(frozen=True, eq=False)
class GraphArray:
    """A tensor with the array API."""

    tensor: Any

    __array_ufunc__ = None  # NumPy's numbers leave their operators to this class

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        return FUNCTIONS

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)

    @property
    def ndim(self) -> int:
        return len(self.tensor.shape)

    @property
    def dtype(self) -> Any:
        return np.dtype(self.tensor.dtype.as_numpy_dtype)

    __add__, __radd__ = _with(operator.add), _turned(operator.add)
    __sub__, __rsub__ = _with(operator.sub), _turned(operator.sub)
    __mul__, __rmul__ = _with(operator.mul), _turned(operator.mul)
    __truediv__, __rtruediv__ = _with(operator.truediv), _turned(operator.truediv)
    __pow__, __neg__, __abs__ = _with(operator.pow), _with(operator.neg), _with(operator.abs)
    __gt__, __ge__, __lt__, __le__ = (_with(f) for f in (operator.gt, operator.ge, operator.lt, operator.le))
    __and__, __or__, __invert__ = _with(operator.and_), _with(operator.or_), _with(operator.invert)
    __eq__, __ne__ = _with(operator.eq), _with(operator.ne)
    __getitem__ = _with(operator.getitem)


class _Functions:
    """The functions of the array API, as far as TensorFlow's NumPy has them by the same names."""

    __name__ = tnp.__name__
    finfo = staticmethod(np.finfo)

    def __getattr__(self, name: str) -> Any:
        try:
            return _with(getattr(tnp, name))
        except AttributeError:
            raise InputError(
                f"this method cannot be a part of a TensorFlow graph: it calls {name!r} of the array API, which "
                "TensorFlow's NumPy does not have; grad-cam, hires-cam, layer-cam, grad-cam-plus-plus and xgrad-cam can"
            ) from None


FUNCTIONS = _Functions()


def _tensor(value: Any) -> Any:
    return value.tensor if isinstance(value, GraphArray) else value


def _array(value: Any) -> Any:
    return GraphArray(value) if hasattr(value, "shape") and hasattr(value, "dtype") else value
