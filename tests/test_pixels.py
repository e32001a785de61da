"""Pixel-level methods: against replicas that run a net by hand, against captum, and where they end."""

import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nets
import seewhy
from pixel_replicas import PIXELS
from seewhy.types import Capture, method

SIZES = {1: (9,), 2: (6, 7), 3: (5, 4, 5)}
OPTIONS = {
    "smooth-grad": {"samples": 3, "noise": 0.2, "seed": 5},
    "integrated-gradients": {"steps": 6, "baseline": 0.25},
}
LAYER = 4
"""Guided Grad-CAM looks at the second ReLU of `tiny`."""


def tiny(axes: int = 2, act=nn.ReLU, seed: int = 0) -> nn.Sequential:
    """Two convolutions with a normalisation and an activation between, and one linear layer to four classes."""
    conv, norm = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1], (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[axes - 1]
    out = [length - 3 for length in SIZES[axes]]
    net = nn.Sequential(
        conv(2, 3, 3), norm(3), act(), conv(3, 3, 2), act(), nn.Flatten(), nn.Linear(3 * int(np.prod(out)), 4)
    )
    nets.seeded(net, seed)
    generator = torch.Generator().manual_seed(seed)
    net[1].running_mean.copy_(torch.randn(3, generator=generator))
    net[1].running_var.copy_(torch.rand(3, generator=generator) + 0.5)
    return net


def by_hand(net: nn.Sequential):
    """The same net for the replicas: kinds and numbers."""
    steps = []
    for module in net:
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            deviation = np.sqrt(module.running_var.numpy() + module.eps)
            weight, bias = module.weight.detach().numpy(), module.bias.detach().numpy()
            steps.append(("norm", weight, bias, module.running_mean.numpy(), deviation))
        elif isinstance(module, nn.ReLU):
            steps.append(("relu",))
        elif not isinstance(module, nn.Flatten):
            kind = "dense" if isinstance(module, nn.Linear) else "conv"
            steps.append((kind, module.weight.detach().numpy(), module.bias.detach().numpy()))
    return steps


def sum_of_two(outputs):
    return outputs[:, 0] * 2 + outputs[:, 3]


# each target, and the weight that it gives each class score, for each place j
TARGETS = {
    "two classes": ([[2, 1], [2, 1]], [[0, 0, 1, 0], [0, 1, 0, 0]]),
    "negative": (seewhy.negative(1), [[0, -1, 0, 0]]),
    "callable": (sum_of_two, [[2, 0, 0, 1]]),
}


def options_of(name):
    return dict(OPTIONS.get(name, {})), {"layer": LAYER} if name == "guided-grad-cam" else {}


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", PIXELS)
def test_equals_its_replica(name, target, axes):
    net, x = tiny(axes, seed=axes + 10), torch.randn(2, 2, *SIZES[axes], dtype=torch.float64)
    asked, weights = TARGETS[target]
    options, at = options_of(name)
    explanation = seewhy.explain(net, x, asked, method=name, layer=str(LAYER) if at else None, **options)
    assert explanation.maps.shape == (2, len(weights), *SIZES[axes])
    steps, speaks = by_hand(net), False
    for i in range(2):
        for j, weight in enumerate(weights):
            expected = np.maximum(PIXELS[name](steps, x[i].numpy(), weight, **options, **at), 0)
            np.testing.assert_allclose(explanation.maps[i, j].numpy(), expected, rtol=1e-9, atol=1e-12)
            speaks |= bool((expected > 0).any())
    assert speaks


def test_replicas_tell_the_methods_apart():
    steps, x = by_hand(tiny()), torch.randn(2, *SIZES[2], dtype=torch.float64).numpy()
    maps = [replica(steps, x, [0, 0, 1, 0], **a, **b) for n, replica in PIXELS.items() for a, b in [options_of(n)]]
    for i in range(len(maps)):
        for j in range(i):
            assert np.abs(maps[i] - maps[j]).max() > 1e-3


# ---- captum ----------------------------------------------------------------------------------------------


@pytest.fixture
def resnet18():
    import torchvision

    torch.manual_seed(0)
    return torchvision.models.resnet18(weights=None).eval()


@pytest.mark.filterwarnings("ignore")
def test_equal_to_captum_on_resnet18(resnet18):
    from captum.attr import GuidedBackprop, GuidedGradCam, InputXGradient, IntegratedGradients, NoiseTunnel, Saliency

    x = torch.randn(2, 3, 64, 64)

    def ours(name, layer=None, **options):
        return seewhy.explain(resnet18, x, [[7, 340]] * 2, method=name, layer=layer, **options).maps

    def same(maps, theirs):
        for j, target in enumerate([7, 340]):
            expected = theirs(target).detach()
            assert float((maps[:, j] - expected).abs().max()) <= 1e-4 * float(expected.abs().max())

    def largest(attribution):
        return attribution.abs().amax(1)

    same(ours("gradient"), lambda t: Saliency(resnet18).attribute(x, target=t, abs=True).amax(1))
    same(ours("input-x-gradient"), lambda t: InputXGradient(resnet18).attribute(x, target=t).sum(1).clamp(min=0))
    same(ours("guided-backprop"), lambda t: largest(GuidedBackprop(resnet18).attribute(x, target=t)))
    same(
        ours("integrated-gradients", steps=8),
        lambda t: IntegratedGradients(resnet18).attribute(x, target=t, n_steps=8).sum(1).clamp(min=0),
    )
    same(
        ours("guided-grad-cam", "layer4"),
        lambda t: largest(GuidedGradCam(resnet18, resnet18.layer4).attribute(x, target=t, interpolate_mode="bilinear")),
    )
    # captum draws other noise, so that the two agree only where there is none
    tunnel = NoiseTunnel(Saliency(resnet18))
    same(
        ours("smooth-grad", samples=2, noise=0.0),
        lambda t: largest(tunnel.attribute(x, nt_type="smoothgrad", nt_samples=2, stdevs=0.0, target=t, abs=False)),
    )


# ---- guided gradients ------------------------------------------------------------------------------------


class Acts(nn.Module):
    """A net whose activation is called as a function, in any of the ways in which people write it."""

    def __init__(self, act) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, 3)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.act(self.second(self.act(self.first(x)))).mean((2, 3)))


