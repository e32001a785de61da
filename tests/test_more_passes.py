"""Further passes on PyTorch: changed images, changed layers, second derivatives; the truth is plain autograd."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nets
import seewhy
from seewhy.adapters import _torch_tail
from seewhy.types import INPUT, Capture, method


def captured(net, x, target, layer, **needs) -> Capture:
    """What a method is given."""
    kept = []

    @method(paper="none", **needs)
    def keep(capture: Capture):
        kept.append(capture)
        return capture.activations.sum(1, keepdim=True).expand(*capture.scores.shape, *capture.activations.shape[2:])

    seewhy.explain(net, x, target, method=keep, layer=layer)
    return kept[0]


class Around(nn.Module):
    """A branch goes round the layer, and joins it by concatenation, as in DenseNet."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3, padding=1)
        self.last = nn.Conv2d(7, 5, 3)
        self.head = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.cat([x, torch.tanh(self.layer(x))], dim=1)
        return self.head(torch.tanh(self.last(y)).mean((2, 3)))


class Counted(Around):
    """Its code looks at how many images there are, and at their values."""

    def forward(self, x: Tensor) -> Tensor:
        y = torch.cat([x, torch.tanh(self.layer(x))], dim=1)
        y = torch.tanh(self.last(y)).mean((2, 3)).reshape(len(x), 5)
        return self.head(y if float(y.detach().sum()) > 1e9 else y * 1.0)


NETS = {"plain": (nets.Plain, "features", "_one"), "around": (Around, "layer", "_vmapped"),
        "counted": (Counted, "layer", "_copies"), "recurrent": (nets.Recurrent, "conv", "_one")}  # fmt: skip


def replaced(net, x, layer, given):
    """The outputs for one image, where these take the place of the layer's last output."""
    runs, module = 0, net.get_submodule(layer)
    last = nets.Recurrent.times if isinstance(net, nets.Recurrent) else 1

    def swap(module, args, output):
        nonlocal runs
        runs += 1
        return given[None] if runs == last else None

    handle = module.register_forward_hook(swap)
    with torch.no_grad():
        outputs = net(x[None])
    handle.remove()
    return outputs[0]


@pytest.mark.parametrize("kind", NETS)
def test_the_tail_runs_on_changed_layers(kind):
    make, layer, way = NETS[kind]
    net = nets.seeded(make())
    x = torch.randn(3, 3, 6, 7, dtype=torch.float64)
    capture = captured(net, x, [[0, 1], [2, 1], [1, 0]], layer)
    of = np.asarray([2, 0, 0, 1, 2, 0])
    changed = torch.randn(6, *capture.activations.shape[1:], dtype=torch.float64)
    scores = capture.again.tail(changed, of)
    wanted = [[0, 1], [2, 1], [1, 0]]
    for r, i in enumerate(of):
        expected = replaced(net, x[i], layer, changed[r])[wanted[i]]
        torch.testing.assert_close(scores[r], expected, rtol=1e-9, atol=1e-12)
    assert _torch_tail._ways[net.get_submodule(layer)].__name__ == way


@pytest.mark.parametrize("layer", ["features", INPUT])
def test_changed_images(layer):
    net = nets.seeded(nets.Plain())
    x = torch.randn(2, 3, 6, 7, dtype=torch.float64)
    at_input = layer == INPUT
    capture = captured(net, x, [[0, 1], [2, 3]], None if at_input else layer, at_input=at_input)
    torch.testing.assert_close(capture.again.images, x)
    of, wanted = np.asarray([1, 0, 1]), [[2, 3], [0, 1], [2, 3]]
    images = torch.randn(3, 3, 6, 7, dtype=torch.float64)
    outputs = net(images)
    expected = torch.stack([outputs[r, wanted[r]] for r in range(3)]).detach()
    torch.testing.assert_close(capture.again.scores(images, of), expected)
    for inside in (True, False):
        slopes = capture.again.gradients(images, of, at_input=inside)
        leaf = images.clone().requires_grad_() if inside or at_input else net.features(images).detach().requires_grad_()
        y = net(leaf) if inside or at_input else net.head(torch.tanh(net.hidden(net.pool(leaf).flatten(1))))
        for r in range(3):
            for j in range(2):
                (slope,) = torch.autograd.grad(y[r, wanted[r][j]], leaf, retain_graph=True)
                torch.testing.assert_close(slopes[r, j], slope[r])


