"""Parameter randomisation and class sensitivity, and the model with weights drawn anew."""

import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import nets
import planted
import seewhy
from seewhy.adapters import torch as adapter
from seewhy.measure import Case, metric_info
from seewhy.metrics._correlation import pearson, spearman
from seewhy.metrics._similarity import ssim
from seewhy.metrics.class_sensitivity import class_sensitivity
from seewhy.metrics.parameter_randomisation import parameter_randomisation

METRICS = [(parameter_randomisation, "randomised"), (class_sensitivity, "others")]


def case(evidence, **more):
    evidence = np.asarray(evidence, np.float32)
    image = np.zeros((3, *evidence.shape), np.float32)
    more = {field: tuple(np.asarray(one, np.float32) for one in maps) for field, maps in more.items()}
    return Case(evidence, evidence, image, 0.5, 1.0, lambda images, asked="probability": np.zeros(len(images)), **more)


def value(metric, *cases):
    return metric.compute(sum(metric.update(one) for one in cases))


# ---- the measures ----------------------------------------------------------------------------------------


def rank_correlation(a, b):
    """Spearman's by its definition: Pearson's correlation of mean ranks, by scalar loops."""

    def ranks(x):
        return [sum(y < v for y in x) + (sum(y == v for y in x) + 1) / 2 for v in x]

    a, b = ranks(a), ranks(b)
    mean = (len(a) + 1) / 2
    top = sum((x - mean) * (y - mean) for x, y in zip(a, b, strict=True))
    return top / (sum((x - mean) ** 2 for x in a) * sum((y - mean) ** 2 for y in b)) ** 0.5


def test_spearman_is_the_correlation_of_ranks_with_ties():
    a, b = np.asarray([[0, 0, 1], [3, 2, 2]]), np.asarray([[5, 0, 0], [1, 7, 7]])
    # ranks 1.5 1.5 3 6 4.5 4.5 and 4 1.5 1.5 3 5.5 5.5, less their mean 3.5: (-1 + 4 + 1 - 1.25 + 2 + 2) / 16.5
    assert spearman(a, b) == pytest.approx(6.75 / 16.5)
    assert spearman(a, b) == pytest.approx(rank_correlation(a.ravel().tolist(), b.ravel().tolist()))
    drawn = np.random.default_rng(0).integers(0, 4, (2, 5, 5))
    assert spearman(*drawn) == pytest.approx(rank_correlation(*(x.ravel().tolist() for x in drawn)))
    assert spearman(a, np.exp(a)) == pytest.approx(1)  # only the order counts


def test_correlations_where_nothing_varies_but_by_rounding():
    rising, shaken = np.arange(9.0), 5 + np.arange(9.0) % 2 * 1e-5  # two units in the last place of single precision
    for measure in (pearson, spearman):
        assert np.isnan(measure(shaken, rising)) and measure(rising, shaken) == 0
        assert np.isnan(measure(np.zeros(9), np.zeros(9))) and measure(rising, rising) == pytest.approx(1)


