"""Models that carry their own explanation: one ONNX graph, held against the eager explanation, and loaded again."""

import re
import shutil
import subprocess
import sys
from copy import deepcopy
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner

import nets
import seewhy
from seewhy.adapters import onnxruntime as adapter
from seewhy.adapters._onnx_metadata import About, from_metadata
from seewhy.cli import app
from seewhy.errors import (
    InputError,
    LayerError,
    MissingPackageError,
    ModelError,
    SaveError,
    SeewhyWarning,
    TargetError,
    UnknownNameError,
)
from seewhy.export import _agree
from seewhy.export._torch_operations import _adaptive_mean, taken_apart
from seewhy.export._torch_trace import Question, traced
from seewhy.export.onnx import converted
from seewhy.maps import upsample

graphs = sys.modules[converted.__module__]
METHODS = ("grad-cam", "grad-cam-plus-plus", "hires-cam", "layer-cam", "xgrad-cam")
SIZE = 16


def small(net: nn.Module, seed: int = 0) -> nn.Module:
    return nets.seeded(net, seed, torch.float32)


def batch(n: int, size: int = SIZE, seed: int = 1) -> torch.Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed))


def apart(found, expected) -> float:
    """The largest difference as a share of each map's largest value; maps that are blank in one are so in the other."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    peaks = expected.max(axis=(-2, -1), keepdims=True)
    assert (found[np.broadcast_to(peaks == 0, found.shape)] == 0).all()
    return float((abs(found - expected) / np.where(peaks > 0, peaks, 1)).max())


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("exported")


@pytest.fixture(scope="session")
def photographed(lite0, folder) -> Path:
    """lite0 with Grad-CAM, with its labels and its preprocess."""
    return seewhy.export(lite0, folder / "lite0.onnx", upsample=True)


@pytest.fixture(scope="session")
def plain(folder) -> Path:
    """A small net with Grad-CAM, without labels and preprocess."""
    return seewhy.export(small(nets.Plain()), folder / "plain.onnx", images=batch(2), layer="features")


class Tower(nn.Module):
    """What the operations before and behind a middle layer are in real nets: strides, pools, branches, norms."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8))
        self.down = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=2)
        self.act = activation
        self.most, self.mean = nn.MaxPool2d(2), nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        self.norm = nn.GroupNorm(2, 8)
        self.pool, self.head = nn.AdaptiveAvgPool2d(3), nn.Linear(72, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = self.act(self.down(x))
        return self.head(self.pool(self.norm(self.mean(self.most(x)) + x[..., ::2, ::2])).flatten(1))


ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid, nn.Tanh, nn.ELU,
               nn.LeakyReLU, nn.Mish, nn.Softplus, nn.PReLU)  # fmt: skip


# ---- the graph -------------------------------------------------------------------------------------------


def graph_of(
    net: nn.Module, layer: str, size: int, classes: int | None = None, *, convert: bool, methods=METHODS, large=False
):
    """One graph that has a map for each of the methods, and those upsampled: as ONNX, or as it was traced."""
    named = tuple(map(seewhy.catalog.as_method, methods))
    ask = Question(net, net.get_submodule(layer), named, True, classes, large)
    x = batch(11, size)
    graph, index, _ = traced(ask, x)
    left = {str(node.target) for node in graph.graph.nodes}
    assert not {name for name in left if "backward" in name or "strided" in name or "copy_" in name}
    names = ["logits", "score", *methods, *[f"{name} upsampled" for name in methods] * large,
             *[f"{name} flat" for name in methods]]  # fmt: skip
    if not convert:
        return lambda x, c: dict(zip(names, (a.detach() for a in graph(x, torch.from_numpy(c))), strict=True))
    session = onnxruntime.InferenceSession(converted(graph, (x, index), names, {}))
    return lambda x, c: dict(zip(names, session.run(names, {"image": x.numpy(), "class_index": c}), strict=True))


