"""Recipes of the shipped potentials: they can be read, and what a teacher labels is drawn the same each time."""

from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.stress import full_3x3_to_voigt_6_stress

from hea_sim.documents import sha256_of
from hea_sim.errors import UnknownNameError
from hea_sim.potentials.fitting import read_structures
from hea_sim.potentials.fitting.structures import TrainingStructure
from hea_sim.potentials.loading import load_potential, shipped_potentials
from hea_sim.potentials.recipes.make import read_recipe, recipe_names
from hea_sim.potentials.recipes.taught import GROUP, STRAINED, draw_alloys, draw_strained, write_taught
from hea_sim.potentials.zhou import zhou_eam


def _dynamics():
    found = []
    for element, a in (("Mo", 3.15), ("Ta", 3.30), ("W", 3.16)):
        atoms = bulk(element, a=a, cubic=True) * (2, 2, 2)
        atoms.positions += 0.05 * np.random.default_rng(1).standard_normal(atoms.positions.shape)
        found += [
            TrainingStructure(atoms=atoms, energy_eV=0.0, forces_eV_per_A=np.zeros((16, 3)), group=f"{element}_AIMD")
        ] * 3
    return found


def test_every_shipped_potential_has_its_recipe_and_every_recipe_its_files(tmp_path):
    assert {card.name for card in shipped_potentials()} <= set(recipe_names())
    for name in recipe_names():
        job = read_recipe(name, tmp_path)
        assert job.name == name
        assert all(Path(file).is_relative_to(tmp_path) for file in (*job.train, *job.test))
    with pytest.raises(UnknownNameError, match="did you mean 'nbmotaw-snap'"):
        read_recipe("nbmotaw-snape", tmp_path)


@pytest.mark.data
def test_shipped_potentials_were_fitted_to_the_files_of_the_registry(data):
    for card in shipped_potentials():
        job = read_recipe(card.name, data)
        held = card.data[0].sha256  # of DFT; what a teacher labelled stands beside it
        for file in (*job.train, *job.test):
            assert held[Path(file).name] == sha256_of(file)


def test_alloys_are_drawn_the_same_with_the_mean_volume_of_their_elements():
    structures = _dynamics()
    first, second = draw_alloys(structures, 6, seed=3), draw_alloys(structures, 6, seed=3)
    assert [a.get_chemical_formula() for a in first] == [a.get_chemical_formula() for a in second]
    assert len({a.get_chemical_formula() for a in first}) > 1
    for atoms in first:
        wanted = np.mean([{"Mo": 3.15, "Ta": 3.30, "W": 3.16}[s] ** 3 / 2 for s in atoms.symbols])
        assert atoms.cell.volume / len(atoms) == pytest.approx(wanted, rel=1e-9)


def test_strained_alloys_are_bcc_within_their_strain():
    for atoms in draw_strained(_dynamics(), 12, seed=3):
        volume = np.mean([{"Mo": 3.15, "Ta": 3.30, "W": 3.16}[s] ** 3 / 2 for s in atoms.symbols])
        perfect = 3 * np.eye(3) * (2 * volume) ** (1 / 3)
        strain = np.linalg.solve(perfect, atoms.cell.array) - np.eye(3)
        assert np.abs(strain).max() <= 0.03 and np.abs(strain - strain.T).max() < 1e-9
        sites = bulk("W", "bcc", a=3.2, cubic=True).repeat(3).get_scaled_positions()
        away = atoms.get_scaled_positions(wrap=False) - sites
        assert np.abs(away @ atoms.cell.array).max() < 0.08 * 5


def test_what_a_teacher_labels_comes_back_as_it_was(tmp_path):
    teacher = zhou_eam(["Mo", "Ta", "W"])
    path = write_taught(tmp_path / "taught.extxyz.xz", _dynamics(), teacher, count=4)
    found = read_structures(path)
    assert [s.group for s in found] == 4 * [GROUP] + 4 * [STRAINED]
    for structure in found:
        result = teacher.evaluate(structure.atoms)
        stress = full_3x3_to_voigt_6_stress(result.stress_eV_per_A3)
        np.testing.assert_allclose(structure.stress_eV_per_A3, stress, atol=1e-6)
        assert structure.energy_eV == pytest.approx(result.energy_eV, abs=1e-4)
        np.testing.assert_allclose(structure.forces_eV_per_A, result.forces_eV_per_A, atol=1e-5)


@pytest.mark.parametrize("card", shipped_potentials(), ids=lambda card: card.name)
def test_shipped_potentials_hold_their_crystals(card):
    potential = load_potential(card.name, reference="elements")
    for element in potential.elements:
        atoms = bulk(element)
        energies = []
        for scale in (0.96, 0.98, 1.0, 1.02, 1.04):
            strained = atoms.copy()
            strained.set_cell(scale * atoms.cell, scale_atoms=True)
            energies.append(potential.evaluate(strained).energy_eV)
        assert np.argmin(energies) in (1, 2, 3)
        assert min(energies) < 0.05
        assert np.all(np.diff(energies, 2) > 0)