RELUS = {
    "relu": F.relu,
    "torch.relu": torch.relu,
    "method": lambda x: x.relu(),
    "in place": lambda x: F.relu_(x),
    "clamp": lambda x: x.clamp(min=0),
    "clamp_min": lambda x: torch.clamp_min(x, 0),
    "threshold": lambda x: F.threshold(x, 0, 0),
    "relu6": lambda x: F.relu6(x / 1e6) * 1e6,  # never at its ceiling
    "hardtanh": lambda x: F.hardtanh(x, 0, 1e6),
    "module": nn.ReLU(),
    "module in place": nn.ReLU(inplace=True),
    "operator": torch.ops.aten.relu,
}


@pytest.mark.parametrize("way", RELUS)
def test_a_relu_is_guided_however_it_is_written(way):
    x = torch.randn(2, 2, 7, 8, dtype=torch.float64)
    net = nets.seeded(Acts(RELUS[way]))
    with torch.no_grad():
        a = net.first(x)
        b = net.second(torch.relu(a))
    g = net.head.weight[1].detach().clamp(min=0) / (b.shape[2] * b.shape[3])  # what the second ReLU lets through
    g = (b > 0) * g[:, None, None]
    g = F.conv_transpose2d(g, net.second.weight.detach()).clamp(min=0) * (a > 0)
    expected = F.conv_transpose2d(g, net.first.weight.detach()).abs().amax(1)
    maps = seewhy.explain(net, x, 1, method="guided-backprop").maps
    torch.testing.assert_close(maps[:, 0], expected)
    assert not torch.allclose(expected, seewhy.explain(net, x, 1, method="gradient").maps[:, 0])


def test_the_ceiling_of_a_relu6_lets_nothing_back():
    net = nets.seeded(Acts(nn.ReLU6()))
    with torch.no_grad():
        net.first.bias.fill_(100.0)
    explanation = seewhy.explain(net, torch.randn(1, 2, 7, 8, dtype=torch.float64), 1, method="guided-backprop")
    assert explanation.blank.all()


