"""The CAM family from activations and gradients: options, what each needs, and peers' faults that it must not share."""

from inspect import unwrap

import numpy as np
import pytest
import torch
from torch import nn

import cam_replicas
import nets
import seewhy
from cam_replicas import CAM_REPLICAS, kpca_cam
from seewhy import stream
from seewhy.methods import _eigen
from seewhy.types import Capture, method, method_info
from test_methods import Again, model_of, truth

METHODS = sorted(CAM_REPLICAS)


def hand_made(A, G=None, k=1):
    """A Capture of these activations (n, c, *s) and gradients (n, k, c, *s), of a model that is linear in the layer."""
    A = torch.as_tensor(A, dtype=torch.float64)
    G = torch.zeros(len(A), k, *A.shape[1:], dtype=torch.float64) if G is None else torch.as_tensor(G).double()
    return Capture(A, G, (G * A[:, None]).flatten(2).sum(2), None, None, None, Linear(A, G))


class Linear(Again):
    def tail(self, activations, of):
        return self.slopes[of].mul(activations[:, None]).flatten(2).sum(2)


def maps_of(name, capture, **options):
    return seewhy.catalog.get("methods", name)(capture, **options)


def gap_then(*head):
    return nets.seeded(nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), *head))


# ---- what holds for all of them --------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_nothing_at_the_layer_gives_a_blank_map(method):
    zero = maps_of(method, hand_made(torch.zeros(2, 3, 4, 5), torch.rand(2, 2, 3, 1, 1).expand(2, 2, 3, 4, 5)))
    assert zero.shape == (2, 2, 4, 5)
    assert (zero == 0).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0.7, -0.7])
def test_activations_that_are_the_same_everywhere_are_finite_and_tell_no_position_from_another(method, value):
    A = torch.full((2, 3, 4, 5), value)
    for slope in (1.0, -1.0):
        maps = maps_of(method, hand_made(A, torch.full((2, 1, 3, 4, 5), slope)))
        assert torch.isfinite(maps).all()
        torch.testing.assert_close(maps, maps[..., :1, :1].expand_as(maps))
        if value * slope < 0 or method in ("eigen-cam", "kpca-cam", "fem"):  # no evidence for, or no class looked at
            assert (maps <= 0).all(), method


