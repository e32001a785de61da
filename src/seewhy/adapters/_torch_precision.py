"""Autocast: switched off for a method's maths, and on again for further passes of the model."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch

DEVICES = ("cpu", "cuda", "mps", "xpu")


@contextmanager
def full_precision() -> Iterator[None]:
    """Without autocast, which would do a method's matrix products in half precision, and without a graph."""
    with torch.no_grad(), ExitStack() as stack:
        for device in DEVICES:
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield


@dataclass(frozen=True)
class Autocast:
    """What autocast was set to at one time."""

    types: dict[str, torch.dtype]

    @classmethod
    def now(cls) -> "Autocast":
        return cls({d: torch.get_autocast_dtype(d) for d in DEVICES if torch.is_autocast_enabled(d)})

    @contextmanager
    def restored(self) -> Iterator[None]:
        with ExitStack() as stack:
            for device, dtype in self.types.items():
                stack.enter_context(torch.autocast(device, dtype=dtype))
            yield
