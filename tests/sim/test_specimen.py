from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.alloy import Composition
from hea_sim.crystals import prototype
from hea_sim.diffraction.families import family_table
from hea_sim.diffraction.kernels import add_pseudo_voigts
from hea_sim.diffraction.powder import broaden
from hea_sim.diffraction.profile import Instrument
from hea_sim.diffraction.radiation import radiation
from hea_sim.diffraction.random_specimens import LABORATORY, draw_specimen
from hea_sim.diffraction.specimen import (
    Measurement,
    SpecimenPhase,
    measure_specimen,
    weight_fractions,
)
from hea_sim.diffraction.texture import march_factors


def _phase(name: str, elements: str, a: float, share: float, **more: object) -> SpecimenPhase:
    table = family_table(name)
    return SpecimenPhase(
        structure=name,
        cell=table.cell(a),
        occupancy=dict.fromkeys(table.sublattices, Composition.parse(elements)),
        volume_fraction=share,
        **more,  # type: ignore[arg-type]
    )


def _measurement(**more: object) -> Measurement:
    settings = {"radiation": radiation("CuKa"), "two_theta_deg": np.arange(30.0, 110.0, 0.02), "background": 0.02}
    return Measurement(**{**settings, **more})  # type: ignore[arg-type]


def test_the_kernel_equals_its_plain_twin() -> None:
    angles = np.arange(20.0, 80.0, 0.01)
    centres, areas = np.array([30.0, 44.5, 44.9, 79.9]), np.array([1.0, 5.0, 2.0, 3.0])
    out = np.zeros_like(angles)
    instrument = Instrument(w_deg2=0.01, eta=0.4)
    add_pseudo_voigts(angles, centres, areas, instrument.fwhm_deg(centres), np.full(4, 0.4), 25.0, out)
    twin = broaden(angles, centres, areas, instrument)
    assert np.allclose(out, twin, atol=2e-5 * twin.max())


def test_line_areas_scale_with_the_share_and_not_with_order_of_phases() -> None:
    one, two = _phase("A1", "FeNi", 3.6, 0.7), _phase("A2", "Fe", 2.87, 0.3)
    rng = np.random.default_rng(0)
    first = measure_specimen((one, two), _measurement(), rng)
    second = measure_specimen((two, one), _measurement(), rng)
    assert np.allclose(first.expected, second.expected)
    assert first.weight_fraction.sum() == pytest.approx(1.0)
    dense, light = weight_fractions((_phase("A2", "W", 3.165, 0.5), _phase("A1", "Al", 4.05, 0.5)))
    assert dense / light == pytest.approx(19.3 / 2.70, rel=0.01)  # their densities


def test_significance_grows_with_the_root_of_counts() -> None:
    phases = (_phase("A1", "FeNi", 3.6, 0.9), _phase("A2", "Fe", 2.87, 0.1))
    low = measure_specimen(phases, _measurement(peak_counts=1e3), np.random.default_rng(0))
    high = measure_specimen(phases, _measurement(peak_counts=1e5), np.random.default_rng(0))
    assert high.significance(1) / low.significance(1) == pytest.approx(10.0, rel=0.05)


@settings(max_examples=20, deadline=None)
@given(r=st.floats(0.3, 3.0), axis=st.sampled_from([(1, 0, 0), (1, 1, 1), (1, 1, 0)]))
def test_march_dollase_keeps_the_mean_over_directions(r: float, axis: tuple[int, int, int]) -> None:
    """Reflections on a dense shell of directions average to one: the pole density is normalised."""
    table = family_table("A13", d_min_A=0.5)
    factor = march_factors(table, table.cell(), axis, r)
    shell = np.linalg.norm(table.hkl, axis=1) > 8
    mean = np.average(factor[shell], weights=table.multiplicity[shell])
    assert mean == pytest.approx(1.0, abs=0.05)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_random_specimens_are_sound(seed: int) -> None:
    drawn = draw_specimen(np.random.default_rng(seed), LABORATORY)
    pattern, phases = drawn.measured.pattern, drawn.measured.phases
    assert np.isfinite(pattern.intensity).all() and (pattern.intensity >= 0).all()
    assert (drawn.kind == "alloy") <= bool(phases) and len(drawn.phase_lattices) == len(phases)
    if phases:
        assert sum(p.volume_fraction for p in phases) == pytest.approx(1.0)
    for phase, lattice in zip(phases, drawn.phase_lattices):
        assert prototype(str(phase.structure)).fundamental == lattice
        for composition in phase.occupancy.values():
            assert sum(composition.values()) == pytest.approx(1.0)


def test_the_same_seed_draws_the_same_specimen() -> None:
    one, two = (draw_specimen(np.random.default_rng(12)).measured.pattern.intensity for _ in range(2))
    assert np.array_equal(one, two)
