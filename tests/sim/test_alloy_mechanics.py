"""What a potential makes of an alloy: laws of relaxed cells and of the correction by elements."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.alloy import Composition
from hea_sim.element_offsets import ElementOffset, element_offset, referenced_lattice_parameter
from hea_sim.elements import elemental_state
from hea_sim.errors import InputError
from hea_sim.mechanics import elastic_constants, element_cell, relaxed_alloy, relaxed_volume
from hea_sim.mechanics.alloy import AlloyMechanics
from hea_sim.potentials.loading import load_potential
from hea_sim.potentials.zhou import zhou_eam
from hea_sim.sampling.arrangements import small_cells

METALS = zhou_eam(["Mo", "Ta", "W"])
MO_TA_W = Composition.parse("MoTaW")


def random_cell(seed: int, size: int = 3) -> Atoms:
    atoms = bulk("W", "bcc", a=3.2, cubic=True).repeat(size)
    symbols = np.array(["Mo", "Ta", "W"])[np.arange(len(atoms)) % 3]
    np.random.default_rng(seed).shuffle(symbols)
    atoms.symbols = symbols
    return atoms


@pytest.fixture(scope="module")
def found() -> AlloyMechanics:
    return relaxed_alloy([random_cell(s) for s in (0, 1)], METALS, structure="A2", vacancy_sites=1)


# one element


def test_an_element_is_what_it_is_alone() -> None:
    crystal = bulk("W", "bcc", a=3.1, cubic=True)
    found = relaxed_alloy(crystal, METALS, structure="A2", fmax_eV_per_A=1e-4)
    alone = relaxed_volume(METALS, bulk("W", "bcc", a=3.2))
    assert found.lattice_A.value == pytest.approx(alone.lattice_parameter_A(2).value, abs=1e-5)
    assert found.mixing_energy is not None and abs(found.mixing_energy.value) < 1e-7
    assert found.displacement_A.value < 1e-9
    constants = elastic_constants(METALS, alone.atoms).cubic()
    assert found.elastic is not None
    for name in ("C11", "C12", "C44"):
        assert getattr(found.elastic, name).value == pytest.approx(getattr(constants, name).value, rel=1e-3)


@pytest.mark.parametrize(("element", "lattice", "structure"), [("W", "bcc", "A2"), ("Ni", "fcc", "A1")])
def test_a_corrected_element_is_the_measured_one(element: str, lattice: str, structure: str) -> None:
    found = relaxed_alloy(bulk(element, lattice, cubic=True), zhou_eam([element]), structure=structure, elastic=False)
    measured = elemental_state(element)
    at_298_K, at_398_K = (found.lattice_parameter_at(t) for t in (298.0, 398.0))
    assert at_298_K.value == pytest.approx(measured.a_A, abs=1e-4)
    assert at_298_K.std == pytest.approx(measured.a_std_A, rel=0.05)
    assert at_398_K.value / at_298_K.value - 1 == pytest.approx(100 * measured.expansion_per_K, rel=1e-6)


def test_a_hexagonal_element_is_its_own_reference_and_free_of_stress() -> None:
    potential = zhou_eam(["Co", "Ni"])
    cell = element_cell(potential, "Co", "A3")
    apart = [bulk("Co", "hcp", a=a, c=c) for a in (2.45, 2.55) for c in (3.9, 4.2)]
    energies = [potential.evaluate(atoms).energy_eV / len(atoms) for atoms in apart]
    assert cell.energy_eV_per_atom < min(energies)
    alloy = bulk("Ni", "fcc", a=3.53, cubic=True)
    alloy.symbols[:2] = "Co"
    found = relaxed_alloy(alloy, potential, structure="A1", elastic=False)
    assert found.elements["Co"].structure == "A3" and found.elements["Ni"].structure == "A1"
    reference = 0.5 * (cell.energy_eV_per_atom + found.elements["Ni"].energy_eV_per_atom)
    energy = potential.evaluate(found.atoms[0]).energy_eV / 4
    assert found.mixing_energy is not None
    assert found.mixing_energy.value == pytest.approx(energy - reference, abs=1e-6)
    with pytest.raises(InputError, match="wanted one of A1, A2, A3"):
        element_cell(potential, "Ni", "A4")


# an alloy


def test_the_alloy_is_the_mean_over_its_cells(found: AlloyMechanics) -> None:
    alone = [relaxed_volume(METALS, random_cell(s), fmax_eV_per_A=1e-4) for s in (0, 1)]
    edges = [cell.lattice_parameter_A(2).value for cell in alone]
    assert found.lattice_A.value == pytest.approx(np.mean(edges), abs=1e-5)
    assert found.lattice_A.std == pytest.approx(abs(np.diff(edges)[0]) / 2, rel=0.05)
    energies = [cell.energy_eV_per_atom for cell in alone]
    reference = np.mean([found.elements[e].energy_eV_per_atom for e in ("Mo", "Ta", "W")])
    assert found.mixing_energy is not None
    assert found.mixing_energy.value == pytest.approx(np.mean(energies) - reference, abs=1e-6)
    assert (found.n_cells, found.n_atoms, found.structure) == (2, 54, "A2")
    assert sum(found.fractions.values()) == pytest.approx(1)


def test_moduli_follow_from_the_constants(found: AlloyMechanics) -> None:
    constants, moduli = found.elastic, found.moduli
    assert constants is not None and moduli is not None
    c11, c12, c44 = constants.C11.value, constants.C12.value, constants.C44.value
    assert c11 > c12 > 0 and c44 > 0
    # a cubic crystal has one bulk modulus, whatever the average; the cells are cubic on the mean over their axes only
    assert moduli.bulk_GPa.value == pytest.approx((c11 + 2 * c12) / 3, rel=2e-3)
    assert moduli.reuss_GPa[1] <= moduli.shear_GPa.value <= moduli.voigt_GPa[1]
    assert 0.03 < found.displacement_A.value < 0.3
    assert found.vacancy is not None and 1 < found.vacancy.value < 5


def test_more_cells_leave_a_smaller_error() -> None:
    cells = [random_cell(seed, size=2) for seed in range(12)]
    few, many = (
        relaxed_alloy(cells[:n], METALS, structure="A2", elastic=False, fmax_eV_per_A=5e-3).lattice_A for n in (3, 12)
    )
    assert few.std is not None and many.std is not None and (few.n, many.n) == (3, 12)
    assert abs(many.value - few.value) < 4 * np.hypot(many.std, few.std)
    assert many.std < 3e-3


def test_the_error_of_the_potential_is_carried() -> None:
    cell = random_cell(0)
    bare, with_error = (
        relaxed_alloy(cell, METALS, structure="A2", elastic=False, energy_error_eV_per_atom=e) for e in (None, 0.005)
    )
    assert bare.mixing_energy is not None and "not known" in bare.mixing_energy.method
    shares = [(cell.symbols == e).mean() for e in set(cell.symbols)]  # the alloy errs, and so does each element
    wanted = 0.005 * np.sqrt(1 + np.square(shares).sum())
    assert with_error.mixing_energy is not None and with_error.mixing_energy.std == pytest.approx(wanted)
    assert bare.elastic is None and bare.moduli is None and bare.vacancy is None


def test_errors_of_energies_are_not_asked_for_at_every_step() -> None:
    def never(_: object) -> None:
        raise AssertionError("the variance was asked for")

    with_variance = replace(METALS, variance=never)
    found = relaxed_alloy(bulk("W", cubic=True), with_variance, structure="A2", elastic=False)
    assert found.potential == METALS.name


def test_cells_that_say_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="wanted one composition"):
        relaxed_alloy([random_cell(0), bulk("W", cubic=True)], METALS, structure="A2")
    with pytest.raises(InputError, match="wanted one composition"):
        relaxed_alloy([], METALS, structure="A2")
    with pytest.raises(InputError, match="wanted A1 or A2"):
        relaxed_alloy(random_cell(0), METALS, structure="sigma")
    with pytest.raises(InputError, match="Nb"):
        relaxed_alloy(bulk("Nb", cubic=True), METALS, structure="A2")
    off = random_cell(0)
    off.rattle(0.4, seed=1)
    with pytest.raises(InputError, match=r"\(rms\) away from A2"):
        relaxed_alloy(off, METALS, structure="A2", elastic=False)


@pytest.mark.data
@pytest.mark.slow
def test_the_published_snap_gives_its_random_alloy(data: Path) -> None:
    """LAMMPS with the same file, 432 atoms, three seeds: a 3.2433 A, C11 400, C12 166.5, C44 81.2 GPa."""
    potential = load_potential(data / "potentials/nbmotaw/Ta-W-Nb-Mo.snapcoeff")
    cells = small_cells(Composition.parse("NbMoTaW"), "A2", n=2, seed=0)
    found = relaxed_alloy(cells, potential, structure="A2", fmax_eV_per_A=5e-3)
    assert found.lattice_A.value == pytest.approx(3.2433, abs=1e-3)
    assert found.elastic is not None
    for name, peer in (("C11", 400.0), ("C12", 166.5), ("C44", 81.2)):
        assert getattr(found.elastic, name).value == pytest.approx(peer, rel=0.02)


# cells


def test_small_cells_hold_the_alloy_and_differ() -> None:
    cells = small_cells(MO_TA_W, "bcc", n=2, seed=5)
    assert [len(cell) for cell in cells] == [250, 250]
    assert all(sorted(np.unique(c.symbols, return_counts=True)[1]) == [83, 83, 84] for c in cells)
    assert cells[0].get_chemical_symbols() != cells[1].get_chemical_symbols()
    again = small_cells(MO_TA_W, "bcc", n=2, seed=5)
    assert [c.get_chemical_symbols() for c in again] == [c.get_chemical_symbols() for c in cells]
    assert len(small_cells(Composition.parse("NiCo"), "A1", n=1, seed=0)[0]) == 256
    with pytest.raises(InputError, match="wanted at least 1"):
        small_cells(MO_TA_W, "A2", n=0, seed=0)


def test_annealed_cells_are_more_ordered_than_random_ones() -> None:
    from hea_sim.lattice import model_for

    alloy = Composition.parse("MoTa")
    model = model_for(alloy)
    assert model is not None
    model = model.restricted(alloy.elements)

    def energy(cell: Atoms) -> float:
        return model.energy_eV_per_atom(model.indices(cell.get_chemical_symbols()), (5, 5, 5))

    random = small_cells(alloy, "A2", n=2, seed=0)
    annealed = small_cells(alloy, "A2", n=2, seed=0, model=model, temperatures_K=(2000, 600))
    assert max(map(energy, annealed)) < min(map(energy, random)) - 0.01
    with pytest.raises(InputError, match="temperatures"):
        small_cells(alloy, "A2", n=1, seed=0, model=model)


# correction by elements


@settings(max_examples=30, deadline=None)
@given(st.floats(0.97, 1.03), st.floats(0.1, 0.9))
def test_an_error_that_all_elements_share_falls_out(error: float, share: float) -> None:
    alloy = Composition.parse({"Mo": share, "Ta": 1 - share})
    volumes = {"Mo": 15.8, "Ta": 18.3}
    common = {"structure": "A2", "temperature_K": 298.0, "parts": {}, "model": "test"}
    plain, scaled = (
        referenced_lattice_parameter(
            alloy,
            3.25 * f,
            {e: element_offset(e, v * f**3, structure="A2") for e, v in volumes.items()},
            **common,  # type: ignore[arg-type]
        )
        for f in (1.0, error)
    )
    assert scaled.value == pytest.approx(plain.value, rel=1e-12)
    assert scaled.std == pytest.approx(plain.std, rel=1e-9)


def test_elements_that_scatter_leave_a_larger_error_and_parts_add_up() -> None:
    def std(ratio: float, parts: dict[str, float]) -> float:
        found = referenced_lattice_parameter(
            MO_TA_W,
            3.2,
            {e: ElementOffset(r, 4e-4) for e, r in zip(MO_TA_W, (ratio, 0.99, 0.99), strict=True)},
            structure="A2",
            temperature_K=298.0,
            parts=parts,
            model="test",
        )
        return float(found.std or 0.0)

    assert std(0.99, {}) < std(1.0, {}) < std(1.02, {})
    a = 3.2 * 0.99
    assert std(0.99, {"cells": 0.01}) == pytest.approx(np.hypot(std(0.99, {}), 0.01 * a), rel=1e-9)
    with pytest.raises(InputError, match="no offset of W"):
        referenced_lattice_parameter(
            MO_TA_W, 3.2, {"Mo": ElementOffset(1.0, 0.0), "Ta": ElementOffset(1.0, 0.0)},
            structure="A2", temperature_K=298.0, parts={}, model="test",
        )  # fmt: skip
    with pytest.raises(InputError, match="temperature"):
        referenced_lattice_parameter(MO_TA_W, 3.2, {}, structure="A2", temperature_K=-1.0, parts={}, model="test")