@pytest.mark.parametrize("name", ["guided-backprop", "guided-grad-cam"])
@pytest.mark.parametrize(
    ("act", "came"),
    [
        (F.silu, "only SiLU"),
        (F.gelu, "only GELU"),
        (lambda x: F.leaky_relu(torch.tanh(x)), "only LeakyReLU, Tanh"),
        (lambda x: F.threshold(x, 0.5, 0.5), "no other activation"),
        (F.hardtanh, "only Hardtanh"),
        (lambda x: x.clamp(min=1), "no other activation"),
        (lambda x: x, "no other activation"),
    ],
)
def test_a_net_without_relu_cannot_be_guided(act, came, name):
    x = torch.randn(1, 2, 7, 8, dtype=torch.float64)
    with pytest.raises(seewhy.errors.LayerError, match=rf"none ran, .*{came}.*'smooth-grad'"):
        seewhy.explain(nets.seeded(Acts(act)), x, 1, method=name)


class Unbatched(torch.autograd.Function):
    """A custom function whose backward pass cannot be batched."""

    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        assert g.detach().numpy() is not None  # no tensor of vmap's has numbers
        return g * 2


@pytest.mark.parametrize("name", ["guided-backprop", "full-grad"])
@pytest.mark.parametrize("act", [F.relu, lambda x: Unbatched.apply(F.relu(x))])
def test_many_targets_at_once_are_as_one_by_one(act, name):
    net, x = nets.seeded(Acts(act)), torch.randn(2, 2, 7, 8, dtype=torch.float64)
    together = seewhy.explain(net, x, [[0, 1, 2]] * 2, method=name).maps
    for j in range(3):
        torch.testing.assert_close(together[:, j], seewhy.explain(net, x, j, method=name).maps[:, 0])


def test_only_guided_passes_are_guided_and_the_model_keeps_no_hook():
    net, x = tiny(), torch.randn(1, 2, *SIZES[2], dtype=torch.float64)
    before = seewhy.explain(net, x, 1, method="gradient").maps
    kept = {}

    @method(paper="none", at_input=True)
    def both(capture: Capture):
        of = np.zeros(1, np.intp)
        for guided in (True, False):
            kept[guided] = capture.again.gradients(capture.again.images, of, at_input=True, guided=guided)
        return capture.gradients.abs().amax(2)

    torch.testing.assert_close(seewhy.explain(net, x, 1, method=both).maps, before)
    torch.testing.assert_close(kept[False].abs().amax(2), before)
    assert not torch.allclose(kept[True], kept[False])
    assert not any(m._forward_hooks or m._backward_hooks or m._forward_pre_hooks for m in net.modules())
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize("name", ["guided_backprop", "guided_grad_cam"])
def test_guided_methods_warn_of_the_check_that_they_fail(name):
    text = " ".join(seewhy.catalog.get("methods", name).__doc__.split())
    assert "parameter randomisation check" in text and "Adebayo et al. 2018" in text


# ---- biases ----------------------------------------------------------------------------------------------


class Wide(nn.Module):
    """Channels last, as in Swin and ConvNeXt."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm, self.up, self.down = (
            nn.Conv2d(2, 8, 2, 2),
            nn.LayerNorm(8),
            nn.Linear(8, 9),
            nn.Linear(9, 8),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).permute(0, 2, 3, 1)
        return (x + self.down(F.relu(self.up(self.norm(x))))).permute(0, 3, 1, 2)


class Frozen(nn.Module):
    """A normalisation of one's own, with buffers only."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("gain", torch.tensor([0.5, -2.0, 1.5]))
        self.register_buffer("shift", torch.tensor([1.0, 0.3, -0.7]))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain[:, None, None] + self.shift[:, None, None]


