"""Descriptors from the simulation side: laws of the models behind them, and honest gaps."""

import numpy as np
import pytest

from hea_sim.errors import InputError
from hea_sim.lattice.pairs import load_lattice_model
from hea_sim.potentials.zhou import zhou_eam
from hea_sim.properties.simulation_descriptors import simulation_descriptors


def test_a_model_that_is_missing_gives_a_reason():
    found = simulation_descriptors("HfZrSc", structure="A2")
    assert not found.values and not found.sources
    assert "no shipped lattice model holds Hf, Zr, Sc on A2" in found.reasons[0]
    assert "no shipped potential" in found.reasons[1]
    with pytest.raises(InputError, match="wanted A1 or A2"):
        simulation_descriptors("NbMoTaW", structure="A3")


def test_order_energies_and_relaxed_cell(monkeypatch):
    monkeypatch.setattr("hea_sim.properties.simulation_descriptors._RELAXED_EDGE", 2)
    metals = zhou_eam(["Mo", "Ta", "W"])
    found = simulation_descriptors("MoTaW", structure="A2", potential=metals, seed=3)
    assert found.reasons == () and set(found.sources) == {"lattice model", "potential"}
    energy = found.values["arrangement_energy"]
    assert energy.unit == "eV" and energy.value > 3 * energy.std > 0
    low = [found.values[name].value for name in ("c11", "c12", "c44")]
    bulk = found.values["bulk_modulus"]
    assert bulk.unit == "GPa" and bulk.value == pytest.approx((low[0] + 2 * low[1]) / 3, rel=0.02)  # cubic identity
    assert 0 < found.values["lattice_distortion"].value < 10
    again = simulation_descriptors("MoTaW", structure="A2", potential=metals, elastic=False, seed=3)
    assert again.values["arrangement_energy"] == energy and "c11" not in again.values
    assert again.values["volume_A3"].value == pytest.approx(found.values["volume_A3"].value, rel=1e-6)


def test_order_energy_of_a_pure_element_is_nothing():
    name = next(e for e in load_lattice_model("nbmotaw-pairs").species if e != "Nb")
    found = simulation_descriptors(name, structure="A2", potential=zhou_eam([name]), elastic=False)
    assert found.values["arrangement_energy"].value == pytest.approx(0, abs=1e-9)
    assert np.isfinite(found.values["random_mixing_energy"].value)
