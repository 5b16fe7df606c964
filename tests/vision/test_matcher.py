from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from hea_sim.diffraction.radiation import radiation
from hea_sim.errors import InputError, UnknownNameError
from hea_sim.records import Pattern, PatternCall
from hea_vision.xrd import classify_pattern as classify_with
from hea_vision.xrd.lines import find_lines
from hea_vision.xrd.scans import estimate_background

from .patterns import mixture


def classify_pattern(pattern: Pattern, **settings: Any) -> PatternCall:
    return classify_with(pattern, **{"model": "matcher", **settings})


@pytest.mark.parametrize(
    ("name", "occupancy", "a", "tube"),
    [
        ("A1", "CoCrFeNi", 3.575, "CuKa"),
        ("A2", "NbMoTaW", 3.22, "CuKa"),
        ("A2", "NbTaTi", 3.29, "CoKa"),
        ("A3", "TiZrHf", 3.10, "CuKa"),
        ("A1", "NiCu", 3.56, "MoKa"),
    ],
)
def test_one_phase_is_found_with_its_lattice(name: str, occupancy: str, a: float, tube: str) -> None:
    limits = (12.0, 60.0) if tube == "MoKa" else (25.0, 120.0)
    call = classify_pattern(mixture({name: (occupancy, a, 1.0)}, tube=tube, limits=limits))
    assert call.in_scope and [p.name for p in call.phases] == [name]
    lattice = call.phases[0].lattice_A["a"]
    assert lattice.std is not None and abs(lattice.value - a) < 4 * lattice.std < 0.02
    assert call.unexplained_fraction < 0.05 and call.wavelength_A == radiation(tube).wavelength_A


def test_two_phases_and_their_weights() -> None:
    call = classify_pattern(
        mixture({"A1": ("CoCrFeNi", 3.59, 0.3), "A2": ("CoCrFeNi", 2.87, 0.7)}), elements="CoCrFeNi"
    )
    found = {p.name: p for p in call.phases}
    assert set(found) == {"A1", "A2"}
    weight = found["A1"].weight_fraction
    assert weight is not None and weight.low < 0.3 < weight.high
    total = sum(p.weight_fraction.value for p in call.phases)
    assert total == pytest.approx(1.0)


def test_scaling_and_offset_of_intensities_change_nothing() -> None:
    pattern = mixture({"A1": ("CoCrFeNi", 3.59, 0.5), "A2": ("CoCrFeNi", 2.87, 0.5)})
    scaled = dataclasses.replace(pattern, intensity=pattern.intensity * 1e-4)
    one, other = classify_pattern(pattern), classify_pattern(scaled)
    assert [p.name for p in one.phases] == [p.name for p in other.phases]
    for left, right in zip(one.phases, other.phases):
        assert left.lattice_A["a"].value == pytest.approx(right.lattice_A["a"].value, abs=1e-4)


def test_the_wrong_wavelength_is_not_accepted_with_the_right_lattice() -> None:
    pattern = mixture({"A2": ("NbMoTaW", 3.22, 1.0)}, tube="CuKa")
    call = classify_pattern(pattern, radiation="CoKa", elements="NbMoTaW")
    accepted = [p.lattice_A["a"].value for p in call.phases if call.in_scope]
    assert all(abs(a - 3.22) > 0.1 for a in accepted)


def test_hidden_order_is_an_alternative_and_visible_order_is_named() -> None:
    flat = classify_pattern(mixture({"A2": ("NbMoTaW", 3.22, 1.0)}), elements="NbMoTaW")
    assert sorted(flat.prediction_sets) == [["A2"], ["B2"]]
    strong = classify_pattern(mixture({"B2": ({"A": "Ni", "B": "Al"}, 2.887, 1.0)}), elements="NiAl")
    assert [p.name for p in strong.phases] == ["A2"] and strong.prediction_sets == [["B2"]]
    binary = classify_pattern(mixture({"A2": ("NiAl", 2.887, 1.0)}), elements="NiAl")
    assert binary.prediction_sets == [["A2"], ["B2"]]  # weak order would not have shown; the limit is told
    assert "the order parameter is below 0." in str(binary.order[0]["reason"])
    single = classify_pattern(mixture({"A2": ("W", 3.165, 1.0)}), elements="W")
    assert single.prediction_sets == [["A2"]]


