"""Ordering on cooling: the known transition of B2, and what a model's error makes of its interval."""

import numpy as np
import pytest

from hea_sim.forecasting import forecast, ordering_note
from hea_sim.lattice.pairs import PairModel
from hea_sim.records import Estimate
from hea_sim.sampling.ordering import scan_ordering
from hea_sim.units import BOLTZMANN_EV_PER_K

#: Transition of the Ising model on bcc in units of J / k: Butera and Comi 2000, doi:10.1103/PhysRevB.62.14837.
ISING_BCC = 6.3544


@pytest.fixture(scope="module")
def model():
    nothing, even = np.zeros((2, 2)), np.zeros(2)
    scores = {"arrangement_cv_rmse": {"value": 1.0}, "arrangement_spread": {"value": 5.0}}
    return PairModel(
        name="neighbours", species=("Al", "Ni"), lattice="A2", site_energy_eV=even,
        pair_energy_eV=np.array([[[0.0, -0.03], [-0.03, 0.0]]]), asymmetry_eV=nothing, element_volume_A3=even + 12,
        pair_volume_A3=np.zeros((1, 2, 2)), asymmetry_A3=nothing, reference_volume_A3=even + 12, energy_std_eV=0.0,
        volume_std_A3=0.0, relaxed=True, card={"scores": scores},
    )  # fmt: skip


@pytest.fixture(scope="module")
def scan(model):
    return scan_ordering("AlNi", model, seed=1, temperatures_K=np.geomspace(700, 1800, 24), sweeps=600)


def test_b2_of_nearest_neighbours_sets_in_where_ising_spins_do(scan):
    """A bond of two unlike atoms is worth 2 J; the peak of a cell of 432 sites lies within some per cent."""
    wanted = ISING_BCC * 0.015 / BOLTZMANN_EV_PER_K
    (found,) = scan.transitions
    assert found.temperature_K.value == pytest.approx(wanted, rel=0.05)
    assert scan.structure == "B2"
    assert scan.order_parameter[0] > 0.9 and scan.order_parameter[-1] < 0.3


def test_the_interval_spans_the_error_of_the_model(scan):
    place = scan.transitions[0].temperature_K
    assert scan.relative_error == pytest.approx(0.2)
    assert np.log(place.high / place.value) == pytest.approx(np.log(place.value / place.low))
    assert np.log(place.high / place.value) >= 1.96 * 0.2


def test_the_energy_rises_as_the_heat_capacity_says(scan):
    curve = scan.heat_capacity
    inside = (curve.temperatures_K > 750) & (curve.temperatures_K < 1700)
    t, c = curve.temperatures_K[inside], curve.heat_capacity_k[inside]
    heat = BOLTZMANN_EV_PER_K * np.trapezoid(c, t)
    low, high = np.interp([t[0], t[-1]], scan.temperatures_K, scan.energy_eV_per_atom)
    assert heat == pytest.approx(high - low, rel=0.05)


@pytest.mark.parametrize(("at_K", "side"), [(900.0, "above"), (500.0, "inside"), (200.0, "below")])
def test_a_note_says_on_which_side_an_alloy_was_frozen_in(scan, at_K, side):
    where = Estimate(value=500.0, std=100.0, low=300.0, high=800.0, level=0.95, unit="K", method="given")
    assert ordering_note(scan, where, at_K).endswith(f"frozen in at {at_K:g} K, {side} that interval")


def test_a_forecast_tells_where_the_alloy_orders():
    expected = forecast("NbMoTaW", equilibration_temperature_K=1500, measurement_temperature_K=298, size=4)
    assert expected.ordering is not None and expected.ordering.structure == "B2"
    assert any("B2 order sets in at" in note for note in expected.notes)
    alone = forecast("NbMoTaW", equilibration_temperature_K=1500, measurement_temperature_K=298, simulate=False)
    assert alone.ordering is None
