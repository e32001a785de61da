"""PyTorch: integer images, models that change their input, copies of the image, memory formats."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nets
import seewhy
from seewhy.adapters import _torch_again, _torch_tail
from test_more_passes import Around, Counted, captured, replaced

PERTURBING = ("gradient", "smooth-grad", "integrated-gradients", "score-cam", "occlusion", "rise")


# ---- integer images --------------------------------------------------------------------------------------


class Scaled(nets.Plain):
    """Takes images from 0 to 255, and scales them itself."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float() / 255)


@pytest.mark.parametrize("method", ["grad-cam", "ablation-cam", "full-grad", *PERTURBING])
def test_integer_images_are_explained_as_their_floats_are(method):
    net = nets.seeded(Scaled(), dtype=torch.float32)
    photos = torch.randint(0, 256, (2, 3, 8, 9), dtype=torch.uint8)
    layer = {} if method in PERTURBING[:3] or method in ("occlusion", "rise", "full-grad") else {"layer": "features"}
    found, expected = (seewhy.explain(net, x, 1, method=method, **layer).maps for x in (photos, photos.float()))
    assert np.ptp(np.asarray(expected)) > 0
    np.testing.assert_array_equal(found, expected)


def test_noise_is_added_to_integer_images_as_floats():
    net = nets.seeded(Scaled(), dtype=torch.float32)
    photos = torch.randint(0, 2, (1, 3, 8, 9), dtype=torch.uint8)
    seen = []
    net.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    seewhy.explain(net, photos, 1, layer="features", augment="noise")
    assert any(bool((x < 0).any()) for x in seen) and max(float(x.abs().max()) for x in seen) < 200


def test_the_first_pass_takes_integer_images_as_they_came():
    class Told(nets.Plain):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.float() / 255 if x.dtype == torch.uint8 else x)

    net = nets.seeded(Told(), dtype=torch.float32)
    photos = torch.randint(0, 256, (2, 3, 8, 9), dtype=torch.uint8)
    capture = captured(net, photos, 1, "features")
    torch.testing.assert_close(capture.scores[:, 0], net(photos)[:, 1].detach())


# ---- models that change their input ----------------------------------------------------------------------


