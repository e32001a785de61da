"""Faithfulness metrics: hand-made cases, scalar replicas, perfect and inverted maps, captum and torchcam."""

import sys
from dataclasses import replace
from inspect import unwrap
from itertools import combinations, pairwise
from math import exp

import numpy as np
import pytest
import torch
from captum.metrics import infidelity as captum_infidelity
from torchcam.methods import GradCAM
from torchcam.metrics import ClassificationMetric, DeletionInsertionMetric

import nets
from seewhy import catalog
from seewhy.errors import InputError
from seewhy.measure import Case, metric_info
from seewhy.metrics import _variants
from seewhy.metrics._imputation import imputed
from seewhy.metrics._variants import ranks
from seewhy.metrics.average_drop import average_drop
from seewhy.metrics.average_gain import average_gain
from seewhy.metrics.average_increase import average_increase
from seewhy.metrics.deletion import deletion
from seewhy.metrics.drop_in_deletion import drop_in_deletion
from seewhy.metrics.faithfulness_correlation import faithfulness_correlation
from seewhy.metrics.infidelity import infidelity
from seewhy.metrics.insertion import blurred, insertion
from seewhy.metrics.occlusion_rank_correlation import occlusion_rank_correlation
from seewhy.metrics.road import road
from seewhy.metrics.sensitivity_n import sensitivity_n

QUICK = {  # each metric with options for photos of a few pixels
    "average-drop": average_drop(),
    "average-gain": average_gain(),
    "average-increase": average_increase(),
    "deletion": deletion(step=5),
    "drop-in-deletion": drop_in_deletion(),
    "faithfulness-correlation": faithfulness_correlation(subsets=20, size=3),
    "infidelity": infidelity(samples=20),
    "infidelity-noise": infidelity(samples=20, perturbation="noise"),
    "insertion": insertion(step=5, kernel=3, sigma=1.0),
    "occlusion-rank-correlation": occlusion_rank_correlation(window=2),
    "road": road(percentiles=(20, 50, 80)),
    "sensitivity-n": sensitivity_n(sizes=4, subsets=20),
}
ANY_AXES = [name for name in QUICK if name != "road"]
SHAPES = [(3, 20), (3, 7, 6), (2, 4, 3, 5)]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def model_of(score, seen=None):
    """The handle of a case, from a score of images (m, c, *s) in float64; the sigmoid of it is the probability."""

    def ask(images, asked="probability"):
        assert images.dtype == np.float32
        if seen is not None:
            seen.append(len(images))
        scores = score(images.astype(np.float64))
        return scores if asked == "score" else sigmoid(scores)

    return ask


def case_of(evidence, image, score, seed=0, seen=None):
    evidence, image = np.asarray(evidence, np.float32), np.asarray(image, np.float32)
    model = model_of(score, seen)
    first = score(image[None].astype(np.float64))[0]
    heatmap = evidence / max(float(evidence.max()), 1e-9)
    return Case(evidence, heatmap, image, float(sigmoid(first)), float(first), model, seed=seed)


def linear(weights, bias=0.0):
    """f(X) = sum of w x: what each pixel says is known, w x summed over channels."""
    return lambda images: bias + images.reshape(len(images), -1) @ np.ravel(weights)


def curved(weights, bias=0.0):
    def score(images):
        sums = (images * weights).reshape(*images.shape[:2], -1).sum(axis=-1)  # (m, c)
        return bias + np.tanh(sums).sum(axis=1) + 0.1 * sums[:, 0] ** 2

    return score


def random_case(shape, seed=0, score=None, ties=False, seen=None):
    random = np.random.default_rng(seed)
    image = random.standard_normal(shape)
    weights = random.standard_normal(shape)
    evidence = random.random(shape[1:])
    if ties:
        evidence = np.maximum(np.round(evidence * 4) - 2, 0)
    return case_of(evidence, image, score or curved(weights), seed, seen)


def value(metric, *cases):
    return metric.compute(sum(metric.update(case) for case in cases))


