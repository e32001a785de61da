"""Run a user's model in eval mode and eagerly, and leave it as it came, also where threads share it."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

_lock = threading.Lock()
_held: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()
"""The modules that were in train mode, and how many passes hold them in eval mode now."""


@contextmanager
def undisturbed(net: nn.Module) -> Iterator[None]:
    """Eval mode and plain eager calls for the time of a pass; the last to leave a module restores its train mode."""
    modules = list(net.modules())
    with _lock:
        ours = [module for module in modules if module.training or module in _held]
        for module in ours:
            module.training = False
            _held[module] = _held.get(module, 0) + 1
    try:
        with _eager(modules):
            yield
    finally:
        with _lock:
            for module in ours:
                _held[module] -= 1
                if not _held[module]:
                    del _held[module]
                    module.training = True


class _Stance:
    """torch.compile's force_eager, which is one for all threads: set by the first that needs it, lifted by the last."""

    def __init__(self) -> None:
        self.users = 0
        self.set: AbstractContextManager[Any] | None = None

    def __enter__(self) -> None:
        with _lock:
            if not self.users:
                self.set = torch.compiler.set_stance("force_eager")
                self.set.__enter__()
            self.users += 1

    def __exit__(self, *_: object) -> None:
        with _lock:
            self.users -= 1
            if not self.users and self.set is not None:
                self.set.__exit__(None, None, None)


_stance = _Stance()


@contextmanager
def _eager(modules: list[nn.Module]) -> Iterator[None]:
    """Compiled parts run as plain code: a compiled graph does not see a hook that comes later."""
    # looked up in the modules' own tables: their getattr takes a hundred times as long to say no
    if any(m.__dict__.get("_compiled_call_impl") or "_orig_mod" in m._modules for m in modules):
        with _stance:
            yield
    else:
        yield