class Fused(nn.BatchNorm2d):
    """A normalisation with its activation inside, as in timm."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(super().forward(x))


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(F.relu(self.conv(x))))


BODIES = {
    "convolution": lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(inplace=True), nn.Conv2d(3, 3, 2), nn.ReLU()),
    "no bias": lambda: nn.Sequential(nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3), nn.ReLU(inplace=True)),
    "transposed": lambda: nn.Sequential(nn.ConvTranspose2d(2, 3, 2, 2), nn.ReLU(), nn.MaxPool2d(2)),
    "group": lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), nn.ReLU()),
    "instance": lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.InstanceNorm2d(4, affine=True), nn.ReLU()),
    "channels last": Wide,
    "own": lambda: nn.Sequential(nn.Conv2d(2, 3, 3), Frozen(), nn.ReLU()),
    "fused": lambda: nn.Sequential(nn.Conv2d(2, 3, 3), Fused(3), nn.Conv2d(3, 3, 1)),
    "twice": Twice,
    "prelu": lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.PReLU(3)),
    "weight norm": lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 3, 3)), nn.ReLU()),
}


class Pooled(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, nn.LazyLinear(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).flatten(1))


@pytest.mark.parametrize("body", BODIES)
def test_bias_gradients_and_input_times_gradient_add_up_to_the_score(body):
    """Srinivas and Fleuret 2019, proposition 1: f(x) = x * df/dx + sum of b * df/db, over all layers."""
    net = Pooled(BODIES[body]())
    x = torch.randn(3, 2, 8, 8, dtype=torch.float64)
    net(x.float())
    nets.seeded(net)
    kept = {}

    @method(paper="none", at_input=True)
    def parts(capture: Capture):
        kept["biases"] = capture.again.biases()
        kept["input"] = capture.gradients * capture.activations[:, None]
        return capture.gradients.sum(2)

    explanation = seewhy.explain(net, x, [[0, 2]] * 3, method=parts)
    total = kept["input"].sum((2, 3, 4))
    for term in kept["biases"]:
        assert term.ndim == 5 and term.shape[:2] == (3, 2)
        total = total + term.flatten(2).sum(2)
    last = net.head.bias.detach()[[0, 2]]  # of a layer without positions
    torch.testing.assert_close(total + last, explanation.scores, rtol=1e-9, atol=1e-9)
    assert sum(float(t.abs().sum()) for t in kept["biases"]) > 0.1


def test_bias_gradients_add_up_in_an_exported_model(tmp_path):
    net, x = tiny(), torch.randn(2, 2, *SIZES[2], dtype=torch.float64)
    torch.export.save(torch.export.export(net, (x,)), tmp_path / "net.pt2")
    with pytest.warns(seewhy.errors.SeewhyWarning, match="does not say how photos are prepared"):
        exported = seewhy.load(f"file:{tmp_path / 'net.pt2'}").net
    for name in ("full-grad", "guided-backprop"):
        maps = seewhy.explain(exported, x, 1, method=name).maps
        torch.testing.assert_close(maps, seewhy.explain(net, x, 1, method=name).maps)


def test_bias_gradients_come_channels_first():
    net = Pooled(Wide())
    x = torch.randn(1, 2, 8, 8, dtype=torch.float64)
    net(x.float())
    shapes = []

    @method(paper="none", at_input=True)
    def keep(capture: Capture):
        shapes.extend(tuple(term.shape[2:]) for term in capture.again.biases())
        return capture.gradients.sum(2)

    seewhy.explain(nets.seeded(net), x, 0, method=keep)
    assert shapes == [(8, 4, 4), (8, 4, 4), (9, 4, 4), (8, 4, 4)]


def test_full_grad_leaves_out_what_has_one_position():
    class Excited(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.excite, self.head = nn.Conv2d(2, 3, 3), nn.Conv2d(3, 3, 1), nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            y = F.relu(self.conv(x))
            return self.head((y * torch.sigmoid(self.excite(y.mean((2, 3), keepdim=True)))).mean((2, 3)))

    net, x = nets.seeded(Excited()), torch.randn(1, 2, 8, 8, dtype=torch.float64)
    low = seewhy.explain(net, x, 0, method="full-grad").maps.min()
    assert 0 <= float(low) < 0.2  # one such layer alone would add the same number everywhere, up to its 3 channels


def test_a_layer_whose_bias_cannot_be_found_is_named():
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x + 1

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, g):
            return g

    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("one", torch.ones(()))

        def forward(self, x: Tensor) -> Tensor:
            return Once.apply(x)

    net, x = nets.seeded(nn.Sequential(Odd(), tiny())), torch.randn(1, 2, *SIZES[2], dtype=torch.float64)
    with pytest.raises(seewhy.errors.LayerError, match=r"bias of the layer '0' \(Odd\) cannot be found"):
        seewhy.explain(net, x, 0, method="full-grad")
    assert not any(m._forward_hooks for m in net.modules())


def test_a_net_without_layers_is_told_so():
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w, self.b, self.head = (
                nn.Parameter(torch.ones(3, 2, 3, 3)),
                nn.Parameter(torch.ones(3)),
                nn.Linear(3, 2),
            )

        def forward(self, x: Tensor) -> Tensor:
            return self.head(F.relu(F.conv2d(x, self.w, self.b)).mean((2, 3)))

    with pytest.raises(seewhy.errors.LayerError, match="biases cannot be seen"):
        seewhy.explain(nets.seeded(Bare()), torch.rand(1, 2, 6, 6, dtype=torch.float64), 0, method="full-grad")


def test_another_thread_does_not_add_its_layers():
    net, x = tiny(), torch.randn(1, 2, *SIZES[2], dtype=torch.float64)
    alone = seewhy.explain(net, x, 0, method="full-grad").maps
    stop, crowd = threading.Event(), torch.randn(1, 2, *SIZES[2], dtype=torch.float64)

    def predict() -> None:
        while not stop.is_set():
            net(crowd)

    other = threading.Thread(target=predict)
    other.start()
    try:
        for _ in range(5):
            torch.testing.assert_close(seewhy.explain(net, x, 0, method="full-grad").maps, alone)
    finally:
        stop.set()
        other.join()


# ---- many passes -----------------------------------------------------------------------------------------


def raw_maps(name, net, x, target, **options):
    """The maps before the ReLU that all methods share."""
    kept = {}
    inner = seewhy.catalog.get("methods", name)

    @method(paper="none", at_input=True)
    def raw(capture: Capture):
        kept["maps"] = inner(capture, **options)
        return kept["maps"]

    return kept, seewhy.explain(net, x, target, method=raw)


@pytest.mark.parametrize("baseline", [0.0, 1.5, (0.5, -1.0, 2.0), "mean"])
def test_integrated_gradients_are_complete(baseline):
    """Sundararajan et al. 2017, proposition 1: the positions add up to y(x) - y(x')."""
    net, x = nets.seeded(nets.Plain()), torch.randn(2, 3, 8, 9, dtype=torch.float64)
    kept, explanation = raw_maps("integrated-gradients", net, x, [[0, 3]] * 2, baseline=baseline)
    if baseline == "mean":
        start = x.mean((2, 3), keepdim=True).expand_as(x)
    else:
        start = torch.zeros_like(x) + torch.tensor(baseline, dtype=torch.float64).reshape(-1, 1, 1)
    expected = explanation.scores - net(start).detach()[:, [0, 3]]
    torch.testing.assert_close(kept["maps"].sum((2, 3)), expected, rtol=1e-6, atol=1e-8)


def test_integrated_gradients_of_a_net_of_relus_come_close():
    net, x = tiny(), torch.randn(4, 2, *SIZES[2], dtype=torch.float64)
    kept, explanation = raw_maps("integrated-gradients", net, x, 2, steps=200)
    expected = explanation.scores[:, 0] - net(torch.zeros_like(x)).detach()[:, 2]
    difference = (kept["maps"].sum((2, 3))[:, 0] - expected).abs()
    assert float(difference.max()) < 0.02 * float(expected.abs().max())


@pytest.mark.parametrize(("name", "many"), [("smooth-grad", {"samples": 7}), ("integrated-gradients", {"steps": 7})])
def test_a_map_depends_neither_on_its_batch_nor_on_the_chunks(name, many):
    net, x = tiny(), torch.randn(5, 2, *SIZES[2], dtype=torch.float64)
    whole = seewhy.explain(net, x, [[0, 1]] * 5, method=name, **many).maps
    torch.testing.assert_close(seewhy.explain(net, x[3:4], [0, 1], method=name, **many).maps, whole[3:4])
    torch.testing.assert_close(seewhy.explain(net, x, [[0, 1]] * 5, method=name, **many, memory=0.3).maps, whole)


def test_no_more_rows_run_at_once_than_memory_allows():
    net, x = tiny(), torch.randn(5, 2, *SIZES[2], dtype=torch.float64)
    rows = []
    handle = net[0].register_forward_hook(lambda module, args, output: rows.append(len(output)))
    seewhy.explain(net, x, 0, method="integrated-gradients", steps=10, memory=0.3)
    handle.remove()
    assert rows[0] == 5 and sum(rows[1:]) == 50 and 1 <= max(rows[1:]) < 10
    with pytest.raises(seewhy.errors.InputError, match="too small"):
        seewhy.explain(net, x, 0, method="integrated-gradients", memory=0.001)


def test_smooth_grad_follows_its_seed():
    net, x = tiny(), torch.randn(2, 2, *SIZES[2], dtype=torch.float64)

    def smooth(**options):
        return seewhy.explain(net, x, 0, method="smooth-grad", **options).maps

    assert torch.equal(smooth(), smooth(seed=0))
    assert not torch.allclose(smooth(), smooth(seed=1))
    torch.testing.assert_close(smooth(noise=0), seewhy.explain(net, x, 0, method="gradient").maps)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("smooth-grad", {"samples": 0}, "samples= as a whole number of 1 or more, got 0"),
        ("smooth-grad", {"noise": -0.1}, "noise= as a share of the input's range, 0 or more, got -0.1"),
        ("smooth-grad", {"noise": float("nan")}, "noise="),
        ("smooth-grad", {"noise": True}, "noise="),
        ("smooth-grad", {"memory": 0}, "memory="),
        ("smooth-grad", {"seed": -1}, "seed="),
        ("smooth-grad", {"memory": float("inf")}, "memory="),
        ("integrated-gradients", {"steps": -1}, "steps="),
        (
            "integrated-gradients",
            {"baseline": "black"},
            "baseline= as a number, one for each of 2 .* got 'black'",
        ),
        ("integrated-gradients", {"baseline": (1, 2, 3)}, "baseline="),
        ("integrated-gradients", {"baseline": float("inf")}, "baseline="),
    ],
)
def test_options_out_of_range_say_what_is_expected(name, options, words):
    with pytest.raises(seewhy.errors.InputError, match=words):
        seewhy.explain(tiny(), torch.rand(1, 2, *SIZES[2], dtype=torch.float64), 0, method=name, **options)


