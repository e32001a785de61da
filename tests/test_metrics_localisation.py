"""Localisation metrics on cases worked out by hand, and against scalar loops."""

import math
from inspect import unwrap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metric_cases import boxes, case, masked, value
from seewhy.errors import InputError
from seewhy.maps import Box
from seewhy.measure import Truth
from seewhy.metrics._truth import overlaps
from seewhy.metrics.box_iou import box_iou
from seewhy.metrics.energy_pointing_game import energy_pointing_game
from seewhy.metrics.grid_pointing_game import grid_pointing_game
from seewhy.metrics.max_box_acc import max_box_acc
from seewhy.metrics.pointing_game import pointing_game
from seewhy.metrics.pxap import pxap

ALL = [pointing_game(tolerance=1), energy_pointing_game(), grid_pointing_game(), box_iou(), pxap()]
ALL += [max_box_acc(version=1), max_box_acc(version=2)]
IDS = ["pointing", "energy", "grid", "iou", "pxap", "box-1", "box-2"]

OBJECT = (2, 3, 6, 7)  # of 10 rows and 12 columns


def perfect():
    heatmap = np.zeros((10, 12), np.float32)
    heatmap[3:7, 2:6] = 1
    return heatmap


@pytest.mark.parametrize("metric", ALL, ids=IDS)
def test_a_perfect_map_gets_all(metric):
    assert value(metric, case(perfect(), boxes(OBJECT)), case(perfect(), boxes(OBJECT))) == pytest.approx(1)


@pytest.mark.parametrize("metric", ALL, ids=IDS)
def test_an_inverted_map_gets_the_least(metric):
    # of 120 pixels 16 are the object's; the box round the rest is the whole photo
    least = dict.fromkeys(map(id, ALL), 0.0) | {id(ALL[3]): 16 / 120, id(ALL[4]): 16 / 120}
    # one pixel beside the object is a hit at a tolerance of 1: 16 of the 104 highest pixels
    least[id(ALL[0])] = 16 / 104
    assert value(metric, case(1 - perfect(), boxes(OBJECT))) == pytest.approx(least[id(metric)])


@pytest.mark.parametrize("metric", ALL, ids=IDS)
def test_a_blank_map(metric):
    expected = 16 / 120 if metric is ALL[4] else 0.0  # PxAP: nothing is told apart
    assert value(metric, case(np.zeros((10, 12)), boxes(OBJECT))) == pytest.approx(expected)


@pytest.mark.parametrize("metric", ALL, ids=IDS)
def test_no_case_has_no_value(metric):
    assert math.isnan(metric.compute(np.zeros_like(metric.update(case(perfect(), boxes(OBJECT))))))


@pytest.mark.parametrize("metric", ALL, ids=IDS)
def test_what_is_missing_is_named(metric):
    with pytest.raises(InputError, match="no box and no mask"):
        metric.update(case(perfect()))
    with pytest.raises(InputError, match="no box and no mask"):
        metric.update(case(perfect(), Truth(())))
    with pytest.raises(InputError, match=r"photos, \(H, W\), and this map has the axes \(5,\)"):
        metric.update(case(np.ones(5), boxes(OBJECT)))
    with pytest.raises(InputError, match=r"expected a mask of the photo's own pixels \(10, 12\), got one of \(3, 3\)"):
        metric.update(case(perfect(), masked(np.ones((3, 3)))))


@pytest.mark.parametrize("metric", [ALL[3], ALL[5], ALL[6]], ids=["iou", "box-1", "box-2"])
def test_boxes_are_no_masks(metric):
    with pytest.raises(InputError, match="only a mask"):
        metric.update(case(perfect(), masked(perfect())))


# ---- pointing game ---------------------------------------------------------------------------------------


def peak(row, column, size=(30, 40)):
    heatmap = np.full(size, 0.5, np.float32)
    heatmap[row, column] = 1
    return heatmap


@pytest.mark.parametrize(
    ("row", "column", "hit"),
    [
        (5, 5, 1),  # the object's corner pixel
        (5, 4, 1),
        (5, 20, 1),  # 15 pixels right of column 5
        (5, 21, 0),
        (5 + 12, 5 + 9, 1),  # 9, 12: the distance is 15
        (5 + 12, 5 + 10, 0),
    ],
)
def test_a_point_within_15_pixels_is_a_hit(row, column, hit):
    assert value(pointing_game(), case(peak(row, column), boxes((5, 5, 6, 6)))) == hit