def assert_alike(net: nn.Module, layer: str, size: int, *, convert: bool) -> None:
    """All five methods, one image and three, several classes, in one graph.

    Within 1e-4 of each map's largest value, or of what the eager map is off from itself in double precision.
    """
    run, fine = graph_of(net, layer, size, convert=convert), deepcopy(net).double()
    for n in (1, 3):
        x = batch(n, size)
        with torch.no_grad():
            expected = net(x).numpy()
        best = np.argsort(-expected, axis=1)
        for rank in (0, 2):
            index = best[:, rank].astype(np.int64)
            rows = [[int(c)] for c in index]
            found = run(x, index)
            np.testing.assert_allclose(found["logits"], expected, rtol=1e-3, atol=1e-4 * abs(expected).max())
            np.testing.assert_allclose(found["score"], expected[np.arange(n), index], rtol=1e-3, atol=1e-4)
            for method in METHODS:
                eager = seewhy.explain(net, x, rows, method=method, layer=layer).maps
                rounding = apart(eager, seewhy.explain(fine, x.double(), rows, method=method, layer=layer).maps)
                assert rounding < 1e-2
                assert apart(found[method][:, None], eager) < max(1e-4, 10 * rounding), (method, n, rank)


def test_five_methods_at_a_middle_layer_with_all_that_follows_it():
    net = small(Tower(nn.ReLU()))
    net.stem[1].running_mean += 0.3
    assert_alike(net, "stem", SIZE, convert=True)


def test_several_classes_and_upsampled_maps():
    net, x = small(nets.Plain()), batch(3)
    run = graph_of(net, "features", SIZE, classes=3, convert=False, large=True)
    index = np.asarray([[0, 1, 2], [3, 3, -1], [2, 0, 1]])
    found = run(x, index)
    rows = index.tolist()
    rows[1][2] = int(found["logits"][1].argmax())
    for method in METHODS:
        eager = seewhy.explain(net, x, rows, method=method, layer="features")
        assert found[method].shape == (3, 3, 14, 14)
        assert apart(found[method], eager.maps) < 1e-5
        np.testing.assert_allclose(found["score"], eager.scores, rtol=1e-5)
        large = upsample(eager.maps.double().numpy(), (SIZE, SIZE))
        assert apart(found[f"{method} upsampled"], large) < 1e-5


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: a.__name__)
def test_derivatives_are_taken_apart(activation):
    """No conversion to ONNX: what is traced gives what autograd gives, and holds no derivative that ONNX lacks."""
    net, x = small(Tower(activation())), batch(5, seed=3)
    run = graph_of(net, "stem", SIZE, convert=False, methods=["hires-cam"])
    eager = seewhy.explain(net, x, 0, method="hires-cam", layer="stem")
    assert apart(run(x, np.zeros(5, np.int64))["hires-cam"][:, None], eager.maps) < 1e-5


@pytest.mark.parametrize("size", [1, (1, 1), 3, (2, 5), 7, (None, 4)])
def test_adaptive_pooling_by_matrices_is_pytorchs(size):
    x = batch(2, 14)[..., :13]
    torch.testing.assert_close(_adaptive_mean(x, size), nn.functional.adaptive_avg_pool2d(x, size))


@pytest.mark.parametrize("settings", [
    dict(kernel_size=2), dict(kernel_size=3, stride=2, padding=1), dict(kernel_size=(2, 3), stride=(1, 2)),
    dict(kernel_size=3, stride=2, padding=1, count_include_pad=False), dict(kernel_size=2, divisor_override=3),
], ids=str)  # fmt: skip
def test_the_derivative_of_mean_pooling_is_pytorchs(settings):
    x = batch(2, 9).requires_grad_(True)
    pooled = nn.AvgPool2d(**settings)(x)
    seed = torch.rand(pooled.shape)
    [expected] = torch.autograd.grad(pooled, x, seed)
    layer = nn.AvgPool2d(**settings)
    pair = lambda value: list(value) if isinstance(value, tuple) else [value] * 2  # noqa: E731
    found = taken_apart()[torch.ops.aten.avg_pool2d_backward.default](
        seed, x.detach(), pair(layer.kernel_size), pair(layer.stride), pair(layer.padding), layer.ceil_mode,
        layer.count_include_pad, layer.divisor_override,
    )  # fmt: skip
    torch.testing.assert_close(found, expected)


# ---- nets of the zoo -------------------------------------------------------------------------------------


def zoo(name: str) -> nn.Module:
    library, _, name = name.partition(":")
    torch.manual_seed(0)
    if library == "timm":
        import timm

        return timm.create_model(name, num_classes=20).eval()
    import torchvision

    return torchvision.models.get_model(name, num_classes=20).eval()


ZOO = ("torchvision:squeezenet1_1", "timm:test_resnet", "timm:test_convnext", "timm:test_efficientnet",
       "torchvision:shufflenet_v2_x0_5")  # fmt: skip


