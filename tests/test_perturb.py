"""The methods that perturb: equal to their replicas and to right peers; no chunk, no batch mate changes a map."""

from dataclasses import dataclass, replace
from inspect import unwrap

import numpy as np
import pytest
import torch

import nets
import seewhy
from perturb_replicas import PERTURBING
from seewhy.types import Capture, method_info

SIZES = {1: (9,), 2: (6, 7), 3: (5, 4, 6)}
SHORT = {  # options that spare the replicas many loops
    "is-cam": {"steps": 4},
    "occlusion": {"window": 3, "stride": 2},
    "rise": {"masks": 24, "cells": 3},
    "ss-cam": {"samples": 3, "std": 0.5},
}
VARIANTS = [
    ("score-cam", {"channels": 2}),
    ("ss-cam", {"samples": 2, "noise_on": "image", "seed": 3}),
    ("is-cam", {"steps": 3, "running_sum": True, "channels": 1}),
    ("ablation-cam", {"fill": -0.7}),
    ("recipro-cam", {"gaussian": True}),
    ("occlusion", {"window": 2, "fill": 0.3}),
    ("occlusion", {"window": 3, "stride": 3, "fill": "mean"}),
    ("occlusion", {}),
    ("rise", {"masks": 30, "p": 0.2, "seed": 5}),
    ("rise", {"masks": 30, "cells": 2, "centred": False}),
]


def sum_of_two(outputs):
    return outputs[:, 0] * 2 + outputs[:, 3]


def ranked(i):
    return lambda y: lambda z: z[y.argsort(descending=True)[i]]


# each target, and the same as a function of the scores that the image itself has, to one of any image's scores
TARGETS = {
    "class-score": (2, [lambda y: lambda z: z[2]]),
    "top": (seewhy.top(2), [ranked(0), ranked(1)]),
    "negative": (seewhy.negative(1), [lambda y: lambda z: -z[1]]),
    "callable": (sum_of_two, [lambda y: lambda z: 2 * z[0] + z[3]]),
}


def method_of(name):
    return seewhy.catalog.get("methods", name)


def layer_of(name):
    return None if method_info(method_of(name)).at_input else "features"


def expected_map(name, net, x, target, **options):
    """The replica's answer, from two plain functions of the net: no hook of seewhy's, no batch."""
    score = target(net(x[None])[0].detach())

    def f(X):
        return float(score(net(torch.as_tensor(X)[None])[0]).detach())

    def tail(A):
        pooled = net.pool(torch.as_tensor(A)[None]).flatten(1)
        return float(score(net.head(torch.tanh(net.hidden(pooled)))[0]).detach())

    return PERTURBING[name](x.numpy(), net.features(x[None])[0].detach().numpy(), f, tail, **options)


@dataclass(frozen=True)
class Counting:
    """Further passes, and the number of rows of each."""

    inner: object
    rows: list

    @property
    def images(self):
        return self.inner.images

    def scores(self, images, of):
        self.rows.append(len(of))
        return self.inner.scores(images, of)

    def tail(self, activations, of):
        self.rows.append(len(of))
        return self.inner.tail(activations, of)


def counted(name, net, x, target, layer="features", **options):
    """(explanation, rows of each further pass) of one call."""
    rows, own = [], method_of(name)
    info = method_info(own)

    @seewhy.types.method(paper="", gradients=False, at_input=info.at_input)
    def counting(capture: Capture):
        return own(replace(capture, again=Counting(capture.again, rows)), **options)

    return seewhy.explain(net, x, target, method=counting, layer=None if info.at_input else layer), rows


@dataclass(frozen=True)
class Sums:
    """Further passes of a net that adds up: the score of an image is its sum, and so is that of activations."""

    images: torch.Tensor
    weight: float = 1.0

    def scores(self, images, of):
        return self.weight * images.flatten(1).sum(1, keepdim=True)

    tail = scores


def by_hand(name, activations, weight=1.0, **options):
    """Maps of a Capture made by hand, its images as large as the activations."""
    images = activations if method_info(method_of(name)).at_input else torch.ones_like(activations[:, :1])
    again = Sums(images, weight)
    scores = again.tail(activations, np.arange(len(activations)))
    return method_of(name)(Capture(activations, None, scores, None, None, None, again), **options)