def test_the_tolerance_of_the_pointing_game():
    truth = boxes((5, 5, 6, 6))
    assert value(pointing_game(tolerance=0), case(peak(5, 6), truth)) == 0
    assert value(pointing_game(tolerance=0), case(peak(5, 5), truth)) == 1
    assert value(pointing_game(tolerance=1), case(peak(5, 6), truth)) == 1
    assert value(pointing_game(tolerance=1), case(peak(6, 6), truth)) == 0
    assert value(pointing_game(tolerance=1.5), case(peak(6, 6), truth)) == 1


def test_the_pointing_game_counts_hits_and_takes_masks_before_boxes():
    truth = boxes((0, 0, 1, 1), (5, 5, 6, 6))
    cases = [case(peak(0, 0), truth), case(peak(5, 5), truth), case(peak(2, 2), truth), case(peak(9, 9), truth)]
    assert value(pointing_game(tolerance=0), *cases) == 0.5
    mask = np.zeros((30, 40), np.bool_)
    mask[9, 9] = True
    both = Truth((Box(0, 0, 9, 9),), mask)
    assert value(pointing_game(tolerance=0), case(peak(9, 9), both)) == 1
    assert value(pointing_game(tolerance=0), case(peak(8, 8), both)) == 0


def test_a_plateau_prefers_no_corner():
    heatmap = np.zeros((4, 4))
    heatmap[0, :] = 2.0
    assert value(pointing_game(tolerance=0), case(heatmap, boxes((0, 0, 1, 1)))) == 0.25
    assert value(pointing_game(tolerance=0), case(heatmap, boxes((3, 0, 4, 1)))) == 0.25


# ---- evidence inside -------------------------------------------------------------------------------------


