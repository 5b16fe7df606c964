"""Grains from their boundaries: as many as were drawn, tiling the field."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial import cKDTree

from hea_vision.segmentation.grain_instances import split_grains


def tessellation(seed, size_px, shape=(160, 160)):
    """Draw cells around seeds that keep a distance; give the numbers of the cells and their boundaries."""
    rng = np.random.default_rng(seed)
    seeds = [rng.uniform(0, shape)]
    for place in rng.uniform(0, shape, (2000, 2)):
        if np.hypot(*(np.array(seeds) - place).T).min() > 0.75 * size_px:
            seeds.append(place)
    y, x = np.mgrid[: shape[0], : shape[1]]
    cells = cKDTree(seeds).query(np.stack([y.ravel(), x.ravel()], -1))[1].reshape(shape) + 1
    return cells, ndimage.maximum_filter(cells, 3) != ndimage.minimum_filter(cells, 3)


def matched_share(drawn, found):
    """Give the part of the drawn grains that are one found grain each, by more than half of what both cover."""
    hits = 0
    for number in np.unique(drawn):
        mine = drawn == number
        theirs = found == np.bincount(found[mine]).argmax()
        hits += (mine & theirs).sum() > 0.5 * (mine | theirs).sum()
    return hits / len(np.unique(drawn))


@pytest.mark.parametrize("size_px", [20.0, 32.0, 50.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_perfect_boundaries_give_the_grains_that_were_drawn(seed, size_px):
    cells, boundary = tessellation(seed, size_px)
    found = split_grains(boundary)
    assert found.dtype == np.int32 and found.shape == cells.shape
    np.testing.assert_array_equal(np.unique(found), np.arange(1, found.max() + 1))  # every pixel in a grain
    assert found.max() == len(np.unique(cells))
    assert matched_share(cells, found) >= 0.95


@pytest.mark.parametrize("size_px", [20.0, 40.0])
def test_gaps_in_boundaries_are_closed(size_px):
    for seed in range(3):
        cells, boundary = tessellation(seed, size_px)
        torn = boundary & (np.random.default_rng(seed).random(boundary.shape) > 0.1)
        assert split_grains(torn).max() == pytest.approx(len(np.unique(cells)), rel=0.1)


def test_probabilities_do_as_well_as_certain_boundaries():
    cells, boundary = tessellation(3, 32.0)
    noisy = 0.85 * ndimage.gaussian_filter(boundary.astype(float), 0.5)
    noisy += 0.05 * np.random.default_rng(0).random(noisy.shape)
    assert split_grains(noisy).max() == pytest.approx(len(np.unique(cells)), rel=0.1)


@pytest.mark.parametrize("angle_deg", [0, 20, 45, 90])
def test_a_long_grain_is_one_grain(angle_deg):
    """Its deepest places are many and alike."""
    y, x = np.mgrid[:160, :160]
    angle = np.deg2rad(angle_deg)
    across = (x - 80) * np.cos(angle) + (y - 80) * np.sin(angle)
    bands = np.digitize(across, [-40, -14, 14, 40])
    boundary = ndimage.maximum_filter(bands, 3) != ndimage.minimum_filter(bands, 3)
    assert split_grains(boundary).max() == 5


def test_a_field_without_boundaries_is_one_grain():
    for field in (np.zeros((64, 96)), np.full((64, 96), 0.3), np.zeros((64, 96), bool)):
        found = split_grains(field)
        assert found.shape == (64, 96) and (found == 1).all()


def test_mirrored_boundaries_give_mirrored_grains():
    _, boundary = tessellation(4, 32.0)
    found, mirrored = split_grains(boundary), split_grains(boundary[:, ::-1])[:, ::-1]
    assert found.max() == mirrored.max() and matched_share(found, mirrored) == 1.0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), shape=st.tuples(st.integers(8, 50), st.integers(8, 50)), share=st.floats(0, 1))
def test_any_boundary_map_is_tiled(seed, shape, share):
    boundary = np.random.default_rng(seed).random(shape) * share
    found = split_grains(boundary)
    np.testing.assert_array_equal(np.unique(found), np.arange(1, found.max() + 1))