# ---- right by the paper ----------------------------------------------------------------------------------


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", list(PERTURBING))
def test_equals_its_replica(name, target, axes):
    net = nets.seeded(nets.Plain(axes), seed=axes)
    x = torch.randn(2, 3, *SIZES[axes], dtype=torch.float64)
    asked, scores = TARGETS[target]
    options = SHORT.get(name, {})
    explanation = seewhy.explain(net, x, asked, method=name, layer=layer_of(name), **options)
    for i in range(2):
        for j, score in enumerate(scores):
            expected = expected_map(name, net, x[i], score, **options)
            assert (expected > 0).any()
            np.testing.assert_allclose(explanation.maps[i, j].numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_options_equal_the_replica(name, options):
    net = nets.seeded(nets.Plain())
    x = torch.randn(1, 3, 6, 7, dtype=torch.float64)
    explanation = seewhy.explain(net, x, 2, method=name, layer=layer_of(name), **options)
    expected = expected_map(name, net, x[0], lambda y: lambda z: z[2], **options)
    np.testing.assert_allclose(explanation.maps[0, 0].numpy(), expected, rtol=1e-9, atol=1e-12)


def test_replicas_tell_the_methods_and_their_options_apart():
    net = nets.seeded(nets.Plain())
    x = torch.randn(3, 6, 7, dtype=torch.float64)
    rows = [*((name, SHORT.get(name, {})) for name in PERTURBING), *VARIANTS]
    maps = [expected_map(name, net, x, lambda y: lambda z: z[2], **options) for name, options in rows]
    for i in range(len(maps)):
        for j in range(i):
            same_shape = maps[i].shape == maps[j].shape
            assert not same_shape or np.abs(maps[i] - maps[j]).max() > 1e-4, (rows[i], rows[j])


def test_without_noise_ss_cam_is_score_cam_and_in_one_step_so_is_is_cam():
    net = nets.seeded(nets.Plain())
    x = torch.randn(2, 3, 6, 7, dtype=torch.float64)
    plain = seewhy.explain(net, x, 2, method="score-cam", layer="features").maps
    torch.testing.assert_close(
        plain, seewhy.explain(net, x, 2, method="ss-cam", layer="features", samples=2, std=0.0).maps
    )
    torch.testing.assert_close(plain, seewhy.explain(net, x, 2, method="is-cam", layer="features", steps=1).maps)


def test_score_cam_takes_no_softmax_of_a_softmax():
    net, head = nets.seeded(nets.Plain()), nets.Head("Softmax").double().eval()
    head.inner = net
    x = torch.randn(2, 3, 6, 7, dtype=torch.float64)
    bare = seewhy.explain(net, x, 2, method="score-cam", layer="features")
    behind = seewhy.explain(head, x, 2, method="score-cam", layer="inner.features")
    torch.testing.assert_close(bare.maps, behind.maps)
    asked = seewhy.explain(head, x, 2, method="score-cam", layer="inner.features", score="output")
    assert (asked.maps - bare.maps).abs().max() > 1e-3


# ---- no chunk, no batch mate, no other target changes a map ----------------------------------------------


@pytest.mark.parametrize("name", list(PERTURBING))
def test_neither_chunks_nor_batch_mates_nor_other_targets_change_a_map(name):
    net = nets.seeded(nets.Plain())
    x = torch.randn(3, 3, 6, 7, dtype=torch.float64)
    targets = [0, 2, 3]
    options = SHORT.get(name, {})
    whole, once = counted(name, net, x, [targets] * 3, **options)
    smaller = {**options, "memory": 0.015 if method_info(method_of(name)).cost == "tail passes" else 0.04}
    cut, many = counted(name, net, x, [targets] * 3, **smaller)
    assert len(many) > len(once)
    assert sum(many) == sum(once)
    torch.testing.assert_close(whole.maps, cut.maps, rtol=1e-10, atol=1e-12)
    for i in range(3):
        alone, rows = counted(name, net, x[i : i + 1], 2, **smaller)
        torch.testing.assert_close(whole.maps[i : i + 1, 1:2], alone.maps, rtol=1e-10, atol=1e-12)
        assert sum(rows) * 3 == sum(once)  # targets share the runs


@pytest.mark.parametrize("name", ["score-cam", "ss-cam", "is-cam", "ablation-cam"])
def test_no_more_is_held_at_once_for_more_channels(name):
    x = torch.randn(1, 3, 6, 7, dtype=torch.float64)
    largest = []
    for channels in (8, 64):
        net = nets.seeded(nets.Plain(channels=channels))
        options = {**SHORT.get(name, {}), "memory": 0.4}
        _, rows = counted(name, net, x, 2, **options)
        bound = 0.4 * 2**20 / 8 / (17 * 3 * 6 * 7 if name != "ablation-cam" else 5 * channels * 4 * 5)
        largest.append(max(rows))
        assert max(rows) <= bound
        assert len(rows) >= channels / bound
    assert name == "ablation-cam" or largest[1] == int(0.4 * 2**20 / (8 * 6 * 7 * (17 * 3 + 1)))


@pytest.mark.parametrize("name", list(PERTURBING))
def test_a_memory_bound_too_small_for_one_mask_is_told_before_any_pass(name):
    rows = []
    activations = torch.rand(1, 3, 30, 30)
    again = Counting(Sums(torch.rand(1, 3, 30, 30)), rows)
    capture = Capture(activations, None, torch.ones(1, 1), None, None, None, again)
    with pytest.raises(seewhy.SeewhyError, match=r"memory=0\.05 MiB is too small.*pass memory=0\.(18|06) or more"):
        method_of(name)(capture, memory=0.05)
    with pytest.raises(seewhy.SeewhyError, match="expected memory= as a number of MiB above 0, got -1"):
        method_of(name)(capture, memory=-1)
    assert not rows
    method_of(name)(capture, memory=0.19, **SHORT.get(name, {}))
    assert rows


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("score-cam", {"channels": 0}, "channels= as a whole number of 1 or more, got 0"),
        ("score-cam", {"channels": True}, "channels= as a whole number"),
        ("ss-cam", {"samples": 0}, "samples= as a whole number"),
        ("ss-cam", {"std": -1}, "std= as a number of 0 or more"),
        ("ss-cam", {"noise_on": "photo"}, "noise_on='mask' or noise_on='image', got 'photo'"),
        ("ss-cam", {"seed": -1}, "seed= as a whole number of 0 or more"),
        ("is-cam", {"steps": 1.5}, "steps= as a whole number"),
        ("is-cam", {"running_sum": 1}, "running_sum=True or False"),
        ("ablation-cam", {"fill": float("nan")}, "fill= as a finite number"),
        ("recipro-cam", {"gaussian": "yes"}, "gaussian=True or False"),
        ("occlusion", {"window": (2, 2, 2)}, "one for each of 2 axes"),
        ("occlusion", {"window": 9}, r"a window within the image of \(4, 5\)"),
        ("occlusion", {"window": 2, "stride": 3}, "a stride of at most the window"),
        ("occlusion", {"fill": (1.0, 2.0)}, "one for each of 3 channels, or 'mean'"),
        ("occlusion", {"fill": "grey"}, "'mean', got 'grey'"),
        ("occlusion", {"fill": True}, "'mean', got True"),
        ("occlusion", {"fill": (1.0, "2", 3.0)}, "expected fill= as a number, one for each of 3"),
        ("occlusion", {"fill": [[1.0], [2.0, 3.0]]}, "expected fill= as a number, one for each of 3"),
        ("rise", {"p": 1.0}, "a chance between 0 and 1"),
        ("rise", {"masks": 0}, "masks= as a whole number"),
        ("rise", {"cells": (7, 0)}, "cells= as a whole number"),
        ("rise", {"centred": None}, "centred=True or False"),
    ],
)
def test_bad_options_are_told_before_any_pass(name, options, words):
    rows = []
    images = torch.rand(1, 3, 4, 5)
    capture = Capture(images, None, torch.ones(1, 1), None, None, None, Counting(Sums(images), rows))
    with pytest.raises(seewhy.SeewhyError, match=words):
        unwrap(method_of(name))(capture, **options)  # as users have it, with no types checked
    assert not rows


