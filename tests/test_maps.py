"""Array maths against independent references, and its invariances."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seewhy import maps

SIZES = st.tuples(st.integers(1, 9), st.integers(1, 9))
settings.register_profile("calm", deadline=None, max_examples=60)
settings.load_profile("calm")


@given(SIZES, SIZES, st.integers(0, 10))
def test_upsampling_is_bilinear_with_half_pixel_centres(coarse, factor, seed):
    fine = tuple(c * f for c, f in zip(coarse, factor, strict=True))
    array = np.random.default_rng(seed).standard_normal((2, 3, *coarse))
    expected = torch.nn.functional.interpolate(torch.from_numpy(array), fine, mode="bilinear", align_corners=False)
    np.testing.assert_allclose(maps.upsample(array, fine), expected.numpy(), atol=1e-12)
    np.testing.assert_allclose(maps.upsample(torch.from_numpy(array), fine).numpy(), expected.numpy(), atol=1e-12)


@pytest.mark.parametrize(("axes", "mode"), [(1, "linear"), (3, "trilinear")])
def test_upsampling_of_signals_and_volumes(axes, mode):
    array = torch.randn(2, 3, *[4] * axes, dtype=torch.float64)
    expected = torch.nn.functional.interpolate(array, (11,) * axes, mode=mode, align_corners=False)
    torch.testing.assert_close(maps.upsample(array, (11,) * axes), expected)


@given(st.integers(1, 8), st.integers(1, 60), st.floats(-30, 30), st.floats(1, 60), st.integers(0, 9))
def test_a_region_is_where_it_says(cells, length, low, width, seed):
    """Sampled by hand at each pixel's centre: nothing outside, linear between the centres of cells inside."""
    values = np.random.default_rng(seed).standard_normal(cells)
    got = maps.upsample(values[None], (length,), ((low, low + width),))[0]
    for i in range(length):
        x = (i + 0.5 - low) / width
        centres = (np.arange(cells) + 0.5) / cells
        expected = np.interp(x, centres, values) if 0 <= x <= 1 else 0.0
        assert got[i] == pytest.approx(expected, abs=1e-9)


@given(SIZES, st.integers(0, 20))
def test_constant_maps_stay_constant_and_nothing_overshoots(coarse, seed):
    assert np.allclose(maps.upsample(np.full(coarse, 0.7), (13, 17)), 0.7)
    array = np.random.default_rng(seed).uniform(0, 1, coarse)
    fine = maps.upsample(array, (13, 17))
    assert array.min() - 1e-9 <= fine.min() and fine.max() <= array.max() + 1e-9


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), SIZES, st.integers(0, 9))
def test_combine_in_loops(n, k, c, s, seed):
    generator = np.random.default_rng(seed)
    A, per_channel, per_place = (generator.standard_normal(shape) for shape in ((n, c, *s), (n, k, c), (n, k, c, *s)))
    for i in range(n):
        for j in range(k):
            one = sum(per_channel[i, j, q] * A[i, q] for q in range(c))
            np.testing.assert_allclose(maps.combine(per_channel, A)[i, j], one, atol=1e-12)
            each = sum(per_place[i, j, q] * A[i, q] for q in range(c))
            np.testing.assert_allclose(maps.combine(per_place, A)[i, j], each, atol=1e-12)


def test_rectify_blank_finite():
    array = np.asarray([[[-1.0, 0.0, 2.0]], [[-3.0, -1.0, 0.0]]])
    assert maps.rectify(array).tolist() == [[[0, 0, 2]], [[0, 0, 0]]]
    assert maps.is_blank(array).tolist() == [[False], [True]]
    assert (
        maps.is_finite(array)
        and not maps.is_finite(np.asarray([1.0, np.nan]))
        and not maps.is_finite(np.asarray([-np.inf]))
    )


def test_scale_never_divides_by_zero():
    with np.errstate(all="raise"):
        assert maps.scale(np.zeros((2, 2)), 0, 0).tolist() == [[0, 0], [0, 0]]
        assert maps.scale(np.asarray([1e-300, 2e-300]), 0, 2e-300).tolist() == [0.5, 1.0]
        assert maps.scale(np.asarray([-1.0, 0.5, 9.0]), 0, 1).tolist() == [0, 0.5, 1]


def test_segments_and_boxes_by_hand():
    mask = np.asarray(
        [[1, 0, 0, 0, 0],
         [0, 1, 0, 0, 1],
         [0, 0, 0, 0, 1],
         [1, 0, 1, 1, 1]], bool)  # fmt: skip
    parts = maps.segments(mask)
    assert [int(part.sum()) for part in parts] == [5, 2, 1]  # corners connect
    assert [maps.box_around(part) for part in parts] == [(2, 1, 5, 4), (0, 0, 2, 2), (0, 3, 1, 4)]
    assert maps.boxes_around(mask) == [maps.box_around(part) for part in parts]
    assert maps.boxes_around(parts[1]) == [maps.box_around(parts[1])]
    assert maps.segments(np.zeros((3, 3), bool)) == maps.boxes_around(np.zeros((3, 3), bool)) == []


def test_covered_is_where_upsampling_is_not_zero():
    size, region = (10, 12), ((2.0, 8.0), (-3.0, 6.0))
    inside = maps.covered(size, region)
    assert (inside == (maps.upsample(np.ones((3, 3)), size, region) > 0)).all()
    assert inside.sum() == 6 * 6
    assert maps.covered((5,), ((1.0, 3.0),)).tolist() == [False, True, True, False, False]