class Subtracting(nets.Plain):
    """The first operation is one in place."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.sub_(0.5))


class Copying(nets.Plain):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - 0.5)


@pytest.mark.parametrize("layer", ["features", None])
@pytest.mark.parametrize("method", ["grad-cam", "score-cam", "recipro-cam", "occlusion", "smooth-grad"])
def test_a_model_that_changes_its_input_is_explained_as_one_that_does_not(method, layer):
    if method in ("occlusion", "smooth-grad"):
        layer = None
    x = torch.rand(2, 3, 8, 9, dtype=torch.float64)
    given = x.clone()
    found, expected = (
        seewhy.explain(nets.seeded(make()), given, 1, method=method, layer=layer).maps
        for make in (Subtracting, Copying)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(given, x, rtol=0, atol=0)


# ---- what follows the layer ------------------------------------------------------------------------------


def test_copies_of_the_image_keep_to_what_the_rows_were_reckoned_to_take():
    net = nets.seeded(Counted())
    x = torch.randn(1, 3, 30, 30, dtype=torch.float64)
    capture = captured(net, x, 1, "layer")
    lengths = []
    net.register_forward_pre_hook(lambda module, args: lengths.append(len(args[0])))
    changed = torch.randn(20, *capture.activations.shape[1:], dtype=torch.float64)
    scores = capture.again.tail(changed, np.zeros(20, np.intp))
    # a row of the layer's output (4 channels) is reckoned at 5 times its size, an image (3 channels) at 17 times
    assert max(lengths) == 20 * 4 * 5 // (3 * 17) and sum(lengths) >= 20
    for row, score in zip(changed, scores, strict=True):
        torch.testing.assert_close(score[0], replaced(net, x[0], "layer", row)[1], rtol=1e-9, atol=1e-12)


def test_a_way_is_not_kept_where_the_rows_tell_nothing():
    class Dead(Around):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * (x.mean((1, 2, 3)) > 0)[:, None]

    net = nets.seeded(Dead())
    x = torch.randn(2, 3, 6, 7, dtype=torch.float64)
    x = torch.stack([x[0] - x[0].mean() - 1, x[1] - x[1].mean() + 1])  # the first scores zero whatever the layer says
    capture = captured(net, x, 1, "layer")
    changed = torch.randn(3, *capture.activations.shape[1:], dtype=torch.float64)
    assert not capture.again.tail(changed, np.zeros(3, np.intp)).any()
    assert net.layer not in _torch_tail._ways
    scores = capture.again.tail(changed, np.ones(3, np.intp))
    for row, score in zip(changed, scores, strict=True):
        torch.testing.assert_close(score[0], replaced(net, x[1], "layer", row)[1], rtol=1e-9, atol=1e-12)
    assert net.layer in _torch_tail._ways


def test_one_channel_of_zeros_tells_the_ways_apart():
    class One(nn.Module):
        """One image with many outputs of the layer is taken for one image: a sum over all there are."""

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 1, 3)
            self.head = nn.Linear(1, 2)

        def forward(self, x: Tensor) -> Tensor:
            y = self.layer(x)
            y = y if len(x) == len(y) else y.flip(0)  # its code looks at how many images there were
            return self.head(y.mean((2, 3)))

    net = nets.seeded(One())
    x = torch.randn(1, 3, 6, 7, dtype=torch.float64)
    capture = captured(net, x, 1, "layer")
    changed = torch.cat([torch.zeros(1, 1, 4, 5), torch.rand(2, 1, 4, 5)]).double()
    scores = capture.again.tail(changed, np.zeros(3, np.intp))
    for row, score in zip(changed, scores, strict=True):
        torch.testing.assert_close(score[0], replaced(net, x[0], "layer", row)[1], rtol=1e-9, atol=1e-12)


def test_a_way_that_fails_on_other_rows_is_left():
    class Choosy(nets.Plain):
        def forward(self, x: Tensor) -> Tensor:
            y = self.features(x)
            if len(y) > 2 and len(x) == 1:
                raise RuntimeError("more maps than images")
            return self.head(torch.tanh(self.hidden(self.pool(y).flatten(1))))

    net = nets.seeded(Choosy())
    x = torch.randn(1, 3, 6, 7, dtype=torch.float64)
    capture = captured(net, x, 1, "features")
    changed = torch.randn(4, *capture.activations.shape[1:], dtype=torch.float64)
    scores = capture.again.tail(changed, np.zeros(4, np.intp))
    for row, score in zip(changed, scores, strict=True):
        torch.testing.assert_close(score[0], replaced(net, x[0], "features", row)[1], rtol=1e-9, atol=1e-12)


# ---- memory formats --------------------------------------------------------------------------------------


def failing(net, error):
    """From now on the model fails on images that are channels-last in memory; how many images it was run on."""
    runs = []

    def look(module, args):
        runs.append(len(args[0]))
        if args[0].is_contiguous(memory_format=torch.channels_last):
            raise error

    net.register_forward_pre_hook(look)
    return runs


@pytest.fixture
def always_large(monkeypatch):
    monkeypatch.setattr(_torch_again, "LARGE", 1)


def test_out_of_memory_is_told_at_once(always_large):
    net = nets.seeded(nets.Plain())
    x = torch.randn(1, 3, 6, 7, dtype=torch.float64)
    capture = captured(net, x, 1, "features")
    runs = failing(net, torch.OutOfMemoryError("no memory"))
    with pytest.raises(torch.OutOfMemoryError):
        capture.again.scores(x, np.zeros(1, np.intp))
    assert runs == [1] and net not in _torch_again._contiguous


def test_a_model_that_fails_in_every_format_is_not_remembered(always_large):
    net = nets.seeded(nets.Plain())
    x = torch.randn(1, 3, 6, 7, dtype=torch.float64)
    capture = captured(net, x, 1, "features")
    handle = net.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("broken")))
    with pytest.raises(RuntimeError, match="broken"):
        capture.again.scores(x, np.zeros(1, np.intp))
    assert net not in _torch_again._contiguous
    handle.remove()
    runs = failing(net, RuntimeError("view"))
    capture.again.scores(x, np.zeros(1, np.intp))
    capture.again.scores(x, np.zeros(1, np.intp))
    assert runs == [1, 1, 1] and net in _torch_again._contiguous


@pytest.mark.parametrize(("side", "last"), [(24, False), (_torch_again.LARGE, True)])
def test_large_images_alone_go_channels_last(side, last):
    net = nets.seeded(nets.Plain(), dtype=torch.float32)
    x = torch.randn(1, 3, side, side)
    capture = captured(net, x, 1, "features")
    formats = []
    net.register_forward_pre_hook(
        lambda module, args: formats.append(args[0].is_contiguous(memory_format=torch.channels_last))
    )
    capture.again.scores(x, np.zeros(1, np.intp))
    assert formats == [last]