@pytest.mark.parametrize("method", METHODS)
def test_evidence_against_alone_gives_a_blank_map(method):
    A = torch.rand(2, 3, 4, 5) + 0.1
    maps = maps_of(method, hand_made(A, -torch.rand(2, 1, 3, 1, 1).expand(2, 1, 3, 4, 5)))
    assert torch.isfinite(maps).all()
    if seewhy.catalog.get("methods", method).__dict__["method_info"].gradients:
        assert (maps <= 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_the_layers_own_values_are_taken_not_those_after_an_op_in_place(method):
    """Peers that keep the tensor itself find it changed by the ReLU that follows."""
    if method == "cam":
        pytest.skip("a ReLU between the layer and the pooling is not CAM's model")
    net = nets.seeded(nets.InPlace())
    x = torch.randn(2, 3, 7, 7, dtype=torch.float64)
    changed = seewhy.explain(net, x, 1, method=method, layer="conv").maps
    net.act = nn.ReLU()
    torch.testing.assert_close(changed, seewhy.explain(net, x, 1, method=method, layer="conv").maps)


@pytest.mark.parametrize("method", METHODS)
def test_a_photo_is_explained_as_if_it_were_alone(method):
    net = nets.seeded(nets.Gap())
    x = torch.randn(3, 3, 7, 6, dtype=torch.float64)
    together = seewhy.explain(net, x, 1, method=method, layer="features").maps
    for i in range(3):
        alone = seewhy.explain(net, x[i : i + 1], 1, method=method, layer="features").maps
        torch.testing.assert_close(together[i : i + 1], alone)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_models(method, dtype):
    net = nets.seeded(nets.Gap(channels=8))
    x = torch.randn(2, 3, 7, 6, dtype=torch.float64)
    exact = seewhy.explain(net, x, 1, method=method, layer="features").maps
    half = seewhy.explain(net.to(dtype), x.to(dtype), 1, method=method, layer="features").maps
    assert half.dtype == torch.float32
    if method != "fem":  # a value may fall to the other side of its threshold
        assert float((half - exact).abs().max()) <= 0.1 * float(exact.abs().max())


@pytest.mark.parametrize("method", ["cam", "shapley-cam", "smooth-grad-cam-plus-plus"])
def test_a_capture_without_further_passes_is_told_so(method):
    capture = hand_made(torch.rand(1, 2, 3, 3), torch.ones(1, 1, 2, 3, 3))
    bare = Capture(capture.activations, capture.gradients, capture.scores, None, None, None)
    with pytest.raises(seewhy.SeewhyError, match="this Capture cannot"):
        maps_of(method, bare)


@pytest.mark.parametrize(
    ("method", "options", "words"),
    [
        ("grad-cam-plus-plus", {"form": "log"}, "form='exp'"),
        ("smooth-grad-cam-plus-plus", {"samples": 0}, "samples"),
        ("smooth-grad-cam-plus-plus", {"noise": -0.1}, "share of the image's range"),
        ("smooth-grad-cam-plus-plus", {"memory": 1e-6}, "too small"),
        ("kpca-cam", {"kernel": "cubic"}, "kernel='rbf'"),
        ("kpca-cam", {"gamma": 0.0}, "gamma= as a number above 0, or None"),
        ("kpca-cam", {"gamma": "2"}, "gamma= as a number above 0, or None .* got '2'"),
        ("fem", {"sigmas": -1.0}, "0 or more, got -1.0"),
        ("fem", {"sigmas": "2"}, "sigmas= as a number of standard deviations, 0 or more, got '2'"),
        ("random-cam", {"seed": -1}, "seed= as a whole number of 0 or more, got -1"),
        ("random-cam", {"seed": "1"}, "seed= as a whole number"),
    ],
)
def test_bad_options_say_what_is_expected(method, options, words):
    function = unwrap(seewhy.catalog.get("methods", method))  # as users have it, with no types checked
    with pytest.raises(seewhy.errors.InputError, match=words):
        function(hand_made(torch.rand(1, 2, 3, 3)), **options)


@pytest.mark.parametrize(
    ("name", "plain", "numpys"),
    [
        ("smooth-grad", {"noise": 0.5, "samples": 2}, {"noise": np.float32(0.5), "samples": np.int64(2)}),
        ("occlusion", {"fill": (1.0, 2.0, 3.0)}, {"fill": np.asarray([1.0, 2.0, 3.0], "f")}),
        ("integrated-gradients", {"baseline": 0.5, "steps": 2}, {"baseline": np.float32(0.5), "steps": 2}),
        ("fem", {"sigmas": 1.0}, {"sigmas": np.float32(1)}),
        ("random-cam", {"seed": 3}, {"seed": np.int64(3)}),
    ],
)
def test_numbers_of_numpy_are_numbers(name, plain, numpys):
    net, x = nets.seeded(nets.Plain()), torch.rand(1, 3, 6, 7, dtype=torch.float64)
    inner = seewhy.catalog.get("methods", name)
    at_input, maps = method_info(inner).at_input, []

    @method(paper="none", at_input=at_input)
    def both(capture: Capture):
        maps.extend(unwrap(inner)(capture, **options) for options in (plain, numpys))
        return maps[0]

    seewhy.explain(net, x, 1, method=both, layer=None if at_input else "features")
    assert torch.equal(*maps)


def test_a_kernel_between_too_many_positions_is_refused():
    with pytest.raises(seewhy.errors.InputError, match=r"at most 4096 positions, got 4160 \(64 x 65\)"):
        maps_of("kpca-cam", hand_made(torch.rand(1, 2, 64, 65)))


def test_names_with_plus_signs():
    net, x = nets.seeded(nets.Gap()), torch.rand(1, 3, 6, 6, dtype=torch.float64)
    for name in ("grad-cam++", "grad_cam++", "smooth-grad-cam++"):
        assert seewhy.explain(net, x, 0, method=name).method == name.replace("_", "-").replace("++", "-plus-plus")


# ---- CAM -------------------------------------------------------------------------------------------------


def test_cam_is_the_weights_of_the_linear_layer():
    net = nets.seeded(nets.GapLinear())
    x = torch.randn(3, 3, 8, 9, dtype=torch.float64)
    explanation = seewhy.explain(net, x, seewhy.top(2), method="cam", layer="act")
    A = torch.relu(net.conv(x)).detach()
    for j in range(2):
        w = net.head.weight.detach()[[explanation.targets[i][j].index for i in range(3)]]
        torch.testing.assert_close(explanation.maps[:, j], torch.einsum("nc,nchw->nhw", w, A).clamp(min=0))


@pytest.mark.parametrize("after", [nn.Identity(), nn.Dropout(0.5), nn.ReLU()])
def test_cam_takes_what_changes_nothing_after_the_pooling(after):
    net = gap_then(after, nn.Linear(5, 3))
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    cam = seewhy.explain(net, x, 1, method="cam", layer="1")
    torch.testing.assert_close(cam.maps, 16 * seewhy.explain(net, x, 1, layer="1").maps)


@pytest.mark.parametrize(
    ("net", "layer", "why"),
    [
        (nets.seeded(nets.Plain()), "features", "differs from position to position"),
        (gap_then(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3)), "1", "not a linear function"),
        (gap_then(nn.Linear(5, 6, bias=False), nn.ReLU(), nn.Linear(6, 3, bias=False)), "1", "not a linear function"),
        (gap_then(nn.Linear(5, 3), nn.Tanh()), "1", "not a linear function"),
        (gap_then(nn.Linear(5, 3)), "0", "differs from position to position"),  # before the ReLU
    ],
    ids=["not pooled", "hidden layer", "hidden layer without bias", "tanh", "before the ReLU"],
)
def test_cam_refuses_other_models(net, layer, why):
    with pytest.raises(seewhy.SeewhyError, match=why) as raised:
        seewhy.explain(net, torch.randn(2, 3, 8, 8, dtype=torch.float64), 1, method="cam", layer=layer)
    assert "method='grad-cam'" in str(raised.value)