@pytest.mark.parametrize("name", ZOO)
def test_nets_of_the_zoo(name):
    """The first as ONNX; of the others the graph before it is one: docs/export.md has them all."""
    net = zoo(name)
    [layer] = [info.name for info in seewhy.layers(net, batch(1, 64)) if info.default]
    assert_alike(net, layer, 64, convert=name == ZOO[0])


# ---- the file, and what is loaded from it ----------------------------------------------------------------


def test_the_file_says_what_it_is(photographed, lite0):
    model = onnx.load(photographed)
    onnx.checker.check_model(model)
    shapes = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
              for v in (*model.graph.input, *model.graph.output)}  # fmt: skip
    assert shapes == {
        "image": ["batch", 3, 224, 224], "class_index": ["batch"], "logits": ["batch", 1000], "score": ["batch"],
        "heatmap": ["batch", 7, 7], "heatmap_upsampled": ["batch", 224, 224], "flat": ["batch"],
    }  # fmt: skip
    told = from_metadata({entry.key: entry.value for entry in model.metadata_props})
    assert told.labels == list(lite0.labels) and told.preprocess == lite0.preprocess
    assert (told.model, told.method, told.layer, told.score, told.head) == (
        "lite0",
        "grad-cam",
        "_swish",
        "logit",
        None,
    )
    assert told.version == seewhy.__version__ and told.shape == (1280, 7, 7) and told.options == {}
    assert photographed.stat().st_size < 22e6  # no weight is kept twice


def test_a_loaded_graph_is_a_model_like_any_other(photographed, lite0, coffee):
    model = seewhy.load(f"file:{photographed}")
    carried, eager = seewhy.explain(model, coffee), seewhy.explain(lite0, coffee)
    assert carried.describe() == eager.describe() and carried.layer == eager.layer == "_swish"
    assert apart(carried.maps, eager.maps) < 1e-4 and carried.caption(0, 0) == eager.caption(0, 0)
    np.testing.assert_allclose(carried.heatmap(), eager.heatmap(), atol=1e-4)
    both = [coffee, coffee]
    asked = [["espresso", 0], ["tiger cat", "cup"]]
    carried, eager = seewhy.explain(model, both, asked), seewhy.explain(lite0, both, asked)
    assert carried.labels == eager.labels
    assert apart(carried.maps, eager.maps) < 1e-4
    np.testing.assert_allclose(carried.scores, eager.scores, atol=1e-3)
    best = seewhy.explain(model, both, seewhy.top(3))
    assert best.labels == seewhy.explain(lite0, both, seewhy.top(3)).labels
    flipped = seewhy.explain(model, coffee, augment="flips")
    assert apart(flipped.maps, seewhy.explain(lite0, coffee, augment="flips").maps) < 1e-4


def test_the_upsampled_map_is_the_one_that_seewhy_draws(photographed):
    session = onnxruntime.InferenceSession(photographed)
    x = np.random.default_rng(0).normal(size=(2, 3, 224, 224)).astype(np.float32)
    feed = {"image": x, "class_index": np.asarray([-1, 967])}
    coarse, fine = session.run(["heatmap", "heatmap_upsampled"], feed)
    assert apart(fine, upsample(coarse.astype(np.float64), (224, 224))) < 1e-5


def test_what_is_fixed_says_so(photographed, coffee):
    model = seewhy.load(f"file:{photographed}")
    for options, words in (
        ({"method": "layer-cam"}, "carries its own explanation, by grad-cam at the layer '_swish'.*by 'layer-cam'"),
        ({"layer": "_blocks.3"}, "cannot be explained at '_blocks.3'.*leave layer out"),
        ({"layer": "all", "fuse": "max"}, "cannot be explained at 'all'"),
        ({"signed": True}, "only what speaks for the target"),
        ({"score": "output"}, "the number before its final softmax"),
        ({"method": lambda capture: capture.activations}, "cannot be explained by '<lambda>'"),
        ({"channels": 3}, "channels=3 cannot be set"),
    ):
        with pytest.raises(InputError, match=words):
            seewhy.Explainer(model, **options)
    assert seewhy.Explainer(model, "grad_cam", "_swish").own.layer == "_swish"
    with pytest.raises(InputError, match=r"scores of single classes.*seewhy\.top"):
        seewhy.explain(model, coffee, seewhy.negative("espresso"))
    with pytest.raises(InputError, match=r"exported for images \(n, 3, 224, 224\), got a batch \(1, 3, 8, 8\)"):
        seewhy.explain(model, np.zeros((1, 3, 8, 8), np.float32))
    with pytest.raises(InputError, match="needs other methods and a copy with shuffled weights"):
        seewhy.check(model, coffee)
    with pytest.raises(InputError, match="measured against controls"):
        seewhy.evaluate(model, [coffee])
    with pytest.raises(InputError, match="cannot be explained by 'layer-cam'"):
        seewhy.compare(model, coffee, methods=["grad-cam", "layer-cam"])
    assert seewhy.compare(model, coffee).names == ("grad-cam",)
    with pytest.raises(InputError, match="was exported already"):
        seewhy.export(model, "again.onnx")
    [info] = seewhy.layers(model)
    assert (info.name, info.shape, info.default) == ("_swish", (1280, 7, 7), True)
    with pytest.raises(LayerError, match="shows no other"):
        adapter.find_layer(model.net, "x")


