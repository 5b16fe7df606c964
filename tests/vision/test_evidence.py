"""What may be asked of a scan: nothing where it was not measured, nothing under a line of the tube."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from hea_sim.crystals import build_crystal
from hea_sim.diffraction import powder_pattern
from hea_sim.diffraction.profile import Instrument, bragg_two_theta_deg
from hea_sim.diffraction.radiation import radiation
from hea_sim.records import Pattern
from hea_vision.xrd import classify_pattern
from hea_vision.xrd.calibration import is_right
from hea_vision.xrd.evidence import ObservedLines
from hea_vision.xrd.lines import find_lines
from hea_vision.xrd.scans import noise_between_lines, prepare_scan
from tests.vision.patterns import mixture

CU_BETA_A = dict(radiation("CuKa").parasitic_A)


def test_lines_in_a_gap_are_not_missed() -> None:
    pattern = mixture({"A2": ("Fe", 2.866, 1.0)}, limits=(25.0, 140.0))
    measured = (pattern.two_theta_deg < 50) | (pattern.two_theta_deg > 100)
    cut = dataclasses.replace(
        pattern, two_theta_deg=pattern.two_theta_deg[measured], intensity=pattern.intensity[measured]
    )
    observed = ObservedLines(find_lines(cut, radiation("CuKa")))
    assert observed.in_sight(np.array([45.0, 65.0, 82.0, 116.0, 150.0])).tolist() == [True, False, False, True, False]
    assert observed.range_deg == pytest.approx(65.0, abs=0.2)
    call = classify_pattern(cut, model="matcher")
    assert call.in_scope and [p.name for p in call.phases] == ["A2"]
    assert call.phases[0].lattice_A["a"].value == pytest.approx(2.866, abs=0.002)


@pytest.mark.parametrize("share", [0.01, 0.02])
def test_a_phase_whose_lines_stand_where_k_beta_would_is_not_lost(share: float) -> None:
    """NbC on this ferrite has its lines exactly at those that K-beta would give ferrite."""
    call = classify_pattern(
        mixture({"A2": ("FeCr", 2.873, 1 - share), "B1": ({"M": "Nb", "X": "C"}, 4.497, share)}, peak=20_000),
        model="matcher",
    )
    assert [sorted(p.name for p in (*call.phases, *call.traces))] == [["A2", "B1"]]


def test_k_beta_is_marked_where_all_lines_send_it() -> None:
    pattern = mixture({"A1": ("Ni", 3.524, 1.0)}, peak=20_000)
    strong = [line for line in find_lines(pattern, radiation("CuKa")).lines if line.area > 500]
    name, wavelength = next(iter(CU_BETA_A.items()))
    counts = pattern.intensity.copy()
    for line in strong:
        counts += 0.02 * _copy_of(line, pattern, wavelength)
    lines = find_lines(dataclasses.replace(pattern, intensity=counts), radiation("CuKa")).lines
    marked = [line for line in lines if line.origin != "specimen"]
    assert len(marked) >= len(strong) - 1 and all(name in line.origin for line in marked)


def _copy_of(line: object, pattern: Pattern, wavelength_A: float) -> np.ndarray:
    where = float(bragg_two_theta_deg(line.d_A, wavelength_A))  # type: ignore[attr-defined]
    shape = np.exp(-4 * np.log(2) * ((pattern.two_theta_deg - where) / line.fwhm_deg) ** 2)  # type: ignore[attr-defined]
    return shape * line.area / (1.06 * line.fwhm_deg)  # type: ignore[attr-defined]


@pytest.mark.parametrize("wavelength", [0.2, 0.41, 0.7])
def test_short_wavelengths_keep_their_accuracy(wavelength: float) -> None:
    """A fixed error in degrees would be a large one in the lattice where lines lie close."""
    wide = 0.03 * wavelength / 0.4
    angles = np.arange(2.0, 2 * np.degrees(np.arcsin(wavelength / 1.6)), wide / 12)
    crystal = build_crystal("A1", "CoCrFeNi", a_A=3.59)
    made = powder_pattern(crystal, wavelength, two_theta_deg=angles, instrument=Instrument(w_deg2=wide**2))
    counts = np.random.default_rng(0).poisson(50 + 5000 * made.intensity / made.intensity.max()).astype(float)
    call = classify_pattern(Pattern(two_theta_deg=angles, intensity=counts, wavelength_A=wavelength), model="matcher")
    lattice = call.phases[0].lattice_A["a"]
    assert [p.name for p in call.phases] == ["A1"]
    assert abs(lattice.value - 3.59) < 4 * lattice.std < 0.008


@pytest.mark.parametrize("n", [300, 1000, 4000])
def test_white_noise_is_hardly_ever_called_correlated(n: int) -> None:
    called = 0
    for seed in range(40):
        counts = np.random.default_rng(seed).poisson(200, n).astype(float)
        scan = prepare_scan(Pattern(two_theta_deg=20 + 0.02 * np.arange(n), intensity=counts, wavelength_A=1.54))
        _, correlation = noise_between_lines(scan, scan.intensity - scan.background, np.zeros(len(scan.angles)))
        called += len(correlation) > 1
    assert called <= 4


def test_every_lattice_of_a_set_needs_a_phase_of_its_own() -> None:
    """Two lattices within the tolerance of one phase must not be matched in the order they come."""
    drawn = SimpleNamespace(
        phase_lattices=["A1", "A1"],
        measured=SimpleNamespace(
            phases=[SimpleNamespace(structure="A1", cell=SimpleNamespace(a_A=a)) for a in (3.600, 3.645)]
        ),
    )

    def right(*lattices: float) -> bool:
        fit = SimpleNamespace(phases=[SimpleNamespace(name="A1", a_A=a) for a in lattices])
        return is_right(fit, drawn, {0, 1})  # type: ignore[arg-type]

    assert right(3.575, 3.62) and right(3.62, 3.575)
    assert not right(3.60) and not right(3.60, 3.75) and not right(3.6, 3.64, 3.64)