def test_order_is_sought_at_the_first_line_inside_the_scan() -> None:
    call = classify_pattern(mixture({"A1": ("Ni", 3.524, 1.0)}, limits=(40.0, 95.0)), elements="NiFe")
    order = call.order[0]  # (100) and (110) lie below 40 degrees
    assert order["line"] == "210" and not order["detected"] and order["limit_percent"] > 0


def test_two_bcc_phases_keep_their_own_order() -> None:
    # NiAl-rich B2 beside a disordered matrix with a larger cell, as in Al-containing alloys.
    pattern = mixture({"B2": ({"A": "Ni", "B": "Al"}, 2.88, 0.5), "A2": ("NbMoTa", 3.25, 0.5)})
    call = classify_pattern(pattern)
    assert sorted(p.name for p in call.phases) == ["A2", "A2"]
    assert ["A2", "B2"] in [sorted(s) for s in call.prediction_sets]
    assert all("B2" in s for s in call.prediction_sets)


def test_a_strong_foreign_line_is_not_order() -> None:
    pattern = mixture({"A2": ("NbMoTaW", 3.22, 1.0)})
    at_100 = 2 * np.degrees(np.arcsin(1.5405929 / (2 * 3.22)))
    bump = 3000 * np.exp(-0.5 * ((pattern.two_theta_deg - at_100) / 0.08) ** 2)
    call = classify_pattern(dataclasses.replace(pattern, intensity=pattern.intensity + bump), elements="NbMoTaW")
    assert ["B2"] not in [s for s in call.prediction_sets if call.prediction_sets == [["B2"]]]
    assert any("not taken for order" in o["reason"] or "complete order" in o["reason"] for o in call.order)


def test_order_percentages_do_not_depend_on_the_range() -> None:
    crystal = {"B2": ({"A": "Ni", "B": "Al"}, 2.887, 1.0)}
    whole, part = (classify_pattern(mixture(crystal, limits=(lo, 120.0)), elements="NiAl") for lo in (25.0, 50.0))
    assert whole.order[0]["line"] == "100" and part.order[0]["line"] == "111"
    for call in (whole, part):
        order = call.order[0]
        assert order["measured_percent"] == pytest.approx(order["full_order_percent"], rel=0.25)


def test_the_elements_can_be_kept_out_of_the_search() -> None:
    pattern = mixture({"A2": ("NbMoTaW", 3.22, 1.0)})
    free = classify_pattern(pattern, elements="CoCrFeMnNi", volumes_from_elements=False)
    assert free.in_scope and abs(free.phases[0].lattice_A["a"].value - 3.22) < 0.003


@pytest.mark.parametrize("name", ["B1", "B4", "H1_1"])
def test_ceramics_are_named_and_out_of_scope(name: str) -> None:
    a = {"B1": 4.444, "B4": 3.25, "H1_1": 8.40}[name]
    call = classify_pattern(mixture({name: ({"M": "Zn" if name == "B4" else "Fe", "X": "O"}, a, 1.0)}))
    assert not call.in_scope and call.reason
    assert name in {p.name for p in call.phases}


@pytest.mark.parametrize(("metal", "other", "a"), [("Na", "Cl", 5.64), ("Ti", "N", 4.24), ("Hf", "C", 4.64)])
def test_salts_nitrides_and_carbides_are_no_alloys(metal: str, other: str, a: float) -> None:
    call = classify_pattern(mixture({"B1": ({"M": metal, "X": other}, a, 1.0)}))
    assert not call.in_scope and [p.name for p in call.phases] == ["B1"]


def test_a_single_line_of_a_minor_phase_keeps_it_possible() -> None:
    pattern = mixture({"A1": ("CoCrFeNi", 3.59, 1.0), "A2": ("CoCrFeNi", 2.87, 0.03)})
    call = classify_pattern(pattern)
    fundamental = [sorted({"B2": "A2", "L1_2": "A1"}.get(n, n) for n in s) for s in call.prediction_sets]
    assert ["A1", "A2"] in fundamental