# ---- where they end --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PIXELS)
def test_a_score_without_gradient_is_blank_never_nan(name):
    net = tiny()
    with torch.no_grad():
        net[-1].weight.zero_()
    explanation = seewhy.explain(net, torch.randn(2, 2, *SIZES[2], dtype=torch.float64), 0, method=name)
    assert not explanation.maps.any() and explanation.blank.all()


@pytest.mark.parametrize("name", PIXELS)
@pytest.mark.parametrize("value", [0.0, 0.5])
def test_a_constant_photo_gives_numbers(name, value):
    explanation = seewhy.explain(tiny(), torch.full((1, 2, *SIZES[2]), value, dtype=torch.float64), 0, method=name)
    assert torch.isfinite(explanation.maps).all()


@pytest.mark.parametrize("name", PIXELS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(name, dtype):
    net, x = tiny(), torch.randn(2, 2, *SIZES[2]).to(dtype)
    options, _ = options_of(name)
    expected = seewhy.explain(net, x.double(), [[0, 1]] * 2, method=name, **options).maps
    maps = seewhy.explain(net.to(dtype), x, [[0, 1]] * 2, method=name, **options).maps
    assert maps.dtype == torch.float32
    assert float((maps - expected).abs().mean()) < 0.1 * float(expected.max())


@pytest.mark.parametrize("name", PIXELS)
def test_a_model_of_several_inputs_and_outputs(name):
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.image, self.numbers = tiny(), nn.Linear(2, 4).double()

        def forward(self, image: Tensor, numbers: Tensor) -> dict[str, Tensor]:
            return {"aux": image, "logits": self.image(image) * self.numbers(numbers)}

    net = Two().eval()
    images = torch.randn(3, 2, *SIZES[2], dtype=torch.float64)
    numbers = torch.randn(3, 2, dtype=torch.float64)
    whole = seewhy.explain(net, (images, numbers), 1, method=name).maps
    for i in range(3):
        torch.testing.assert_close(
            seewhy.explain(net, (images[i : i + 1], numbers[i : i + 1]), 1, method=name).maps[0], whole[i]
        )


@pytest.mark.parametrize("name", PIXELS)
def test_frozen_models_and_inference_mode(name):
    net, x = tiny(), torch.randn(1, 2, *SIZES[2], dtype=torch.float64)
    expected = seewhy.explain(net, x, 0, method=name).maps
    net.requires_grad_(False)
    with torch.inference_mode():
        torch.testing.assert_close(seewhy.explain(net, x.clone(), 0, method=name).maps.clone(), expected)


@pytest.mark.parametrize("name", sorted(set(PIXELS) - {"guided-grad-cam"}))
def test_a_layer_is_not_asked_for(name):
    with pytest.raises(seewhy.errors.LayerError, match="no layer"):
        seewhy.Explainer(tiny(), name, "0")
