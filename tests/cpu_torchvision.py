"""Let PyPI's torchvision be imported beside a CPU build of torch, for its model definitions.

Its wheel for Linux is compiled against CUDA torch, so beside a CPU torch its compiled ops do not load and the import
stops at the first one it looks up. Nothing that builds or runs a classifier calls them: declaring their schemas is
enough.
"""

import sys

import torch

_library: list[torch.library.Library] = []  # a schema lives as long as its Library object


def allow() -> None:
    """Declare what `import torchvision` looks up; does nothing where the real ops are there."""
    if _library or fits():
        return
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _library.append(library)


def fits() -> bool:
    """Does the installed torchvision work beside the installed torch as it is?"""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]  # half imported
        return False
    return True