def test_evidence_inside_by_hand():
    heatmap = [[4, 0, 0, 0], [0, 2, 1, 0], [0, 0, 1, 0]]
    assert value(energy_pointing_game(), case(heatmap, boxes((1, 1, 3, 2)))) == pytest.approx(3 / 8)
    overlapping = boxes((1, 1, 3, 2), (2, 1, 3, 3))  # what lies in two boxes counts once
    assert value(energy_pointing_game(), case(heatmap, overlapping)) == pytest.approx(4 / 8)
    mask = [[1, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert value(energy_pointing_game(), case(heatmap, masked(mask))) == pytest.approx(5 / 8)
    both = [case(heatmap, boxes((1, 1, 3, 2))), case(heatmap, boxes((0, 0, 4, 3)))]
    assert value(energy_pointing_game(), *both) == pytest.approx(11 / 16)


def test_a_map_that_is_the_same_everywhere_is_at_chance():
    cells = [(0, 0, 2, 2), (2, 0, 4, 2), (0, 2, 2, 4), (2, 2, 4, 4)]
    assert value(grid_pointing_game(), *[case(np.ones((4, 4)), boxes(cell)) for cell in cells]) == 0.25


def test_the_grid_by_hand():
    heatmap = np.asarray([[3, 1, 0, 0], [0, 0, 0, 2], [0, 1, 0, 0], [0, 0, 0, 1]])
    shares = [4 / 8, 2 / 8, 1 / 8, 1 / 8]
    for cell, share in zip([(0, 0, 2, 2), (2, 0, 4, 2), (0, 2, 2, 4), (2, 2, 4, 4)], shares, strict=True):
        assert value(grid_pointing_game(), case(heatmap, boxes(cell))) == pytest.approx(share)


# ---- boxes -----------------------------------------------------------------------------------------------

EDGES = st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(1, 5), st.integers(1, 5))


@given(EDGES, EDGES)
def test_overlaps_counted_pixel_by_pixel(one, other):
    a, b = (Box(x, y, x + w, y + h) for x, y, w, h in (one, other))
    pixels = [{(x, y) for x in range(c.left, c.right) for y in range(c.top, c.bottom)} for c in (a, b)]
    expected = len(pixels[0] & pixels[1]) / len(pixels[0] | pixels[1])
    assert overlaps([a], [b])[0, 0] == pytest.approx(expected)


def test_box_iou_by_hand():
    heatmap = np.zeros((10, 10))
    heatmap[1:4, 1:6] = 1.0  # the largest part: 15 pixels
    heatmap[5:7, 0:4] = 0.9  # a second one of 8
    heatmap[8, 8] = 0.15  # not above 15 % of the maximum
    assert value(box_iou(), case(heatmap, boxes((1, 1, 4, 4)))) == pytest.approx(9 / 15)
    assert value(box_iou(), case(heatmap, boxes((0, 5, 4, 7), (3, 1, 9, 4)))) == pytest.approx(9 / 24)  # the better one
    assert value(box_iou(), case(heatmap, boxes((0, 5, 4, 7)))) == 0  # the smaller part has no box
    assert value(box_iou(threshold=0.95), case(heatmap, boxes((1, 1, 6, 4)))) == 1
    # at a threshold of 0.1 the lone pixel is a part of its own, and the largest stays the largest
    assert value(box_iou(threshold=0.1), case(heatmap, boxes((1, 1, 6, 4)))) == 1
    heatmap[4, 6] = 0.5  # it touches at a corner: box (1, 1) to (7, 5)
    assert value(box_iou(), case(heatmap, boxes((1, 1, 6, 4)))) == pytest.approx(15 / 24)


def nested():
    """A map of three levels: the whole photo's 0.1, a block of 0.5 within, a block of 1 within that."""
    heatmap = np.zeros((8, 8))
    heatmap[0:6, 0:6] = 0.25
    heatmap[1:5, 1:5] = 0.55
    heatmap[2:4, 2:4] = 1.0
    return heatmap


def test_max_box_acc_by_hand():
    metric = max_box_acc(version=1, thresholds=4)  # t = 0, 0.25, 0.5, 0.75: boxes of 6 x 6, 4 x 4, 4 x 4, 2 x 2
    large, small = boxes((0, 0, 6, 6)), boxes((2, 2, 4, 4))
    assert metric.update(case(nested(), large)).tolist() == [1, 0, 0, 0, 1]  # 16 / 36 is below 0.5
    assert metric.update(case(nested(), small)).tolist() == [0, 0, 0, 1, 1]
    assert value(metric, case(nested(), large)) == value(metric, case(nested(), small)) == 1
    # one threshold for all photos: no threshold is right for both
    assert value(metric, case(nested(), large), case(nested(), small)) == 0.5
    assert value(metric, case(nested(), large), case(nested(), small), case(nested(), large)) == pytest.approx(2 / 3)


def test_max_box_acc_v2_by_hand():
    metric = max_box_acc(version=2, thresholds=4)
    sums = metric.update(case(nested(), boxes((0, 0, 6, 6))))
    # IoU 1, 16 / 36 = 0.44 twice, 4 / 36: above 0.3 at three thresholds, above 0.5 and 0.7 at one
    assert sums.tolist() == [1, 1, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1]
    heatmap = np.zeros((8, 8))
    heatmap[0:4, 0:4], heatmap[6:8, 6:8] = 1.0, 0.6
    smaller = boxes((6, 6, 8, 8))
    assert value(max_box_acc(version=1), case(heatmap, smaller)) == 0  # the largest part alone
    assert value(metric, case(heatmap, smaller)) == 1  # the best of all parts
    both = [case(heatmap, smaller), case(heatmap, boxes((0, 0, 4, 6)))]  # IoU 16 / 24: 0.3 and 0.5 are reached
    assert value(metric, *both) == pytest.approx((1 + 1 + 0.5) / 3)


@given(st.integers(0, 99), st.booleans())
def test_max_box_acc_in_loops(seed, second):
    generator = np.random.default_rng(seed)
    heatmap = generator.integers(0, 6, (7, 9)).astype(np.float32)
    left, top = generator.integers(0, 5, 2)
    truth = boxes((left, top, left + 4, top + 2), (0, 0, 3, 3))
    metric = max_box_acc(version=2 if second else 1, thresholds=10)
    if heatmap.max() == heatmap.min():
        return
    scaled = (heatmap - heatmap.min()) / (heatmap.max() - heatmap.min())
    expected = [[], [], []] if second else [[]]
    for t in range(10):
        parts = flood(scaled > np.float32(t / 10))
        found = [bounds(part) for part in (parts if second else parts[:1])]
        best = max((iou(box, true) for box in found for true in truth.boxes), default=0)
        for row, reach in zip(expected, (0.3, 0.5, 0.7) if second else (0.5,), strict=True):
            row.append(float(best >= reach))
    assert metric.update(case(heatmap, truth)).tolist() == [*np.ravel(expected), 1.0]


def flood(mask):
    """The connected parts as lists of (row, column), the largest first, of equal ones the one met first."""
    left, parts = {(int(r), int(c)) for r, c in np.argwhere(mask)}, []
    for start in sorted(left):
        if start not in left:
            continue
        part, edge = [], [start]
        left.discard(start)
        while edge:
            r, c = edge.pop()
            part.append((r, c))
            near = {(r + i, c + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= near
            edge.extend(near)
        parts.append(part)
    return sorted(parts, key=lambda part: -len(part))


def bounds(part):
    rows, columns = [r for r, _ in part], [c for _, c in part]
    return Box(min(columns), min(rows), max(columns) + 1, max(rows) + 1)


def iou(a, b):
    width = max(0, min(a.right, b.right) - max(a.left, b.left))
    height = max(0, min(a.bottom, b.bottom) - max(a.top, b.top))
    areas = [(c.right - c.left) * (c.bottom - c.top) for c in (a, b)]
    return width * height / (sum(areas) - width * height)


# ---- PxAP ------------------------------------------------------------------------------------------------


def test_pxap_by_hand():
    """Sorted: 1 (object), 0.8 (other), 0.5 (object, other), 0 (object, other).

    Recall grows by 1/3 at precision 1, by 1/3 at precision 2/4 and by 1/3 at precision 3/6.
    """
    heatmap, mask = [[1, 0.8, 0.5], [0.5, 0, 0]], [[1, 0, 1], [0, 1, 0]]
    assert value(pxap(), case(heatmap, masked(mask))) == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert value(pxap(thresholds=1), case(heatmap, masked(mask))) == pytest.approx(1 / 3 + 2 / 3 * 0.5)


@given(st.integers(0, 99))
def test_pxap_in_loops_over_all_pixels_of_all_photos(seed):
    generator = np.random.default_rng(seed)
    photos = []
    for _ in range(2):
        heatmap, mask = generator.integers(0, 11, (4, 5)), generator.integers(0, 2, (4, 5)) > 0
        heatmap[0, 0], heatmap[0, 1], mask[0, 0] = 0, 10, True
        photos.append((heatmap, mask))
    pixels = [(int(v), bool(m)) for h, k in photos for v, m in zip(h.ravel(), k.ravel(), strict=True)]
    positives, area, before = sum(m for _, m in pixels), 0.0, 0.0
    for t in range(10, -1, -1):
        seen = [m for v, m in pixels if v >= t]
        if seen:
            area += sum(seen) / len(seen) * (sum(seen) / positives - before)
            before = sum(seen) / positives
    assert value(pxap(), *[case(h, masked(k)) for h, k in photos]) == pytest.approx(area)


# ---- options ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "options", "message"),
    [
        (pointing_game, {"tolerance": -1}, "tolerance of 0 pixels or more, got -1"),
        (pointing_game, {"tolerance": float("nan")}, "tolerance of 0 pixels or more, got nan"),
        (box_iou, {"threshold": 1}, "from 0 up to, but not, 1, got 1"),
        (max_box_acc, {"thresholds": 0}, "thresholds= as a whole number of 1 or more, got 0"),
        (max_box_acc, {"version": [1]}, r"version=1 or version=2, got \[1\]"),
        (pxap, {"thresholds": True}, "thresholds= as a whole number of 1 or more, got True"),
        (pxap, {"thresholds": 0}, "thresholds= as a whole number of 1 or more, got 0"),
    ],
)
def test_options_are_checked(metric, options, message):
    with pytest.raises(InputError, match=message):
        unwrap(metric)(**options)  # without the type checks of the tests
