"""The layer that is found by itself: the last convolutional feature map, on the architectures that people use."""

import warnings

import pytest
import torch
from torch import nn

import nets
import seewhy
from seewhy.photos import embedded_photo

TORCHVISION = {
    "resnet50": ("layer4", (2048, 4, 4)),
    "vgg16": ("features.29", (512, 8, 8)),
    "densenet121": ("features", (1024, 4, 4)),
    "mobilenet_v3_large": ("features", (960, 4, 4)),
    "efficientnet_b0": ("features", (1280, 4, 4)),
    "inception_v3": ("Mixed_7c", (2048, 5, 5)),
    "squeezenet1_0": ("features", (512, 7, 7)),
    "convnext_tiny": ("features", (768, 4, 4)),
    "googlenet": ("inception5b", (1024, 4, 4)),
    "shufflenet_v2_x0_5": ("conv5", (1024, 4, 4)),
}
TIMM = {
    "resnet50": ("layer4", (2048, 4, 4)),
    "vgg16": ("features.29", (512, 8, 8)),
    "densenet121": ("features", (1024, 4, 4)),
    "mobilenetv3_large_100": ("blocks", (960, 4, 4)),  # its last convolution runs after the pooling
    "efficientnet_b0": ("bn2", (1280, 4, 4)),
    "inception_v3": ("Mixed_7c", (2048, 5, 5)),
    "convnext_tiny": ("stages", (768, 4, 4)),
    "seresnet50": ("layer4", (2048, 4, 4)),  # squeeze and excitation runs after the last convolution of the block
    "resnetv2_50": ("norm", (2048, 4, 4)),
}


def default(net, size=128):
    with warnings.catch_warnings():
        warnings.simplefilter("error", seewhy.SeewhyWarning)
        [info] = [info for info in seewhy.layers(net, torch.zeros(1, 3, size, size)) if info.default]
    return info.name, info.shape


def built(make):
    """A network without the time that drawing its weights takes: where things run does not depend on them."""
    with torch.device("meta"):
        net = make()
    net.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in net.state_dict().values():
            tensor.zero_()
    return net


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision(name):
    import torchvision

    extra = {"init_weights": False} if name in ("inception_v3", "googlenet") else {}
    net = built(lambda: torchvision.models.get_model(name, weights=None, **extra))
    assert default(net, 203 if name == "inception_v3" else 128) == TORCHVISION[name]


@pytest.mark.parametrize("name", TIMM)
def test_timm(name):
    import timm

    assert default(built(lambda: timm.create_model(name)), 203 if name == "inception_v3" else 128) == TIMM[name]


def test_the_embedded_model(lite0):
    [info] = [info for info in seewhy.layers(lite0) if info.default]
    assert info.shape == (1280, 7, 7)
    assert info.name == seewhy.Explainer(lite0)(embedded_photo("coffee")).layer


def test_a_transformer_says_that_its_convolution_is_its_first_layer():
    class Transformer(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches, self.head = nn.Conv2d(3, 8, 4, stride=4), nn.Linear(8, 3)
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x):
            tokens = self.patches(x).flatten(2).transpose(1, 2)
            return self.head(self.attention(tokens, tokens, tokens)[0].mean(1))

    with pytest.warns(seewhy.SeewhyWarning, match="attention runs after this model's last convolution"):
        assert default_of(seewhy.layers(Transformer(), torch.rand(1, 3, 16, 16))) == "patches"


def default_of(infos):
    return next(info.name for info in infos if info.default)


def test_functional_code_and_shared_modules():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.act, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Linear(4, 3)

        def forward(self, x):
            x = self.act(self.two(self.act(self.one(x))))
            return self.head(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))

    infos = seewhy.layers(Functional(), torch.rand(2, 3, 9, 9))
    assert default_of(infos) == "act"  # the second run of the shared activation
    assert [(info.name, info.shape) for info in infos] == [("one", (4, 7, 7)), ("two", (4, 5, 5)), ("act", (4, 5, 5))]


@pytest.mark.parametrize("axes", [1, 3])
def test_signals_and_volumes(axes):
    net = nets.seeded(nets.Plain(axes))
    assert default_of(seewhy.layers(net, torch.rand(1, 3, *[7] * axes, dtype=torch.float64))) == "features"


def test_a_single_layer_of_class_scores_is_better_than_none():
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert default_of(seewhy.layers(net, torch.rand(1, 3, 6, 6))) == "0"


def test_the_class_maps_of_a_segmentation_net_do_not_count():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 5, 1), nn.Upsample(scale_factor=2))
    assert default_of(seewhy.layers(net, torch.rand(1, 3, 8, 8))) == "1"


def test_tables_of_numbers_are_no_feature_maps():
    class Biased(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bias, self.head = nn.Conv2d(3, 4, 3), nn.Identity(), nn.Linear(4, 3)
            self.table = nn.Parameter(torch.zeros(4, 1, 6, 6))

        def forward(self, x):
            return self.head((self.conv(x) + self.bias(self.table).movedim(0, 1)).mean((2, 3)))

    infos = seewhy.layers(Biased(), torch.rand(2, 3, 8, 8))
    assert [info.name for info in infos] == ["conv"]


def test_no_convolution_is_said():
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
    assert not any(info.default for info in seewhy.layers(net, torch.rand(1, 3, 4, 4)))
    with pytest.raises(seewhy.SeewhyError, match="no convolution with more than one position ran"):
        seewhy.explain(net, torch.rand(1, 3, 4, 4))


def test_found_once():
    net = nets.seeded(nets.Plain())
    runs = []
    net.head.register_forward_hook(lambda *_: runs.append(1))
    explainer = seewhy.Explainer(net)
    for _ in range(3):
        explainer(torch.rand(1, 3, 6, 6, dtype=torch.float64))
    assert len(runs) == 4  # one to find the layer, then one for each photo


def test_photos_are_needed_only_where_the_model_does_not_say_its_size(lite0):
    assert default_of(seewhy.layers(lite0)) == default_of(seewhy.layers(lite0.net, torch.zeros(1, 3, 64, 64)))
    with pytest.raises(seewhy.SeewhyError, match="pass images"):
        seewhy.layers(nets.Plain())
