"""Virtual phases, pores and cracks: fractions, spacings and areas are those asked for, the truth is what was drawn."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from hea_sim.errors import InputError, UnknownNameError
from hea_sim.microscopy.damage import PORE_KINDS, add_cracks, add_pores
from hea_sim.microscopy.dendrites import DENDRITE_SECTIONS, Dendrites, draw_dendrites
from hea_sim.microscopy.eutectic import EUTECTIC_KINDS, Eutectic, draw_eutectic
from hea_sim.microscopy.grains import draw_grains
from hea_sim.microscopy.layers import Layers, draw_layers
from hea_sim.microscopy.networks import (
    INTERMETALLIC_KINDS,
    FilmNetwork,
    Intermetallics,
    draw_intermetallics,
    draw_network,
)
from hea_sim.microscopy.phase_contrast import PHASE_CLASSES, PhaseContrast, two_phases
from hea_sim.microscopy.phases import CONSTITUENT_CLASSES, inlay_eutectic, name_constituents, random_phases
from hea_sim.microscopy.scenes import Scene
from hea_sim.microscopy.sections import Section, draw_section
from hea_sim.microscopy.shapes import add_ellipses, add_polygons, add_strokes, coverage, empty_distance, plain_distance

SHAPE = (256, 300)
FLAT = PhaseContrast(matrix_level=0.5, second_level=0.9, gradient=0.0)


def rng(seed=0):
    return np.random.default_rng(seed)


def blank(shape=SHAPE):
    return Scene(
        reflectance=np.full(shape, 0.5, np.float32), labels=np.zeros(shape, np.uint8), classes=dict(PHASE_CLASSES)
    )


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_any_field_of_phases_is_sound_and_redrawn_by_its_seed(seed):
    a, b = (random_phases(rng(seed), (96, 128)) for _ in range(2))
    assert a.reflectance.dtype == np.float32 and a.labels.dtype == np.uint8
    assert a.reflectance.shape == a.labels.shape == (96, 128)
    assert 0 <= a.reflectance.min() and a.reflectance.max() <= 1
    assert dict(a.classes) == CONSTITUENT_CLASSES and a.labels.max() <= 5
    assert a.reflectance.tobytes() == b.reflectance.tobytes() and a.labels.tobytes() == b.labels.tobytes()


def test_different_seeds_differ():
    assert (
        random_phases(rng(1), (64, 64)).reflectance.tobytes() != random_phases(rng(2), (64, 64)).reflectance.tobytes()
    )


def test_every_constituent_occurs_and_none_fills_all_fields():
    shares = np.array([np.bincount(random_phases(rng(s), (96, 96)).labels.ravel(), minlength=6) for s in range(60)])
    shares = shares / 96**2
    assert ((shares > 0.01).sum(0) >= 3).all()
    # A eutectic lies beside matrix or primary crystals in about as many fields as it has for itself, or more.
    eutectic = shares[:, 2] > 0.05
    assert (shares[eutectic][:, [0, 1, 3]].sum(1) > 0.05).mean() > 0.4
    assert (shares[:, :4].max(1) < 0.95).mean() > 0.5


@pytest.mark.parametrize("section", DENDRITE_SECTIONS)
def test_named_dendrites_are_what_the_arms_cover(section):
    drawn = draw_dendrites(rng(), SHAPE, Dendrites(section=section, second_fraction=0.35))
    named = name_constituents(drawn, 1, 0)
    assert dict(named.classes) == CONSTITUENT_CLASSES and set(np.unique(named.labels)) == {0, 1}
    assert (named.labels == 1).mean() == pytest.approx(0.65, abs=0.004)
    assert dict(drawn.classes) == PHASE_CLASSES and named.reflectance is drawn.reflectance
    # Damage finds its class by name.
    hurt = add_cracks(add_pores(named, rng(), area_fraction=0.05), rng())
    assert dict(hurt.classes) == CONSTITUENT_CLASSES and set(np.unique(hurt.labels)) == {0, 1, 4, 5}


@pytest.mark.parametrize("kind", EUTECTIC_KINDS)
def test_a_eutectic_is_one_region_that_holds_both_of_its_greys(kind):
    dendrites = name_constituents(draw_dendrites(rng(), SHAPE, Dendrites(second_fraction=0.5)), 1, 0)
    place = dendrites.labels == 0
    eutectic = draw_eutectic(
        rng(), SHAPE, Eutectic(kind=kind, spacing_px=8.0, second_fraction=0.3, contrast=replace(FLAT, second_level=1.0))
    )
    scene = inlay_eutectic(dendrites, eutectic, place)
    np.testing.assert_array_equal(scene.labels == 2, place)
    np.testing.assert_array_equal(scene.labels == 1, dendrites.labels == 1)
    # Away from its edge there is the eutectic and nothing else, and beyond it nothing of the eutectic.
    inner, outer = ndimage.binary_erosion(place, iterations=3), ndimage.binary_erosion(~place, iterations=3)
    np.testing.assert_allclose(scene.reflectance[inner], eutectic.reflectance[inner], atol=1e-6)
    np.testing.assert_allclose(scene.reflectance[outer], dendrites.reflectance[outer], atol=1e-6)
    assert (scene.reflectance[inner] > 0.75).mean() == pytest.approx(0.3, abs=0.05)
    # Lamellae and rods are finer than the region: both greys are near every place in it.
    near = ndimage.maximum_filter(scene.reflectance, 25) - ndimage.minimum_filter(scene.reflectance, 25)
    assert np.quantile(near[inner], 0.01) > 0.3


@pytest.mark.parametrize("fraction", [0.1, 0.3])
@pytest.mark.parametrize(
    ("draw", "drawn"),
    [
        *((draw_dendrites, Dendrites(section=kind, segregation=0.0)) for kind in DENDRITE_SECTIONS),
        *((draw_eutectic, Eutectic(kind=kind)) for kind in EUTECTIC_KINDS),
        *((draw_intermetallics, Intermetallics(kind=k, length_px=30.0, aspect=3.0)) for k in INTERMETALLIC_KINDS),
        (draw_network, FilmNetwork()),
    ],
)
def test_area_fraction_is_that_asked_for(draw, drawn, fraction):
    scene = draw(rng(), SHAPE, replace(drawn, second_fraction=fraction, contrast=FLAT))
    one = 30.0 * 10.0 * np.exp(2 * 0.4**2) / scene.labels.size if draw is draw_intermetallics else 0.004
    assert scene.labels.mean() == pytest.approx(fraction, abs=one)
    # The grey holds the same area: mean coverage is the area fraction.
    assert (scene.reflectance.mean() - 0.5) / 0.4 == pytest.approx(scene.labels.mean(), rel=0.03)


@pytest.mark.parametrize(
    ("shape_of", "area"),
    [
        (lambda d: add_ellipses(d, np.array([[40.3, 45.6, 9.0, 9.0, 0.0]])), np.pi * 81),
        (lambda d: add_ellipses(d, np.array([[40.3, 45.6, 16.0, 7.0, 0.7]])), np.pi * 112),
        (
            lambda d: add_strokes(d, np.array([[20.2, 20.0, 3.0, 60.0, 50.5, 3.0]])),
            np.pi * 9 + 6 * np.hypot(39.8, 30.5),
        ),
        # Half the cross product of two sides.
        (lambda d: add_polygons(d, [np.array([[20.0, 20.0], [30.0, 70.0], [50.5, 30.0]])]), (50 * 30.5 - 10 * 10) / 2),
    ],
)
def test_coverage_integrates_to_the_area(shape_of, area):
    distance = empty_distance((80, 90))
    shape_of(distance)
    assert coverage(distance).sum() == pytest.approx(area, rel=0.01)
    assert (distance <= 0).sum() == pytest.approx(area, rel=0.03)


def test_shapes_match_the_plain_twin():
    ellipses = np.array([[20.3, 25.1, 9.0, 4.0, 0.6], [40.0, 10.0, 5.0, 5.0, 0.0]])
    strokes = np.array([[5.0, 5.0, 1.0, 50.0, 55.0, 4.0], [30.0, 30.0, 2.0, 30.0, 30.0, 2.0]])
    distance = empty_distance((64, 70))
    add_ellipses(distance, ellipses)
    add_strokes(distance, strokes)
    plain = plain_distance((64, 70), ellipses, strokes)
    close = plain < 3
    np.testing.assert_allclose(distance[close], plain[close], atol=1e-4)
    assert (distance[~close] > 2.9).all()


def test_a_polygon_is_where_all_its_sides_say():
    corners = np.array([[10.0, 12.0], [15.0, 50.0], [44.0, 40.0], [50.0, 20.0]])
    distance = empty_distance((60, 64))
    add_polygons(distance, [corners[::-1]])
    r, c = np.indices((60, 64))
    sides = []
    for (y0, x0), (y1, x1) in zip(corners, np.roll(corners, -1, 0), strict=True):
        sides.append(((y1 - y0) * (c - x0) - (x1 - x0) * (r - y0)) / np.hypot(y1 - y0, x1 - x0))
    plain = np.max(sides, 0)
    if plain[30, 30] > 0:
        plain = np.max(np.negative(sides), 0)
    np.testing.assert_allclose(distance[plain < 2], plain[plain < 2], atol=1e-4)


def test_lamellae_have_the_spacing_asked_for():
    straight = Eutectic(spacing_px=16.0, colony_size_px=5000.0, spacing_spread=0.0, waviness=0.0, faults=0.0)
    scene = draw_eutectic(rng(), (400, 400), straight)
    spectrum = np.abs(np.fft.fft2(scene.labels - scene.labels.mean(), (1024, 1024)))
    row, column = np.unravel_index(spectrum[:512].argmax(), (512, 1024))
    frequency = np.hypot(row, min(column, 1024 - column)) / 1024
    assert 1 / frequency == pytest.approx(16.0, rel=0.02)


def test_rods_have_the_spacing_asked_for():
    rods = Eutectic(
        kind="rod", spacing_px=20.0, second_fraction=0.25, colony_size_px=5000.0, spacing_spread=0.0, waviness=0.0
    )
    scene = draw_eutectic(rng(), (300, 300), rods)
    _, count = ndimage.label(scene.labels)
    # A hexagonal lattice has one point on sqrt(3)/2 of the squared spacing.
    assert 300 * 300 / count == pytest.approx(np.sqrt(0.75) * 400, rel=0.12)


def test_a_fault_ends_a_lamella():
    plain, faulted = (
        draw_eutectic(rng(4), SHAPE, Eutectic(faults=n, waviness=0.0, colony_size_px=5000.0)) for n in (0.0, 4.0)
    )
    pieces = [ndimage.label(s.labels)[1] + ndimage.label(s.labels == 0)[1] for s in (plain, faulted)]
    assert pieces[1] > pieces[0]


def test_dendrite_arms_have_the_spacing_asked_for():
    smooth = Dendrites(dendrite_size_px=1500.0, secondary_spacing_px=25.0, roughness=0.0, second_fraction=0.4)
    scene = draw_dendrites(rng(1), (500, 500), smooth)
    spectrum = np.abs(np.fft.fft2(scene.labels - scene.labels.mean(), (1024, 1024))) ** 2
    f = np.hypot(np.fft.fftfreq(1024)[:, None], np.fft.fftfreq(1024)[None])
    bins = np.arange(0.02, 0.08, 0.002)
    power = [spectrum[(f >= b) & (f < b + 0.002)].sum() for b in bins]
    assert 1 / (bins[int(np.argmax(power))] + 0.001) == pytest.approx(25.0, rel=0.12)


def test_a_network_lies_on_boundaries():
    films = FilmNetwork(grain_size_px=60.0, second_fraction=0.15, unevenness=0.0, contrast=FLAT)
    scene = draw_network(rng(), SHAPE, films)
    _, pieces = ndimage.label(scene.labels == 0)
    # Grains are cut off from one another: about as many as fit in the field.
    assert pieces == pytest.approx(256 * 300 / (np.pi * 30**2), rel=0.6)
    assert ndimage.label(scene.labels, np.ones((3, 3)))[1] <= 3


def test_needles_are_slender_and_lie_in_few_directions():
    needles = Intermetallics(length_px=60.0, aspect=15.0, variants=2, variant_spread_deg=0.0, second_fraction=0.01)
    scene = draw_intermetallics(rng(3), (500, 500), needles)
    objects, count = ndimage.label(scene.labels, np.ones((3, 3)))
    angles = []
    for k in range(1, count + 1):
        r, c = np.nonzero(objects == k)
        if len(r) > 60 and min(r.min(), c.min()) > 0 and max(r.max(), c.max()) < 499:
            values, vectors = np.linalg.eigh(np.cov(np.stack([r, c])))
            if values[1] / values[0] > 40:
                angles.append(np.degrees(np.arctan2(*vectors[:, 1])) % 90)
    assert len(angles) >= 4
    # Two variants are at right angles: the same angle modulo 90 degrees.
    spread = np.abs(np.exp(4j * np.radians(angles)).mean())
    assert spread > 0.99


@pytest.mark.parametrize("kind", PORE_KINDS)
@pytest.mark.parametrize("fraction", [0.01, 0.06])
def test_pores_have_the_fraction_asked_for(kind, fraction):
    scene = add_pores(blank(), rng(), kind=kind, area_fraction=fraction, diameter_px=10.0)
    assert (scene.labels == 2).mean() == pytest.approx(fraction, abs=0.7 * 10**2 / scene.labels.size)
    assert scene.reflectance[scene.labels == 2].mean() < 0.3


def test_round_pores_hold_their_area_in_grey():
    scene = add_pores(blank(), rng(), area_fraction=0.04, diameter_px=14.0, rim=0.0, level=0.0)
    assert 1 - scene.reflectance.mean() / 0.5 == pytest.approx((scene.labels == 2).mean(), rel=0.01)


def test_pores_stay_where_they_belong():
    where = np.zeros(SHAPE, bool)
    where[:, 150:] = True
    scene = add_pores(blank(), rng(), area_fraction=0.05, diameter_px=8.0, size_spread=0.1, where=where)
    assert not (scene.labels[:, :140] == 2).any()
    none = add_pores(blank(), rng(), where=np.zeros(SHAPE, bool))
    assert not none.labels.any()


def test_cracks_are_long_connected_and_no_thinner_than_a_pixel():
    scene = add_cracks(blank(), rng(1), count=1, length_px=160.0, width_px=1.0, wander_deg=5.0, branches=0.0)
    crack = scene.labels == 3
    assert ndimage.label(crack, np.ones((3, 3)))[1] == 1
    extent = max(np.ptp(axis) for axis in np.nonzero(crack))
    assert extent > 60
    assert crack.sum() >= extent


def test_side_branches_lengthen_cracks():
    plain, branched = (add_cracks(blank(), rng(2), count=4, branches=b, width_px=2.0) for b in (0.0, 6.0))
    assert (branched.labels == 3).sum() > 1.2 * (plain.labels == 3).sum()


def test_a_crossed_pore_stays_a_pore():
    pores = add_pores(blank(), rng(), area_fraction=0.2, diameter_px=20.0)
    cracked = add_cracks(pores, rng(), count=10, width_px=4.0)
    assert (cracked.labels[pores.labels == 2] == 2).all() and (cracked.labels == 3).any()


def test_damage_of_grains_takes_free_class_numbers_and_the_place_of_grains():
    scene = draw_grains(rng(), SHAPE)
    hurt = add_cracks(add_pores(scene, rng(), area_fraction=0.05), rng(), count=3)
    assert dict(hurt.classes) == {0: "grain", 1: "grain boundary", 2: "pore", 3: "crack"}
    assert (hurt.instances[hurt.labels >= 2] == 0).all()
    np.testing.assert_array_equal(hurt.instances[hurt.labels < 2], scene.instances[hurt.labels < 2])
    taken = add_pores(
        Scene(reflectance=scene.reflectance, labels=scene.labels, classes={0: "a", 1: "b", 2: "c"}), rng()
    )
    assert taken.classes[3] == "pore" and (taken.labels == 3).any()


def test_a_layer_has_the_thickness_asked_for_across_its_slope():
    for tilt in (0.0, 30.0):
        layers = Layers(thickness_px=60.0, tilt_deg=tilt, roughness_px=0.0, texture=0.0)
        scene = draw_layers(rng(), (300, 200), layers)
        assert scene.labels.mean() * 300 * np.cos(np.radians(tilt)) == pytest.approx(60.0, rel=0.01)
        for name, level in (("above", 0.85), ("within", 0.4), ("below", 0.5)):
            row = {"above": 2, "within": 150, "below": -2}[name]
            assert scene.reflectance[row, 100] == pytest.approx(level, abs=1e-3)


def test_interface_line_is_drawn_on_the_interface():
    distance = empty_distance((60, 60))
    add_ellipses(distance, np.array([[30.0, 30.0, 15.0, 15.0, 0.0]]), reach_px=40.0)
    lined = PhaseContrast(gradient=0.0, interface_level=0.1, interface_width_px=2.0)
    scene = two_phases(rng(), distance, lined)
    assert scene.reflectance[30, 45] < 0.15 and scene.reflectance[30, 30] == pytest.approx(0.75)
    assert scene.reflectance.dtype == np.float32


@pytest.mark.parametrize(
    ("described", "knobs", "says"),
    [
        (Dendrites, {"secondary_spacing_px": 1.0}, "secondary_spacing_px"),
        (Dendrites, {"second_fraction": 0.0}, "area fraction"),
        (Dendrites, {"roughness": 2.0}, "roughness is 2.0; wanted a number from 0 to 0.5"),
        (Dendrites, {"dendrite_size_px": 30.0}, "dendrite_size_px is 30.0; wanted a number of pixels from 40"),
        (Eutectic, {"spacing_px": 1.0}, "spacing_px"),
        (Eutectic, {"waviness": -1.0}, "waviness"),
        (FilmNetwork, {"unevenness": 9.0}, "unevenness"),
        (FilmNetwork, {"grain_size_px": float("nan")}, "grain_size_px"),
        (Intermetallics, {"aspect": 200.0}, "aspect"),
        (Intermetallics, {"aspect": 90.0}, "thickness"),
        (Intermetallics, {"second_fraction": 0.9}, "area fraction"),
        (Intermetallics, {"variants": -1}, "variants"),
        (Layers, {"levels": (0.1, 2.0, 0.3)}, "levels"),
        (Layers, {"tilt_deg": 80.0}, "tilt"),
        (Section, {"grain_size_px": 0.0}, "grain_size_px"),
        (Section, {"second_phase_contrast": 2.0}, "second_phase_contrast"),
    ],
)
def test_refuses_what_it_cannot_draw(described, knobs, says):
    with pytest.raises(InputError, match=says):
        described(**knobs)


@pytest.mark.parametrize(
    ("draw", "drawn"),
    [
        (draw_dendrites, Dendrites()), (draw_eutectic, Eutectic()), (draw_network, FilmNetwork()),
        (draw_intermetallics, Intermetallics()), (draw_layers, Layers()), (draw_section, Section()),
    ],
)  # fmt: skip
def test_one_form_of_drawing_for_all(draw, drawn):
    a, b = (draw(rng(1), (64, 80), drawn) for _ in range(2))
    assert a.reflectance.tobytes() == b.reflectance.tobytes() and a.labels.tobytes() == b.labels.tobytes()
    assert a.labels.shape == (64, 80) and set(np.unique(a.labels)) <= set(a.classes)
    with pytest.raises(InputError, match="shape"):
        draw(rng(), (8, 8), drawn)


def test_a_given_matrix_shows_between_films_and_particles():
    grains = np.full(SHAPE, 0.3, np.float32)
    grains[:, 150:] = 0.4
    for scene in (
        draw_network(rng(), SHAPE, FilmNetwork(unevenness=0.0, contrast=FLAT), matrix=grains),
        draw_intermetallics(rng(), SHAPE, Intermetallics(contrast=FLAT), matrix=grains),
    ):
        assert (scene.reflectance >= grains).all() and (scene.reflectance == grains).mean() > 0.6
        # What covers the matrix covers the area of its labels.
        assert ((scene.reflectance - grains) / (0.9 - grains)).mean() == pytest.approx(scene.labels.mean(), rel=0.03)


@pytest.mark.parametrize(
    ("add", "knobs", "says"),
    [
        (add_pores, {"area_fraction": 0.9}, "area fraction"),
        (add_pores, {"diameter_px": 0.5}, "diameter_px"),
        (add_pores, {"level": -1.0}, "level"),
        (add_cracks, {"width_px": 0.2}, "width_px"),
        (add_cracks, {"count": -1}, "count"),
        (add_cracks, {"wander_deg": 90.0}, "wander"),
    ],
)
def test_refuses_damage_it_cannot_draw(add, knobs, says):
    with pytest.raises(InputError, match=says):
        add(blank(), rng(), **knobs)


def test_unknown_names():
    with pytest.raises(UnknownNameError, match="lamellar"):
        Eutectic(kind="lamelar")
    with pytest.raises(UnknownNameError, match="needle"):
        Intermetallics(kind="needles")
    with pytest.raises(UnknownNameError, match="arms"):
        Dendrites(section="arm")
    with pytest.raises(UnknownNameError, match="round"):
        add_pores(blank(), rng(), kind="rund")
    with pytest.raises(InputError, match="second_level"):
        PhaseContrast(second_level=3.0)