def ask(case, image, asked="probability"):
    return float(case.model(np.asarray(image, np.float32)[None], asked)[0])


# ---- for all ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", QUICK)
def test_merged_shards_equal_one_run_and_the_mean_of_single_photos(name):
    metric = QUICK[name]
    cases = [random_case((3, 7, 6), seed) for seed in range(5)]
    sums = [metric.update(case) for case in cases]
    whole = metric.compute(sum(sums))
    assert metric.compute((sums[0] + sums[1]) + (sums[2] + sums[3] + sums[4])) == pytest.approx(whole, rel=1e-12)
    assert whole == pytest.approx(np.mean([metric.compute(one) for one in sums]), rel=1e-9)


@pytest.mark.parametrize("shape", SHAPES, ids=["signal", "image", "volume"])
@pytest.mark.parametrize("name", ANY_AXES)
def test_signals_images_and_volumes(name, shape):
    assert np.isfinite(value(QUICK[name], random_case(shape)))


@pytest.mark.parametrize("name", QUICK)
def test_blank_maps_give_numbers_and_no_warning(name):
    case = random_case((3, 7, 6))
    blank = replace(case, evidence=np.zeros_like(case.evidence), heatmap=np.zeros_like(case.heatmap))
    found = value(QUICK[name], blank)
    assert np.isfinite(found)
    black = ask(case, np.zeros_like(case.image))
    by_hand = {
        "average-drop": max(0.0, case.probability - black) / case.probability,
        "average-gain": max(0.0, black - case.probability) / (1 - case.probability),
        "average-increase": float(black > case.probability),
        "drop-in-deletion": 0.0,
        "faithfulness-correlation": 0.0,
        "occlusion-rank-correlation": 0.0,
        "sensitivity-n": 0.0,
    }
    if name in by_hand:
        assert found == pytest.approx(by_hand[name], abs=1e-7)
    else:  # taken for a map that fades in reading order
        fading = np.linspace(2, 1, case.evidence.size, dtype=np.float32).reshape(case.evidence.shape)
        if not name.startswith("infidelity"):
            assert found == value(QUICK[name], replace(case, evidence=fading))


@pytest.mark.parametrize("name", QUICK)
def test_a_constant_model_is_no_trouble(name):
    case = random_case((3, 7, 6), score=lambda images: np.full(len(images), 0.3))
    found = value(QUICK[name], case)
    if "correlation" in name or name == "sensitivity-n":
        assert np.isnan(found)  # says nothing of the map: does not count
        other = random_case((3, 7, 6), 1)
        assert value(QUICK[name], case, other) == value(QUICK[name], other)
    else:
        assert found == pytest.approx({"insertion": sigmoid(0.3), "deletion": sigmoid(0.3)}.get(name, 0.0))


@pytest.mark.parametrize("name", QUICK)
def test_small_chunks_make_no_difference(name, monkeypatch):
    case = random_case((3, 7, 6), 3)
    whole = value(QUICK[name], case)
    monkeypatch.setattr(_variants, "CHUNK", 4 * case.image.nbytes)
    assert value(QUICK[name], case) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("name", QUICK)
def test_it_takes_about_as_many_passes_as_it_says(name):
    name = name.removesuffix("-noise")
    make = getattr(__import__(f"seewhy.metrics.{name.replace('-', '_')}", fromlist=["x"]), name.replace("-", "_"))
    seen = []
    random = np.random.default_rng(0)
    weights = random.standard_normal((1, 224, 224)) / 224
    image = random.random((1, 224, 224))
    case = case_of(random.random((224, 224)), image, linear(weights), seen=seen)
    value(make(), case)
    assert sum(seen) == metric_info(make).passes
    assert max(seen) * case.image.nbytes <= _variants.CHUNK


def test_the_catalogue_finds_them():
    assert {name.removesuffix("-noise") for name in QUICK} <= set(catalog.names("metrics"))
    for name in QUICK:
        make = catalog.get("metrics", name.removesuffix("-noise"))
        assert ">>>" in make.__doc__ and metric_info(make).paper


