"""Small networks, each with one trait of the models that people bring."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


def seeded(net: nn.Module, seed: int = 0, dtype: torch.dtype = torch.float64) -> nn.Module:
    """The network with weights drawn from a seed, in double precision and eval mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return net.to(dtype).eval()


class Plain(nn.Module):
    """Convolution, tanh, pooling, two linear layers: gradients of both signs, different at every position."""

    def __init__(self, axes: int = 2, classes: int = 4, channels: int = 3) -> None:
        super().__init__()
        convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]
        pool = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)[axes - 1]
        self.features = nn.Sequential(convolution(3, channels, 3), nn.Tanh())
        self.pool = pool(2)
        self.hidden = nn.Linear(channels * 2**axes, 5)
        self.head = nn.Linear(5, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.features(x)).flatten(1)
        return self.head(torch.tanh(self.hidden(x)))


class Dense(nn.Module):
    """Score maps (n, classes, *s), as segmentation models return them."""

    def __init__(self, axes: int = 2, classes: int = 4, channels: int = 3) -> None:
        super().__init__()
        convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]
        self.features = nn.Sequential(convolution(3, channels, 3), nn.Tanh())
        self.hidden = convolution(channels, 5, 3, padding=1)
        self.head = convolution(5, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.hidden(self.features(x))))


class GapLinear(nn.Module):
    """Global average pooling and one linear layer: the net of CAM (Zhou et al. 2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.act = nn.ReLU()
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.act(self.conv(x)).mean((2, 3)))


class Gap(nn.Module):
    """Convolution, tanh, global average pooling and one linear layer, on any number of axes."""

    def __init__(self, axes: int = 2, classes: int = 4, channels: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential((nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1](3, channels, 3), nn.Tanh())
        self.head = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).flatten(2).mean(2))


class InPlace(nn.Module):
    """The activation after the layer overwrites the layer's output."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.act(self.conv(x)).mean((2, 3)))


class Recurrent(nn.Module):
    """One layer that runs several times in one pass."""

    times = 3

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for _ in range(self.times):
            x = torch.tanh(self.conv(x))
        return self.head(x.mean((2, 3)))


@dataclass
class Answer:
    logits: Tensor
    hidden: Tensor | None = None
    name: str = "answer"


class Wrapped(nn.Module):
    """Returns its class scores in a tuple, a dict or an object with fields."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.inner = Plain()
        self.form = form

    def forward(self, x: Tensor) -> object:
        y = self.inner(x)
        if self.form == "tuple":
            return (y, x)
        if self.form == "dict":
            return {"aux": x, "logits": y}
        return Answer(y, x)


class TwoInputs(nn.Module):
    """An image and a vector of numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.image = Plain()
        self.numbers = nn.Linear(2, 4)

    def forward(self, image: Tensor, numbers: Tensor) -> Tensor:
        return self.image(image) + self.numbers(numbers)


class Head(nn.Module):
    """A net that ends in a softmax or sigmoid: as a module, as a function, or in the net's own forward."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.inner = Plain()
        modules = {"Softmax": nn.Softmax(dim=1), "Sigmoid": nn.Sigmoid(), "LogSoftmax": nn.LogSoftmax(dim=1)}
        self.last = modules.get(kind)
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner(x)
        if self.last is not None:
            return self.last(y)
        functions = {
            "softmax": lambda: torch.softmax(y, 1),
            "method": lambda: y.softmax(1),
            "F.softmax": lambda: nn.functional.softmax(y, dim=1),
            "log_softmax": lambda: nn.functional.log_softmax(y, dim=1),
            "sigmoid": lambda: torch.sigmoid(y),
        }
        return functions[self.kind]()
