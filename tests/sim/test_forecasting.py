"""What is expected of an alloy when cells of it are relaxed with a potential."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hea_sim as hs
from hea_sim.documents import to_jsonable
from hea_sim.elements import elemental_state
from hea_sim.errors import InputError
from hea_sim.forecasting import Forecast
from hea_sim.potentials.zhou import zhou_eam

AT: dict[str, Any] = {"equilibration_temperature_K": 1500.0, "measurement_temperature_K": 298.0, "size": 4}


@pytest.fixture(scope="module")
def expected() -> Forecast:
    return hs.forecast("MoTa", potential="zhou-eam", **AT)


def test_the_volume_is_that_of_the_relaxed_cells(expected: Forecast) -> None:
    found = expected.mechanics
    assert found is not None and expected.potential is not None and expected.volume_A3 is not None
    room = found.lattice_parameter_at(298.0)
    shown = expected.lattice_parameter("A2")
    assert shown is not None and shown.value == pytest.approx(room.value) and shown.std == pytest.approx(room.std)
    assert found.potential in expected.volume_source and "annealed" in expected.volume_source
    assert "relaxed cell" in expected.volume_A3.method
    assert (found.n_cells, found.n_atoms) == (3, 250)
    assert found.elastic is not None and found.moduli is not None


def test_what_was_expected_without_it_is_kept(expected: Forecast) -> None:
    plain = hs.forecast("MoTa", **AT)
    assert plain.mechanics is None and plain.potential is None and not plain.compared_volumes_A3
    assert list(expected.compared_volumes_A3) == [plain.volume_source]
    assert plain.volume_A3 == expected.compared_volumes_A3[plain.volume_source]
    assert plain.order_sets == expected.order_sets and plain.order_parameter == expected.order_parameter
    assert plain.simulation is not None and expected.simulation is not None
    assert np.array_equal(plain.simulation.warren_cowley, expected.simulation.warren_cowley)


def test_everything_is_written_but_the_atoms(expected: Forecast) -> None:
    written = to_jsonable(expected)
    assert written["potential"]["name"] == written["mechanics"]["potential"]
    for name in ("C11", "C12", "C44"):
        assert written["mechanics"]["elastic"][name]["unit"] == "GPa"
    assert written["mechanics"]["mixing_energy"]["unit"] == "eV/atom"
    assert "atoms" not in written["mechanics"]


def test_without_a_simulation_cells_are_random_and_nothing_is_said_of_elasticity() -> None:
    found = hs.forecast("MoTa", potential=zhou_eam(["Mo", "Ta"]), simulate=False, **AT)
    assert found.mechanics is not None and found.mechanics.elastic is None
    assert "random" in found.volume_source and found.volume_lattice == "A2"
    assert found.potential is not None and found.potential.why == "given by the caller"


def test_an_element_without_a_lattice_model_is_relaxed_as_it_is() -> None:
    found = hs.forecast("Ni", potential="zhou-eam", **AT)
    a = found.lattice_parameter("A1")
    assert a is not None and a.value == pytest.approx(elemental_state("Ni").a_A, abs=1e-4)
    assert found.mechanics is not None and found.mechanics.n_cells == 1
    assert found.mechanics.mixing_energy is not None and abs(found.mechanics.mixing_energy.value) < 1e-6


def test_where_no_lattice_is_known_the_potential_is_not_used_and_that_is_said() -> None:
    found = hs.forecast("Co", potential="zhou-eam", **AT)
    assert found.mechanics is None and found.volume_source == "elemental volumes"
    assert any("was not used for Co" in note and "A3" in note for note in found.notes)


def test_recommended_says_where_none_is_shipped() -> None:
    found = hs.forecast("NbTaTi", potential="recommended", simulate=False, **AT)
    assert found.potential is None
    assert any("no potential is shipped for NbTaTi" in note for note in found.notes)
    silent = hs.forecast("NbTaTi", potential="none", simulate=False, **AT)
    assert not any("potential" in note for note in silent.notes)


def test_a_missing_element_is_an_error() -> None:
    with pytest.raises(InputError, match=r"zhou.* has no Nb"):
        hs.forecast("NbMoTa", potential=zhou_eam(["Mo", "Ta"]), simulate=False, **AT)
