"""Strain of atomic columns: imposed gradients come back, whatever the lattice, its turn and what is missing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.errors import InputError
from hea_vision.measurement import column_strain

SQUARE = np.array([[12.0, 0.0], [0.0, 12.0]])
HEXAGONAL = np.array([[12.0, 6.0], [0.0, 6.0 * np.sqrt(3)]])
OBLIQUE = np.array([[14.0, 1.0], [0.0, 10.0]])


def turn(deg: float) -> np.ndarray:
    c, s = np.cos(np.radians(deg)), np.sin(np.radians(deg))
    return np.array([[c, -s], [s, c]])


def columns(lattice: np.ndarray, n: int = 20) -> np.ndarray:
    """Place columns as x, y with y upwards."""
    h, k = np.mgrid[-n // 2 : n // 2, -n // 2 : n // 2]
    return (lattice @ np.stack([h.ravel(), k.ravel()])).T


def as_points(xy: np.ndarray) -> np.ndarray:
    return np.column_stack([300 - xy[:, 1], xy[:, 0] + 300, np.ones(len(xy))])


@pytest.mark.parametrize("lattice", [SQUARE, HEXAGONAL, OBLIQUE], ids=["square", "hexagonal", "oblique"])
@pytest.mark.parametrize("deg", [0, 17, 33])
def test_an_imposed_gradient_comes_back(lattice, deg):
    gradient = np.array([[0.02, 0.01], [-0.004, -0.015]])
    reference = turn(deg) @ lattice
    found = column_strain(as_points(columns((np.eye(2) + gradient) @ reference)), reference_px=reference)
    assert np.nanmean(found.e_xx) == pytest.approx(0.02, abs=1e-9)
    assert np.nanmean(found.e_yy) == pytest.approx(-0.015, abs=1e-9)
    assert np.nanmean(found.e_xy) == pytest.approx(0.003, abs=1e-9)
    assert np.nanmean(found.rotation_deg) == pytest.approx(np.degrees(-0.007), abs=1e-7)
    assert found.indexed.all() and found.residual_px < 1e-9


def test_a_layer_stands_out_of_its_matrix():
    xy = columns(turn(7) @ SQUARE, 30)
    strained = xy.copy()
    strained[:, 0] += 0.03 * np.clip(xy[:, 0], 0, 80)  # 3 % between x = 0 and 80 px
    found = column_strain(as_points(strained))
    inside, left = (xy[:, 0] > 25) & (xy[:, 0] < 55), xy[:, 0] < -40
    assert np.nanmean(found.e_xx[inside]) - np.nanmean(found.e_xx[left]) == pytest.approx(0.03, rel=0.03)
    assert np.nanmax(np.abs(found.e_yy)) < 0.006


def test_turning_the_lattice_is_rotation_and_no_strain():
    found = column_strain(as_points(columns(turn(0.5) @ SQUARE)), reference_px=SQUARE)
    assert np.nanmean(found.rotation_deg) == pytest.approx(0.5, abs=1e-3)
    assert np.nanmax(np.abs(found.e_xx)) < 1e-4  # cos(0.5 deg) - 1


def test_against_its_own_mean_lattice_strain_sums_to_nothing():
    rng = np.random.default_rng(0)
    found = column_strain(as_points(columns(SQUARE) + rng.normal(0, 0.2, (400, 2))))
    assert abs(np.nanmean(found.e_xx)) < 5e-4 and abs(np.nanmean(found.rotation_deg)) < 0.05


def test_the_std_of_the_fit_is_the_scatter_of_the_strain():
    rng = np.random.default_rng(1)
    found = column_strain(as_points(columns(OBLIQUE, 40) + rng.normal(0, 0.15, (1600, 2))))
    for k, values in enumerate((found.e_xx, found.e_yy, found.e_xy, found.rotation_deg)):
        assert np.nanmedian(found.std[:, k]) == pytest.approx(np.nanstd(values), rel=0.2)


def test_missing_and_stray_columns_do_no_harm():
    rng = np.random.default_rng(2)
    xy = columns(turn(21) @ SQUARE, 24) + rng.normal(0, 0.1, (576, 2))
    xy = np.concatenate([xy[rng.random(576) > 0.08], [[5.5, 6.2]]])
    found = column_strain(as_points(xy))
    assert found.indexed[:-1].mean() > 0.98
    assert np.nanstd(found.e_xx) < 0.01


def test_intensities_of_two_kinds_make_one_lattice():
    # [001] of B2: corners and centres, of two brightnesses, repeat by the half diagonal.
    xy = np.concatenate([columns(SQUARE), columns(SQUARE) + 6.0])
    found = column_strain(as_points(xy))
    lengths = np.linalg.norm(found.reference_px, axis=0)
    assert lengths == pytest.approx([6 * np.sqrt(2)] * 2) and found.indexed.all()


@settings(max_examples=15, deadline=None)
@given(st.integers(9, 40), st.integers(0, 2**31))
def test_points_without_a_lattice_are_refused_or_finite(n, seed):
    points = np.random.default_rng(seed).random((n, 2)) * 50
    try:
        found = column_strain(points)
    except InputError as error:
        assert "wanted" in str(error)
        return
    assert np.isfinite(found.e_xx[np.isfinite(found.std[:, 0])]).all()


@pytest.mark.parametrize(("points", "said"), [
    (np.zeros((4, 2)), "at least 9"),
    (np.zeros((12, 2)), "on one another"),
    (np.full((12, 2), np.nan), "finite"),
    (np.column_stack([np.zeros(20), np.arange(20.0)]), "one direction"),
])  # fmt: skip
def test_what_is_no_lattice_is_refused(points, said):
    with pytest.raises(InputError, match=said):
        column_strain(points)


def test_a_reference_that_does_not_fit_is_refused():
    with pytest.raises(InputError, match="does not fit"):
        column_strain(as_points(columns(SQUARE)), reference_px=SQUARE / 3)
    with pytest.raises(InputError, match="not parallel"):
        column_strain(as_points(columns(SQUARE)), reference_px=np.ones((2, 2)))


def test_stated_errors_of_the_lattice_are_its_scatter():
    from hea_sim.records import Segmentation
    from hea_vision.measurement import measure

    grid = np.stack(np.meshgrid(np.arange(15.0), np.arange(15.0), indexing="ij"), -1).reshape(-1, 2)
    rng, found, said = np.random.default_rng(0), [], []
    for _ in range(60):
        points = 20 + 12.0 * grid + 0.2 * rng.standard_normal(grid.shape)
        segmentation = Segmentation(
            labels=np.zeros((220, 220), np.uint8),
            classes={0: "background", 1: "column"},
            points=np.column_stack([points, np.ones(len(points))]),
        )
        estimates = measure(segmentation).estimates
        found.append([estimates[n].value for n in ("lattice vector a1", "lattice angle")])
        said.append([estimates[n].std for n in ("lattice vector a1", "lattice angle")])
    a1 = 0.2 / np.sqrt(225 * (15**2 - 1) / 12)  # sigma over the root of the indices' sum of squares
    true = np.array([a1, np.degrees(np.sqrt(2) * a1 / 12)])
    np.testing.assert_allclose(np.mean(said, axis=0), true, rtol=0.1)
    np.testing.assert_allclose(np.std(found, axis=0), true, rtol=0.3)
