"""The CAM family beside captum and torchcam: equal where they follow the paper, and shown to differ where not.

Where peers are wrong, as of torchcam 0.5 and pytorch-grad-cam 1.5:
- torchcam's GradCAMpp divides a copy of the squared gradients, so that alpha has no denominator (shown below).
- torchcam's SmoothGradCAMpp averages second and third derivatives, and takes the first from the last sample alone.
- pytorch-grad-cam's GradCAMPlusPlus adds 1e-6 to a denominator that is often smaller than that.
- pytorch-grad-cam's EigenCAM, EigenGradCAM and KPCA_CAM leave the sign to the decomposition; the first two centre.
- pytorch-grad-cam's FEM weighs the activations by the share of unusual positions, not these by the channel's mean.
"""

import pytest
import torch
from torch import nn

import seewhy

pytestmark = pytest.mark.filterwarnings("ignore")


class Net(nn.Module):
    """A small net of ReLUs; the tail has a hidden convolution unless it is CAM's."""

    def __init__(self, hidden: bool) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 16, 3, 2), nn.ReLU(), nn.Conv2d(16, 24, 3), nn.ReLU())
        self.hidden = nn.Sequential(nn.Conv2d(24, 24, 3, padding=1), nn.ReLU()) if hidden else nn.Identity()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(24, 10)

    def forward(self, x):
        return self.fc(self.pool(self.hidden(self.features(x))).flatten(1))


@pytest.fixture
def net():
    torch.manual_seed(3)
    return Net(hidden=True).eval()


@pytest.fixture
def x():
    return torch.randn(3, 3, 32, 32)


def torchcam(name, net, x, target, **options):
    import torchcam.methods as peers

    with getattr(peers, name)(net, "features", **options) as extractor:
        return extractor(target, net(x), normalized=False)[0].detach()


def ours(method, net, x, target):
    maps = seewhy.explain(net, x, target, method=method, layer="features").maps[:, 0]
    assert float(maps.max()) > 0
    return maps


def same(a, b):
    return float((a - b).abs().max()) <= 1e-4 * float(b.abs().max())


@pytest.mark.parametrize(("method", "peer"), [("xgrad-cam", "XGradCAM"), ("layer-cam", "LayerCAM")])
def test_equal_to_torchcam(net, x, method, peer):
    for target in (1, 7):
        assert same(ours(method, net, x, target), torchcam(peer, net, x, target))


def test_cam_is_equal_to_torchcam(x):
    torch.manual_seed(3)
    net = Net(hidden=False).eval()
    assert same(ours("cam", net, x, 4), torchcam("CAM", net, x, 4, fc_layer="fc").clamp(min=0))


def test_element_wise_is_equal_to_captum(net, x):
    from captum.attr import LayerGradientXActivation

    products = LayerGradientXActivation(net, net.features).attribute(x, target=4).detach()
    assert same(ours("element-wise-grad-cam", net, x, 4), products.clamp(min=0).sum(1))


def test_grad_cam_plus_plus_of_torchcam_has_no_denominator(net, x):
    theirs = torchcam("GradCAMpp", net, x, 4)
    kept = []
    hook = net.features.register_forward_hook(lambda module, args, output: kept.append(output))
    y = net(x)
    hook.remove()
    [A] = kept
    (g,) = torch.autograd.grad(y[:, 4].sum(), A)
    A = A.detach()

    def maps(alpha):
        w = (alpha * g.clamp(min=0)).sum((2, 3), keepdim=True)
        return (w * A).sum(1).clamp(min=0)

    assert same(theirs, maps(g**2))  # no denominator
    divided = torch.where(g != 0, 1 / (2 + A.sum((2, 3), keepdim=True) * g), torch.zeros_like(g))  # eq. 19
    assert same(ours("grad-cam++", net, x, 4), maps(divided))
    assert not same(theirs / theirs.max(), maps(divided) / maps(divided).max())