# ---- nothing to see --------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [1.0, 0.0, -1.0])
@pytest.mark.parametrize("value", [0.0, 0.3, -0.3])
@pytest.mark.parametrize("name", list(PERTURBING))
def test_activations_that_are_all_the_same_give_no_nan(name, value, weight):
    maps = by_hand(name, torch.full((2, 3, 6, 5), value), weight, **SHORT.get(name, {}))
    assert torch.isfinite(maps).all()
    if value == 0 or weight == 0:  # nothing was seen, or the score does not look at it
        blank = name not in ("score-cam", "ss-cam", "is-cam")  # these are means of the activations themselves
        assert (maps == 0).all() if blank or value == 0 else (maps - value).abs().max() < 1e-6
    if name == "recipro-cam":
        assert (maps == 0).all()
    if value < 0 and name not in ("occlusion", "rise", "ablation-cam"):
        assert (maps <= 0).all()


def test_a_channel_that_is_the_same_everywhere_needs_no_pass_and_counts_as_the_blank_image():
    activations = torch.rand(1, 5, 4, 4)
    activations[:, 1], activations[:, 3] = 0.5, 0.0
    rows = []
    capture = Capture(
        activations, None, torch.ones(1, 1), None, None, None, Counting(Sums(torch.rand(1, 2, 8, 8)), rows)
    )
    maps = method_of("score-cam")(capture)
    assert sum(rows) == 3 + 1  # and the blank image
    H = [seewhy.maps.upsample(A, (8, 8)) for A in activations[0]]
    raised = [((h - h.min()) / (h.max() - h.min()) * capture.again.images[0]).sum() for h in H]
    raised[1] = raised[3] = torch.tensor(0.0)
    weights = torch.softmax(torch.stack(raised), 0)
    torch.testing.assert_close(maps[0, 0], torch.einsum("c,chw->hw", weights, activations[0]))