def test_cam_refuses_probabilities_and_says_what_to_ask_for():
    net = gap_then(nn.Linear(5, 3), nn.Softmax(1))
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    with pytest.raises(seewhy.SeewhyError, match="score='logit'"):
        seewhy.explain(net, x, 1, method="cam", layer="1", score="output")
    assert not seewhy.explain(net, x, 1, method="cam", layer="1").maps.isnan().any()


# ---- Grad-CAM++ ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axes", [1, 2])
def test_the_general_form_equals_its_replica(axes):
    net = nets.seeded(nets.Plain(axes))
    x = torch.randn(2, 3, *(6, 5)[:axes], dtype=torch.float64)
    ours = seewhy.explain(net, x, [[0, 2], [0, 2]], method="grad-cam++", layer="features", form="general").maps
    for i in range(2):
        for j, target in enumerate((0, 2)):
            score = lambda y, target=target: y[target]  # noqa: E731
            A, G, _ = truth(net, x[i], net.features, score)
            model = model_of(net, x[i], net.features, score)
            expected = cam_replicas.grad_cam_plus_plus_general(A, G, j, model)
            np.testing.assert_allclose(ours[i, j].numpy(), expected, rtol=1e-9, atol=1e-12)


def test_the_general_form_keeps_within_memory_and_tells_how_far_it_is():
    net, x = nets.seeded(nets.Plain()), torch.randn(2, 3, 6, 5, dtype=torch.float64)
    options = {"method": "grad-cam++", "layer": "features", "form": "general"}
    rows, told = [], []
    handle = net.pool.register_forward_hook(lambda module, args, output: rows.append(len(output)))
    with stream.reporting(lambda *how_far: told.append(how_far)):
        bounded = seewhy.explain(net, x, [[0, 2], [0, 2]], **options, memory=0.2).maps
    handle.remove()
    c, *s = net.features(x).shape[1:]
    size = 8 * c * s[0] * s[1]  # bytes
    assert told[-1] == ("Grad-CAM++", 2 * size // 8, 2 * size // 8) and len(told) > 2
    assert 1 < max(rows) <= 0.2 * 2**20 // (41 * size)
    torch.testing.assert_close(bounded, seewhy.explain(net, x, [[0, 2], [0, 2]], **options).maps)
    with pytest.raises(seewhy.errors.InputError, match="too small"):
        seewhy.explain(net, x, 1, **options, memory=0.001)


def test_the_shortcut_is_the_general_form_of_the_exponential_less_its_factor():
    """Chattopadhay et al. 2018, eq. 19: where the score S is linear in the layer, and Y = exp(S) is explained."""
    net = nets.seeded(nets.GapLinear())
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    shortcut = seewhy.explain(net, x, 2, method="grad-cam++", layer="act")
    exponential = lambda outputs: outputs[:, 2].exp()  # noqa: E731
    general = seewhy.explain(net, x, exponential, method="grad-cam++", layer="act", form="general")
    assert not shortcut.blank.any()
    torch.testing.assert_close(shortcut.maps * general.scores[..., None, None], general.maps)


def test_the_general_form_of_plain_logits_is_not_answered_by_the_shortcut():
    """Peers use eq. 19, made for exp(S), and call it Grad-CAM++ of the logit, whose alpha is 0/0 here."""
    net = nets.seeded(nets.GapLinear())
    with pytest.raises(seewhy.SeewhyError, match="second derivatives of the score, and here they are all zero"):
        seewhy.explain(net, torch.randn(1, 3, 6, 6).double(), 2, method="grad-cam++", layer="act", form="general")
    smooth = nets.seeded(nets.Plain())
    x = torch.randn(1, 3, 6, 7, dtype=torch.float64)
    general, shortcut = (
        seewhy.explain(smooth, x, 2, method="grad-cam++", layer="features", form=form).maps
        for form in ("general", "exp")
    )
    assert float((general / general.max() - shortcut / shortcut.max()).abs().max()) > 0.02


def test_the_general_form_of_a_softmax():
    net = gap_then(nn.Linear(5, 3), nn.Softmax(1))
    x = torch.randn(1, 3, 5, 5, dtype=torch.float64)
    ours = seewhy.explain(net, x, 1, method="grad-cam++", layer="1", form="general", score="output").maps
    A, G, _ = truth(net, x[0], net[1], lambda y: y[1])
    expected = cam_replicas.grad_cam_plus_plus_general(A, G, 0, model_of(net, x[0], net[1], lambda y: y[1]))
    np.testing.assert_allclose(ours[0, 0].numpy(), expected, rtol=1e-9, atol=1e-12)


def test_the_denominator_is_applied_without_an_epsilon_in_it():
    """Peers divide a copy and drop it, or add 1e-6 to the squares of gradients that are smaller than that."""
    A = torch.tensor([[[1.0, 3.0], [0.0, 2.0]]])
    for size in (1.0, 1e-6, 1e-12, 1e-25):
        G = torch.tensor([[[[1.0, 2.0], [1.0, -1.0]]]]) * size
        maps = seewhy.catalog.get("methods", "grad-cam++")(Capture(A, G, torch.ones(1, 1), None, None, None))
        weights = [1 / (2 + 4 * size) + 2 / (2 + 8 * size), 1 / (2 + 2 * size)]
        expected = [weights[0] * 1, weights[0] * 3 + weights[1] * 2]
        torch.testing.assert_close(maps[0, 0] / size, torch.tensor(expected), rtol=1e-5, atol=0)


def test_a_pole_of_alpha_counts_for_nothing():
    A, G = torch.tensor([[[-1.0, -1.0]]]), torch.tensor([[[[1.0, 0.5]]]])  # 2 + sum A g = 0 at the first position
    maps = seewhy.catalog.get("methods", "grad-cam++")(Capture(A, G, torch.ones(1, 1), None, None, None))
    torch.testing.assert_close(maps, torch.full((1, 1, 2), -0.5 / (2 - 1)))
    A = A * 1.5  # and where alpha is negative, -1
    maps = seewhy.catalog.get("methods", "grad-cam++")(Capture(A, G, torch.ones(1, 1), None, None, None))
    torch.testing.assert_close(maps, torch.full((1, 1, 2), -1.5 * 0.5 / (2 - 1.5)))


# ---- Smooth Grad-CAM++ -----------------------------------------------------------------------------------


def test_every_noisy_sample_counts():
    """Peers take the first derivative from the last sample alone."""
    net = nets.seeded(nets.Plain())
    x = torch.randn(1, 3, 6, 7, dtype=torch.float64)
    A, G, _ = truth(net, x[0], net.features, lambda y: y[2])
    model = model_of(net, x[0], net.features, lambda y: y[2])
    options = {"samples": 3, "noise": 0.4, "seed": 5}
    ours = seewhy.explain(net, x, 2, method="smooth-grad-cam++", layer="features", **options).maps
    expected = cam_replicas.smooth_grad_cam_plus_plus(A, G, 0, model, **options)
    np.testing.assert_allclose(ours[0, 0].numpy(), expected, rtol=1e-9, atol=1e-12)

    drawn = [np.random.default_rng([5, t]).standard_normal(x[0].shape, np.float32) for t in range(3)]
    deviation = 0.4 * float(x.max() - x.min())
    slopes = [cam_replicas._slopes(model, x[0].numpy() + deviation * e) for e in drawn]
    square, cube = sum(g**2 for g in slopes) / 3, sum(g**3 for g in slopes) / 3
    last = cam_replicas._plus_plus(A, slopes[-1], square, cube)
    assert np.abs(expected - last).max() > 0.05 * expected.max()


def test_noise_is_repeatable_and_does_not_depend_on_the_chunks():
    net = nets.seeded(nets.Plain())
    x = torch.randn(2, 3, 6, 7, dtype=torch.float64)

    def maps(**options):
        return seewhy.explain(net, x, 2, method="smooth-grad-cam++", layer="features", samples=5, **options).maps

    assert torch.equal(maps(), maps())
    assert not torch.equal(maps(), maps(seed=1))
    torch.testing.assert_close(maps(), maps(memory=0.05))
    torch.testing.assert_close(maps(noise=0), seewhy.explain(net, x, 2, method="grad-cam++", layer="features").maps)


# ---- eigenvectors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 6, 7), (40, 4, 5), (6, 2, 3)])
@pytest.mark.parametrize("centred", [False, True])
def test_eigen_cam_is_the_full_decomposition_whatever_its_sign(shape, centred):
    A = torch.rand(4, *shape, dtype=torch.float64) - (0.5 if centred else 0.0)
    ours = maps_of("eigen-cam", hand_made(A, k=2))
    for i in range(4):
        expected = cam_replicas.eigen_cam(A[i].numpy(), None, 0)
        np.testing.assert_allclose(ours[i, 0].clamp(min=0).numpy(), expected, atol=1e-9)
    assert torch.equal(ours[:, 0], ours[:, 1])
    assert (ours.flatten(2).sum(2) > 0).all()
    torch.testing.assert_close(ours, maps_of("eigen-cam", hand_made(-A, k=2)))  # either sign of V gives this


def test_eigen_grad_cam_points_where_the_score_rises():
    A = torch.rand(6, 5, 4, 4, dtype=torch.float64)
    G = torch.randn(6, 1, 5, 4, 4, dtype=torch.float64)
    for_, against = (maps_of("eigen-grad-cam", hand_made(A, g)) for g in (G, -G))
    torch.testing.assert_close(for_, -against)
    assert ((for_ * (G * A[:, None]).sum(2)).flatten(2).sum(2) > 0).all()


def test_components_of_nearly_the_same_strength_are_told_apart():
    """The power iteration does not settle within its steps."""
    q, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((12, 12)))
    values = np.r_[1.0, 0.9999, np.linspace(0.5, 0, 10)]
    K = torch.from_numpy(q * values @ q.T)[None]
    value, vector = _eigen.leading(K)
    np.testing.assert_allclose(float(value), 1, rtol=1e-12)
    np.testing.assert_allclose(abs(vector[0].numpy() @ q[:, 0]), 1, rtol=1e-9)
    value, vector = _eigen.leading(K - 0.8 * torch.eye(12, dtype=K.dtype))  # the largest in size is negative
    np.testing.assert_allclose(float(value), 0.2, rtol=1e-9)