@pytest.mark.parametrize(
    ("make", "options", "says"),
    [
        (deletion, {"step": 0}, "step="),
        (insertion, {"step": 2.5}, "step="),
        (insertion, {"kernel": 4}, "odd"),
        (insertion, {"sigma": 0}, "sigma="),
        (road, {"order": "both"}, "'combined', 'morf', 'lerf'"),
        (road, {"percentiles": ()}, "percentiles="),
        (road, {"percentiles": (0, 10)}, "between 0 and 100"),
        (faithfulness_correlation, {"subsets": 1}, "subsets="),
        (faithfulness_correlation, {"size": 0}, "size="),
        (sensitivity_n, {"largest": 1.0}, "largest="),
        (sensitivity_n, {"sizes": 0}, "sizes="),
        (infidelity, {"perturbation": "blur"}, "'square' or 'noise'"),
        (infidelity, {"std": -1.0}, "std="),
        (infidelity, {"side": 0}, "side="),
        (infidelity, {"normalise": "yes"}, "normalise="),
    ],
)
def test_options_out_of_range_are_named(make, options, says):
    with pytest.raises(InputError, match=says):
        unwrap(make)(**options)  # as it is without the tests' own check of types


def test_windows_that_do_not_fit_are_named():
    with pytest.raises(InputError, match="window"):
        value(occlusion_rank_correlation(window=9), random_case((3, 7, 6)))


# ---- what is shown, what is taken away -------------------------------------------------------------------


def test_masked_by_hand():
    # one channel, two pixels; f = x_1 + x_2; the map shows the first wholly, the second by half
    case = case_of([4.0, 2.0], [[2.0, -1.0]], lambda images: images.sum(axis=(1, 2)))
    y, o, d = 1 / (1 + exp(-1.0)), 1 / (1 + exp(-1.5)), 1 / (1 + exp(0.5))
    assert value(average_increase(), case) == 1.0
    assert value(average_gain(), case) == pytest.approx((o - y) / (1 - y))
    assert value(average_drop(), case) == 0.0
    assert value(drop_in_deletion(), case) == pytest.approx((y - d) / y)
    other = replace(case, evidence=np.asarray([1.0, 4.0], np.float32))  # 0.25 x 2 - 1 = -0.5; the rest is 1.5
    o, d = 1 / (1 + exp(0.5)), 1 / (1 + exp(-1.5))
    assert value(average_increase(), other) == 0.0
    assert value(average_gain(), other) == 0.0
    assert value(average_drop(), other) == pytest.approx((y - o) / y)
    assert value(drop_in_deletion(), other) == pytest.approx((y - d) / y)  # below 0: not cut off
    assert value(average_increase(), case, other) == 0.5


def test_photos_that_cannot_gain_or_lose_do_not_count():
    case = case_of([4.0, 2.0], [[2.0, -1.0]], lambda images: images.sum(axis=(1, 2)))
    assert np.isnan(value(average_gain(), replace(case, probability=1.0)))
    assert np.isnan(value(drop_in_deletion(), replace(case, probability=0.0)))


# ---- insertion and deletion ------------------------------------------------------------------------------


def _order(evidence):
    """Positions from the strongest on; of equal ones the first in reading order."""
    return sorted(np.ndindex(evidence.shape), key=lambda p: -float(evidence[p]))  # sorted() is stable


def replica_area(case, step, start, end):
    """From `start`, pixel after pixel of `end`; a point every `step` pixels; trapezoids over the fraction."""
    picture = np.array(start, np.float64)
    curve = [(0, ask(case, picture))]
    order = _order(case.evidence)
    for at, p in enumerate(order, 1):
        picture[(slice(None), *p)] = end[(slice(None), *p)]
        if at % step == 0 or at == len(order):
            curve.append((at, ask(case, picture)))
    return sum((b - a) / len(order) * (u + v) / 2 for (a, u), (b, v) in pairwise(curve))


