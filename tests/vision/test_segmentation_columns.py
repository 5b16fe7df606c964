"""Atomic columns: places and intensities of drawn Gaussians are found again."""

import numpy as np
import pytest

from hea_vision.segmentation.columns import find_columns


def lattice(seed=0, noise=0.0, spacing=14.0, shape=(112, 126), sigma=2.6, slope=0.0):
    """Draw columns near a square lattice; give picture, probability and (row, column, intensity) sorted by place."""
    rng = np.random.default_rng(seed)
    rows, columns = (np.arange(spacing, n - spacing + 1, spacing) for n in shape)
    places = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)
    places = places + rng.uniform(-0.5, 0.5, places.shape)
    height = rng.choice([0.3, 0.45, 0.6], len(places))
    y, x = np.mgrid[: shape[0], : shape[1]]
    peaks = np.exp(-((y - places[:, 0, None, None]) ** 2 + (x - places[:, 1, None, None]) ** 2) / (2 * sigma**2))
    picture = 0.2 + slope * (x - y) / shape[0] + np.tensordot(height, peaks, 1) + noise * rng.standard_normal(shape)
    truth = np.column_stack([places, 2 * np.pi * sigma**2 * height])
    return picture.astype(np.float32), (peaks.max(0) > 0.4).astype(np.float32), truth


def paired(found, truth):
    """Put what was found beside its nearest drawn column."""
    away = np.hypot(*(found[:, None, :2] - truth[None, :, :2]).transpose(2, 0, 1))
    nearest = away.argmin(1)
    assert len(set(nearest)) == len(found) == len(truth)
    return found, truth[nearest]


@pytest.mark.parametrize("slope", [0.0, 0.1])
def test_places_and_intensities_of_clean_columns_are_exact(slope):
    picture, p, truth = lattice(1, slope=slope)
    found, drawn = paired(find_columns(picture, p), truth)
    assert np.abs(found[:, :2] - drawn[:, :2]).max() < 0.05
    ratio = found[:, 2] / drawn[:, 2]
    np.testing.assert_allclose(ratio / np.median(ratio), 1.0, atol=0.03)


def test_a_little_noise_moves_columns_a_little():
    """Nothing places a Gaussian of amplitude A under noise n better than to a std of sqrt(2 / pi) n / A."""
    picture, p, truth = lattice(2, noise=0.003)
    found, drawn = paired(find_columns(picture, p), truth)
    clean, _ = paired(find_columns(*lattice(2)[:2]), truth)
    off = found[:, :2] - drawn[:, :2]
    assert np.abs(off).max() < 0.05
    best = np.sqrt(2 / np.pi) * 0.003 / (drawn[:, 2] / (2 * np.pi * 2.6**2))
    assert np.sqrt(np.mean(((found - clean)[:, :2] / best[:, None]) ** 2)) < 2  # a sloping background costs a little
    ratio = found[:, 2] / drawn[:, 2]
    assert np.abs(ratio / np.median(ratio) - 1).mean() < 0.03


def test_a_single_column_is_measured_absolutely():
    y, x = np.mgrid[:40, :40]
    picture = 3.0 + 7.0 * np.exp(-((y - 18.37) ** 2 + (x - 21.81) ** 2) / (2 * 2.2**2))
    found = find_columns(picture, (picture > 6).astype(float))
    np.testing.assert_allclose(found, [[18.37, 21.81, 2 * np.pi * 2.2**2 * 7.0]], rtol=1e-5)


def test_specks_are_no_columns():
    picture, p, truth = lattice(3)
    p[0, 0] = p[0, 60] = 1.0
    assert len(find_columns(picture, p)) == len(truth)


def test_a_cut_off_column_stays_at_its_place():
    y, x = np.mgrid[:40, :40]
    picture = np.exp(-((y - 0.4) ** 2 + (x - 20.0) ** 2) / 18) + np.exp(-((y - 25.0) ** 2 + (x - 20.0) ** 2) / 18)
    found = find_columns(picture, (picture > 0.4).astype(float))
    assert len(found) == 2
    np.testing.assert_allclose(found[:, :2], [[0.4, 20.0], [25.0, 20.0]], atol=0.05)


def test_columns_without_contrast_keep_their_centre_of_mass():
    p = np.zeros((20, 20))
    p[5:8, 9:12] = 1.0
    found = find_columns(np.full((20, 20), 2.0), p)
    assert found.shape == (1, 3)
    np.testing.assert_allclose(found[0, :2], [6.0, 10.0])


def test_nothing_found_is_an_empty_table():
    assert find_columns(np.zeros((20, 20)), np.zeros((20, 20))).shape == (0, 3)
