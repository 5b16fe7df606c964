"""Virtual grains: the truth tiles the plane, is what was drawn, and no contrast touches it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from hea_sim.errors import InputError
from hea_sim.microscopy.grain_contrast import GrainContrast, grey_levels
from hea_sim.microscopy.grain_forms import GrainForm, GrainMap, form_grains
from hea_sim.microscopy.grains import draw_grains, random_grains
from hea_sim.microscopy.noise_fields import smooth_noise, spline_field
from hea_sim.microscopy.noise_kernels import spline_columns, spline_rows
from hea_sim.microscopy.tessellation import (
    REACH_PX,
    paint,
    plain_cells,
    plain_potts,
    run_potts,
    scatter_seeds,
    wavy_places,
)
from hea_sim.microscopy.tessellation_kernels import paint_twins, potts_sweep


def rng(seed=0):
    return np.random.default_rng(seed)


def draw(seed=0, shape=(160, 200), **knobs):
    return draw_grains(rng(seed), shape, **knobs)


def unlike_neighbours(field):
    """Mark pixels that have another number to the left, right, above or below."""
    edge = np.zeros(field.shape, bool)
    for axis in (0, 1):
        differ = np.diff(field, axis=axis) != 0
        pads = [(0, 0), (0, 0)]
        for side in ((1, 0), (0, 1)):
            pads[axis] = side
            edge |= np.pad(differ, pads)
    return edge


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_any_polycrystal_tiles_the_plane(seed):
    scene = random_grains(rng(seed), (96, 128))
    assert scene.reflectance.dtype == np.float32 and scene.reflectance.shape == (96, 128)
    assert 0 < scene.reflectance.min() and scene.reflectance.max() < 1
    assert scene.labels.dtype == np.uint8 and set(np.unique(scene.labels)) <= {0, 1}
    present = np.unique(scene.instances)
    np.testing.assert_array_equal(present, np.arange(1, len(present) + 1))


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_same_seed_same_bytes(seed):
    a, b, c = (random_grains(rng(s), (64, 64)) for s in (seed, seed, seed + 1))
    assert a.reflectance.tobytes() == b.reflectance.tobytes() and a.labels.tobytes() == b.labels.tobytes()
    assert a.instances.tobytes() == b.instances.tobytes()
    assert a.reflectance.tobytes() != c.reflectance.tobytes()


@pytest.mark.parametrize(
    "form",
    [
        GrainForm(),
        GrainForm(waviness_px=3.0, waviness_length_px=40.0),
        GrainForm(elongation=3.0, elongation_deg=30.0),
        GrainForm(fused_fraction=0.4),
        GrainForm(twinned_fraction=0.8, twin_width_px=6.0),
        GrainForm(colony_size_px=80.0, elongation=4.0),
        GrainForm(potts_sweeps=2),
    ],
)
def test_where_two_grains_meet_a_boundary_is_labelled(form):
    scene = draw(grain_size_px=30.0, form=form)
    assert scene.labels[unlike_neighbours(scene.instances)].all()
    # And nowhere else: a boundary pixel has another grain within half the width and a pixel's half diagonal.
    meeting = ndimage.distance_transform_edt(~unlike_neighbours(scene.instances))
    inside = (slice(12, -12), slice(12, -12))  # what lies just outside the field is not in `instances`
    assert meeting[inside][scene.labels[inside] == 1].max() <= 2.3


def test_mean_area_is_that_asked_for():
    scene = draw(shape=(600, 600), grain_size_px=24.0)
    inner = np.unique(scene.instances[30:-30, 30:-30])
    areas = np.bincount(scene.instances.ravel())[1:]
    cut = np.unique(np.concatenate([scene.instances[e] for e in (0, -1)] + [scene.instances[:, e] for e in (0, -1)]))
    whole = np.setdiff1d(inner, cut)
    assert areas[whole - 1].mean() == pytest.approx(np.pi * 12.0**2, rel=0.05)
    assert areas.sum() == scene.labels.size


def test_spread_of_sizes_is_that_asked_for_after_relaxation():
    for spread in (0.15, 0.4):
        seeds, weights = scatter_seeds(rng(), np.zeros(2), np.full(2, 800.0), 25.0, spread, 20)
        y, x = wavy_places(rng(), (800, 800), 0.0, 40.0)
        area = np.bincount(paint(y, x, seeds, weights).cell.ravel(), minlength=len(seeds))
        assert np.log(np.sqrt(area[area > 0])).std() == pytest.approx(spread, rel=0.2)


def test_boundary_width_is_that_asked_for():
    narrow, wide = (draw(grain_size_px=60.0, boundary_width_px=w).labels.mean() for w in (2.0, 4.0))
    # Twice as wide is twice the area, less what overlaps where three grains meet.
    assert 1.8 < wide / narrow < 2.0


def test_rolled_grains_have_the_aspect_asked_for():
    scene = draw(shape=(400, 400), grain_size_px=30.0, form=GrainForm(elongation=3.0, elongation_deg=0.0))
    crossings = [(np.diff(scene.instances, axis=axis) != 0).mean() for axis in (0, 1)]
    # Mean intercepts of a stretched isotropic tiling are in the ratio of the axes.
    assert crossings[0] / crossings[1] == pytest.approx(3.0, rel=0.1)


def test_contrast_does_not_touch_the_truth():
    etched = GrainContrast(line_strength=1.0, gap_fraction=1.0, pits=5.0, inclusions=3.0, relief=0.2, scratches=0.2)
    a, b = draw(), draw(contrast=etched)
    np.testing.assert_array_equal(a.labels, b.labels)
    np.testing.assert_array_equal(a.instances, b.instances)
    assert not np.array_equal(a.reflectance, b.reflectance)


def test_a_facet_that_did_not_etch_shows_no_line_but_is_a_boundary():
    flat = {"channelling": 0.0, "gradient": 0.0, "line_strength": 1.0, "line_variation": 0.0, "line_level": 0.1}
    etched, unetched = (draw(contrast=GrainContrast(**flat, gap_fraction=f)) for f in (0.0, 1.0))
    assert etched.reflectance[etched.labels == 1].mean() < 0.25
    np.testing.assert_allclose(unetched.reflectance, 0.5, atol=1e-6)
    assert unetched.labels.any()


def half_planes(normal, offset, shape=(80, 90)):
    """Hold two grains either side of a straight boundary."""
    seeds = np.array([50.0, 45.0]) + np.outer([-20.0, 20.0], normal) + offset * np.asarray(normal)
    y, x = wavy_places(rng(), shape, 0.0, 10.0)
    tiling = paint(y, x, seeds, np.zeros(2))
    none, far = np.zeros(shape, np.int32), np.full(shape, REACH_PX, np.float32)
    return GrainMap(tiling=tiling, grains=2, twin=none, piece=tiling.cell, twin_across=none, twin_near=far)


@pytest.mark.parametrize("angle", [0.0, 0.3, np.pi / 4, 1.2])
def test_grey_integrates_to_the_drawn_area(angle):
    normal = np.cos(angle), np.sin(angle)
    grains = half_planes(normal, 0.37)
    grey = grey_levels(rng(), grains, GrainContrast(channelling=0.3, gradient=0.0))
    low, high = grey[0, 0], grey[-1, -1]
    # Area below the boundary, on a grid 20 times finer.
    fine = (np.arange(80 * 20) + 0.5) / 20 - 0.5, (np.arange(90 * 20) + 0.5) / 20 - 0.5
    side = normal[0] * (fine[0][:, None] - 50.0) + normal[1] * (fine[1][None, :] - 45.0) - 0.37
    part = (side < 0).mean()
    assert (grey.mean() - high) / (low - high) == pytest.approx(part, rel=2e-3)


def test_distances_match_the_plain_twin():
    seeds, weights = scatter_seeds(rng(), np.zeros(2), np.array([50.0, 60.0]), 9.0, 0.4, 1)
    owner = rng().integers(0, len(seeds), len(seeds))
    y, x = wavy_places(rng(), (50, 60), 0.0, 10.0)
    drawn = paint(y, x, seeds, weights, owner)
    cell, near = plain_cells(y, x, seeds, weights, owner)
    np.testing.assert_array_equal(drawn.cell, cell)
    np.testing.assert_allclose(drawn.near, np.minimum(near, REACH_PX), atol=1e-5)
    assert (drawn.second >= drawn.near).all()


def test_only_wanted_pixels_are_painted():
    y, x = wavy_places(rng(), (50, 60), 0.0, 10.0)
    seeds = rng().uniform(0, 50, (20, 2))
    wanted = rng().random((50, 60)) < 0.1
    part, whole = (paint(y, x, seeds, np.zeros(20), wanted=w) for w in (wanted, None))
    np.testing.assert_array_equal(part.cell, np.where(wanted, whole.cell, 0))
    np.testing.assert_allclose(part.near, np.where(wanted, whole.near, 0), atol=1e-6)


def test_distances_to_curved_boundaries_are_in_pixels_of_the_picture():
    # The same wave sampled five times finer gives the distance by counting pixels.
    amplitude, wavelength = 3.0, 40.0
    knots = rng(3).standard_normal((2, 12, 12))

    def places(fine):
        n = np.arange(100 * fine) / fine
        field = [amplitude * spline_field(k, 0.5 * wavelength * fine, (100 * fine, 100 * fine)) for k in knots]
        return n[:, None] + field[0], n[None, :] + field[1]

    seeds = rng(1).uniform(0, 100, (12, 2))
    near = paint(*places(1), seeds, np.zeros(12)).near[10:90, 10:90]
    fine = paint(*places(5), seeds, np.zeros(12), reach_px=0.0).cell
    # Distances end at the centres of fine pixels, half a fine pixel short of the boundary.
    counted = (ndimage.distance_transform_edt(~unlike_neighbours(fine)) + 0.5)[::5, ::5][10:90, 10:90] / 5
    close = counted < 3
    assert np.abs(near - counted)[close].max() < 0.3
    assert np.abs(near - counted)[close].mean() < 0.05


def test_twin_sides_are_straight_and_parallel():
    cell = np.zeros((80, 90), np.int32)
    far = np.full(cell.shape, REACH_PX, np.float32)
    angle = 0.4
    bands = np.array([[np.cos(angle), np.sin(angle), 60.0, 72.5, -np.inf]])
    twin, piece, beyond = (np.empty(cell.shape, np.int32) for _ in range(3))
    near = np.empty(cell.shape, np.float32)
    paint_twins(cell, cell, far, np.array([0, 1]), bands, REACH_PX, twin, piece, beyond, near)
    r, c = np.indices(cell.shape)
    across = r * np.cos(angle) + c * np.sin(angle)
    np.testing.assert_array_equal(twin == 1, (across > 60.0) & (across < 72.5))
    exact = np.minimum(np.abs(across - 60.0), np.abs(across - 72.5))
    np.testing.assert_allclose(near, np.minimum(exact, REACH_PX), atol=1e-5)
    # The grain falls into the part below, the twin and the part above.
    np.testing.assert_array_equal(piece, np.where(twin == 1, -1, (across >= 72.5).astype(int)))


def test_twins_count_as_grains_only_if_asked():
    form = GrainForm(twinned_fraction=1.0, twin_width_px=8.0)
    counted, ignored = (draw(grain_size_px=50.0, form=form, twins_are_grains=flag) for flag in (True, False))
    np.testing.assert_array_equal(counted.reflectance, ignored.reflectance)
    assert counted.instances.max() > 1.5 * ignored.instances.max()
    assert counted.labels.mean() > ignored.labels.mean()
    # Every grain of the one is a union of grains of the other.
    pairs = np.unique(np.stack([counted.instances.ravel(), ignored.instances.ravel()]), axis=1)
    assert len(pairs[0]) == counted.instances.max()


def test_laths_are_slender():
    scene = draw(shape=(300, 300), grain_size_px=24.0, form=GrainForm(colony_size_px=150.0, elongation=6.0))
    aspects = []
    for number, area in enumerate(np.bincount(scene.instances.ravel())):
        if area > 150:
            values = np.linalg.eigvalsh(np.cov(np.nonzero(scene.instances == number)))
            aspects.append(np.sqrt(values[1] / values[0]))
    assert 3.0 < np.median(aspects) < 8.0


def test_potts_kinetics_match_the_plain_twin_and_never_raise_the_energy():
    grain = rng().integers(0, 6, (30, 34)).astype(np.int32)
    sites = np.stack(np.divmod(rng(1).integers(0, grain.size, 3000), 34), 1)
    picks = rng(2).integers(0, 8, 3000)
    moved = grain.copy()
    potts_sweep(moved, sites, picks)
    np.testing.assert_array_equal(moved, plain_potts(grain, sites, picks))

    def energy(field):
        shifted = (field[1:, :] != field[:-1, :], field[:, 1:] != field[:, :-1])
        diagonal = (field[1:, 1:] != field[:-1, :-1], field[1:, :-1] != field[:-1, 1:])
        return sum(int(part.sum()) for part in (*shifted, *diagonal))

    before = energy(grain)
    for _ in range(4):
        grain = run_potts(rng(5), grain, 1)
        assert energy(grain) <= before
        before = energy(grain)


def test_area_of_potts_grains_grows_in_proportion_to_time():
    grain = form_grains(rng(), (200, 200), 5.0, GrainForm(relaxation_steps=0)).tiling.cell
    area = []
    for sweeps in (20, 40, 80):
        grain = run_potts(rng(sweeps), grain, sweeps)
        area.append(grain.size / len(np.unique(grain)))
    assert (area[2] - area[1]) / 80 == pytest.approx((area[1] - area[0]) / 40, rel=0.2)


def test_smooth_noise_has_unit_variance_and_matches_its_plain_twin():
    values = np.concatenate([smooth_noise(rng(s), (200, 200), 9.0).ravel() for s in range(6)])
    assert values.std() == pytest.approx(1.0, abs=0.03) and abs(values.mean()) < 0.02
    coarse = rng().standard_normal((9, 11))
    between, out = np.empty((20, 11)), np.empty((20, 25))
    spline_rows(coarse, 3.7, between)
    spline_columns(between, 3.7, out)
    np.testing.assert_allclose(out, spline_field(coarse, 3.7, (20, 25)), atol=1e-12)


@pytest.mark.parametrize(("lag_px", "wanted"), [(8, 1191 / 2416), (16, 120 / 2416), (32, 0.0)])
def test_smooth_noise_is_correlated_as_the_spline_of_degree_seven(lag_px, wanted):
    """Products of cubic splines summed over the knots are a spline of degree seven, here of knots 8 px apart."""
    fields = np.stack([smooth_noise(rng(seed), (256, 256), 16.0) for seed in range(40)])
    found = np.mean(fields[..., :-lag_px] * fields[..., lag_px:])
    assert found == pytest.approx(wanted, abs=0.02)


@pytest.mark.parametrize(
    ("knobs", "says"),
    [
        ({"grain_size_px": 1.0}, "grain_size_px"),
        ({"boundary_width_px": 0.2}, "boundary_width_px"),
        ({"shape": (8, 100)}, "shape"),
        ({"form": {"size_spread": -1}}, "size_spread"),
        ({"form": {"elongation": 0.5}}, "elongation"),
        ({"form": {"colony_size_px": 3.0}}, "colony_size_px"),
        ({"form": {"waviness_px": 10.0, "waviness_length_px": 20.0}}, "fold"),
        ({"form": {"twinned_fraction": float("nan")}}, "twinned_fraction"),
        ({"contrast": {"line_strength": 2.0}}, "line_strength"),
        ({"contrast": {"pit_px": 0.0}}, "pit_px"),
    ],
)
def test_refuses_what_it_cannot_draw(knobs, says):
    kinds = {"form": GrainForm, "contrast": GrainContrast}
    with pytest.raises(InputError, match=says):
        draw(**{k: kinds[k](**v) if k in kinds else v for k, v in knobs.items()})