def replica_blur(image, kernel, sigma):
    """Each position the weighted sum of a window; the weights a Gaussian, tails folded back at the window's edges."""
    half, weights = kernel // 2, [0.0] * kernel
    reach = int(4 * sigma + 0.5)
    bell = [exp(-(x**2) / (2 * sigma**2)) for x in range(-reach, reach + 1)]
    for x, height in zip(range(-reach, reach + 1), bell, strict=True):
        at = (half + x) % (2 * kernel)  # reflected, the edge itself counted twice
        weights[at if at < kernel else 2 * kernel - 1 - at] += height / sum(bell)
    for axis in range(1, image.ndim):
        found = np.zeros(image.shape)
        for p in np.ndindex(image.shape):
            for k, weight in enumerate(weights):
                at = p[axis] + k - half
                if 0 <= at < image.shape[axis]:
                    found[p] += weight * float(image[(*p[:axis], at, *p[axis + 1 :])])
        image = found
    return image


@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
@pytest.mark.parametrize("shape", SHAPES, ids=["signal", "image", "volume"])
def test_insertion_and_deletion_against_a_replica(shape, ties):
    case = random_case(shape, 2, ties=ties)
    zeros = np.zeros(shape)
    assert value(deletion(step=4), case) == pytest.approx(replica_area(case, 4, case.image, zeros), rel=1e-6)
    start = replica_blur(case.image, 5, 1.5)
    found = value(insertion(step=4, kernel=5, sigma=1.5), case)
    assert found == pytest.approx(replica_area(case, 4, start, case.image), rel=1e-6)


def test_the_blur_is_that_of_the_protocol():
    image = np.random.default_rng(0).standard_normal((1, 14, 13)).astype(np.float32)
    np.testing.assert_allclose(blurred(image, 11, 5.0), replica_blur(image, 11, 5.0), atol=1e-6)


def test_areas_by_hand():
    # f is the share of the pixels that are there: four pixels, one after the other
    case = case_of([[3.0, 2.0], [1.0, 0.0]], np.ones((1, 2, 2)), lambda images: images.sum(axis=(1, 2, 3)) / 4)
    case = replace(case, model=lambda images, asked="probability": images.sum(axis=(1, 2, 3)) / 4.0, probability=1.0)
    assert value(deletion(step=1), case) == pytest.approx(0.5)
    only_first = replace(case, model=lambda images, asked="probability": images[:, 0, 0, 0].astype(float))
    assert value(deletion(step=1), only_first) == pytest.approx(1 / 8)  # gone after the first of four steps
    assert value(deletion(step=3), only_first) == pytest.approx(3 / 8)  # widths 3/4 and 1/4
    last = replace(only_first, evidence=only_first.evidence[::-1, ::-1].copy())
    assert value(deletion(step=1), last) == pytest.approx(7 / 8)


def test_a_perfect_map_and_an_inverted_one_are_the_extremes_of_all_orders():
    weights = np.asarray([[[4.0, 1.0], [2.0, -3.0]]])
    image = np.ones((1, 2, 2))
    best = case_of(weights[0] + 3, image, linear(weights, -1.0))  # f rises with what each pixel adds
    areas = {"deletion": [], "insertion": []}
    for order in np.asarray([p for p in np.stack(np.meshgrid(*[range(4)] * 4), -1).reshape(-1, 4) if len({*p}) == 4]):
        case = replace(best, evidence=np.asarray(order, np.float32).reshape(2, 2))
        areas["deletion"].append(value(deletion(step=1), case))
        areas["insertion"].append(value(insertion(step=1, kernel=1), case))
    worst = replace(best, evidence=best.evidence.max() - best.evidence)
    assert len(areas["deletion"]) == 24
    assert value(deletion(step=1), best) == pytest.approx(min(areas["deletion"]))
    assert value(deletion(step=1), worst) == pytest.approx(max(areas["deletion"]))


