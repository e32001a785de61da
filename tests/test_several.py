"""Several layers, several methods, several views of one image, in one pass."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import nets
import seewhy
from seewhy.augment import mean, variations
from seewhy.fuse import fuse_maps
from seewhy.maps import to_numpy
from seewhy.sweep import sweep
from seewhy.types import Capture, LayerInfo, method


def counted(net):
    """How often the model runs."""
    runs = []
    net.register_forward_hook(lambda *_: runs.append(1))
    return runs


@pytest.fixture
def net():
    return nets.seeded(nets.Plain())


@pytest.fixture
def x():
    return torch.randn(2, 3, 6, 7, dtype=torch.float64)


# ---- layers ----------------------------------------------------------------------------------------------


def test_each_layer_as_if_alone_in_one_pass(net, x):
    layers = ["features.0", "features.1", "pool"]
    runs = counted(net)
    several = seewhy.explain(net, x, seewhy.top(2), layer=layers)
    assert len(runs) == 1
    assert several.names == tuple(layers) and len(several) == 3
    for name in layers:
        alone = seewhy.explain(net, x, seewhy.top(2), layer=name)
        assert several[name].layer == name
        torch.testing.assert_close(several[name].maps, alone.maps)
        assert several[name].labels == alone.labels
    assert several[-1] is several["pool"]


@pytest.mark.parametrize("fuse", ["max", "mean", "product"])
def test_layers_are_fused_on_the_finest_grid(net, x, fuse):
    layers = ["pool", "features"]
    one = seewhy.explain(net, x, [0, 3], layer=layers, fuse=fuse)
    expected = []
    for name in layers:
        maps = seewhy.explain(net, x, [0, 3], layer=name).maps
        up = torch.nn.functional.interpolate(maps, (4, 5), mode="bilinear")
        peak = up.amax((2, 3), keepdim=True)
        expected.append(torch.where(peak > 0, up / peak.clamp(min=1e-300), 0))
    a, b = expected
    wanted = {"max": torch.maximum(a, b), "mean": (a + b) / 2, "product": a * b}[fuse]
    torch.testing.assert_close(one.maps, wanted)
    assert one.layer == f"{fuse} of pool, features"
    assert one.heatmap(0, 0).shape == (6, 7)


def test_fused_and_averaged_maps_are_exact_under_autocast():
    net = nets.seeded(nets.Plain(), dtype=torch.float32)
    x = torch.randn(1, 3, 6, 7)
    with torch.autocast("cpu", torch.bfloat16):
        fused = seewhy.explain(net, x, 1, layer=["features", "pool"], fuse="mean")
        scaled = seewhy.explain(net, x, 1, layer="features", augment="scales")
    assert fused.maps.dtype == scaled.maps.dtype == torch.float32
    plain = seewhy.explain(net, x, 1, layer="features", augment="scales")
    assert float((scaled.maps - plain.maps).abs().max()) < 0.1 * float(plain.maps.max())


def test_blank_maps_stay_blank_when_fused():
    zeros, some = np.zeros((1, 2, 3, 3)), np.ones((1, 2, 5, 5))
    for fuse in ("max", "mean", "product"):
        fused = fuse_maps([zeros, some], fuse)
        assert np.isfinite(fused).all() and fused.shape == (1, 2, 5, 5)
        assert fused.any() == (fuse != "product")


def test_an_explainer_of_several_layers_says_what_to_do(net, x):
    explainer = seewhy.Explainer(net, layer=["features", "pool"])
    with pytest.raises(seewhy.SeewhyError, match=r"2 layers: explainer\.each.*fuse='max'"):
        explainer(x)
    assert explainer.each(x).names == ("features", "pool")
    for layer, words in ([[], "got none"], [["pool", "pool"], "given twice"], [["pool", "poool"], "did you mean"]):
        with pytest.raises(seewhy.SeewhyError, match=words):
            seewhy.Explainer(net, layer=layer)
    with pytest.raises(seewhy.SeewhyError, match=r"fuse= makes one map of several layers"):
        seewhy.Explainer(net, layer="pool", fuse="max")
    with pytest.raises(seewhy.SeewhyError, match=r"way to fuse layers 'sum': known: max, mean, product"):
        seewhy.Explainer(net, layer=["features", "pool"], fuse="sum")


def test_all_layers_are_the_last_at_each_resolution(net, x):
    assert seewhy.explain(net, x, 1, layer="all").names == ("features",)
    ran = [
        ("stem", 12, 8),
        ("one.a", 6, 9),
        ("side", 12, 3),
        ("one", 6, 8),
        ("two", 3, 9),
        ("pool", 1, 9),
        ("up", 12, 3),
    ]
    infos = [LayerInfo(name, "", (c, s, s), name == "two") for name, s, c in ran]
    assert sweep(infos) == ["side", "one", "two"]
    odd = [
        LayerInfo(name, "", (8, side, side), name == "e")
        for name, side in zip("abcde", (180, 90, 45, 23, 12), strict=True)
    ]
    assert sweep(odd) == list("abcde")
    bare = [LayerInfo(name, "", (8, side, side), name == "c") for name, side in zip("abc", (30, 28, 26), strict=True)]
    assert sweep(bare) == ["c"]


def test_a_sheet_of_layers(net, tmp_path):
    several = seewhy.explain(net, torch.rand(1, 3, 32, 32, dtype=torch.float64), [0, 1], layer=["features", "pool"])
    wide, high = several.figure().size
    assert 0.8 * high < wide < 1.25 * high  # two by two
    assert several.save(tmp_path / "sheet.png").exists()
    with pytest.raises(seewhy.SeewhyError, match="one explanation: save each"):
        several.save(tmp_path / "sheet.npz")
    assert not (tmp_path / "sheet.npz").exists()
    assert several.describe().splitlines()[-1].startswith("pool: ")
    assert several._repr_png_()[:4] == b"\x89PNG"
    assert "2 explanations of 1 image(s) x 2 target(s): features, pool" in repr(several)
    with pytest.raises(seewhy.SeewhyError, match="did you mean 'features'"):
        several["feature"]
    with pytest.raises(IndexError, match="there are 2"):
        several[2]


# ---- methods ---------------------------------------------------------------------------------------------


def test_methods_share_one_pass(net, x):
    runs = counted(net)
    several = seewhy.compare(
        net, x, [[0, 1], [2, 3]], methods=["grad-cam", "layer-cam", "random-cam"], layer="features"
    )
    assert len(runs) == 1
    for name in several.names:
        alone = seewhy.explain(net, x, [[0, 1], [2, 3]], method=name, layer="features")
        assert several[name].method == name
        torch.testing.assert_close(several[name].maps, alone.maps)


def test_methods_with_options_and_layers(net, x):
    pairs = [("random-cam", {"seed": 1}), ("random-cam", {"seed": 2})]
    several = seewhy.compare(net, x, 1, methods=pairs, layer=["features", "pool"])
    assert several.names == (
        "random-cam (seed=1) at features", "random-cam (seed=1) at pool",
        "random-cam (seed=2) at features", "random-cam (seed=2) at pool",
    )  # fmt: skip
    fused = seewhy.compare(net, x, 1, methods=pairs, layer=["features", "pool"], fuse="mean")
    assert fused.names == ("random-cam (seed=1)", "random-cam (seed=2)")
    with pytest.raises(seewhy.SeewhyError, match="given twice"):
        seewhy.compare(net, x, 1, methods=["grad-cam", "grad_cam"], layer="features")
    for methods in ([], "grad-cam"):
        with pytest.raises(seewhy.SeewhyError, match="expected methods as a list"):
            seewhy.compare(net, x, 1, methods=methods)
    with pytest.raises(seewhy.SeewhyError, match=r"methods=\[\('grad-cam', \{'seed': 3\}\)\]"):
        seewhy.compare(net, x, 1, methods=["grad-cam", "random-cam"], seed=3)
    with pytest.raises(seewhy.SeewhyError, match="no option 'sead'"):
        seewhy.compare(net, x, 1, methods=[("random-cam", {"sead": 1})])


def test_methods_of_the_input_and_of_a_layer_side_by_side(net, x):
    @method(paper="none", at_input=True)
    def slope(capture: Capture):
        return abs(capture.gradients).sum(2)

    both = seewhy.compare(net, x, 2, methods=[slope, "grad-cam"], layer="features")
    assert [part.layer for part in both] == ["input", "features"]
    leaf = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(net(leaf)[:, 2].sum(), leaf)
    torch.testing.assert_close(both["slope"].maps[:, 0], expected.abs().sum(1))
    with pytest.raises(seewhy.SeewhyError, match=r"'slope' explains the model's input and no layer: leave layer= out"):
        seewhy.explain(net, x, 2, method=slope, layer="features")


# ---- augmentation ----------------------------------------------------------------------------------------


def test_flips_are_turned_back(net, x):
    one = seewhy.explain(net, x, 1, layer="features", augment="flips")
    runs = counted(net)

    def raw(capture: Capture):
        return seewhy.catalog.get("methods", "grad-cam")(capture)

    seewhy.explain(net, x, 1, layer="features", augment="flips", method=raw)
    assert len(runs) == 1  # one batch

    def signed(batch):
        kept = {}
        handle = net.features.register_forward_hook(lambda m, a, output: kept.update(A=output))
        y = net(batch)[:, 1].sum()
        handle.remove()
        (G,) = torch.autograd.grad(y, kept["A"])
        return (G.mean((2, 3), keepdim=True) * kept["A"]).sum(1).detach()

    expected = (signed(x) + signed(x.flip(-1)).flip(-1)) / 2
    torch.testing.assert_close(one.maps[:, 0], expected.clamp(min=0), rtol=1e-5, atol=1e-6)
    plain = seewhy.explain(net, x, 1, layer="features")
    torch.testing.assert_close(one.scores, plain.scores, rtol=1e-6, atol=1e-6)
    assert one.outputs.shape == (2, 4) and one.probabilities.shape == (2, 4)


def test_the_predicted_class_is_that_of_the_image_as_it_is(net, x):
    plain = seewhy.explain(net, x, layer="features")
    for augment in ("flips", "scales", "noise", ["flips", "noise"]):
        one = seewhy.explain(net, x, layer="features", augment=augment)
        assert one.labels == plain.labels
        assert one.maps.shape == plain.maps.shape
        assert not torch.equal(one.maps, plain.maps)


@settings(max_examples=20, deadline=None)
@given(h=st.integers(2, 9), w=st.integers(2, 9))
def test_a_map_that_is_everywhere_the_same_stays_so(h, w):
    ways = variations(["flips", "scales"])
    assert len(ways) == 6
    maps = np.full((len(ways) * 2, 3, h, w), 2.5)
    np.testing.assert_allclose(mean(maps, ways), np.full((2, 3, h, w), 2.5))


def test_scales_lay_a_spot_back_where_it_was():
    image = np.zeros((1, 1, 60, 60), np.float32)
    image[0, 0, 12:18, 36:42] = 1
    for way in variations("scales"):
        back = way.back(way.show(image).astype(np.float64))
        rows, columns = np.nonzero(back[0, 0] > 0.5)
        assert abs(rows.mean() - 14.5) < 1 and abs(columns.mean() - 38.5) < 1


def test_noise_does_not_depend_on_the_rest_of_the_batch(net, x):
    together = seewhy.explain(net, x, 1, layer="features", augment="noise")
    alone = seewhy.explain(net, x[1:], 1, layer="features", augment="noise")
    torch.testing.assert_close(together.maps[1:], alone.maps)


def test_augmentation_keeps_what_belongs_to_each_image():
    net = nets.seeded(nets.TwoInputs())
    x, numbers = torch.randn(2, 3, 6, 7, dtype=torch.float64), torch.randn(2, 2, dtype=torch.float64)
    one = seewhy.explain(net, (x, numbers), [[0], [1]], layer="image.features", augment="flips")
    expected = net(x, numbers).detach()[[0, 1], [0, 1]]
    np.testing.assert_allclose(to_numpy(one.scores)[:, 0], expected.numpy(), rtol=1e-5)


def test_unknown_augmentations_are_named(net):
    with pytest.raises(seewhy.SeewhyError, match="did you mean 'flips'"):
        seewhy.Explainer(net, augment="flip")
    with pytest.raises(seewhy.SeewhyError, match="got none"):
        seewhy.Explainer(net, augment=[])


@pytest.mark.parametrize("method", ["score-cam", "guided-grad-cam"])
def test_a_layer_of_other_axes_than_the_input_is_named(method):
    class Spectrogram(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU())
            self.head = torch.nn.Linear(4, 3)

        def forward(self, x):
            return self.head(self.conv(x.reshape(len(x), 1, 8, 8)).mean((2, 3)))

    net, x = nets.seeded(Spectrogram()), torch.randn(2, 1, 64, dtype=torch.float64)
    assert seewhy.explain(net, x, 1, layer="conv").maps.shape == (2, 1, 6, 6)
    for options in ({"method": method}, {"augment": "flips"}):
        with pytest.raises(seewhy.SeewhyError, match="2 spatial axes and the input 1"):
            seewhy.explain(net, x, 1, layer="conv", **options)