def test_very_large_and_very_small_activations():
    A = torch.rand(1, 3, 4, 4)
    score = torch.ones(1, 1)
    ours = [maps_of("eigen-cam", Capture(A * s, None, score, None, None, None)) / s for s in (1, 1e30, 1e-30)]
    torch.testing.assert_close(ours[0], ours[1])
    torch.testing.assert_close(ours[0], ours[2])


@pytest.mark.parametrize("method", ["eigen-cam", "eigen-grad-cam", "kpca-cam"])
def test_activations_that_are_not_numbers_are_an_error(method):
    capture = hand_made(torch.full((1, 2, 3, 3), torch.inf), torch.ones(1, 1, 2, 3, 3))
    with pytest.raises(seewhy.SeewhyError, match="NaN or infinite"):
        maps_of(method, capture)


@pytest.mark.parametrize("options", [{}, {"kernel": "rbf"}, {"kernel": "rbf", "gamma": 2.0}, {"gamma": 0.05}])
def test_kpca_cam_equals_its_replica(options):
    A = torch.rand(3, 6, 4, 5, dtype=torch.float64) * 3
    ours = maps_of("kpca-cam", hand_made(A), **options)
    for i in range(3):
        expected = kpca_cam(A[i].numpy(), None, 0, **options)
        np.testing.assert_allclose(ours[i, 0].clamp(min=0).numpy(), expected, atol=1e-7)


