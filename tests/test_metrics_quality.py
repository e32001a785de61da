"""Quality and cost metrics on cases worked out by hand, and against captum."""

import math
from inspect import unwrap

import numpy as np
import pytest
import torch
from captum.metrics import sensitivity_max
from hypothesis import given
from hypothesis import strategies as st

from metric_cases import case, value
from seewhy.errors import InputError
from seewhy.measure import metric_info
from seewhy.metrics.adcc import adcc
from seewhy.metrics.coherency import coherency
from seewhy.metrics.complexity import complexity
from seewhy.metrics.max_sensitivity import max_sensitivity
from seewhy.metrics.seconds import seconds
from seewhy.metrics.sparseness import sparseness

BLANK = np.zeros((2, 3))
MAPS = st.lists(st.integers(0, 9), min_size=6, max_size=6).filter(any)


# ---- complexity and sparseness ---------------------------------------------------------------------------


def test_complexity_by_hand():
    assert value(complexity(), case([[0, 0, 7]])) == 0
    assert value(complexity(), case([[2, 2], [2, 2]])) == pytest.approx(math.log(4))
    # shares 1/2, 1/4, 1/4: 1.5 bits
    halves = case([[4, 2, 0, 2]])
    assert value(complexity(), halves) == pytest.approx(1.5 * math.log(2))
    assert value(complexity(), halves, case([[0, 7]])) == pytest.approx(0.75 * math.log(2))


def test_sparseness_by_hand():
    assert value(sparseness(), case([[3, 3, 3, 3]])) == 0
    assert value(sparseness(), case([[0, 0, 7, 0]])) == pytest.approx(3 / 4)
    # sorted 1, 3: 1 - 2 (1/4 * 1.5/2 + 3/4 * 0.5/2) = 1/4
    assert value(sparseness(), case([[3, 1]])) == pytest.approx(1 / 4)
    assert value(sparseness(), case([[3, 1]]), case([[1, 1]])) == pytest.approx(1 / 8)


@given(MAPS)
def test_sparseness_is_half_the_mean_difference_by_the_mean(values):
    """Gini's own definition: sum over pairs of |a - b| / (2 N^2 mean)."""
    pairs = sum(abs(a - b) for a in values for b in values)
    expected = pairs / (2 * len(values) * sum(values))
    assert value(sparseness(), case([values])) == pytest.approx(expected, abs=1e-12)


