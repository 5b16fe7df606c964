"""Virtual atomic columns: places are the projected lattice, intensities add up as powers of Z."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from hea_sim.errors import InputError
from hea_sim.microscopy.column_kernels import add_peaks
from hea_sim.microscopy.columns import draw_columns, picture_columns, plain_peaks, project_columns
from hea_sim.microscopy.random_columns import ZONES, flat_lattice, random_columns

#: Lattice parameters in nm.
A_NM = 0.33


def rng(seed=0):
    return np.random.default_rng(seed)


def crystal(name, repeat=4):
    if name == "B2":
        cell = bulk("NiAl", "cesiumchloride", a=10 * A_NM)
    elif name == "L1_2":
        cell = bulk("Al", "fcc", a=10 * A_NM, cubic=True)
        cell.symbols[1:] = "Ni"
    else:
        cell = bulk("W", name, a=10 * A_NM, cubic=True)
    return cell.repeat((repeat, repeat, repeat))


def draw(atoms=None, **knobs):
    return draw_columns(atoms or crystal("bcc"), 0, **{"pixel_size_nm": 0.01, **knobs})


def test_places_are_the_projected_lattice():
    scene = draw(crystal("bcc"))
    # Seen along 001 a bcc crystal is a square lattice of corners and centres, half a cell diagonal apart.
    steps = (scene.points[:, :2] - scene.points[0, :2]) / (0.5 * A_NM / 0.01)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-6)
    assert (np.rint(steps).sum(1) % 2 == 0).all()
    assert len(scene.points) == 2 * 16


@pytest.mark.parametrize(("name", "axis"), list(ZONES))
def test_zones_agree_with_crystals_of_atoms(name, axis):
    atoms = crystal(name, 6)
    places, numbers = project_columns(atoms, axis)
    tree = cKDTree(places)
    nearest = tree.query(places, k=2)[0][:, 1]
    middle = int(np.argmin(np.linalg.norm(places - places.mean(0), axis=1)))
    around = places[tree.query_ball_point(places[middle], 0.9 * A_NM)] - places[middle]
    zone = ZONES[name, axis]
    flat, site = flat_lattice(zone, 100.0, (900, 900), 0.0, 0.0)
    scale = 100.0 / nearest[middle]
    # The same neighbours at the same distances, from some column of the flat lattice.
    wanted = np.sort(np.linalg.norm(around, axis=1)) * scale
    close = flat[np.linalg.norm(flat - 449.5, axis=1) < 120]
    found = [np.sort(np.linalg.norm(flat - f, axis=1))[: len(wanted)] for f in close]
    assert min(np.abs(f - wanted).max() for f in found) < 1e-6
    # And the same shares of columns of the one element, of the other, and of both.
    inner = np.linalg.norm(places - places.mean(0), axis=1) < 2 * A_NM
    kinds = [2 if len(set(z)) == 2 else int(z[0] == 28) for z, keep in zip(numbers, inner, strict=True) if keep]
    for kind in (0, 1, 2):
        assert np.mean(np.array(kinds) == kind) == pytest.approx(np.mean(np.array(zone.sites) == kind), abs=0.1)
    assert len(site) == len(flat)


def test_ratio_of_pure_columns_is_that_of_powers_of_z():
    atoms = crystal("B2")
    for exponent in (1.6, 2.0):
        intensity = np.unique(draw(atoms, exponent=exponent).points[:, 2].round(9))
        assert len(intensity) == 2
        assert intensity[1] / intensity[0] == pytest.approx((28 / 13) ** exponent, rel=1e-6)


def test_intensity_counts_atoms():
    atoms = Atoms("W3", [(0, 0, 0), (0, 0, 3), (6, 0, 0)])
    intensity = np.sort(draw(atoms).points[:, 2])
    assert intensity[1] / intensity[0] == pytest.approx(2.0)


def test_light_of_a_column_is_its_intensity_and_lies_at_its_place():
    atoms = Atoms("WAl", [(0, 0, 0), (10, 3.3, 0)])
    scene = draw(atoms, background=0.0, pixel_size_nm=0.02)
    light = scene.reflectance.astype(float)
    r, c = np.indices(light.shape)
    sums, centres = [], []
    for row, column, _ in scene.points:
        mine = np.hypot(r - row, c - column) < 18
        sums.append(light[mine].sum())
        centres.append([(light * r)[mine].sum() / sums[-1], (light * c)[mine].sum() / sums[-1]])
    assert sums[0] / sums[1] == pytest.approx((74 / 13) ** 1.7, rel=1e-3)
    np.testing.assert_allclose(centres, scene.points[:, :2], atol=0.01)


@pytest.mark.parametrize("tails", [0.0, 1.0])
def test_width_at_half_height_is_that_of_the_probe(tails):
    scene = draw(
        Atoms("W", [(0, 0, 0)]), probe_fwhm_nm=0.2, thermal_nm=0.0, background=0.0, tails=tails, shape=(65, 65)
    )
    row = scene.reflectance[32] / scene.reflectance[32].max()
    above = np.flatnonzero(row >= 0.5)
    left, right = above[0], above[-1]
    half = [
        left - (row[left] - 0.5) / (row[left] - row[left - 1]),
        right + (row[right] - 0.5) / (row[right] - row[right + 1]),
    ]
    assert half[1] - half[0] == pytest.approx(20.0, rel=0.01)


def test_thermal_displacement_adds_in_squares():
    sharp, warm = (draw(Atoms("W", [(0, 0, 0)]), thermal_nm=u, background=0.0, shape=(65, 65)) for u in (0.0, 0.03))
    r, c = np.indices((65, 65))
    spread = [float((s.reflectance * ((r - 32) ** 2)).sum() / s.reflectance.sum()) for s in (sharp, warm)]
    assert spread[1] - spread[0] == pytest.approx((0.03 / 0.01) ** 2, rel=0.01)


def test_displaced_atoms_have_their_mean_place():
    atoms = Atoms("W4", [(0, 0, 0), (0.2, 0, 3), (0, 0.1, 6), (0.2, 0.1, 9)])
    places, numbers = project_columns(atoms, (0, 0, 1))
    assert len(places) == 1 and len(numbers[0]) == 4
    # The first of the axes farthest from the beam runs along the columns, so y is the row, from bottom to top.
    np.testing.assert_allclose(np.abs(places[0]), [0.005, 0.01], atol=1e-12)


def test_rotation_turns_the_picture():
    straight, turned = (draw(rotation_deg=angle).points for angle in (0.0, 30.0))
    middle = [p[:, :2] - p[:, :2].mean(0) for p in (straight, turned)]
    c, s = np.cos(np.radians(30)), np.sin(np.radians(30))
    back = middle[1] @ np.array([[c, -s], [s, c]])
    back_other = middle[1] @ np.array([[c, s], [-s, c]])
    gaps = [cKDTree(middle[0]).query(b)[0].max() for b in (back, back_other)]
    assert min(gaps) < 1e-6


def test_labels_are_discs_about_the_points():
    scene = draw()
    r, c = np.indices(scene.labels.shape)
    away = cKDTree(scene.points[:, :2]).query(np.stack([r, c], -1).reshape(-1, 2))[0].reshape(r.shape)
    apart = A_NM / np.sqrt(2) / 0.01
    np.testing.assert_array_equal(scene.labels == 1, away <= 0.3 * apart)


def test_half_the_pixel_size_is_twice_the_distance():
    coarse, fine = (draw(pixel_size_nm=p).points for p in (0.02, 0.01))
    np.testing.assert_allclose(2 * (coarse[:, :2] - coarse[0, :2]), fine[:, :2] - fine[0, :2], atol=1e-6)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_any_random_alloy_has_points_inside_the_field(seed):
    a, b = (random_columns(rng(seed), (96, 120)) for _ in range(2))
    assert a.reflectance.tobytes() == b.reflectance.tobytes() and a.points.tobytes() == b.points.tobytes()
    assert a.reflectance.dtype == np.float32 and a.labels.dtype == np.uint8
    assert ((a.points[:, :2] >= -0.5) & (a.points[:, :2] < np.array([95.5, 119.5]))).all()
    assert (a.points[:, 2] > 0).all()
    if len(a.points) > 1:
        at = np.clip(np.rint(a.points[:, :2]).astype(int), 0, [95, 119])
        assert (a.labels[at[:, 0], at[:, 1]] == 1).mean() > 0.95


def test_kernel_matches_the_plain_twin():
    peaks = np.column_stack([rng(1).uniform(-3, 40, (20, 2)), rng(2).uniform(0.5, 2, 20)])
    light = np.zeros((36, 41))
    add_peaks(light, peaks, 1.7, 0.3, 9.0)
    np.testing.assert_allclose(light, plain_peaks((36, 41), peaks, 1.7, 0.3, 9.0), atol=1e-12)


def test_columns_beyond_the_field_add_light_but_no_truth():
    points = np.array([[20.0, -3.0, 1.0], [20.0, 20.0, 1.0]])
    scene = picture_columns(rng(), (40, 40), points, sigma_px=3.0, background=0.0)
    np.testing.assert_allclose(scene.points, points[1:])
    assert scene.reflectance[20, 0] > 0.3


@pytest.mark.parametrize(
    ("knobs", "says"),
    [
        ({"pixel_size_nm": 0.0}, "pixel_size_nm"),
        ({"pixel_size_nm": 1.0}, "standard deviation"),
        ({"axis": (0, 0, 0)}, "axis"),
        ({"axis": (1, 0)}, "axis"),
        ({"exponent": 0.0}, "exponent"),
        ({"tails": 2.0}, "tails"),
        ({"tolerance_nm": 0.0}, "tolerance_nm"),
        ({"shape": (5, 5)}, "shape"),
    ],
)
def test_refuses_what_it_cannot_draw(knobs, says):
    with pytest.raises(InputError, match=says):
        draw(**knobs)


def test_refuses_no_atoms():
    with pytest.raises(InputError, match="no atoms"):
        draw_columns(Atoms(), 0, pixel_size_nm=0.01)
