"""Particles: shapes against theory and a peer, edges without bias, distances against points at random."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage.measure import regionprops

from hea_sim.errors import InputError
from hea_vision.measurement import (
    class_objects,
    measure_particles,
    measure_shapes,
    neighbour_distances,
    saltykov_spheres,
    size_distribution,
    spheres_per_volume,
)
from hea_vision.measurement.shapes import label_objects
from hea_vision.measurement.sizes import miles_lantuejoul_weights


def disc(shape, centre, radius):
    y, x = np.ogrid[: shape[0], : shape[1]]
    return np.hypot(y - centre[0], x - centre[1]) <= radius


def ellipse(a: float, b: float, turn_deg: float) -> np.ndarray:
    y, x = np.mgrid[-60:61, -60:61]
    t = np.radians(turn_deg)
    u, v = x * np.cos(t) - y * np.sin(t), x * np.sin(t) + y * np.cos(t)
    return ((u / a) ** 2 + (v / b) ** 2 <= 1).astype(int)


@pytest.mark.parametrize("turn_deg", [0, 30, 75, -40])
def test_an_ellipse_has_its_axes_and_its_angle(turn_deg):
    found = measure_shapes(ellipse(50, 20, turn_deg))
    assert found["aspect_ratio"][0] == pytest.approx(2.5, rel=0.02)
    assert found["orientation_deg"][0] == pytest.approx(turn_deg, abs=0.5)
    assert found["feret_max"][0] == pytest.approx(100, rel=0.01)
    assert found["feret_min"][0] == pytest.approx(40, rel=0.03)
    assert found["solidity"][0] > 0.95


def test_a_disc_is_round_and_a_cross_is_not():
    round_one = measure_shapes(disc((101, 101), (50, 50), 40).astype(int))
    assert round_one["circularity"][0] == pytest.approx(1.0, abs=0.02)
    assert round_one["equivalent_diameter"][0] == pytest.approx(80, rel=0.01)
    cross = np.zeros((101, 101), int)
    cross[45:56, 5:96] = cross[5:96, 45:56] = 1
    found = measure_shapes(cross)
    # Area 91^2 - 80^2 of a hull that is the square of side 91 less four corners of 40 x 40 / 2.
    assert found["solidity"][0] == pytest.approx((91**2 - 80**2) / (91**2 - 2 * 40**2), rel=0.02)
    assert found["circularity"][0] < 0.4


def test_scale_changes_lengths_and_nothing_else():
    field = ellipse(40, 25, 20)
    px, nm = measure_shapes(field), measure_shapes(field, pixel_size_nm=3.0)
    for name in ("equivalent_diameter", "feret_max", "feret_min"):
        assert nm[name] == pytest.approx(3 * px[name])
    for name in ("aspect_ratio", "circularity", "solidity", "orientation_deg", "area_px"):
        assert nm[name] == pytest.approx(px[name])
    assert (px.unit, nm.unit) == ("px", "nm")


def test_shapes_agree_with_scikit_image():
    field = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((300, 300)), 4)
    labels = label_objects(field > 0.06)
    ours = measure_shapes(labels)
    for i, theirs in enumerate(regionprops(labels)):
        assert (ours["row"][i], ours["column"][i]) == pytest.approx(theirs.centroid)
        assert ours["area_px"][i] == theirs.area
        assert tuple(ours.boxes[i]) == theirs.bbox
        if theirs.area >= 60:
            assert ours["solidity"][i] == pytest.approx(theirs.solidity, abs=0.04)
            assert ours["feret_max"][i] == pytest.approx(theirs.feret_diameter_max, rel=0.02, abs=0.5)


def test_objects_know_their_unit_size_and_edge():
    field = disc((100, 120), (40, 60), 15).astype(int)
    field[90:, :5] = 1
    found = class_objects(field, 1, 2.0)
    assert found.unit == "nm" and found["equivalent_diameter"][0] == pytest.approx(60.0, rel=0.02)
    assert (found["row"][0], found["column"][0]) == pytest.approx((40, 60))
    assert found["touches_edge"].tolist() == [False, True] and found["area_px"][1] == 50
    assert class_objects(field, 1).unit == "px" and len(class_objects(field, 2)) == 0


def test_one_pixel_is_an_object_without_a_size():
    field = np.zeros((30, 30), int)
    field[5, 5] = field[20, 20] = 1
    found = measure_particles(field)
    assert found.density.n == 2 and found.mean_diameter is None
    assert any("no whole particle has" in note for note in found.notes)
    assert found.shapes["aspect_ratio"].tolist() == [1.0, 1.0]


def test_a_class_without_numbered_objects_is_measured_by_its_areas():
    field = np.zeros((60, 60), int)
    field[10:20, 10:20] = field[30:40, 30:40] = 2
    numbers = np.where(field == 0, 1, 0)  # of grains, say
    plain, beside = measure_particles(field, 2), measure_particles(field, 2, instances=numbers)
    assert plain.mean_diameter == beside.mean_diameter and len(beside.shapes) == 2
    touching = np.zeros((60, 60), int)
    touching[10:20, 10:30] = 1
    halves = np.where(np.arange(60) < 20, 1, 2) * touching
    assert (len(measure_particles(touching).shapes), len(measure_particles(touching, instances=halves).shapes)) == (
        1,
        2,
    )


def test_edges_bias_neither_number_nor_size():
    # Small and large discs strewn over a torus four times the window; the window sees some cut by its edge.
    rng = np.random.default_rng(0)
    window, torus = 100, 200
    counted, raw_sizes, sizes = [], [], []
    small, large = disc((9, 9), (4, 4), 4), disc((41, 41), (20, 20), 20)
    for _ in range(200):
        world = np.zeros((torus, torus), int)
        number = 0
        for shape, n in ((small, 12), (large, 4)):
            for top, left in rng.integers(0, torus, (n, 2)):
                rows, columns = (np.arange(k) + o for k, o in zip(shape.shape, (top, left)))
                place = np.ix_(rows % torus, columns % torus)
                free = shape & (world[place] == 0)
                if free.sum() == shape.sum():
                    number += 1
                    world[place] = np.where(shape, number, world[place])
        seen = world[:window, :window]
        found = measure_shapes(seen)
        weights, diameters = miles_lantuejoul_weights(found), found["equivalent_diameter"]
        truth = np.sqrt(4 * np.bincount(world.ravel())[1:] / np.pi)
        counted.append(weights.sum() * torus**2 / number)
        sizes.append([weights @ diameters, weights.sum(), truth.sum(), number])
        whole = ~found["touches_edge"]
        raw_sizes.append([diameters[whole].sum(), whole.sum()])
    counted, sizes, raw = np.array(counted), np.sum(sizes, axis=0), np.sum(raw_sizes, axis=0)
    assert counted.mean() == pytest.approx(1.0, abs=3 * counted.std() / np.sqrt(200))
    true_mean = sizes[2] / sizes[3]
    assert sizes[0] / sizes[1] == pytest.approx(true_mean, rel=0.05)
    assert raw[0] / raw[1] < 0.9 * true_mean  # what comes out where nobody looks


def test_the_size_distribution_is_weighted_too():
    field = np.zeros((60, 60), int)
    field[10:20, 10:20] = field[30:34, 35:39] = 1
    shares = size_distribution(measure_particles(field), np.array([0.0, 6.0, 20.0]))
    weights = np.array([1 / 55**2, 1 / 49**2])
    assert shares == pytest.approx(weights / weights.sum())


def test_points_at_random_have_a_clark_evans_ratio_of_one():
    scores, nearest = [], []
    for seed in range(150):
        points = np.random.default_rng(seed).random((60, 2)) * [200, 300] - 0.5
        found = neighbour_distances(points, (200, 300))
        scores.append((found.clark_evans.value - 1) / found.clark_evans.std)
        nearest.append(found.nearest.value)
    assert abs(np.mean(scores)) < 3 / np.sqrt(150) and np.std(scores) == pytest.approx(1.0, abs=0.2)
    expected = 0.5 * np.sqrt(200 * 300 / 60)  # of the whole plane, without an edge
    assert np.mean(nearest) == pytest.approx(expected, abs=3 * np.std(nearest) / np.sqrt(150))


def test_clusters_and_lattices_are_told_from_random_points():
    lattice = np.stack(np.meshgrid(np.arange(5, 200, 10.0), np.arange(5, 200, 10.0)), -1).reshape(-1, 2)
    rng = np.random.default_rng(0)
    clusters = np.concatenate([rng.normal(centre, 2.0, (20, 2)) for centre in rng.random((15, 2)) * 160 + 20])
    assert neighbour_distances(lattice, (200, 200)).clark_evans.low > 1.5
    assert neighbour_distances(clusters, (200, 200)).clark_evans.high < 0.6


def test_mean_free_path_of_squares_on_a_lattice():
    # Squares of side 10, 20 apart: a row through squares has 10 of matrix for each; half of the rows have none.
    field = np.zeros((200, 200), int)
    for top in range(5, 200, 20):
        for left in range(5, 200, 20):
            field[top : top + 10, left : left + 10] = 1
    found = measure_particles(field, pixel_size_nm=2.0)
    # (1 - A_A) / N_L with A_A = 1/4 and one particle met on 40 px of line in the mean.
    assert found.mean_free_path.value == pytest.approx(2.0 * 0.75 * 40)


def test_saltykov_gives_back_spheres_of_one_size():
    # Sections of spheres of diameter D: a plane at a random height, chord classes of width D / 10.
    rng = np.random.default_rng(0)
    spheres, diameter, classes = 1e-3, 10.0, 10
    sections = diameter * np.sqrt(1 - rng.random(200_000) ** 2)
    density, _ = np.histogram(sections, np.linspace(0, diameter, classes + 1))
    found = saltykov_spheres(density / density.sum() * spheres * diameter, diameter / classes)
    assert found[-1] == pytest.approx(spheres, rel=0.02)
    assert np.abs(found[:-1]).max() < 0.03 * spheres


def test_saltykov_gives_back_the_number_of_spheres_of_several_sizes_within_its_error():
    # Spheres of class-top diameters strewn in space: a plane meets N_V D of each size on a unit of area (DeHoff 1965).
    rng = np.random.default_rng(4)
    width, area = 2.0, 4000.0
    diameters, density = np.array([6.0, 10.0, 14.0]), np.array([0.02, 0.05, 0.01])
    errors = []
    for _ in range(300):
        cut = np.repeat(diameters, rng.poisson(density * diameters * area))
        sections = cut * np.sqrt(1 - rng.random(len(cut)) ** 2)
        counts, _ = np.histogram(sections, np.arange(0, 15, width))
        e = spheres_per_volume(counts, area=area, width=width, unit="um")
        assert e.unit == "1/um3" and e.low <= e.value <= e.high
        errors.append((e.value - density.sum()) / e.std)
    assert abs(np.mean(errors)) < 3 / np.sqrt(300)
    # 95 % of 300 is 285, +- 11 at three standard deviations.
    assert np.std(errors) == pytest.approx(1.0, abs=0.13) and 274 <= np.sum(np.abs(errors) < 1.96) <= 296


def test_no_section_bounds_the_number_of_spheres():
    e = spheres_per_volume(np.zeros(3), area=1000.0, width=2.0, unit="um")
    assert (e.value, e.std, e.low, e.n, e.unit) == (0.0, None, 0.0, 0, "1/um3")
    # The smallest spheres, of diameter `width`, are met least: N_V = N_A / width; 3.69 is the bound of a count of none.
    assert e.high == pytest.approx(3.69 / 1000.0 / 2.0, rel=0.01)
    for k in range(3):
        one = spheres_per_volume(np.eye(3)[k], area=1000.0, width=2.0, unit="um")
        assert one.value <= e.high


def test_sphere_diameter_from_sections():
    rng = np.random.default_rng(2)
    sections = 10 * np.sqrt(1 - rng.random(100_000) ** 2)
    assert np.pi / 2 / np.mean(1 / sections) == pytest.approx(10.0, rel=0.01)


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=3, max_side=20), elements=st.integers(0, 2))
)
def test_any_labels_give_finite_numbers_or_a_note(labels):
    found = measure_particles(labels, 1)
    assert len(found.shapes) == label_objects(labels == 1).max()
    for estimate in (found.density, found.mean_diameter, found.sphere_diameter, found.mean_free_path):
        if estimate is not None:
            assert np.isfinite(estimate.value)
            assert estimate.low is None or estimate.low <= estimate.value <= estimate.high
    assert found.mean_diameter is not None or any("particle" in note for note in found.notes)
    ratios = found.shapes["circularity"], found.shapes["solidity"]
    assert all(((r > 0) & (r <= 1)).all() for r in ratios) and (found.shapes["aspect_ratio"] >= 1 - 1e-9).all()


def test_nothing_there_has_an_upper_bound():
    found = measure_particles(np.zeros((50, 50), int), pixel_size_nm=1000.0)
    assert (found.density.value, found.density.low) == (0.0, 0.0)
    assert found.density.high == pytest.approx(3.69 / 2500, rel=0.01)  # exact 95 % two-sided bound of a count of none
    assert "no particle" in found.notes[0]


def test_thousands_of_objects_take_no_time_each():
    field = np.zeros((1500, 1500), int)
    field[1::5, 1::5] = field[1::5, 2::5] = field[2::5, 1::5] = 1  # 90,000 objects
    started = time.process_time()
    found = measure_shapes(label_objects(field > 0))
    assert len(found) == 90_000 and time.process_time() - started < 10


def test_wrong_shapes_are_refused():
    with pytest.raises(InputError, match="wanted"):
        measure_particles(np.zeros(9))
    with pytest.raises(InputError, match="one shape"):
        measure_particles(np.zeros((9, 9), int), instances=np.zeros((8, 9), int))
    with pytest.raises(InputError, match="at least 3"):
        neighbour_distances(np.zeros((2, 2)), (10, 10))
