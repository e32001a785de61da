"""What the benchmarks on PyTorch share: their options, the device in words, and when its work is done."""

import argparse
from collections.abc import Callable, Sequence

import torch
from _timing import machine

QUICK = "1 small image, 1 round, to stdout only: does it run?"


def options(doc: str | None, rounds: int, quick: str = QUICK) -> argparse.ArgumentParser:
    """A parser of --rounds, --device and --quick."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true", help=quick)
    return parser


def chosen(given: str, known: Sequence[str]) -> list[str]:
    """Names between commas, in the order of those that are known; SystemExit for another one."""
    asked = [name.strip() for name in given.split(",") if name.strip()]
    if not asked or (odd := [name for name in asked if name not in known]):
        raise SystemExit(f"expected one or more of {', '.join(known)}, got {', '.join(odd) if asked else given!r}")
    return [name for name in known if name in asked]


def is_cuda(device: str) -> bool:
    return device.startswith("cuda")


def where(device: str, *packages: str) -> str:
    """The machine, the device and the versions, as every section says them."""
    what = torch.cuda.get_device_name(device) if is_cuda(device) else f"{torch.get_num_threads()} threads"
    return machine("torch", *packages, more=f"on {device}: {what}")


def waiting_for(device: str) -> Callable[[], object]:
    """What waits until the device has done all that it was asked to do."""
    return torch.cuda.synchronize if is_cuda(device) else lambda: None
