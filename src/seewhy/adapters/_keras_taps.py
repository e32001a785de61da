"""Reach into layers while a model runs, wherever in it they are, and leave them as they came."""

import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Tap: TypeAlias = Callable[[Any], Any]
"""From what a layer returns to what shall take its place; None: nothing."""
Around: TypeAlias = Callable[..., Any]
"""(function, its arguments) -> what shall take the place of what it returns."""


@dataclass
class _Wrapped:
    """A function of a layer that is wrapped now, and what each thread wants done around it."""

    before: Any
    """What the layer had as an attribute of its own; None: nothing, such as where it is its class's method."""
    arounds: dict[int, list[Around]] = field(default_factory=dict)


_lock = threading.Lock()
_wrapped: dict[tuple[int, str], _Wrapped] = {}
"""By the id of a layer, which is held by those who wrap it, and the name of its function."""


def tapped(taps: Mapping[Any, Tap]) -> Any:
    """A context in which, in this thread only, what these layers return goes through their taps."""
    return wrapped({(layer, "call"): _after(tap) for layer, tap in taps.items()})


def _after(tap: Tap) -> Around:
    def around(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        output = function(*args, **kwargs)
        changed = tap(output)
        return output if changed is None else changed

    return around


@contextmanager
def wrapped(arounds: Mapping[tuple[Any, str], Around]) -> Iterator[None]:
    """For a time, and in this thread only, functions of layers are called by what is given for them.

    A function is wrapped once for all threads; the last one to leave takes the wrapper off.
    """
    thread = threading.get_ident()
    keys = {(id(layer), name): around for (layer, name), around in arounds.items()}
    with _lock:
        for layer, name in arounds:
            key = id(layer), name
            if key not in _wrapped:
                _wrapped[key] = _wrap(layer, name)
            _wrapped[key].arounds.setdefault(thread, []).append(keys[key])
    try:
        yield
    finally:
        with _lock:
            for layer, name in arounds:
                key = id(layer), name
                state = _wrapped[key]
                state.arounds[thread].remove(keys[key])
                if not state.arounds[thread]:
                    del state.arounds[thread]
                if not state.arounds:
                    del _wrapped[key]
                    _unwrap(layer, name, state)


def _wrap(layer: Any, name: str) -> _Wrapped:
    # in the layer's own table: setting an attribute of a Keras layer has effects, such as tracking
    state, original = _Wrapped(layer.__dict__.get(name)), getattr(layer, name)

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        function = original
        for around in tuple(state.arounds.get(threading.get_ident(), ())):
            function = functools.partial(around, function)
        return function(*args, **kwargs)

    layer.__dict__[name] = call
    return state


def _unwrap(layer: Any, name: str, state: _Wrapped) -> None:
    if state.before is None:
        del layer.__dict__[name]
    else:
        layer.__dict__[name] = state.before