def test_a_class_that_is_not_there_is_named(plain):
    session = onnxruntime.InferenceSession(plain)
    with pytest.raises(TargetError, match=r"class index 9 is out of range: this model's classes are 0 to 3"):
        seewhy.explain(session, batch(2).numpy(), [0, 9])


class Deaf(nn.Module):
    """Class 0 does not hear the layer where the image is dark, class 1 never, and the layer speaks against class 2."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.features(x).mean((1, 2, 3))
        bright = nn.functional.relu(x.mean((1, 2, 3)) - 0.5)
        return torch.stack([y * bright, x.mean((1, 2, 3)), -y], 1)


@pytest.mark.parametrize("classes", [None, 2])
def test_a_map_without_gradient_tells_so(folder, classes):
    net = small(Deaf())
    x = batch(3)
    x[0] *= 0.2
    x[1] = (x[1] + 3) / 4
    path = seewhy.export(net, folder / f"deaf{classes}.onnx", images=x, layer="features", classes=classes)
    session = onnxruntime.InferenceSession(path)
    rows = [[0, 1, 2]] * 3
    carried, eager = seewhy.explain(session, x.numpy(), rows), seewhy.explain(net, x, rows, layer="features")
    assert eager.flat[0].tolist() == [True, True, False] and eager.blank[1].tolist() == [False, True, True]
    assert np.array_equal(carried.flat, eager.flat) and np.array_equal(carried.blank, eager.blank)
    assert [row.partition("layer")[0] for row in carried.describe(predicted=False).split("\n")] == [
        row.partition("layer")[0] for row in eager.describe(predicted=False).split("\n")
    ]
    flipped = seewhy.explain(session, x.numpy(), rows, augment="flips")
    assert np.array_equal(flipped.flat, eager.flat)
    wanted = np.asarray([0, 1, 2] if classes is None else rows)[..., :classes]
    [flat] = session.run(["flat"], {"image": x.numpy(), "class_index": wanted})
    assert np.array_equal(flat, eager.flat[range(3), wanted] if classes is None else eager.flat[:, :2])

    older = onnx.load(path)
    [place] = [i for i, output in enumerate(older.graph.output) if output.name == "flat"]
    del older.graph.output[place]
    session = onnxruntime.InferenceSession(older.SerializeToString())
    before = seewhy.explain(session, x.numpy(), rows)
    assert not before.flat.any() and np.array_equal(before.maps, carried.maps)


def test_one_way_back_is_all_that_the_graph_has(plain):
    kinds = [node.op_type for node in onnx.load(plain).graph.node]
    assert kinds.count("Conv") + kinds.count("ConvTranspose") <= 2  # Plain has one before its layer, one behind


@pytest.mark.parametrize("index", [-2, -1000, 4, 1000])
def test_a_class_index_out_of_range_is_the_runtimes_error(plain, index):
    session = onnxruntime.InferenceSession(plain)
    feed = {"image": batch(2).numpy(), "class_index": np.asarray([-1, index])}
    with pytest.raises(Exception, match="GatherElements op: Out of range value in index tensor"):
        session.run(["score"], feed)


def test_one_class_index_is_taken_for_all_images(plain):
    session, x = onnxruntime.InferenceSession(plain), batch(3).numpy()
    for index in (-1, 2):
        one, each = (session.run(None, {"image": x, "class_index": np.full(n, index)}) for n in (1, 3))
        assert all(np.array_equal(a, b) for a, b in zip(one, each, strict=True))


def test_a_session_of_ones_own_is_explained(photographed, coffee, lite0):
    explanation = seewhy.explain(onnxruntime.InferenceSession(photographed), coffee, 967)
    assert explanation.labels == [["espresso"]] and explanation.model == "lite0"


def test_no_framework_is_needed(photographed, coffee, tmp_path):
    code = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "keras", "tensorflow", "jax"):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Missing())  # as if they were not installed
import seewhy
explanation = seewhy.explain(seewhy.load("file:{photographed}"), {str(coffee)!r})
explanation.save({str(tmp_path / "coffee.png")!r})
print(explanation.labels[0][0], "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["espresso", "False"], done.stderr


def test_a_graph_that_is_not_ours_says_what_it_lacks(folder, photographed):
    model = onnx.load(photographed)
    strange = folder / "strange.onnx"

    def load(change) -> None:
        other = onnx.ModelProto()
        other.CopyFrom(model)
        change(other)
        onnx.save(other, strange)
        seewhy.load(f"file:{strange}")

    def without_map(other) -> None:
        [place] = [i for i, output in enumerate(other.graph.output) if output.name == "heatmap"]
        del other.graph.output[place]

    with pytest.raises(ModelError, match=r"strange\.onnx: this ONNX graph carries no explanation: it lacks the output "
                                         r"'heatmap'\. .*seewhy export --model"):  # fmt: skip
        load(without_map)
    with pytest.raises(ModelError, match=r"it lacks the metadata entry 'seewhy\.version'"):
        load(lambda other: other.ClearField("metadata_props"))
    with pytest.raises(ModelError, match="lacks sound metadata"):
        load(lambda other: next(e for e in other.metadata_props if e.key == "seewhy.labels").__setattr__("value", "[1"))
    for content in (photographed.read_bytes()[:5000], b"\x08\x0a\x12\x07garbage"):
        strange.write_bytes(content)
        with pytest.raises(ModelError, match="truncated or damaged"):
            seewhy.load(f"file:{strange}")
    strange.write_bytes(b"\x08")
    with pytest.raises(ModelError, match="no model file that seewhy knows"):
        seewhy.load(f"file:{strange}")


def test_a_file_without_preprocess_is_assumed_to_be_of_imagenet(plain):
    with pytest.warns(SeewhyWarning, match=r"does not say how photos are prepared.*crop to 16×16"):
        model = seewhy.load(f"file:{plain}")
    assert model.preprocess.size == (16, 16) and model.labels is None


def test_a_final_activation_is_left_out_of_the_score_and_named(folder):
    net, x = small(nets.Head("softmax")), batch(3)
    path = seewhy.export(net, folder / "softmax.onnx", images=x, layer="inner.features", labels=list("abcd"))
    model = seewhy.load(f"file:{path}", preprocess=lambda image: np.zeros((3, 16, 16), np.float32))
    assert [node.name for node in model.net.get_outputs()] == ["probabilities", "score", "heatmap", "flat"]
    carried = seewhy.explain(model, x.numpy(), "c")
    eager = seewhy.explain(net, x, 2, layer="inner.features")
    np.testing.assert_allclose(carried.scores, eager.scores, rtol=1e-4)  # before the activation
    np.testing.assert_allclose(carried.outputs, eager.outputs, rtol=1e-4)  # behind it
    np.testing.assert_allclose(carried.probabilities, eager.probabilities, rtol=1e-4)
    assert apart(carried.maps, eager.maps) < 1e-4


@pytest.mark.parametrize(
    ("kind", "head"), [("Sigmoid", "sigmoid"), ("log_softmax", "log-softmax"), ("Softmax", "softmax")]
)
@pytest.mark.parametrize("logit", [True, False])
def test_every_final_activation_is_seen(kind, head, logit):
    net, x = small(nets.Head(kind)), batch(3)
    methods = (seewhy.catalog.as_method("grad-cam"),)
    graph, index, noted = traced(Question(net, net.inner.features, methods, logit, None, False), x)
    _, score, heatmap, flat = graph(x, index)
    assert not flat.any()
    eager = seewhy.explain(net, x, 0, layer="inner.features", score="logit" if logit else "output")
    assert noted.head == head
    torch.testing.assert_close(score[:, None].detach(), eager.scores)
    assert apart(heatmap[:, None].detach(), eager.maps) < 1e-4


def test_several_classes_at_once_and_half_precision(folder):
    net, x = small(nets.Plain()), batch(2)
    half = small(nets.Plain()).to(torch.bfloat16)
    path = seewhy.export(half, folder / "three.onnx", images=x, layer="features", classes=3, method="xgrad-cam")
    assert next(half.parameters()).dtype == torch.bfloat16  # the user's own is as it was
    session = onnxruntime.InferenceSession(path)
    assert session.get_outputs()[2].shape == ["batch", 3, 14, 14]
    for rows in ([[0], [1]], [[0, 1, 2, 3], [3, 2, 1, 0]]):
        carried = seewhy.explain(session, x.numpy(), rows)
        eager = seewhy.explain(net.to(torch.bfloat16).float(), x, rows, layer="features", method="xgrad-cam")
        assert apart(carried.maps, eager.maps) < 1e-4


# ---- what cannot be exported -----------------------------------------------------------------------------


class Branching(nn.Module):
    """Computes something else for bright images."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nets.Plain()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.inner(x)
        return y if x.mean() > 0.5 else -y