@pytest.mark.parametrize("name", ["score-cam", "ss-cam", "is-cam"])
def test_channels_asks_for_as_many_passes(name):
    net = nets.seeded(nets.Plain(channels=9))
    x = torch.randn(2, 3, 6, 7, dtype=torch.float64)
    one = SHORT.get(name, {}).get("steps", SHORT.get(name, {}).get("samples", 1))
    _, rows = counted(name, net, x, 2, channels=4, **SHORT.get(name, {}))
    assert sum(rows) == 2 * (4 * one + 1)
    whole, rows = counted(name, net, x, 2, channels=50, **SHORT.get(name, {}))
    every, _ = counted(name, net, x, 2, **SHORT.get(name, {}))
    assert torch.equal(whole.maps, every.maps)


# ---- Ablation-CAM ----------------------------------------------------------------------------------------


def test_the_fill_of_ablation_cam_does_not_compound_from_row_to_row():
    """pytorch-grad-cam overwrites one batch of copies, and takes each row's fill from what the rows before left."""
    net = nets.seeded(nets.Plain(channels=6))
    x = torch.randn(1, 3, 6, 7, dtype=torch.float64)
    A = net.features(x).detach()
    seen = []

    @dataclass(frozen=True)
    class Keeping:
        inner: object

        def tail(self, activations, of):
            seen.append(activations.clone())
            return self.inner.tail(activations, of)

    def ablation(capture: Capture):
        return method_of("ablation-cam")(replace(capture, again=Keeping(capture.again)), fill=-5.0)

    seewhy.explain(net, x, 2, method=ablation, layer="features")
    rows = torch.cat(seen)
    assert len(rows) == 6
    for c, row in enumerate(rows):
        expected = A[0].clone()
        expected[c] = -5.0
        torch.testing.assert_close(row, expected)


def test_a_channel_that_holds_the_fill_already_needs_no_run():
    rows = []
    activations = torch.rand(1, 5, 4, 4)
    activations[:, [0, 4]] = 0.0
    capture = Capture(activations, None, torch.ones(1, 1), None, None, None, Counting(Sums(activations), rows))
    method_of("ablation-cam")(capture)
    assert rows == [3]


