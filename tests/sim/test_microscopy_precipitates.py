"""Virtual precipitates: the truth is what was drawn, and grey levels hold as much of a particle as its labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from hea_sim.errors import HEAError, InputError
from hea_sim.microscopy.noise_fields import enlarge
from hea_sim.microscopy.particle_kernels import measure_cells, paint_particle
from hea_sim.microscopy.precipitates import LARGE, SMALL, Population, Surface, draw_precipitates
from hea_sim.microscopy.random_fields import draw_field
from hea_sim.microscopy.random_precipitates import random_precipitates
from hea_sim.microscopy.scenes import MATRIX_LEVEL, Scene

#: Particles against the matrix, and nothing else in the picture.
PLAIN = Surface(matrix_texture=0.0, particle_spread=0.0)


def rng(seed=0):
    return np.random.default_rng(seed)


def draw(seed=0, shape=(128, 128), *, small=None, surface=PLAIN, **large):
    return draw_precipitates(rng(seed), shape, large=Population(**large), small=small, surface=surface)


def covered_px(scene, contrast):
    return float(((scene.reflectance.astype(float) - MATRIX_LEVEL) / contrast).sum())


@pytest.mark.parametrize("packing", ["apart", "cells"])
def test_same_seed_same_bytes(packing):
    small = Population(diameter_px=4.0, fraction=0.03)
    a, b, c = (draw(s, small=small, packing=packing, surface=Surface(dirt=2, ghosts=3, scratches=1)) for s in (3, 3, 4))
    for name in ("reflectance", "labels", "instances"):
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes()
        assert getattr(a, name).tobytes() != getattr(c, name).tobytes()


def test_big_particles_cover_their_labelled_area():
    for seed in range(4):
        scene = draw(seed, (256, 256), diameter_px=36.0, fraction=0.2, contrast=-0.3)
        assert covered_px(scene, -0.3) == pytest.approx((scene.labels > 0).sum(), rel=0.01)


@pytest.mark.parametrize("diameter_px", [4.0, 6.0, 10.0])
def test_small_particles_are_not_fattened_beyond_what_a_curved_outline_gives(diameter_px):
    """Cover rises linearly over a pixel of depth, which gives a circle pi/12 px too much; labels are plain."""
    knobs = {"diameter_px": diameter_px, "spread": 0.1, "roughness": 0.0, "aspect": 1.0, "gap_px": 3.0}
    excess, labelled, objects = 0.0, 0, 0
    for seed in range(6):
        scene = draw(seed, (256, 256), fraction=0.06, contrast=-0.3, **knobs)
        inside = int((scene.labels > 0).sum())
        assert covered_px(scene, -0.3) == pytest.approx(inside, rel=0.03 if diameter_px > 4 else 0.04)
        excess += covered_px(scene, -0.3) - inside
        labelled += inside
        objects += len(np.unique(scene.instances)) - 1
    assert abs(excess - objects * np.pi / 12) / labelled < 0.01


@pytest.mark.parametrize("diameter_px", [5.0, 12.0])
def test_the_asked_fraction_is_met_where_there_is_room(diameter_px):
    found = [(draw(s, (256, 256), diameter_px=diameter_px, fraction=0.05).labels > 0).mean() for s in range(6)]
    assert np.mean(found) == pytest.approx(0.05, rel=0.2)


def test_a_particle_keeps_the_area_of_its_diameter():
    scene = draw(1, (256, 256), diameter_px=14.0, spread=0.0, roughness=0.08, fraction=0.08, gap_px=4.0, squareness=0.5)
    area = np.bincount(scene.instances.ravel())[1:]
    edge = np.ones(scene.labels.shape, bool)
    edge[1:-1, 1:-1] = False
    area[np.unique(scene.instances[edge])[1:] - 1] = 0  # cut off by the field
    assert np.mean(area[area > 0]) == pytest.approx(np.pi * 7**2, rel=0.02)


def test_particles_apart_are_whole():
    scene = draw(2, (200, 200), diameter_px=10.0, fraction=0.15)
    np.testing.assert_array_equal(scene.instances > 0, scene.labels > 0)
    for number, place in enumerate(ndimage.find_objects(scene.instances), 1):
        if place is not None:
            assert ndimage.label(scene.instances[place] == number, np.ones((3, 3)))[1] == 1


@pytest.mark.parametrize("diameter_px", [6.0, 40.0, 70.0])
def test_particles_apart_keep_their_gap(diameter_px):
    gap_px = 3.0
    scene = draw(3, (320, 320), diameter_px=diameter_px, spread=0.0, roughness=0.0, aspect=1.0, fraction=0.3,
                 gap_px=gap_px)  # fmt: skip
    numbers = np.unique(scene.instances)[1:]
    assert len(numbers) > 4
    for number in numbers:
        away = ndimage.distance_transform_edt(scene.instances != number)
        others = away[(scene.instances > 0) & (scene.instances != number)]
        area = (scene.instances == number).sum()
        assert others.min() > 0.99  # never touch; gaps are drawn from 0 to twice gap_px
        assert area <= np.pi / 4 * (1.25 * diameter_px) ** 2


def test_a_soft_particle_fades_out_at_its_edge():
    knobs = {"diameter_px": 30.0, "spread": 0.0, "roughness": 0.0, "fraction": 0.1, "contrast": -0.3}
    plain = Surface(matrix_texture=0.0, particle_spread=0.0)
    sharp, soft = (draw(4, (128, 128), surface=plain, softness=s, **knobs) for s in (0.0, 0.4))
    np.testing.assert_array_equal(sharp.labels, soft.labels)
    depth = ndimage.distance_transform_edt(sharp.labels > 0)
    shown = lambda scene, ring: float((scene.reflectance[ring] - MATRIX_LEVEL).mean())  # noqa: E731
    ring = (depth > 5.5) & (depth < 6.5)
    # 6 px deep by the distance to pixel centres outside is 5.5 px from the outline; 0.4 x 15 px is the scale.
    assert shown(soft, ring) == pytest.approx(-0.3 * (1 - np.exp(-5.5 / 6)), abs=0.02)
    assert shown(sharp, ring) == pytest.approx(-0.3, abs=1e-6)


def test_small_particles_lie_outside_large_ones():
    """The large population alone, from the same numbers, is labelled large just where both together are."""
    knobs = {"diameter_px": 30.0, "fraction": 0.25, "contrast": -0.2}
    alone = draw(5, (160, 160), **knobs)
    both = draw(5, (160, 160), small=Population(diameter_px=4.0, fraction=0.05, gap_px=1.0), **knobs)
    np.testing.assert_array_equal(alone.labels == LARGE, both.labels == LARGE)
    assert (both.labels == SMALL).any()
    owners = {number: set(both.labels[both.instances == number]) for number in np.unique(both.instances)[1:]}
    assert all(len(classes) == 1 for classes in owners.values())


def test_classes_tell_how_many_populations_there_are():
    assert set(draw(0).classes) == {0, LARGE}
    assert set(np.unique(draw(0).labels)) == {0, LARGE}
    assert set(draw(0, small=Population(diameter_px=4.0)).classes) == {0, SMALL, LARGE}


def test_another_phase_holds_no_particle():
    small = Population(diameter_px=4.0, fraction=0.1)
    clean = draw(7, (128, 128), small=small, diameter_px=20.0, fraction=0.3)
    part = draw(7, (128, 128), small=small, diameter_px=20.0, fraction=0.3, surface=Surface(
        matrix_texture=0.0, particle_spread=0.0, foreign=0.3, foreign_part=0.5))  # fmt: skip
    foreign = part.reflectance > MATRIX_LEVEL + 0.01  # particles are dark
    assert 0.3 < foreign.mean() < 0.7
    assert not part.labels[foreign].any() and not part.instances[foreign].any()
    outside = ~ndimage.binary_dilation(foreign, iterations=2)
    np.testing.assert_array_equal(part.labels[outside], clean.labels[outside])


@pytest.mark.parametrize(
    ("knobs", "got"),
    [
        ({"diameter_px": 0.5}, "0.5"),
        ({"aspect": 1.5}, "1.5"),
        ({"fraction": 0.95}, "0.95"),
        ({"fill": -0.1}, "-0.1"),
        ({"diameter_px": float("nan")}, "nan"),
    ],
)
def test_impossible_populations_are_refused(knobs, got):
    with pytest.raises(InputError, match="wanted") as error:
        Population(**knobs)
    assert got in str(error.value)


def test_impossible_fields_are_refused():
    with pytest.raises(InputError, match=r"\(8, 100\).*at least 32"):
        draw(0, (8, 100))
    with pytest.raises(InputError, match=r"\(4, 4\).*\(4, 5\)"):
        Scene(reflectance=np.zeros((4, 4)), labels=np.zeros((4, 5), np.uint8), classes={0: "matrix"})


populations = st.builds(
    Population,
    packing=st.sampled_from(["apart", "cells"]),
    diameter_px=st.floats(1, 60),
    spread=st.floats(0, 0.6),
    aspect=st.floats(0.2, 1),
    squareness=st.floats(0, 1),
    roughness=st.floats(0, 0.2),
    aligned=st.booleans(),
    fraction=st.floats(0, 0.9),
    gap_px=st.floats(0, 10),
    clustering=st.floats(0, 2),
    fill=st.floats(0, 1),
    channel_px=st.floats(0.5, 20),
    merging=st.floats(0, 1),
    disorder=st.floats(0, 1),
    contrast=st.floats(-0.5, 0.5),
    softness=st.floats(0, 1),
)
surfaces = st.builds(
    Surface,
    rim=st.floats(-0.3, 0.3),
    inner_rim=st.floats(-0.3, 0.3),
    relief=st.floats(0, 0.3),
    relief_offset_px=st.floats(-3, 3),
    patches=st.floats(-0.2, 0.3),
    streaks=st.floats(0, 0.1),
    ghosts=st.integers(0, 5),
    dirt=st.integers(0, 3),
    scratches=st.integers(0, 2),
    foreign=st.floats(-0.4, 0.4),
    foreign_part=st.floats(0.01, 0.99),
)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    shape=st.tuples(st.integers(32, 72), st.integers(32, 72)),
    large=populations,
    small=st.none() | populations,
    surface=surfaces,
)
def test_any_knobs_give_a_whole_scene(seed, shape, large, small, surface):
    scene = draw_precipitates(rng(seed), shape, large=large, small=small, surface=surface)
    assert scene.reflectance.shape == scene.labels.shape == scene.instances.shape == shape
    assert scene.reflectance.dtype == np.float32 and np.isfinite(scene.reflectance).all()
    assert scene.labels.dtype == np.uint8 and set(np.unique(scene.labels)) <= set(scene.classes)
    np.testing.assert_array_equal(scene.instances > 0, scene.labels > 0)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_random_scenes_and_fields_hold_their_truth(seed):
    scene = random_precipitates(rng(seed), (64, 80))
    assert set(np.unique(scene.labels)) <= set(scene.classes) and np.isfinite(scene.reflectance).all()
    try:
        drawn = draw_field("precipitates", rng(seed), (64, 80))
    except HEAError:
        return
    assert drawn.image.shape == drawn.labels.shape == drawn.instances.shape == (64, 80)
    assert 0 <= drawn.image.min() and drawn.image.max() <= 1
    np.testing.assert_array_equal(drawn.instances > 0, drawn.labels > 0)


def test_an_unknown_kind_of_field_names_the_known_ones():
    with pytest.raises(HEAError, match="precipitates, grains"):
        draw_field("precipitats", rng(0), (64, 64))


def test_painted_depth_is_that_of_plain_numpy():
    angle = 2 * np.pi * np.arange(64) / 64
    radius = (9 + 1.5 * np.cos(3 * angle)).astype(np.float32)
    slope = np.sqrt(1 + (-4.5 * np.sin(3 * angle) / radius) ** 2).astype(np.float32)
    depth, owner = np.full((48, 40), -1e3, np.float32), np.zeros((48, 40), np.int32)
    row, column = 20.3, 17.8
    covered = paint_particle(depth, owner, 7, row, column, radius, slope)
    assert covered == (owner == 7).sum() == (depth > 0).sum()

    y, x = np.mgrid[:48, :40]
    r = np.hypot(y - row, x - column)
    turn = np.mod(np.arctan2(y - row, x - column), 2 * np.pi)
    closed = np.append(angle, 2 * np.pi)
    edge, steep = (np.interp(turn, closed, np.append(v, v[0])) for v in (radius, slope))
    plain = np.where(r <= radius.max() + 12, (edge - r) / steep, -1e3)
    np.testing.assert_allclose(depth, plain, atol=2e-4)
    sure = np.abs(plain) > 1e-3
    np.testing.assert_array_equal(owner[sure], np.where(plain > 0, 7, 0)[sure])


def test_measured_cells_are_those_of_plain_numpy():
    spacing, rounding, generator = 9.0, 1.2, rng(3)
    v, u = np.meshgrid(np.arange(20, 52, dtype=np.float32), np.arange(20, 48, dtype=np.float32))
    grid = np.stack(np.meshgrid(np.arange(8) + 0.5, np.arange(9) + 0.5, indexing="ij"), -1)
    seeds = spacing * (grid + generator.uniform(-0.3, 0.3, grid.shape))
    present = generator.random((8, 9)) < 0.6
    depth, owner = np.empty(u.shape, np.float32), np.empty(u.shape, np.int32)
    measure_cells(depth, owner, u, v, seeds, present, spacing, rounding)

    flat, there = seeds.reshape(-1, 2), present.ravel()
    away = np.hypot(u[..., None] - flat[:, 0], v[..., None] - flat[:, 1])
    nearest = away.argmin(-1)
    np.testing.assert_array_equal(owner, nearest + 1)
    for place in np.ndindex(u.shape):
        i = nearest[place]
        apart = np.hypot(*(flat - flat[i]).T) + 1e-6
        bisector = (away[place] ** 2 - away[place][i] ** 2) / (2 * apart)  # distance from the line half way
        square = np.floor(np.array([u[place], v[place]]) / spacing)
        near = (np.abs(grid.reshape(-1, 2) - 0.5 - square) <= 2).all(1) & (np.arange(len(flat)) != i)
        if there[i]:
            reached = near & (bisector < 5 * rounding)
            wanted = -rounding * np.log(np.exp(-bisector[reached] / rounding).sum() + 1e-3)
        else:
            wanted = (-bisector[near & there]).max()
        assert depth[place] == pytest.approx(wanted, abs=2e-3)


def test_a_ramp_is_enlarged_exactly():
    y, x = np.mgrid[:12, :14]
    large = enlarge((2.0 * y - 3.0 * x).astype(np.float32), (36, 40), 4.0, offset=np.array([0.25, 0.5]))
    rows, columns = np.mgrid[:36, :40]
    np.testing.assert_allclose(large, 2.0 * (rows / 4 + 0.25) - 3.0 * (columns / 4 + 0.5), atol=1e-5)