def test_the_input_is_a_layer():
    net = nets.seeded(nets.Plain())
    x = torch.randn(2, 3, 6, 7, dtype=torch.float64)
    capture = captured(net, x, [[0, 1]] * 2, None, at_input=True)
    torch.testing.assert_close(capture.activations, x)
    leaf = x.clone().requires_grad_()
    for j in range(2):
        (slope,) = torch.autograd.grad(net(leaf)[:, j].sum(), leaf)
        torch.testing.assert_close(capture.gradients[:, j], slope)
    assert x.grad is None and not x.requires_grad


def test_curvature_is_the_second_derivative_along_the_activations():
    net = nets.seeded(nets.Plain())
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    capture = captured(net, x, [[0, 3]] * 2, "features")
    found = capture.again.curvature()
    A = net.features(x).detach()

    def score(a, j):
        return net.head(torch.tanh(net.hidden(net.pool(a[None]).flatten(1))))[0, j]

    for i in range(2):
        for j, c in enumerate((0, 3)):
            H = torch.autograd.functional.hessian(lambda a, c=c: score(a, c), A[i])
            expected = torch.tensordot(H, A[i], dims=A[i].ndim)
            torch.testing.assert_close(found[i, j], expected)


def test_curvature_of_a_straight_tail_is_zero():
    net = nets.seeded(nets.GapLinear())
    capture = captured(net, torch.randn(1, 3, 8, 8, dtype=torch.float64), 1, "act")
    assert not capture.again.curvature().any()


@pytest.mark.parametrize("layers", [["features.0", "features.1"], ["features.1", "features.0", "pool"]])
def test_several_layers_in_one_pass_equal_each_alone(layers):
    from seewhy.adapters import torch as adapter
    from seewhy.targets._forms import Question, as_rows

    net = nets.seeded(nets.Plain())
    x = torch.randn(2, 3, 6, 7, dtype=torch.float64)
    question = Question(as_rows(seewhy.top(2), 2), lambda classes: None)
    runs = []
    handle = net.head.register_forward_hook(lambda *_: runs.append(1))
    found = [adapter.find_layer(net, name)[1] for name in layers]
    several = adapter.capture(net, found, x, question, gradients=True, logit=True)
    assert len(runs) == 1
    handle.remove()
    for name, capture in zip(layers, several, strict=True):
        alone = captured(net, x, seewhy.top(2), name)
        torch.testing.assert_close(capture.activations, alone.activations)
        torch.testing.assert_close(capture.gradients, alone.gradients)


def test_further_passes_leave_the_model_as_it_was():
    net = nets.seeded(nets.Plain()).train()
    capture = captured(net, torch.randn(1, 3, 6, 7, dtype=torch.float64), 1, "features")
    before = [p.clone() for p in net.parameters()]
    of = np.zeros(2, np.intp)
    images = torch.randn(2, 3, 6, 7, dtype=torch.float64)
    capture.again.scores(images, of)
    capture.again.gradients(images, of)
    capture.again.tail(torch.randn(2, 3, 4, 5, dtype=torch.float64), of)
    assert net.training and net.features.training
    assert all(p.grad is None and torch.equal(p, b) for p, b in zip(net.parameters(), before, strict=True))
    assert not any(m._forward_hooks for m in net.modules())


def test_images_that_are_viewed_need_their_own_format():
    class Viewed(nets.GapLinear):
        def forward(self, x):
            y = self.act(self.conv(x))
            return self.head(y.view(len(y), 6, -1).mean(2))

    net = nets.seeded(Viewed())
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    capture = captured(net, x, 1, "act")
    torch.testing.assert_close(capture.again.scores(x, np.arange(2)), net(x)[:, 1:2].detach())


def test_several_inputs_go_with_their_image():
    net = nets.seeded(nets.TwoInputs())
    x, numbers = torch.randn(2, 3, 6, 7, dtype=torch.float64), torch.randn(2, 2, dtype=torch.float64)
    capture = captured(net, (x, numbers), 1, "image.features")
    of = np.asarray([1, 1, 0])
    images = torch.randn(3, 3, 6, 7, dtype=torch.float64)
    torch.testing.assert_close(capture.again.scores(images, of), net(images, numbers[of])[:, 1:2].detach())
    A = torch.randn(3, *capture.activations.shape[1:], dtype=torch.float64)
    for r in range(3):
        expected = replaced_two(net, x[of[r]], numbers[of[r]], A[r])
        torch.testing.assert_close(capture.again.tail(A, of)[r, 0], expected[1])


def replaced_two(net, x, numbers, given):
    handle = net.image.features.register_forward_hook(lambda m, a, output: given[None])
    outputs = net(x[None], numbers[None])[0].detach()
    handle.remove()
    return outputs