class ByChance(nn.Module):
    """Gives something else each time."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nets.Plain()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x + torch.rand_like(x))


class TwoIn(nn.Module):
    """Takes an image, and something else."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, image: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(image).mean((2, 3))) + other


class WithNumPy(nn.Module):
    """Leaves PyTorch on its way."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nets.Plain()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) * float(x.numpy().mean())


class Attending(nn.Module):
    """Attention behind the layer: PyTorch's own has a derivative that ONNX lacks."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.ReLU())
        self.attention, self.head = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.features(x).flatten(2).transpose(1, 2)
        return self.head(self.attention(tokens, tokens, tokens, need_weights=False)[0].mean(1))


def test_attention_is_exported(folder):
    net, x = small(Attending()), batch(2)
    path = seewhy.export(net, folder / "attending.onnx", images=x, layer="features")
    carried = seewhy.explain(onnxruntime.InferenceSession(path), x.numpy(), 1)
    assert apart(carried.maps, seewhy.explain(net, x, 1, layer="features").maps) < 1e-4


def test_what_cannot_be_exported_says_why(tmp_path):
    net, x = small(nets.Plain()), batch(2)
    export = partial(seewhy.export, path=tmp_path / "no.onnx", images=x, layer="features")
    for options, words in (
        ({"method": "score-cam"}, r"'score-cam' cannot be exported: it makes further passes.*grad-cam"),
        ({"method": "gradient", "layer": None}, "it explains the input's pixels"),
        ({"signed": True}, "leave out signed="),
        ({"augment": "flips"}, "leave out signed=, augment="),
        ({"layer": ["features", "pool"]}, "one layer, got 2"),
        ({"classes": 0}, "classes=k of 1 or more"),
        ({"path": tmp_path / "no.pt"}, r"a file called \.onnx"),
        ({"images": None}, "does not say how large its input is"),
    ):
        with pytest.raises(InputError, match=words):
            export(net, **options)
    with pytest.raises(SaveError, match=r"is a folder: give the name of a file in it, such as .*explained\.onnx"):
        export(net, path=tmp_path)
    with pytest.raises(InputError, match=r"one image input, and TwoIn takes several \(.*'other'\): wrap it"):
        export(small(TwoIn()))
    with pytest.raises(ModelError, match=r"cannot be traced into a graph \(\.numpy\(\) .*\): export a part of it that"):
        export(small(WithNumPy()), layer="inner.features")
    with pytest.raises(ModelError, match="depends on the values of the image"):
        export(small(Branching()), layer="inner.features")
    with pytest.raises(ModelError, match="or the method, computes depends on the values"):
        export(net, method="eigen-cam")
    with pytest.raises(UnknownNameError, match="unknown layer 'nothing'"):
        export(net, layer="nothing")
    with pytest.raises(SaveError, match="no folder"):
        export(net, path=tmp_path / "nowhere" / "no.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("net", [nets.Plain(), ByChance()], ids=["other weights", "by chance"])
def test_a_wrong_graph_is_not_written(plain, tmp_path, monkeypatch, net):
    monkeypatch.setattr(graphs, "converted", lambda *_: plain.read_bytes())  # of another net
    layer = "features" if isinstance(net, nets.Plain) else "inner.features"
    with pytest.raises(ModelError, match="does not give what seewhy explains: its maps are off by"):
        seewhy.export(small(net, seed=1), tmp_path / "x.onnx", images=batch(2), layer=layer)
    assert not list(tmp_path.iterdir())


def test_what_rounding_decides_is_written_with_a_warning(plain, monkeypatch):
    """1e-4 is not to be had where the method's own maps are less sharp than that."""
    carried = seewhy.Explainer(onnxruntime.InferenceSession(plain))
    explainer = seewhy.Explainer(small(nets.Plain()), layer="features")
    assert _agree.check(carried, explainer, batch(3)) < 1e-5
    monkeypatch.setattr(_agree, "EQUAL", 0.0)
    with pytest.warns(SeewhyWarning, match="grad-cam is not sharp here: in single precision"):
        _agree.check(carried, explainer, batch(3))


def test_a_net_that_no_file_holds_is_refused(tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2**15, 2**15, device="meta"))
    with pytest.raises(ModelError, match=r"weights of 4\.0 GiB, and one ONNX file holds 2"):
        seewhy.export(net, tmp_path / "x.onnx", images=batch(1), layer="1")


