"""The mean diameter of particles: one definition everywhere, and intervals that hold what labels get wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hea_vision as hv
from hea_sim.errors import InputError
from hea_sim.records import Estimate, Segmentation
from hea_vision.measurement import class_objects, mean_diameter, measure_particles
from hea_vision.measurement.sizes import SMALLEST_PX, outline_length_px, outline_shift_std_px
from hea_vision.micrograph_work import mean_sizes, objects_of

CELL = 40


def discs(
    rng: np.random.Generator, *, side: int = 280, shift: float = 0.0, low: float = 5.0, high: float = 13.0
) -> np.ndarray:
    """Draw discs that never touch, one to each cell of a grid laid at random; outlines lie `shift` px too far out."""
    offset = rng.random(2) * CELL
    world = np.zeros((side + 4 * CELL, side + 4 * CELL), np.uint8)  # with two cells of margin
    y, x = np.mgrid[:CELL, :CELL]
    for row in range(1, side // CELL + 3):
        for column in range(1, side // CELL + 3):
            radius, (down, right) = rng.uniform(low, high), rng.uniform(16, 24, 2) + offset % 1
            top, left = (int(o) + CELL * n for o, n in zip(offset, (row, column)))
            cell = world[top : top + CELL, left : left + CELL]
            cell[np.hypot(y - down, x - right) <= radius + shift] = 1
    return world[2 * CELL : -2 * CELL, 2 * CELL : -2 * CELL].copy()


def known(labels: np.ndarray, std: float) -> Estimate:
    value = float(np.mean(labels == 1))
    half = 1.644854 * std
    return Estimate(value=value, std=std, low=value - half, high=value + half, level=0.9, unit="area fraction")


def test_segmentation_measurement_and_a_bare_mask_give_one_number():
    labels = discs(np.random.default_rng(0))
    segmentation = Segmentation(
        labels=labels,
        classes={0: "matrix", 1: "precipitate"},
        pixel_size_nm=3.0,
        fractions={"precipitate": known(labels, 0.01)},
    )
    of_segment = mean_sizes(segmentation, objects_of(segmentation))["precipitate"]
    of_measure = hv.measure(segmentation).estimates["precipitate: mean diameter"]
    of_mask = mean_diameter(class_objects(labels, 1))
    assert of_segment == of_measure and of_segment.unit == "nm" and of_mask.unit == "px"
    assert of_segment.value == pytest.approx(3 * of_mask.value)
    assert of_segment.std > 3 * of_mask.std  # the bare mask does not know the error of its labels
    assert "outlines that may be shifted" in of_segment.method and "shifted" not in of_mask.method


def test_specks_have_no_size_and_particles_cut_by_the_frame_bias_nothing():
    labels = np.zeros((60, 60), int)
    labels[10:20, 10:20] = labels[0:9, 30:39] = 1
    labels[40, 40] = labels[45, 45:48] = 1
    found = class_objects(labels, 1)
    assert mean_diameter(found).value == pytest.approx(np.sqrt(400 / np.pi))
    assert f"2 below {SMALLEST_PX} px" in mean_diameter(found).method
    assert mean_diameter(found, smallest_px=1).n == 3
    assert mean_diameter(class_objects(labels, 2)) is None
    with pytest.raises(InputError, match="smallest particle"):
        mean_diameter(found, smallest_px=0)
    rng = np.random.default_rng(1)
    means = [mean_diameter(class_objects(discs(rng, side=120, low=4, high=14), 1)) for _ in range(150)]
    values = np.array([e.value for e in means if e is not None])
    assert values.mean() == pytest.approx(18.0, abs=3 * values.std() / np.sqrt(len(values)))


def test_outlines_that_lie_wrong_move_sizes_as_the_fraction_says():
    shift = 0.5
    inner, true, outer = (discs(np.random.default_rng(2), side=400, shift=s) for s in (-shift, 0.0, shift))
    moved = float(outer.mean() - inner.mean()) / 2
    found = outline_shift_std_px(true, 1, known(true, moved))
    assert found == pytest.approx(shift, rel=0.03)
    sizes = [mean_diameter(class_objects(field, 1)).value for field in (inner, outer)]
    assert 2 * found == pytest.approx((sizes[1] - sizes[0]) / 2, rel=0.03)
    plain, wider = (measure_particles(true, 1, labelled_fraction=e) for e in (None, known(true, moved)))
    for name in ("mean_diameter", "median_diameter"):
        a, b = getattr(plain, name), getattr(wider, name)
        assert b.std == pytest.approx(np.hypot(a.std, 2 * found)) and b.low < a.low and b.high > a.high
    paths = [measure_particles(field, 1).mean_free_path.value for field in (inner, outer)]
    added = np.sqrt(wider.mean_free_path.std**2 - plain.mean_free_path.std**2)
    assert added == pytest.approx((paths[0] - paths[1]) / 2, rel=0.05)


def test_the_interval_holds_the_true_mean_as_often_as_it_says():
    rng = np.random.default_rng(3)
    held, held_without = 0, 0
    for _ in range(120):
        shift = 0.5 * rng.standard_normal()  # of all outlines of a field alike, 0.5 px one standard deviation
        labels = discs(rng, shift=shift)
        error = 0.5 * outline_length_px(labels, 1) / labels.size
        shapes = class_objects(labels, 1)
        e = mean_diameter(shapes, outline_shift_std=outline_shift_std_px(labels, 1, known(labels, error)))
        plain = mean_diameter(shapes)
        held += e.low <= 18.0 <= e.high
        held_without += plain.low <= 18.0 <= plain.high
    # 95 % of 120 is 114; fewer than 108 has a probability below 1 %.
    assert held >= 108 and held_without < 100


def test_grains_are_not_widened():
    grains = np.kron(np.arange(1, 26).reshape(5, 5), np.ones((20, 20), int))
    labels = np.zeros((100, 100), np.uint8)
    labels[::20] = labels[:, ::20] = 1
    fractions = {"grain boundary": known(labels, 0.05)}
    plain, said = (
        Segmentation(
            labels=labels, classes={0: "grain", 1: "grain boundary"}, instances=np.where(labels, 0, grains), fractions=f
        )
        for f in ({}, fractions)
    )
    assert mean_sizes(plain, objects_of(plain)) == mean_sizes(said, objects_of(said)) != {}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), strip_px=st.integers(1, 900), length=st.integers(2, 30))
def test_outlines_are_as_long_in_strips(seed, strip_px, length):
    labels = (np.random.default_rng(seed).random((length, 23)) < 0.4).astype(int)
    assert outline_length_px(labels, 1, strip_px=strip_px) == pytest.approx(outline_length_px(labels, 1))
    assert outline_length_px(labels, 1) == pytest.approx(outline_length_px(1 - labels, 1))  # both sides of one line


def test_no_outline_has_no_shift():
    assert outline_shift_std_px(np.ones((9, 9), int), 1, Estimate(value=1.0, std=0.1)) is None
    assert outline_shift_std_px(np.eye(9, dtype=int), 1, Estimate(value=0.1)) is None
