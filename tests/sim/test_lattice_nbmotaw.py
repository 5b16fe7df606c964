"""The shipped cluster expansion of NbMoTaW on the cells that no fit saw."""

from __future__ import annotations

import numpy as np
import pytest

from hea_sim.lattice import clusters
from hea_sim.lattice.drawing import ordered_pattern
from hea_sim.lattice.pairs import load_lattice_model
from hea_sim.lattice.recipes.nbmotaw_cells import ELEMENTS, SIZE, read_labels
from hea_sim.lattice.recipes.nbmotaw_clusters import NAME, errors_on
from hea_sim.registry.cards import load_arrays, load_card


@pytest.fixture(scope="module")
def model() -> clusters.ClusterModel:
    return clusters.load(load_card(NAME), load_arrays(NAME))


def test_no_cell_set_apart_is_among_the_training_cells():
    cells = read_labels()
    train = {(cell.size, cell.occupation.tobytes()) for cell in cells.train}
    assert not any((cell.size, cell.occupation.tobytes()) in train for cell in cells.test)
    assert all(len(cell.occupation) <= 2 * np.prod(SIZE) for cell in cells.train)
    assert all(np.isfinite(cell.energy_eV) for cell in (*cells.train, *cells.test))


def test_the_card_says_what_is_measured_and_it_beats_pairs(model):
    cells, card = read_labels(), load_card(NAME)
    found = errors_on(model, cells.test)
    for key, value in found.items():
        assert card.scores[f"test_{key}"].value == pytest.approx(value, rel=1e-3)
    for key in ("rmse", "arrangement_rmse"):
        for other in ("test_pairs", "test_nbmotaw_pairs"):
            assert card.scores[f"test_{key}"].value < 0.7 * card.scores[f"{other}_{key}"].value
    assert errors_on(load_lattice_model("nbmotaw-pairs"), cells.test)["rmse"] > found["rmse"]


def test_its_predictive_std_is_of_the_size_of_its_errors(model):
    z = []
    for cell in read_labels().test:
        energy, std = model.energy_with_std(cell.occupation, cell.size)
        z.append((energy - cell.energy_eV) / std)
    assert 0.5 < np.sqrt(np.mean(np.square(z))) < 1.5


def test_elements_are_near_zero_and_molybdenum_tantalum_orders_as_b2(model):
    # The order that NbMoTaW is known for: B2 of Mo on Ta (Widom et al., doi:10.1007/s11661-013-2000-8).
    for s in range(4):
        assert abs(model.energy_eV_per_atom(np.full(2, s), (1, 1, 1))) < 2e-3
    pattern, size = ordered_pattern("B2")
    energies = {
        (i, j): model.energy_eV_per_atom(np.where(pattern, j, i), size) for i in range(4) for j in range(i + 1, 4)
    }
    assert ELEMENTS[1] == "Mo" and ELEMENTS[2] == "Ta"
    assert min(energies, key=lambda pair: energies[pair]) == (1, 2)