@pytest.mark.parametrize("score", [0.0, 1e-30, -1e-30])
def test_a_score_near_zero_does_not_blow_ablation_cam_up(score):
    A = torch.tensor([[[1.0, 2.0, 0.5], [-0.5, -1.0, -2.0]]], dtype=torch.float64)
    capture = Capture(A, None, torch.full((1, 1), score, dtype=torch.float64), None, None, None, Sums(A))
    maps = method_of("ablation-cam")(capture)
    lost = torch.tensor([3.5, -3.5], dtype=torch.float64)  # a score of zero less the sum of the other channel
    torch.testing.assert_close(maps[0, 0], torch.einsum("c,cp->p", lost / lost.abs().max() * 1000, A[0]))


def test_a_negative_score_does_not_turn_ablation_cam_round():
    A = torch.rand(1, 2, 3, 3)
    up = Capture(A, None, torch.full((1, 1), 5.0), None, None, None, Sums(A))
    down = replace(up, scores=torch.full((1, 1), -5.0), again=replace(up.again, weight=1.0))
    for capture in (up, down):
        lost = capture.scores[0, 0] - torch.stack([A[0, 1].sum(), A[0, 0].sum()])
        expected = torch.einsum("c,chw->hw", lost / 5, A[0])
        torch.testing.assert_close(method_of("ablation-cam")(capture)[0, 0], expected)


# ---- equal to peers --------------------------------------------------------------------------------------


