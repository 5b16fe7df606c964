"""Grain size: exact tilings, scale, Voronoi cells with known mean chord, and NIST's chords on its own segmentations."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hea_sim.errors import InputError
from hea_vision.measurement import (
    count_grains,
    count_intercepts,
    grains_of_boundaries,
    intercept_grain_size,
    pattern_probes,
    planimetric_grain_size,
)
from hea_vision.measurement.grain_size import iso_number_from_density, number_from_density, number_from_intercept
from hea_vision.measurement.probes import PATTERNS, circle, straight

from .micrograph_grains import boundaries, hexagons, squares, voronoi, voronoi_intercept


def intercept(grains: np.ndarray, **options) -> float:
    return intercept_grain_size(grains, **options).mean_intercept.value


def test_chords_along_the_rows_of_a_tiling_are_its_sides():
    met = count_intercepts(squares(10, 20), [straight("row", (45, 0), (45, 199))])
    assert met.intersections[0] == 19 and met.n_cut == 2
    assert met.chords_px.tolist() == [10.0] * 18


@pytest.mark.parametrize("side", [20, 32])
def test_mean_chord_of_squares_is_pi_area_over_perimeter(side):
    # Random lines through convex cells that tile the plane: mean chord pi A / P (Cauchy).
    # The border runs through the middle of squares, so that the field has its share of boundary.
    angles = tuple(np.arange(0, 180, 7.5) + 3.1)
    found = intercept(squares(side, 480 // side, shift=side // 2), angles_deg=angles, spacing_px=7.0)
    assert found == pytest.approx(np.pi * side / 4, rel=0.02)


def test_mean_chord_of_hexagons_is_pi_area_over_perimeter():
    width = 32.0
    area, perimeter = np.sqrt(3) / 2 * width**2, 2 * np.sqrt(3) * width
    angles = tuple(np.arange(0, 180, 7.5) + 1.7)
    found = intercept(hexagons(width, (400, 400), turn_deg=11), angles_deg=angles, spacing_px=5.0)
    assert found == pytest.approx(np.pi * area / perimeter, rel=0.02)


def test_a_circle_counts_as_lines_do():
    grains, density = voronoi(1, 400, (500, 500))
    found = [intercept(grains, pattern=pattern) for pattern in ("abrams", "line-grid")]
    assert found[0] == pytest.approx(found[1], rel=0.1)
    assert voronoi_intercept(density) == pytest.approx(found[1], rel=0.1)


@pytest.mark.parametrize("angles", [(0.0, 90.0), (45.0, 135.0), (20.0, 70.0)])
def test_pixels_along_oblique_lines_make_no_intersections(angles):
    ratios = []
    for seed in range(12):
        grains, density = voronoi(seed, 150, (320, 320))
        ratios.append(intercept(grains, angles_deg=angles, spacing_px=8.0) / voronoi_intercept(density))
    assert np.mean(ratios) == pytest.approx(1.0, abs=3 * np.std(ratios) / np.sqrt(12))


def test_wide_boundaries_are_one_intersection_and_triple_points_make_up_for_what_they_hide():
    ratios = {}
    for score in (1.0, 1.5):
        ratios[score] = np.mean([
            intercept(np.where(boundaries(grains, 3), 0, grains), spacing_px=8.0, triple_score=(score, score))
            / intercept(grains, spacing_px=8.0)
            for grains, _ in (voronoi(seed, 40, (320, 320)) for seed in range(4))
        ])  # fmt: skip
    assert ratios[1.5] == pytest.approx(1.0, abs=0.02) and ratios[1.0] > 1.03


def test_boundaries_too_wide_and_pixels_too_coarse_are_said():
    grains, _ = voronoi(0, 40, (320, 320))
    thin, wide = (intercept_grain_size(np.where(boundaries(grains, w), 0, grains), pixel_size_nm=1.0) for w in (1, 9))
    assert not thin.notes and "boundaries fill" in wide.notes[0]
    assert "below a pixel" in intercept_grain_size(grains[::8, ::8].copy(), pixel_size_nm=1.0).notes[0]


def test_twice_the_pixel_is_twice_the_intercept_and_two_numbers_less():
    grains, _ = voronoi(3, 150, (320, 320))
    one, two = (intercept_grain_size(grains, pixel_size_nm=size) for size in (100.0, 200.0))
    assert two.mean_intercept.value == pytest.approx(2 * one.mean_intercept.value)
    assert one.grain_size_number.value - two.grain_size_number.value == pytest.approx(2.0, abs=1e-4)
    assert one.boundary_area_density.value == pytest.approx(2 / one.mean_intercept.value)
    assert (one.mean_intercept.unit, one.boundary_area_density.unit) == ("um", "1/um")
    assert one.relative_accuracy_percent == pytest.approx(two.relative_accuracy_percent)


def test_turning_the_field_turns_the_directions():
    grains = np.repeat(voronoi(5, 200, (300, 150))[0], 2, axis=1)  # grains drawn out along the rows
    flat, upright = intercept_grain_size(grains), intercept_grain_size(np.rot90(grains).copy())
    assert flat.by_direction["0 deg"].value == pytest.approx(upright.by_direction["90 deg"].value, rel=0.03)
    assert flat.elongation > 1.6


def test_without_a_pixel_size_lengths_are_pixels_and_there_is_no_number():
    found = intercept_grain_size(squares(20, 12))
    assert found.mean_intercept.unit == "px" and found.grain_size_number is None
    assert "no pixel size" in found.notes[0]


def test_numbers_of_the_tables():
    # E112-13 table 4: G = 0 is 7.75 grains per mm2 with a mean intercept of 0.320 mm; each number halves the area.
    assert number_from_density(7.75) == pytest.approx(0.0, abs=0.01)
    assert number_from_intercept(0.320) == pytest.approx(0.0, abs=0.01)
    assert number_from_intercept(0.320 / 2**4) == pytest.approx(8.0, abs=0.01)
    assert iso_number_from_density(8.0) == 0.0
    for density in (1.0, 500.0, 1e5):
        assert number_from_density(density) - iso_number_from_density(density) == pytest.approx(0.046, abs=0.001)


@pytest.mark.parametrize("shift", [3, 5, 8])
def test_counting_a_cut_tiling_gives_its_area_exactly(shift):
    # 10 x 10 squares with the border cut: 64 inside, 32 halves, the four corners together one; 8 + 2 halves a side.
    count = count_grains(squares(16, 10, shift=shift))
    assert (count.n_inside, count.n_cut, count.n) == (64, 32, 81.0)
    # The frame runs through the centres of the outermost pixels: from the middle of squares it spans nine of them.
    whole = squares(16, 10)[8:-7, 8:-7]
    assert planimetric_grain_size(whole).mean_area.value == 256.0


@pytest.mark.parametrize("hole", [False, True], ids=["whole", "hole"])
def test_area_per_grain_has_no_bias_however_small_the_field(hole):
    # Over all places of a field of 15 x 15 pixels the mean count is that of the lattice on the area of the figure.
    side = 16
    y, x = np.mgrid[:48, :48]
    lattice = y // side * 3 + x // side + 1
    counts = [count_grains(lattice[r : r + 15, c : c + 15].copy()) for r in range(side) for c in range(side)]
    assert {count.area_px for count in counts} == {14.0**2}
    assert sum(count.n for count in counts) / len(counts) / counts[0].area_px == 1 / side**2
    for count in counts:
        assert count.block_area_px.sum() == count.area_px and count.block_n.sum() == pytest.approx(count.n)
    if hole:  # what was not measured is no area: half a pixel of a side, a quarter at a corner, a pixel inside
        field = lattice[:15, :15].copy()
        field[0, 0] = field[0, 5] = field[7, 7] = -1
        assert count_grains(field).area_px == 14.0**2 - 0.25 - 0.5 - 1.0


@pytest.mark.parametrize("bricks", [False, True], ids=["squares", "bricks"])
@pytest.mark.parametrize("shape", [(10, 12), (17, 23), (33, 40), (50, 9)])
def test_the_edge_rule_counts_the_density_of_grains_exactly_however_few_are_seen(shape, bricks):
    # Over all places of the window the mean count is the area between the outer pixels' centres over that of a grain,
    # also where a grain holds two corners or all four, and where one reaches from side to side.
    side = 16
    y, x = np.mgrid[:112, :112]
    grains = y // side * 100 + (x + bricks * side // 2 * (y // side % 2)) // side + 1
    counts = [
        count_grains(grains[r : r + shape[0], c : c + shape[1]].copy()).n for r in range(2 * side) for c in range(side)
    ]
    assert np.mean(counts) == pytest.approx((shape[0] - 1) * (shape[1] - 1) / side**2)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(8, 60), st.integers(8, 60), st.integers(2, 9))
def test_the_edge_rule_is_half_the_points_where_three_grains_meet(top, left, rows, columns, half):
    # Euler: a tiling in which never more than three grains meet at a point has half as many grains as points.
    y, x = np.mgrid[:120, :120]
    bricks = y // (2 * half) * 100 + (x + half * (y // (2 * half) % 2)) // (2 * half) + 1
    grains = bricks[top : top + rows, left : left + columns].copy()
    met = np.sort(np.stack([grains[:-1, :-1], grains[:-1, 1:], grains[1:, :-1], grains[1:, 1:]]), axis=0)
    points = np.count_nonzero((np.diff(met, axis=0) != 0).sum(axis=0) == 2)
    assert count_grains(grains).n == points / 2


def test_jeffries_circle_agrees_with_the_rectangle():
    ratios = []
    for seed in range(20):
        grains, density = voronoi(seed, 150, (320, 320))
        ratios.append(
            [planimetric_grain_size(grains, figure=f).density.value / density for f in ("circle", "rectangle")]
        )
    means, errors = np.mean(ratios, axis=0), np.std(ratios, axis=0) / np.sqrt(20)
    assert np.all(np.abs(means - 1) < 3 * errors)


def test_intercepts_and_counting_agree_within_the_shape_factor():
    # E112 lets l^2 N_A be 0.79; cells of points at random have pi^2 / 16 = 0.617, exactly.
    products = []
    for seed in range(12):
        grains, _ = voronoi(seed, 150, (320, 320))
        products.append(intercept(grains, spacing_px=6.0) ** 2 * planimetric_grain_size(grains).density.value)
    assert np.mean(products) == pytest.approx(np.pi**2 / 16, rel=0.03)


def test_intervals_on_one_field_hold_the_truth_as_often_as_they_say():
    held = np.zeros(2)
    for seed in range(60):
        grains, density = voronoi(seed, 150, (320, 320))
        by_lines, by_count = intercept_grain_size(grains).mean_intercept, planimetric_grain_size(grains).mean_area
        held += [
            by_lines.low <= voronoi_intercept(density) <= by_lines.high,
            by_count.low <= 1 / density <= by_count.high,
        ]
    assert "model-based, one field" in by_lines.method and "model-based, one field" in by_count.method
    # 95 % of 60 is 57; fewer than 52 has a probability below 2 %.
    assert (held >= 52).all()


def test_several_fields_give_a_student_interval_over_fields():
    fields = [voronoi(seed, 150, (320, 320))[0] for seed in range(6)]
    joined = intercept_grain_size(fields, pixel_size_nm=500.0)
    assert joined.mean_intercept.n == 6 and "Student's t over 6 fields" in joined.mean_intercept.method
    singles = [intercept_grain_size(f, pixel_size_nm=500.0).mean_intercept.value for f in fields]
    assert min(singles) < joined.mean_intercept.value < max(singles)


def test_one_grain_says_so():
    found = intercept_grain_size(np.ones((50, 50), int), pixel_size_nm=10.0)
    assert found.mean_intercept is None and found.chords_px.size == 0
    assert "no boundary was crossed" in found.notes[0]
    assert count_grains(np.ones((50, 50), int)).n == 0
    with pytest.raises(InputError, match="larger field"):
        planimetric_grain_size(np.ones((50, 50), int))


def test_pores_cut_chords_and_leave_the_length():
    grains = squares(10, 20)
    with_pore = grains.copy()
    with_pore[80:120, 80:120] = -1
    line = [straight("row", (95, 0), (95, 199))]
    whole, holed = count_intercepts(grains, line), count_intercepts(with_pore, line)
    assert holed.length_px[0] == whole.length_px[0] - 40
    # Three intersections lie in the pore and one at each of its sides, where boundary and pore coincide.
    assert whole.intersections[0] - holed.intersections[0] == 5
    assert holed.n_cut == 4


def test_line_ends_on_a_boundary_are_half_an_intersection():
    field = np.array([[0, 0, 1, 1, 1, 0, 2, 2, 2, 0]] * 10)
    met = count_intercepts(field, [straight("row", (5, 0), (5, 9))])
    assert met.intersections[0] == 0.5 + 1 + 0.5 and met.n_cut == 0 and len(met.chords_px) == 2


def test_a_boundary_of_corners_still_parts_grains():
    mask = np.eye(20, dtype=bool)
    grains = grains_of_boundaries(mask)
    assert grains.max() == 2
    (found,) = count_intercepts(grains, [straight("across", (19, 0), (0, 19))]).intersections
    assert found >= 1


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_stay_where_they_say(pattern):
    for probe in pattern_probes(pattern, (90, 130)):
        assert (probe.points > -1).all() and (probe.points < [90.5, 130.5]).all()
        steps = np.hypot(*np.diff(probe.points, axis=0).T)
        assert (steps <= np.sqrt(2) + 1e-9).all()


def test_abrams_circles_have_the_lengths_of_the_standard():
    lengths = [len(p.points) * p.step_px for p in pattern_probes("abrams", (1000, 1000))]
    assert np.array(lengths) / 1000 * 100 == pytest.approx([250.0, 166.7, 83.3], abs=0.1)  # mm, 500 together


@settings(max_examples=25, deadline=None)
@given(
    hnp.arrays(
        np.int32, hnp.array_shapes(min_dims=2, max_dims=2, min_side=8, max_side=24), elements=st.integers(-1, 4)
    ),
    st.sampled_from(PATTERNS),
    st.sampled_from(["middle", "grain"]),
)
def test_any_field_gives_finite_numbers_or_a_note(field, pattern, edge):
    try:
        found = intercept_grain_size(field, pixel_size_nm=100.0, pattern=pattern, edge=edge)
    except InputError as error:
        assert "wanted" in str(error)  # circles too small to be drawn
        return
    assert (found.mean_intercept is None) == any("no boundary was crossed" in note for note in found.notes)
    if found.mean_intercept is not None:
        assert np.isfinite(found.mean_intercept.value) and found.mean_intercept.low <= found.mean_intercept.value
    # Chords by the middle of boundaries never overlap, so they are no longer than the line.
    assert found.chords_px.sum() <= found.length_px + 1e-6


@pytest.mark.parametrize("bad", [np.zeros((8, 8)), np.zeros(9, int), np.zeros((0, 4), int), np.zeros((4, 4), int)])
def test_what_is_no_field_of_grains_is_refused(bad):
    with pytest.raises(InputError, match="wanted"):
        intercept_grain_size(bad)
    with pytest.raises(InputError, match="wanted"):
        circle("tiny", (3, 3), 1.0)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "stem"), [("steel", "grains_steel_highlighted"), ("ti64", "sem_alpha_beta_ti_6al_4v")]
)
@pytest.mark.parametrize(("pattern", "table"), [("nist-e112", "e112"), ("nist-line-grid", "line_grid")])
def test_chords_are_those_of_nist(data: Path, name, stem, pattern, table):
    folder = data / "micrographs/grain_intercept" / name
    with open(folder / f"{stem}_distances_{table}.csv", newline="") as stream:
        theirs = np.array([float(row[1]) for row in list(csv.reader(stream))[1:]])
    mask = tifffile.imread(folder / f"{stem}_segmented.tif") > 0
    ours = count_intercepts(
        grains_of_boundaries(mask), pattern_probes(pattern, mask.shape), least_chord_points=2, edge="grain"
    ).chords_px
    assert len(ours) == pytest.approx(len(theirs), rel=0.02)
    assert ours.mean() == pytest.approx(theirs.mean(), rel=0.02)