def test_the_photo_as_it_is_costs_no_pass():
    seen = []
    case = random_case((3, 7, 6), seen=seen)
    value(deletion(step=5), case)
    assert sum(seen) == 9  # 42 pixels: eight steps of five and one of two
    seen.clear()
    value(insertion(step=5), case)
    assert sum(seen) == 9


def test_equal_evidence_goes_in_reading_order():
    assert ranks(np.zeros((2, 3), np.float32)).tolist() == [[0, 1, 2], [3, 4, 5]]


# ---- ROAD ------------------------------------------------------------------------------------------------


def replica_imputed(image, missing):
    """The system written out, an equation for each missing pixel, and solved as a dense one."""
    places = [p for p in np.ndindex(missing.shape) if missing[p]]
    A, b = np.zeros((len(places), len(places))), np.zeros((len(places), len(image)))
    for i, (y, x) in enumerate(places):
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                q = (y + dy, x + dx)
                if (dy, dx) == (0, 0) or not (0 <= q[0] < missing.shape[0] and 0 <= q[1] < missing.shape[1]):
                    continue
                weight = 1 / 12 if dy and dx else 1 / 6
                A[i, i] += weight
                if missing[q]:
                    A[i, places.index(q)] -= weight
                else:
                    b[i] += weight * image[:, *q]
    found = np.array(image, np.float64)
    for p, solved in zip(places, np.linalg.solve(A, b), strict=True):
        found[:, *p] = solved
    return found


@pytest.mark.parametrize("shape", [(9, 8), (1, 12), (5, 1), (17, 23)])
@pytest.mark.parametrize("share", [0.1, 0.6, 0.95])
def test_imputation_against_a_replica(shape, share):
    random = np.random.default_rng(0)
    image = random.standard_normal((3, *shape)).astype(np.float32)
    missing = ranks(random.random(shape, np.float32)) < max(round(share * np.prod(shape)) - 1, 1)
    found = imputed(image, missing)
    np.testing.assert_allclose(found, replica_imputed(image, missing), atol=1e-5)
    assert (found[:, ~missing] == image[:, ~missing]).all()


def test_one_pixel_is_enough_and_none_missing_is_the_image():
    image = np.random.default_rng(0).standard_normal((2, 30, 20)).astype(np.float32)
    missing = np.ones((30, 20), np.bool_)
    missing[3, 4] = False
    np.testing.assert_allclose(imputed(image, missing), np.broadcast_to(image[:, 3:4, 4:5], image.shape), atol=1e-4)
    assert (imputed(image, np.zeros((30, 20), np.bool_)) == image).all()


def test_road_against_a_replica(monkeypatch):
    monkeypatch.setattr(sys.modules["seewhy.metrics.road"], "NOISE", 0.0)  # seewhy.metrics itself is a function
    case, percentiles = random_case((3, 8, 7), 4, ties=True), (10, 30, 75)
    order = _order(case.evidence)
    left = {"morf": [], "lerf": []}
    for percentile in percentiles:
        count = round(percentile / 100 * len(order))
        for which, gone in (("morf", order[:count]), ("lerf", order[len(order) - count :])):
            missing = np.zeros((8, 7), np.bool_)
            for p in gone:
                missing[p] = True
            left[which].append(ask(case, replica_imputed(case.image, missing)))
    morf, lerf = np.mean(left["morf"]), np.mean(left["lerf"])
    assert value(road(percentiles=percentiles), case) == pytest.approx((lerf - morf) / 2, abs=1e-6)
    assert value(road(order="morf", percentiles=percentiles), case) == pytest.approx(morf - case.probability, abs=1e-6)
    assert value(road(order="lerf", percentiles=percentiles), case) == pytest.approx(lerf - case.probability, abs=1e-6)


def test_road_combined_is_half_of_what_lies_between_its_orders():
    case = random_case((3, 8, 7), 4)
    assert len(set(case.evidence.ravel().tolist())) > 1
    morf, lerf = (value(road(order=order), case) for order in ("morf", "lerf"))
    assert value(road(), case) == (lerf - morf) / 2  # with its noise, to the last bit