# ---- the others ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigmas", [0.0, 1.0, 2.0])
def test_fem_equals_its_replica(sigmas):
    A = torch.randn(2, 4, 6, 7, dtype=torch.float64) + 0.5
    ours = maps_of("fem", hand_made(A, k=2), sigmas=sigmas)
    for i in range(2):
        expected = cam_replicas.fem(A[i].numpy(), None, 0, sigmas)
        assert (expected > 0).any()
        for j in range(2):
            np.testing.assert_allclose(ours[i, j].clamp(min=0).numpy(), expected, rtol=1e-12)


def test_xgrad_cam_keeps_what_each_channel_says():
    """Fu et al. 2020, sensitivity and conservation: the positions of w_c A_c add up to those of dy/dA_c A_c."""
    A, G = torch.rand(2, 3, 4, 5, dtype=torch.float64), torch.randn(2, 1, 3, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(
        maps_of("xgrad-cam", hand_made(A, G)).flatten(2).sum(2), (G * A[:, None]).flatten(2).sum(2)
    )


def test_xgrad_cam_of_activations_that_cancel_is_finite():
    A = torch.tensor([[[0.1, 0.2, -0.3]]])
    maps = maps_of("xgrad-cam", Capture(A, torch.tensor([[[[1.0, 2.0, 3.0]]]]), torch.ones(1, 1), None, None, None))
    assert (maps == 0).all()


def test_shapley_cam_is_grad_cam_where_nothing_curves():
    net = nets.seeded(nets.GapLinear())
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(
        seewhy.explain(net, x, 1, method="shapley-cam", layer="act").maps, seewhy.explain(net, x, 1, layer="act").maps
    )