@given(MAPS, st.sampled_from([1e-20, 0.5, 1e20]))
def test_neither_depends_on_the_size_of_a_map(values, size):
    for metric in (complexity(), sparseness()):
        scaled = case(np.asarray([values]) * size)
        assert value(metric, scaled) == pytest.approx(value(metric, case([values])), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("metric", [complexity(), sparseness(), max_sensitivity()])
def test_a_blank_map_does_not_count(metric):
    blank = case(BLANK, explain=lambda images: np.zeros((len(images), 2, 3), np.float32))
    assert math.isnan(value(metric, blank))
    steady = case([[1, 2, 3]], explain=lambda images: np.asarray([[[1, 2, 3]]] * len(images), np.float32))
    assert value(metric, blank, steady) == value(metric, steady)


# ---- coherency and ADCC ----------------------------------------------------------------------------------


def answering(again):
    """A method whose map of any other image is this one."""
    return lambda images: np.asarray([again] * len(images), np.float32)


def test_coherency_by_hand():
    one = [[1, 2, 3]]
    assert value(coherency(), case(one, explain=answering([[10, 20, 30]]))) == pytest.approx(1)
    assert value(coherency(), case(one, explain=answering([[3, 2, 1]]))) == pytest.approx(0)
    assert value(coherency(), case(one, explain=answering([[0, 1, 0]]))) == pytest.approx(0.5)
    # deviations -1, 0, 1 and -1, -1, 2: 3 / sqrt(2 * 6)
    expected = (1 + 3 / math.sqrt(12)) / 2
    half = case(one, explain=answering([[0, 0, 3]]))
    assert value(coherency(), half) == pytest.approx(expected)
    assert value(coherency(), half, case(one, explain=answering(one))) == pytest.approx((1 + expected) / 2)


def test_coherency_explains_the_photo_times_its_map():
    seen = []

    def explain(images):
        seen.append(images)
        return images[:, 0]

    image = np.asarray([[[4, 4, 4]], [[8, 8, 8]]], np.float32)
    value(coherency(), case([[0, 1, 2]], image=image, explain=explain))
    assert seen[0].dtype == np.float32
    assert seen[0].tolist() == [[[[0, 2, 4]], [[0, 4, 8]]]]


@pytest.mark.parametrize(
    ("first", "second"),
    [([[0, 0, 0]], [[1, 2, 3]]), ([[1, 2, 3]], [[0, 0, 0]]), ([[2, 2, 2]], [[1, 2, 3]]), ([[1, 2, 3]], [[0.1] * 3])],
)
def test_coherency_of_a_map_that_says_nothing_is_0(first, second):
    assert value(coherency(), case(first, explain=answering(second))) == 0
    assert value(adcc(), case(first, explain=answering(second))) == 0


def halved(images, asked="probability"):
    """A model that is half as sure in any other image."""
    return np.full(len(images), 0.4)


def test_adcc_by_hand():
    # coherency 1; complexity (0 + 1/2 + 1) / 3 = 1/2; average drop 1/2: 3 / (1 + 2 + 2)
    one = case([[0, 1, 2]], explain=answering([[0, 1, 2]]), probability=0.8, model=halved)
    assert value(adcc(), one) == pytest.approx(3 / 5)
    assert value(adcc(mean="means"), one) == pytest.approx(3 / 5)
    # coherency 1/2; complexity 1/3; no drop, for more is no drop: 3 / (2 + 1.5 + 1)
    other = case([[0, 0, 2]], explain=answering([[1, 0, 0.5]]), probability=0.2, model=halved)
    assert value(adcc(), other) == pytest.approx(3 / 4.5)
    assert value(adcc(), one, other) == pytest.approx((3 / 5 + 3 / 4.5) / 2)
    # the means: coherency 3/4, 1 - complexity (1/2 + 2/3) / 2 = 7/12, 1 - drop 3/4
    assert value(adcc(mean="means"), one, other) == pytest.approx(3 / (4 / 3 + 12 / 7 + 4 / 3))


@pytest.mark.parametrize("mean", ["photos", "means"])
def test_adcc_at_its_ends(mean):
    sharp = np.zeros((10, 10))
    sharp[3, 4] = 1.0
    assert value(adcc(mean=mean), case(sharp, explain=answering(sharp))) == pytest.approx(3 / (2 + 1 / 0.99))
    lost = case(sharp, explain=answering(sharp), model=lambda images, asked="probability": np.zeros(len(images)))
    assert value(adcc(mean=mean), lost) == 0
    assert value(adcc(mean=mean), case(BLANK, explain=answering(BLANK))) == 0
    assert math.isnan(value(adcc(mean=mean), case(sharp, explain=answering(sharp), probability=0.0)))


@pytest.mark.parametrize("metric", [coherency(), adcc(), max_sensitivity()])
def test_a_case_that_cannot_explain_is_told(metric):
    with pytest.raises(InputError, match="explains other images too"):
        metric.update(case([[1, 2, 3]]))


# ---- max-sensitivity -------------------------------------------------------------------------------------


class Net(torch.nn.Module):
    def forward(self, x):
        return (x**3).sum((1, 2, 3))[:, None] * x.mean((1, 2, 3))[:, None]


def gradients(images):
    images = images.detach().clone().requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(Net()(images).sum(), images)[0].abs().amax(1)


@pytest.mark.parametrize("samples", [1, 5, 40])
def test_max_sensitivity_is_captums(samples):
    image = torch.rand(3, 4, 5)
    noise = np.random.default_rng([3, 7]).uniform(-0.1, 0.1, (samples, 3, 4, 5)).astype(np.float32)
    expected = sensitivity_max(
        lambda inputs: (gradients(inputs[0]),) if isinstance(inputs, tuple) else gradients(inputs),
        image[None],
        lambda x, _: x + torch.from_numpy(noise),
        perturb_radius=0.1,
        n_perturb_samples=samples,
    )
    measured = case(
        gradients(image[None])[0].numpy(),
        image=image.numpy(),
        explain=lambda images: gradients(torch.from_numpy(images)).numpy(),
        seed=7,
    )
    found = value(max_sensitivity(radius=0.1, samples=samples, seed=3), measured)
    assert found == pytest.approx(float(expected), rel=1e-4)


def test_max_sensitivity_by_hand():
    image = np.zeros((1, 1, 2), np.float32)
    steady = case([[3, 4]], image=image, explain=answering([[3, 4]]))
    gone = case([[3, 4]], image=image, explain=answering([[0, 0]]))
    twice = case([[3, 4]], image=image, explain=answering([[9, 12]]))
    assert value(max_sensitivity(), steady) == 0
    assert value(max_sensitivity(), gone) == 1
    assert value(max_sensitivity(), twice) == pytest.approx(2)
    assert value(max_sensitivity(), steady, gone, twice) == pytest.approx(1)

    def one_of_many(images):
        maps = np.tile(np.asarray([[3, 4]], np.float32), (len(images), 1, 1))
        maps[-1] = 0
        return maps

    assert value(max_sensitivity(samples=9), case([[3, 4]], image=image, explain=one_of_many)) == 1


def test_the_noise_is_within_its_radius_and_the_same_again():
    seen = []

    def explain(images):
        seen.append(images)
        return images[:, 0]

    image = np.full((2, 8, 9), 5, np.float32)
    measured = case(image[0], image=image, explain=explain, seed=4)
    for options in ({}, {}, {"seed": 1}, {"radius": 3, "samples": 33}):
        value(max_sensitivity(**options), measured)
    first, again, other, *many = seen
    assert first.shape == (10, 2, 8, 9) and first.dtype == np.float32
    assert abs(first - 5).max() <= 0.0201 and abs(first - 5).max() > 0.019
    assert (first == again).all() and (first != other).any()
    assert [len(part) for part in many] == [16, 16, 1] and 2.9 < abs(np.concatenate(many) - 5).max() <= 3.0001
    assert metric_info(max_sensitivity).passes == 10


def test_seconds():
    assert value(seconds(), case([[1]], seconds=0.5), case([[1]], seconds=1.5)) == 1.0


@pytest.mark.parametrize(
    ("metric", "options", "message"),
    [
        (max_sensitivity, {"radius": 0.0}, "radius= as a number above 0, got 0.0"),
        (max_sensitivity, {"radius": float("nan")}, "radius= as a number above 0, got nan"),
        (max_sensitivity, {"radius": "0.1"}, "radius= as a number above 0, got '0.1'"),
        (max_sensitivity, {"samples": 0}, "samples= as a whole number of 1 or more, got 0"),
        (max_sensitivity, {"samples": True}, "samples= as a whole number of 1 or more, got True"),
        (max_sensitivity, {"seed": -1}, "seed= as a whole number of 0 or more, got -1"),
    ],
)
def test_options_are_checked(metric, options, message):
    with pytest.raises(InputError, match=message):
        unwrap(metric)(**options)  # without the type checks of the tests
