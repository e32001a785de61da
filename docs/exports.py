"""Which nets can be exported, and how far their maps are from seewhy's own: docs/exports.csv. Run by make.py.

Random weights and small images: what is tried is whether the operators of a family can be exported, and whether the
graph gives the same maps. One graph for each net has the maps of all five methods.
"""

import csv
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

sys.path.append(str(Path(__file__).parents[1] / "tests"))
import cpu_torchvision

cpu_torchvision.allow()  # the tests' way to import torchvision beside a CPU build of torch

import seewhy  # noqa: E402
from seewhy.errors import SeewhyError  # noqa: E402
from seewhy.export._agree import apart  # noqa: E402
from seewhy.export._torch_trace import Question, traced  # noqa: E402
from seewhy.export.onnx import UNLIKE, converted  # noqa: E402
from seewhy.models._onnx import open_session  # noqa: E402

TABLE = Path(__file__).with_name("exports.csv")
METHODS = ("grad-cam", "hires-cam", "layer-cam", "grad-cam-plus-plus", "xgrad-cam")
NETS = (
    ("ResNet", "torchvision:resnet50", 64),
    ("ResNet", "timm:resnet18", 64),
    ("ResNeXt", "torchvision:resnext50_32x4d", 64),
    ("ResNeXt", "timm:resnext50_32x4d", 64),
    ("VGG", "torchvision:vgg11", 64),
    ("VGG", "timm:vgg11_bn", 64),
    ("DenseNet", "torchvision:densenet121", 64),
    ("DenseNet", "timm:densenet121", 64),
    ("MobileNet", "torchvision:mobilenet_v2", 64),
    ("MobileNet", "torchvision:mobilenet_v3_small", 64),
    ("MobileNet", "timm:mobilenetv3_small_100", 64),
    ("EfficientNet", "torchvision:efficientnet_b0", 64),
    ("EfficientNet", "timm:efficientnet_b0", 64),
    ("EfficientNet", "lite0", 224),
    ("Inception", "torchvision:inception_v3", 128),
    ("Inception", "torchvision:googlenet", 64),
    ("Inception", "timm:inception_v4", 128),
    ("SqueezeNet", "torchvision:squeezenet1_1", 64),
    ("ConvNeXt", "torchvision:convnext_tiny", 64),
    ("ConvNeXt", "timm:convnext_atto", 64),
    ("RegNet", "torchvision:regnet_y_400mf", 64),
    ("RegNet", "timm:regnetx_002", 64),
    ("ShuffleNet", "torchvision:shufflenet_v2_x0_5", 64),
)


def measure() -> None:
    """Write the table, a row as soon as it is known."""
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["family", "model", "layer", *METHODS, "rounding"])
        for family, spec, size in NETS:
            start = perf_counter()
            row = [family, spec, *_row(spec, size)]
            print(f"{perf_counter() - start:5.0f} s", *row, file=sys.stderr, flush=True)
            table.writerow(row)
            file.flush()


def _row(spec: str, size: int) -> list[str]:
    """The layer, the largest deviation of each method, and how far the least sharp of them is from double precision."""
    net = build(spec)
    images = torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(1))
    [layer] = [info.name for info in seewhy.layers(net, images) if info.default]
    methods = tuple(map(seewhy.catalog.as_method, METHODS))
    shown = images[:1].expand(UNLIKE, -1, -1, -1).contiguous()
    try:
        graph, index, _ = traced(Question(net, net.get_submodule(layer), methods, True, None, False), shown)
        session = open_session(converted(graph, (shown, index), ["logits", "score", *METHODS], {}))
    except SeewhyError as error:
        return [layer, *[f"no: {error}"] * len(METHODS), ""]
    most, rounding = dict.fromkeys(METHODS, 0.0), 0.0
    double = deepcopy(net).double()
    for part, wanted in _questions(net, images):
        found = session.run(list(METHODS), {"image": part.numpy(), "class_index": wanted})
        rows = [[int(c)] for c in wanted]
        for method, maps in zip(METHODS, found, strict=True):
            own = _signed(net, part, rows, method, layer)
            most[method] = max(most[method], apart(maps[:, None], own))
            rounding = max(rounding, apart(own, _signed(double, part.double(), rows, method, layer)))
    return [layer, *(f"{value:.1e}" for value in most.values()), f"{rounding:.1e}"]


def build(spec: str) -> Any:
    """The net with seeded random weights; lite0 with its own."""
    library, _, name = spec.partition(":")
    torch.manual_seed(0)
    if library == "timm":
        import timm

        return timm.create_model(name).eval()
    if library == "torchvision":
        import torchvision

        return torchvision.models.get_model(name, weights=None).eval()
    return seewhy.load(spec).net


def _questions(net: Any, images: torch.Tensor) -> Iterator[tuple[torch.Tensor, Any]]:
    """All images together and the first alone, asked for classes of high scores."""
    with torch.no_grad():
        best = np.argsort(-net(images).numpy(), axis=1)
    for rank in (0, 1, 4):
        yield images, best[:, rank].astype(np.int64)
        yield images[:1], best[:1, rank].astype(np.int64)


def _signed(net: Any, images: torch.Tensor, rows: Any, method: str, layer: str) -> Any:
    return seewhy.explain(net, images, rows, method=method, layer=layer, signed=True).maps