@pytest.mark.parametrize("points", [9, 25])
def test_a_smoothed_scan_has_no_more_lines_than_it_had(points: int) -> None:
    pattern = mixture({"A2": ("NbMoTaW", 3.22, 1.0)})
    smooth = np.convolve(pattern.intensity, np.ones(points) / points, "same")
    inner = slice(points, -points)
    call = classify_pattern(
        dataclasses.replace(pattern, two_theta_deg=pattern.two_theta_deg[inner], intensity=smooth[inner])
    )
    assert call.in_scope and [p.name for p in call.phases] == ["A2"] and call.unexplained_fraction < 0.05


def test_every_strong_line_is_fitted() -> None:
    pattern = mixture({"A2": ("NbMoTaW", 3.22, 1.0)}, peak=3000, background=300)
    call = classify_pattern(pattern)
    x, rest = call.curves["two_theta_deg"], call.curves["measured"] - call.curves["fitted"]
    noise = np.sqrt(call.curves["fitted"])
    kernel = np.ones(15) / np.sqrt(15)
    assert np.abs(np.convolve(rest / noise, kernel, "same"))[20:-20].max() < 9, x[np.argmax(np.abs(rest))]


def test_noise_alone_and_a_hump_alone_are_refused() -> None:
    rng = np.random.default_rng(5)
    angles = np.arange(20.0, 100.0, 0.02)
    noise = Pattern(two_theta_deg=angles, intensity=rng.poisson(300, angles.size).astype(float), radiation="CuKa")
    empty = classify_pattern(noise)
    assert not empty.in_scope and empty.phases == () and "noise" in empty.reason
    hump = rng.poisson(300 + 900 * np.exp(-0.5 * ((angles - 42) / 2.6) ** 2)).astype(float)
    glass = classify_pattern(Pattern(two_theta_deg=angles, intensity=hump, radiation="CuKa"))
    assert not glass.in_scope and [p.name for p in glass.phases] == ["AM"] and glass.prediction_sets == [["AM"]]


def test_tube_lines_are_not_phases() -> None:
    pattern = mixture({"A2": ("Fe", 2.8665, 1.0)}, peak=20000, limits=(30.0, 120.0))
    beta = mixture({"A2": ("Fe", 2.8665, 1.0)}, tube="CuKa", limits=(30.0, 120.0), peak=1.0, background=0.0)
    shifted = np.interp(pattern.two_theta_deg, _at_beta(beta.two_theta_deg), pattern.intensity - 200, left=0, right=0)
    dirty = dataclasses.replace(pattern, intensity=pattern.intensity + 0.01 * np.maximum(shifted, 0))
    call = classify_pattern(dirty)
    assert [p.name for p in call.phases] == ["A2"] and any("K-beta" in note for note in call.notes)


def _at_beta(angles: np.ndarray) -> np.ndarray:
    return 2 * np.degrees(np.arcsin(np.sin(np.radians(angles) / 2) * 1.3922340 / 1.5405929))


def test_background_follows_a_slope_under_lines() -> None:
    pattern = mixture({"A1": ("Ni", 3.524, 1.0)}, background=500.0, peak=3000)
    lines = find_lines(pattern, radiation("CuKa"))
    truth = 500.0 * (1 + np.exp(-(pattern.two_theta_deg - 25.0) / 20))
    assert np.median(np.abs(lines.background / np.interp(lines.angles, pattern.two_theta_deg, truth) - 1)) < 0.05
    flat = np.full(2000, 7.0)
    assert np.allclose(estimate_background(np.linspace(10, 50, 2000), flat, window_deg=3.0), 7.0)


def test_what_is_missing_is_asked_for() -> None:
    pattern = dataclasses.replace(mixture({"A1": ("Ni", 3.524, 1.0)}), radiation=None)
    with pytest.raises(InputError, match="no radiation is known"):
        classify_pattern(pattern)
    with pytest.raises(InputError, match="no element"):
        classify_pattern(pattern, radiation="CuKa", elements="NiQq")
    with pytest.raises(UnknownNameError, match="matcher"):
        classify_pattern(pattern, radiation="CuKa", model="oracle")
    with pytest.raises(UnknownNameError, match="A1"):
        classify_pattern(pattern, radiation="CuKa", structures=["A99"])
