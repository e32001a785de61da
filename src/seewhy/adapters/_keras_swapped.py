"""Functions of a backend, such as its softmax or its ReLU, replaced for the time that a model is run or traced."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any

from seewhy.adapters._keras_compiled import tracing
from seewhy.errors import LayerError


@contextmanager
def swapped(module: Any, names: Iterable[str], make: Callable[[str, Callable[..., Any]], Any]) -> Iterator[None]:
    """For a time, and in this thread only, functions of a module are what is made of them; one thread at a time."""
    thread = threading.get_ident()

    def either(name: str, before: Callable[..., Any]) -> Callable[..., Any]:
        after = make(name, before)

        @wraps(before)
        def here(*args: Any, **kwargs: Any) -> Any:
            return (after if threading.get_ident() == thread else before)(*args, **kwargs)

        return here

    with tracing:
        kept = {name: getattr(module, name) for name in names}
        try:
            for name, before in kept.items():
                setattr(module, name, either(name, before))
            yield
        finally:
            for name, before in kept.items():
                setattr(module, name, before)


@contextmanager
def guiding(guided: bool, module: Any, twins: Mapping[str, Callable[[Any], Any]]) -> Iterator[None]:
    """For a time, if asked, ReLUs hand back only what is positive; LayerError where none ran.

    `twins`: by the name of a function of the module, the one that does so.
    """
    if not guided:
        yield
        return
    ran: list[str] = []

    def make(name: str, before: Callable[..., Any]) -> Callable[..., Any]:
        def relu(x: Any, *_: Any, **__: Any) -> Any:
            ran.append(name)
            return twins[name](x)

        return relu

    with swapped(module, twins, make):
        yield
    if not ran:
        raise LayerError(NO_RELU)


NO_RELU = (
    "guided gradients go back through ReLUs, and none was seen to run in this model: choose a method without guided "
    "gradients"
)