def test_road_of_a_percentile_does_not_depend_on_the_others():
    case = random_case((3, 8, 7), 4)
    alone = [value(road(order="lerf", percentiles=(one,)), case) for one in (20, 60)]
    assert value(road(order="lerf", percentiles=(60, 20)), case) == pytest.approx(sum(alone) / 2, abs=1e-12)


def test_road_says_its_direction():
    assert [road(order=order).better for order in ("combined", "morf", "lerf")] == ["higher", "lower", "higher"]


def test_road_of_a_perfect_map_and_an_inverted_one():
    # a bright spot on black is what the class is about: only the pixels of the spot matter
    image = np.zeros((1, 10, 10))
    image[:, 4:6, 4:6] = 3.0
    weights = np.where(image > 0, 1.0, 0.0)
    best = case_of(weights[0] + 1e-3 * np.random.default_rng(0).random((10, 10)), image, linear(weights, -6.0))
    worst = replace(best, evidence=best.evidence.max() - best.evidence)
    high, low = value(road(), best), value(road(), worst)
    assert high > 0.35
    assert low == pytest.approx(-high, abs=0.02)  # noise apart the two change places


def test_road_draws_its_noise_from_the_seed():
    case = random_case((3, 8, 7), 4)
    assert value(road(), case) == value(road(), case)
    assert value(road(), case) != value(road(), replace(case, seed=5))


# ---- correlations ----------------------------------------------------------------------------------------


def replica_correlation(a, b):
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    top = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    return top / (sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b)) ** 0.5


def replica_ranks(a):
    """The mean of the places that equal numbers take."""
    return [sum(y < x for y in a) + (sum(y == x for y in a) + 1) / 2 for x in a]


def contributions(image, weights):
    return (np.asarray(image) * weights).sum(axis=0)


@pytest.mark.parametrize("shape", SHAPES, ids=["signal", "image", "volume"])
@pytest.mark.parametrize(
    "metric",
    [
        faithfulness_correlation(subsets=30, size=4),
        sensitivity_n(sizes=4, subsets=30),
        occlusion_rank_correlation(window=2),
    ],
    ids=["faithfulness-correlation", "sensitivity-n", "occlusion-rank-correlation"],
)
def test_what_each_pixel_adds_to_a_linear_model_is_perfect_and_its_opposite_the_worst(metric, shape):
    random = np.random.default_rng(0)
    image, weights = random.random(shape) + 0.1, random.random(shape) + 0.1
    truth = contributions(image, weights)
    assert value(metric, case_of(truth, image, linear(weights))) == pytest.approx(1.0, abs=1e-6)
    assert value(metric, case_of(truth.max() - truth, image, linear(weights))) == pytest.approx(-1.0, abs=1e-6)


def test_subset_correlation_over_all_subsets_by_hand():
    # of 6 pixels in a row, all 15 pairs are drawn sooner or later: many draws come near the correlation over all pairs
    case = random_case((2, 6), 7)
    said, lost = [], []
    for chosen in combinations(range(6), 2):
        without = case.image.copy()
        without[:, list(chosen)] = 0
        said.append(float(case.evidence[chosen[0]]) + float(case.evidence[chosen[1]]))
        lost.append(case.score - ask(case, without, "score"))
    found = value(faithfulness_correlation(subsets=20000, size=2), case)
    assert found == pytest.approx(replica_correlation(said, lost), abs=0.02)


def test_sensitivity_n_is_the_mean_over_sizes():
    case = random_case((2, 6), 7)  # sizes 1, 2 and 4 of 6
    expected = []
    for n in (1, 2, 4):
        said, lost = [], []
        for chosen in combinations(range(6), n):
            without = case.image.copy()
            without[:, list(chosen)] = 0
            said.append(sum(float(case.evidence[p]) for p in chosen))
            lost.append(case.score - ask(case, without, "score"))
        expected.append(replica_correlation(said, lost))
    assert value(sensitivity_n(sizes=3, subsets=20000), case) == pytest.approx(np.mean(expected), abs=0.02)