class Thirds(torch.nn.Module):
    """Its layer's positions lie on the centres of 3 x 3 pixels: upsampling keeps the extremes of every channel.

    torchcam scales a channel to [0, 1] before it upsamples it, the paper after: equal only where no extreme is lost.
    """

    def __init__(self):
        super().__init__()
        self.features = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3, stride=3), torch.nn.ReLU())
        self.head = torch.nn.Linear(5 * 25, 4)

    def forward(self, x):
        return self.head(self.features(x).flatten(1))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "peer", "theirs", "options"),
    [
        ("score-cam", "ScoreCAM", {}, {}),
        ("ss-cam", "SSCAM", {"num_samples": 3, "std": 0.5}, {"samples": 3, "std": 0.5}),
        # torchcam's steps are running sums, which lead beyond the image: with one step there is no difference
        ("is-cam", "ISCAM", {"num_samples": 4}, {"steps": 4, "running_sum": True}),
        ("is-cam", "ISCAM", {"num_samples": 1}, {"steps": 1}),
    ],
)
def test_equal_to_torchcam(name, peer, theirs, options):
    import torchcam.methods

    net = nets.seeded(Thirds(), dtype=torch.float32)
    x = torch.randn(2, 3, 15, 15)
    ours = seewhy.explain(net, x, 2, method=name, layer="features", **options).maps[:, 0]
    with getattr(torchcam.methods, peer)(net, "features", **theirs) as cam:
        if peer == "SSCAM":  # the noise that ours draws, sample by sample
            drawn = iter(range(3))

            def sample(size):
                i = next(drawn)
                noise = [np.random.default_rng((0, c, i)).standard_normal((15, 15), np.float32) for c in range(5)]
                return 0.5 * torch.as_tensor(np.stack(noise)).expand(size)

            cam._distrib = type("Drawn", (), {"sample": staticmethod(sample)})
        net(x)
        expected = cam(2, normalized=False)[0]
    assert expected.max() > 0.1
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_occlusion_is_equal_to_captum():
    from captum.attr import Occlusion

    net = nets.seeded(nets.Plain())
    x = torch.randn(2, 3, 8, 9, dtype=torch.float64)
    for window, stride, fill in ((3, 2, 0.0), (4, 3, 0.7), (1, 1, 0.0), (8, 8, 0.0)):
        ours = seewhy.explain(net, x, 2, method="occlusion", window=window, stride=stride, fill=fill)
        theirs = Occlusion(net).attribute(x, (3, window, window), (3, stride, stride), baselines=fill, target=2)
        torch.testing.assert_close(ours.maps[:, 0], theirs[:, 0].double().clamp(min=0), rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_ablation_cam_is_equal_to_captum_s_ablation_of_channels():
    from captum.attr import LayerFeatureAblation

    net = nets.seeded(nets.Plain(channels=5))
    x = torch.randn(2, 3, 8, 9, dtype=torch.float64)
    channel = torch.arange(5)[None, :, None, None].expand(1, 5, 6, 7)
    lost = LayerFeatureAblation(net, net.features).attribute(x, 0.0, target=2, layer_mask=channel)
    expected = (lost * net.features(x)).sum(1) / net(x)[:, 2].abs()[:, None, None]
    ours = seewhy.explain(net, x, 2, method="ablation-cam", layer="features")
    torch.testing.assert_close(ours.maps[:, 0], expected.detach().clamp(min=0), rtol=1e-9, atol=1e-10)


# ---- RISE ------------------------------------------------------------------------------------------------


def test_rise_follows_its_seed_and_finds_the_pixel_that_counts():
    class Corner(torch.nn.Module):
        def forward(self, x):
            return x[:, :, 4:8, 0:4].mean((1, 2, 3))[:, None] * torch.tensor([1.0, -1.0])

    x = torch.ones(2, 3, 16, 16)
    options = {"method": "rise", "masks": 400, "cells": 4}
    one = seewhy.explain(Corner(), x, 0, **options)
    assert one.maps.shape == (2, 1, 16, 16)
    assert torch.equal(one.maps[0], one.maps[1])
    assert not torch.equal(one.maps, seewhy.explain(Corner(), x, 0, **options, seed=1).maps)
    row, column = divmod(int(one.maps[0, 0].argmax()), 16)
    assert 3 <= row <= 8
    assert column <= 4
    against = seewhy.explain(Corner(), x, 1, **options)
    assert float((one.maps * against.maps).max()) == 0  # what speaks for the one speaks against the other


def test_rise_uncentred_is_the_mean_score_of_the_images_that_show_the_pixel():
    x = torch.randn(1, 3, 6, 7, dtype=torch.float64)
    raw, centred = (
        seewhy.catalog.get("methods", "rise")(
            Capture(x, None, again.scores(x, np.arange(1)), None, None, None, again), masks=300, centred=flag
        )
        for again in [Sums(x)]
        for flag in (False, True)
    )
    spread = float((raw - centred).std() / (raw - centred).mean().abs())
    assert spread < 0.2  # the same number at every pixel, but for the chance of the masks


# ---- other arrays, other precisions ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["numpy", "jax"])
@pytest.mark.parametrize("name", list(PERTURBING))
def test_arrays_of_other_frameworks_stay_what_they_are(name, kind):
    if kind == "jax":
        import jax.numpy as jnp

        convert, own = jnp.asarray, type(jnp.zeros(1))
    else:
        convert, own = np.asarray, np.ndarray
    activations = torch.rand(2, 3, 4, 5)
    images = activations if method_info(method_of(name)).at_input else torch.rand(2, 3, 8, 10)

    @dataclass(frozen=True)
    class Squares:
        images: object

        def scores(self, images, of):
            return (images**2).reshape(len(of), -1).sum(1)[:, None] / 10

        tail = scores

    maps = []
    for turn in (lambda array: array, lambda array: convert(array.numpy())):
        again = Squares(turn(images))
        scores = again.tail(turn(activations), np.arange(2))
        capture = Capture(turn(activations), None, scores, None, None, None, again)
        maps.append(method_of(name)(capture, **SHORT.get(name, {})))
    assert isinstance(maps[1], own)
    np.testing.assert_allclose(np.asarray(maps[1]), maps[0].numpy(), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", list(PERTURBING))
def test_models_of_half_precision_give_about_the_same(name, dtype):
    net = nets.seeded(nets.Plain(), dtype=torch.float32)
    x = torch.randn(1, 3, 6, 7)
    options = SHORT.get(name, {})
    full = seewhy.explain(net, x, 2, method=name, layer=layer_of(name), **options).maps
    half = seewhy.explain(net.to(dtype), x.to(dtype), 2, method=name, layer=layer_of(name), **options).maps
    assert half.dtype == torch.float32
    assert (half - full).abs().max() < 0.15 * full.max()
