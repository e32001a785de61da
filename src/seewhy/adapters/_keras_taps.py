"""Reach into layers while a model runs, wherever in it they are, and leave them as they came."""

import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Witness:
    """A tap that changes nothing, and is told more: (the layer's own `call`, its arguments, what it returned)."""

    told: Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any], Any], None]


Tap: TypeAlias = Callable[[Any], Any] | Witness
"""From what a layer returns to what shall take its place; None: nothing."""


@dataclass
class _Tapped:
    """A layer whose `call` is wrapped now, and the taps of each thread."""

    before: Any
    """What the layer had as an attribute of its own under `call`; None: nothing, only its class's method."""
    taps: dict[int, list[Tap]] = field(default_factory=dict)


_lock = threading.Lock()
_tapped: dict[int, _Tapped] = {}
"""By the id of a layer, which is held by those who tap it."""


@contextmanager
def tapped(taps: Mapping[Any, Tap]) -> Iterator[None]:
    """For a time, and in this thread only, what these layers return goes through their taps.

    The layer's `call` is wrapped once for all threads; the last one to leave takes the wrapper off.
    """
    thread = threading.get_ident()
    with _lock:
        for layer, tap in taps.items():
            if id(layer) not in _tapped:
                _tapped[id(layer)] = _wrap(layer)
            _tapped[id(layer)].taps.setdefault(thread, []).append(tap)
    try:
        yield
    finally:
        with _lock:
            for layer, tap in taps.items():
                state = _tapped[id(layer)]
                state.taps[thread].remove(tap)
                if not state.taps[thread]:
                    del state.taps[thread]
                if not state.taps:
                    del _tapped[id(layer)]
                    _unwrap(layer, state)


def _wrap(layer: Any) -> _Tapped:
    # in the layer's own table: setting an attribute of a Keras layer has effects, such as tracking
    state, original = _Tapped(layer.__dict__.get("call")), layer.call

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        output = original(*args, **kwargs)
        for tap in tuple(state.taps.get(threading.get_ident(), ())):
            if isinstance(tap, Witness):
                tap.told(original, args, kwargs, output)
                continue
            changed = tap(output)
            output = output if changed is None else changed
        return output

    layer.__dict__["call"] = call
    return state


def _unwrap(layer: Any, state: _Tapped) -> None:
    if state.before is None:
        del layer.__dict__["call"]
    else:
        layer.__dict__["call"] = state.before