def test_a_missing_package_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingPackageError, match=r'onnxscript.*pip install "seewhy\[export\]"'):
        seewhy.export(small(nets.Plain()), tmp_path / "x.onnx", images=batch(1), layer="features")


def test_metadata_are_read_as_they_were_written():
    prepare = seewhy.Preprocess(size=(32, 64), resize=(40, 70), colour="bgr", interpolation="bicubic")
    about = About("1", "net", "layer-cam", {"form": "exp"}, "a.b", (8, 4, 4), "output", "softmax", ["ä", "b"], prepare)
    assert from_metadata(about.to_metadata()) == about
    nothing = About("1", "null", "m", {}, "0", (1, 1, 1), "logit", None, None, None)
    assert from_metadata(nothing.to_metadata()) == nothing


def test_the_python_in_the_docs_runs(photographed, coffee, tmp_path, monkeypatch, capsys):
    page = (Path(__file__).parents[1] / "docs/export.md").read_text(encoding="utf-8")
    section = page.partition("## PyTorch")[2].partition("\n## ")[0]
    exporting, *using = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    with Image.open(coffee) as photo:
        photo.convert("RGB").save("photo.jpg")
    shutil.copy(photographed, "explained.onnx")
    assert 'seewhy.export(model, "explained.onnx", upsample=True)' in exporting  # as the fixture does
    names = {"seewhy": seewhy}
    for code in using:
        exec(compile(code, "docs/export.md", "exec"), names)
    assert names["logits"].shape == (1, 1000) and names["heatmap"].shape == (1, 7, 7)
    assert capsys.readouterr().out.startswith("_swish\nPredicted: espresso")