def test_ssim_of_one_window_is_its_formula():
    a, b = np.random.default_rng(1).uniform(0, 1, (2, 3, 3))
    a, b = a / a.max(), b / b.max()
    n, c1, c2 = 9, 0.01**2, 0.03**2
    ma, mb = a.sum() / n, b.sum() / n
    va, vb = ((a - ma) ** 2).sum() / (n - 1), ((b - mb) ** 2).sum() / (n - 1)
    both = ((a - ma) * (b - mb)).sum() / (n - 1)
    wanted = (2 * ma * mb + c1) * (2 * both + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    assert ssim(a, b) == pytest.approx(wanted, rel=1e-5)
    assert ssim(a, 7 * b) == pytest.approx(wanted, rel=1e-5)  # each map is scaled by its own maximum


@pytest.mark.parametrize("by", ["spearman", "ssim"])
@pytest.mark.parametrize("metric, field", METRICS)
def test_the_same_map_gets_one_and_the_mean_is_over_stages_then_photos(metric, field, by):
    rising, falling = np.arange(64.0).reshape(8, 8), np.arange(64.0)[::-1].reshape(8, 8)
    made = metric(by=by)
    assert value(made, case(rising, **{field: (rising, rising * 3)})) == pytest.approx(1)
    measure = {"spearman": spearman, "ssim": ssim}[by]
    assert measure(rising, falling) < (-0.999 if by == "spearman" else 0.2)
    mixed = case(rising, **{field: (rising, falling)})
    wanted = (1 + measure(rising, falling)) / 2
    assert value(made, mixed) == pytest.approx(wanted)
    assert value(made, mixed, case(rising, **{field: (rising,)})) == pytest.approx((wanted + 1) / 2)


@pytest.mark.parametrize("by", ["spearman", "ssim"])
@pytest.mark.parametrize("metric, field", METRICS)
def test_blank_maps(metric, field, by):
    rising, blank = np.arange(64.0).reshape(8, 8), np.zeros((8, 8))
    made = metric(by=by)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(value(made, case(blank, **{field: (rising,)})))
        assert np.isnan(value(made, case(blank + 2, **{field: (rising,)})))
        assert np.isnan(value(made, case(rising)))  # nothing to hold it against
        assert value(made, case(rising, **{field: (blank,)})) == 0
        assert value(made, case(blank, **{field: (rising,)}), case(rising, **{field: (rising,)})) == pytest.approx(1)


@pytest.mark.parametrize("metric, field", METRICS)
def test_shards_add_up(metric, field):
    drawn = np.random.default_rng(2).uniform(0, 1, (5, 3, 6, 6))
    cases = [case(a, **{field: (b, c)}) for a, b, c in drawn]
    made = metric()
    one = sum(made.update(each) for each in cases[:2])
    two = sum(made.update(each) for each in cases[2:])
    assert made.compute(one + two) == pytest.approx(value(made, *cases))
    assert value(made, *cases) == pytest.approx(
        np.mean([rank_correlation(a.ravel().tolist(), x.ravel().tolist()) for a, b, c in drawn for x in (b, c)])
    )
    assert metric_info(metric).better == ("nearest 0" if metric is parameter_randomisation else "lower")


def test_bad_options_and_missing_packages(monkeypatch):
    with pytest.raises(seewhy.SeewhyError, match=r"expected by='spearman' or by='ssim', got 'pearson'"):
        parameter_randomisation(by="pearson")
    monkeypatch.setitem(sys.modules, "skimage.metrics", None)
    with pytest.raises(seewhy.SeewhyError, match=r"pip install \"seewhy\[evaluate\]\""):
        class_sensitivity(by="ssim")
    parameter_randomisation()


def test_the_map_of_the_planted_model_follows_its_weights_and_its_class():
    images, classes, _ = planted.images(4, 5)
    x, truth = torch.from_numpy(images), [int(c) for c in classes]
    nets_ = [adapter.randomised(planted.net(), share, 0) for share in (0.5, 1.0)]

    def maps(net, method, target):
        return seewhy.explain(net, x, target, method=method).maps[:, 0].numpy()

    found = {}
    for method in ("grad-cam", "eigen-cam"):
        own, drawn = maps(planted.net(), method, truth), [maps(net, method, truth) for net in nets_]
        others = [maps(planted.net(), method, [(c + step) % 3 for c in truth]) for step in (1, 2)]
        cases = [
            replace(case(own[i]), randomised=tuple(d[i] for d in drawn), others=tuple(o[i] for o in others))
            for i in range(4)
        ]
        found[method] = (value(parameter_randomisation(), *cases), value(class_sensitivity(), *cases))
    assert found["grad-cam"][0] < 0.4 < found["eigen-cam"][0]
    assert found["grad-cam"][1] < 0.2 and found["eigen-cam"][1] == pytest.approx(1)  # it looks at no class


# ---- the model with weights drawn anew -------------------------------------------------------------------


def values(net):
    return {name: array.clone() for name, array in net.state_dict().items()}


def changed(net, copy):
    return [name for name, array in net.state_dict().items() if not torch.equal(array, copy.state_dict()[name])]


class Normed(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 5)
        self.register_buffer("table", torch.rand(9))

    def forward(self, x):
        return self.head(self.norm(self.conv(x)).relu().mean((2, 3)))


def normed():
    net = Normed()
    with torch.no_grad():
        for array in (*net.parameters(), net.norm.running_mean, net.norm.running_var):
            array.copy_(torch.rand_like(array))
    return net


def test_layers_are_shuffled_from_the_top_down():
    net = normed()
    before = values(net)
    layers = {"conv": ["weight", "bias"], "norm": ["weight", "bias", "running_mean", "running_var"],
              "head": ["weight", "bias"]}  # fmt: skip
    for share, names in ((0, []), (0.2, ["head"]), (1 / 3, ["head"]), (0.5, ["norm", "head"]), (1, [*layers])):
        copy = adapter.randomised(net, share, 0)
        assert changed(net, copy) == [f"{n}.{a}" for n in layers if n in names for a in layers[n]]
        for name, array in copy.state_dict().items():  # the same values in another order
            assert torch.equal(array.flatten().sort()[0], before[name].flatten().sort()[0])
    assert all(torch.equal(array, before[name]) for name, array in net.state_dict().items())
    assert not {id(p) for p in net.parameters()} & {id(p) for p in copy.parameters()}


def test_the_same_seed_draws_the_same_and_more_of_it():
    net = normed()
    state = torch.get_rng_state()
    half, whole, again, other = (adapter.randomised(net, *how) for how in ((0.5, 0), (1.0, 0), (1.0, 0), (1.0, 1)))
    assert torch.equal(torch.get_rng_state(), state)
    assert not changed(whole, again) and "conv.weight" in changed(whole, other)
    assert changed(half, whole) == ["conv.weight", "conv.bias"]


def test_shared_parameters_stay_shared_and_wrapped_models_are_opened():
    net = nn.Sequential(nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    net[1].weight = net[0].weight
    copy = adapter.randomised(nn.DataParallel(net), 1.0, 0)
    assert isinstance(copy, nn.Sequential) and copy[1].weight is copy[0].weight
    assert torch.equal(copy[0].weight.flatten().sort()[0], net[0].weight.flatten().sort()[0])


def test_what_cannot_be_drawn_is_named():
    with pytest.raises(seewhy.SeewhyError, match=r"expected share= as a number from 0 .* to 1 .*got 1.5"):
        adapter.randomised(normed(), 1.5, 0)
    net = nets.seeded(nets.Plain())
    net.last = net(torch.rand(1, 3, 6, 6, dtype=torch.float64))  # an output with its graph, kept in the module
    with pytest.raises(seewhy.SeewhyError, match=r"cannot be copied.*copy\.deepcopy\(model\) works"):
        adapter.randomised(net, 1.0, 0)