@pytest.mark.parametrize(
    ("shape", "window", "stride"), [((3, 7, 6), 3, 2), ((2, 11), 4, 3), ((3, 7, 6), (2, 3), (1, 3))]
)
def test_occlusion_rank_correlation_against_a_replica(shape, window, stride):
    case = random_case(shape, 5, ties=True)
    size = shape[1:]
    sides = window if isinstance(window, tuple) else (window,) * len(size)
    moves = stride if isinstance(stride, tuple) else (stride,) * len(size)
    counts = [-(-(length - side) // move) + 1 for length, side, move in zip(size, sides, moves, strict=True)]
    said, lost = [], []
    for number in np.ndindex(*counts):
        covered, inside = case.image.copy(), []
        for p in np.ndindex(size):
            if all(i * move <= at < i * move + side for at, i, move, side in zip(p, number, moves, sides, strict=True)):
                covered[(slice(None), *p)] = 0
                inside.append(float(case.evidence[p]))
        said.append(sum(inside) / len(inside))
        lost.append(case.score - ask(case, covered, "score"))
    expected = replica_correlation(replica_ranks(np.round(said, 9)), replica_ranks(lost))
    found = value(occlusion_rank_correlation(window=window, stride=stride), case)
    assert found == pytest.approx(expected, abs=1e-9)


# ---- infidelity ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES, ids=["signal", "image", "volume"])
def test_what_each_pixel_adds_to_a_linear_model_has_no_infidelity(shape):
    random = np.random.default_rng(0)
    image, weights = random.random(shape) + 0.1, random.random(shape) + 0.1
    case = case_of(contributions(image, weights), image, linear(weights))
    assert value(infidelity(side=2), case) == pytest.approx(0, abs=1e-8)
    assert value(infidelity(side=2, normalise=False), case) == pytest.approx(0, abs=1e-8)
    scaled = replace(case, evidence=5 * case.evidence)
    assert value(infidelity(side=2), scaled) == pytest.approx(0, abs=1e-8)  # maps have units of their own
    assert value(infidelity(side=2, normalise=False), scaled) > 1e-2
    same = np.broadcast_to(weights[:1], shape)  # a gradient that is the same in all channels
    gradient = case_of(same[0], image, linear(same))
    assert value(infidelity(perturbation="noise", normalise=False), gradient) == pytest.approx(0, abs=1e-8)


def test_infidelity_of_squares_against_a_replica():
    case = random_case((3, 5, 4), 6)
    said, lost = [], []
    for y in range(4):
        for x in range(3):
            covered = case.image.copy()
            covered[:, y : y + 2, x : x + 2] = 0
            said.append(sum(float(case.evidence[y + i, x + j]) for i in (0, 1) for j in (0, 1)))
            lost.append(case.score - ask(case, covered, "score"))
    for normalise in (True, False):
        b = sum(s * t for s, t in zip(said, lost, strict=True)) / sum(s * s for s in said) if normalise else 1.0
        expected = sum((b * s - t) ** 2 for s, t in zip(said, lost, strict=True)) / len(said)
        found = value(infidelity(samples=20000, side=2, normalise=normalise), case)
        assert found == pytest.approx(expected, rel=0.03)


def test_a_blank_map_has_the_most_infidelity():
    case = random_case((3, 7, 6), 1)
    blank = replace(case, evidence=np.zeros_like(case.evidence))
    assert value(infidelity(), case) < value(infidelity(), blank)


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("perturbation", ["square", "noise"])
def test_infidelity_is_captums(perturbation, normalise):
    net = nets.seeded(nets.Plain())
    image = torch.rand(3, 8, 8, dtype=torch.float64)
    evidence = torch.rand(8, 8)
    shown = []

    def model(images, asked="probability"):
        shown.append(images)
        with torch.no_grad():
            return net(torch.as_tensor(images, dtype=torch.float64))[:, 1].numpy()

    start = np.asarray(image, np.float32)
    score = float(model(start[None])[0])
    shown.clear()
    case = Case(evidence.numpy(), evidence.numpy(), start, score, score, model, seed=3)
    samples = 25
    found = value(infidelity(samples=samples, perturbation=perturbation, normalise=normalise, side=3), case)
    changed = torch.as_tensor(np.concatenate(shown), dtype=torch.float64)
    clean = torch.as_tensor(start, dtype=torch.float64)

    def perturb(images):
        apart = clean - changed
        if perturbation == "square":  # captum's global attributions: (x - x') / (x - baseline), here for one channel
            share = (apart / clean) * torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)[:, None, None]
            return share, changed
        return apart, changed

    spread = evidence.double()[None, None].expand(1, 3, 8, 8)
    expected = captum_infidelity(
        net, perturb, clean[None], spread, target=1, n_perturb_samples=samples, normalize=normalise
    )
    assert found == pytest.approx(expected.item(), rel=1e-5)


# ---- torchcam --------------------------------------------------------------------------------------------


def torchcam_cases(net, batch, layer):
    """Cases with torchcam's maps, which it scales to [0, 1] by their least and greatest value, laid on the input."""
    cases = []
    with GradCAM(net, layer) as cam:
        scores = net(batch).softmax(1)  # as its metrics have it: the gradient of the probability
        classes = scores.argmax(dim=1).tolist()
        [maps] = cam(classes, scores)
    laid = torch.nn.functional.interpolate(maps[:, None], batch.shape[2:], mode="bilinear")[:, 0]
    for image, evidence, which in zip(batch, laid, classes, strict=True):

        def model(images, asked="probability", which=which):
            with torch.no_grad():
                return net(torch.as_tensor(images)).softmax(1)[:, which].double().numpy()

        probability = float(model(image[None])[0])
        cases.append(Case(evidence.detach().numpy(), evidence.detach().numpy(), image.numpy(), probability, 0.0, model))
    return cases


@pytest.fixture(scope="module")
def peer():
    torch.manual_seed(0)
    net = nets.seeded(nets.Gap(channels=6), dtype=torch.float32)
    return net, torch.randn(6, 3, 9, 8)


def test_insertion_and_deletion_are_torchcams(peer):
    net, batch = peer
    cases = torchcam_cases(net, batch, "features")
    with GradCAM(net, "features") as cam:
        # 72 positions in 18 steps of 4; it lets what comes in come into the same zeros
        metric = DeletionInsertionMetric(cam, lambda logits: logits.softmax(1), steps=18)
        metric.update(batch)
        expected = metric.summary()
        metric = DeletionInsertionMetric(
            cam,
            lambda logits: logits.softmax(1),
            steps=18,
            baseline=lambda images: torch.as_tensor(np.stack([blurred(one.numpy(), 5, 1.0) for one in images])),
        )
        metric.update(batch)
        into_blur = metric.summary()
    assert value(deletion(step=4), *cases) == pytest.approx(expected["deletion_auc"], rel=1e-5)
    found = value(insertion(step=4, kernel=5, sigma=1.0), *cases)
    assert found == pytest.approx(into_blur["insertion_auc"], rel=1e-5)


def test_average_drop_and_increase_are_torchcams(peer):
    net, batch = peer
    cases = torchcam_cases(net, batch, "features")
    # torchcam does not scale again after it has laid the map on the input; here the maximum is 1 again
    cases = [replace(case, evidence=case.evidence / case.evidence.max()) for case in cases]
    with GradCAM(net, "features") as cam:
        metric = ClassificationMetric(cam, lambda logits: logits.softmax(1))
        cam.fuse_cams = lambda maps: torch.as_tensor(np.stack([case.evidence for case in cases]))
        metric.update(batch)
        expected = metric.summary()
    assert 0 < expected["conf_increase"] < 1
    assert value(average_drop(), *cases) == pytest.approx(expected["avg_drop"], rel=1e-5)
    assert value(average_increase(), *cases) == pytest.approx(expected["conf_increase"])
