"""Labels of lattice cells from a potential."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from hea_sim.errors import InputError
from hea_sim.lattice import FitCell, fit_pair_model, label_cells
from hea_sim.lattice.shells import lattice_points
from hea_sim.mechanics import relaxed_volume
from hea_sim.potentials.zhou import zhou_eam

METALS = ("Mo", "Ta")
POTENTIAL = zhou_eam(METALS)


def cells_of(n: int, size: tuple[int, int, int] = (3, 3, 3)) -> list[FitCell]:
    rng = np.random.default_rng(0)
    sites = len(lattice_points("A2", size))
    made = [FitCell(occupation=np.full(sites, s), size=size, group="element") for s in (0, 1)]
    for share in np.linspace(0.2, 0.8, n):
        made.append(FitCell(occupation=(rng.random(sites) < share).astype(int), size=size, weight=0.5))
    return made


@pytest.fixture(scope="module")
def labelled() -> list[FitCell]:
    return label_cells(cells_of(22), METALS, POTENTIAL, relax="volume", fmax_eV_per_A=5e-3)


def test_elements_are_the_reference_and_have_their_volumes(labelled: list[FitCell]) -> None:
    for cell, element in zip(labelled[:2], METALS, strict=True):
        assert abs(cell.energy_eV) < 1e-6 and cell.group == "element"
        alone = relaxed_volume(POTENTIAL, bulk(element, "bcc", a=3.2))
        assert cell.volume_A3 == pytest.approx(alone.volume_A3.value, rel=1e-4)


def test_b2_is_what_the_potential_says() -> None:
    cell = FitCell(occupation=np.array([0, 1]), size=(1, 1, 1), weight=3.0)
    for relax in ("volume", "atoms"):
        found = label_cells([cell], METALS, POTENTIAL, relax=relax)[0]  # type: ignore[arg-type]
        atoms = bulk("Mo", "bcc", a=3.2, cubic=True)
        atoms.symbols = METALS
        alone = relaxed_volume(POTENTIAL, atoms)
        parts = [relaxed_volume(POTENTIAL, bulk(e, "bcc", a=3.2)).energy_eV_per_atom for e in METALS]
        assert found.energy_eV == pytest.approx(alone.energy_eV_per_atom - np.mean(parts), abs=1e-6)
        assert found.weight == 3.0


def test_atoms_that_may_move_lower_the_energy(labelled: list[FitCell]) -> None:
    some = labelled[5:7]
    free = label_cells(some, METALS, POTENTIAL, fmax_eV_per_A=5e-3)
    for held, moved in zip(some, free, strict=True):
        assert moved.energy_eV < held.energy_eV - 1e-4


def test_labels_are_fit_by_a_pair_model_and_missing_ones_are_refused(labelled: list[FitCell]) -> None:
    model, report = fit_pair_model(labelled, METALS, name="test", shells=(1, 2), relaxed=False)
    energies = np.array([cell.energy_eV for cell in labelled])
    predicted = [model.energy_eV_per_atom(cell.occupation, cell.size) for cell in labelled]
    assert np.abs(predicted - energies).max() < 0.1 * np.ptp(energies)
    assert report.n_cells == len(labelled)
    with pytest.raises(InputError, match=r"1 cells have no energy or volume.*label_cells"):
        fit_pair_model([*labelled, replace(labelled[2], energy_eV=float("nan"))], METALS, name="test")


def test_wrong_calls_say_so() -> None:
    with pytest.raises(InputError, match="'volume' or 'atoms'"):
        label_cells(cells_of(1), METALS, POTENTIAL, relax="shape")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="species indices from 0 to 0"):
        label_cells(cells_of(1), ["Mo"], POTENTIAL)