# ---- the command line ------------------------------------------------------------------------------------


def test_the_command_exports_and_the_others_take_the_file(folder, photographed, coffee, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.py").write_text(
        "import torch, seewhy\n"
        "def make():\n"
        "    torch.manual_seed(0)\n"
        "    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),\n"
        "                              torch.nn.Flatten(), torch.nn.Linear(4, 2))\n"
        "    return seewhy.VisionModel(net, seewhy.Preprocess(size=(32, 32), resize=32), ['cat', 'dog'], 'tiny')\n"
    )
    run = CliRunner().invoke
    done = run(app, ["export", "--model", "python:tiny:make", "--out", "tiny.onnx", "--method", "layer-cam"])
    assert done.exit_code == 0, done.output
    assert "tiny with layer-cam at 1" in done.stdout and "file:tiny.onnx" in done.stdout
    done = run(app, ["explain", str(coffee), "--model", "file:tiny.onnx", "--target", "dog", "--json"])
    assert done.exit_code == 0 and '"method": "layer-cam"' in done.stdout and '"label": "dog"' in done.stdout
    done = run(app, ["compare", str(coffee), "--model", "file:tiny.onnx"])
    assert done.exit_code == 0, done.output
    done = run(app, ["layers", "--model", "file:tiny.onnx"])
    assert "exported" in done.stdout and "4 x 30 x 30" in done.stdout
    done = run(app, ["explain", str(coffee), "--model", "file:tiny.onnx", "--method", "grad-cam"])
    assert "carries its own explanation, by layer-cam" in str(done.exception)


def test_maps_of_nan_are_no_likeness():
    ones = np.ones((1, 1, 2, 2))
    assert _agree.apart(ones, ones) == 0 and _agree.apart(ones * np.nan, ones) == float("inf")
