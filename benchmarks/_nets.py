"""The networks that the PyTorch benchmarks run: torchvision's, with seeded random weights, nothing to download.

To be imported before torchvision, and before what imports that.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.append(str(Path(__file__).parents[1] / "tests"))
import cpu_torchvision

cpu_torchvision.allow()  # the tests' way to import torchvision beside a CPU build of torch


@dataclass(frozen=True)
class Case:
    """A network, the layer that is explained, and how many images at once."""

    title: str
    net: str
    layer: str
    batch: int

    def __str__(self) -> str:
        return f"{self.title}, batch {self.batch}"


RESNET_1 = Case("ResNet-50", "resnet50", "layer4", 1)
RESNET_8 = Case("ResNet-50", "resnet50", "layer4", 8)
VGG_4 = Case("VGG-16", "vgg16", "features.29", 4)


def build(case: Case, device: str, size: int = 224) -> tuple[nn.Module, Tensor]:
    """The network in eval mode, its parameters as the zoo gives them (requiring grad), and a ready batch."""
    import torchvision

    torch.manual_seed(0)
    net: nn.Module = getattr(torchvision.models, case.net)(weights=None).eval().to(device)
    return net, torch.rand(case.batch, 3, size, size).to(device)
