"""Universal potentials behind the contract: laws where their packages are installed, refusals everywhere."""

import builtins

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones

from hea_sim.errors import InputError, MissingDependencyError, MissingFileError, UnknownNameError
from hea_sim.mechanics import elastic_constants, relaxed_volume
from hea_sim.potentials.checks import check_potential
from hea_sim.potentials.universal import UniversalPotential, universal_potential

PACKAGES = {"chgnet": "chgnet", "7net-0": "sevenn"}
#: Single precision: sums of forces and energies of some ten eV.
SINGLE = 1e-4


@pytest.fixture(scope="module", params=PACKAGES)
def potential(request) -> UniversalPotential:
    pytest.importorskip(PACKAGES[request.param], reason="needs the extra mlip")
    import torch

    torch.set_num_threads(1)
    return universal_potential(request.param)


def alloy(size=2, seed=0) -> Atoms:
    rng = np.random.default_rng(seed)
    atoms = bulk("W", "bcc", a=3.25, cubic=True).repeat(size)
    atoms.symbols = rng.choice(["Nb", "Mo", "Ta", "W"], len(atoms))
    atoms.positions += 0.08 * rng.standard_normal(atoms.positions.shape)
    return atoms


class Springs(LennardJones):
    """A calculator with site energies that stands in for a universal one."""


def stand_in(elements=("Ar",)) -> UniversalPotential:
    return UniversalPotential(
        name="stand-in",
        elements=elements,
        cutoff_A=6.0,
        layers=1,
        make_calculator=lambda: Springs(sigma=3.4, epsilon=0.01, rc=6.0, smooth=True),
    )


def test_any_calculator_with_site_energies_keeps_the_laws_behind_the_door():
    failed = [c for c in check_potential(stand_in(), [bulk("Ar", a=5.3)]) if not c.passed]
    assert not failed


def test_clusters_get_vacuum_and_no_stress():
    found = stand_in().evaluate(Atoms("Ar2", [[0, 0, 0], [0, 0, 3.8]]))
    wide = stand_in().evaluate(Atoms("Ar2", [[0, 0, 0], [0, 0, 3.8]], cell=[60, 60, 60], pbc=True))
    assert found.stress_eV_per_A3 is None
    assert found.energy_eV == pytest.approx(wide.energy_eV, rel=1e-12) and found.energy_eV < 0
    slab = bulk("Ar", a=5.3, cubic=True).repeat((1, 1, 2))
    slab.pbc = (True, True, False)
    free = slab.copy()
    free.center(vacuum=30, axis=2)
    free.pbc = True
    assert stand_in().evaluate(slab).energy_eV == pytest.approx(stand_in().evaluate(free).energy_eV, rel=1e-12)


def test_what_no_potential_can_take_is_refused():
    with pytest.raises(InputError, match="no Nb in this potential"):
        stand_in().evaluate(bulk("Nb"))
    with pytest.raises(InputError, match=r"lie 0\.100 A apart"):
        stand_in().evaluate(Atoms("Ar2", [[0, 0, 0], [0, 0, 0.1]]))
    assert stand_in().evaluate([]) == []


def test_names_and_weights_that_are_not_loaded(tmp_path):
    with pytest.raises(UnknownNameError, match=r"did you mean '7net-0'"):
        universal_potential("7net")
    for name in ("mace", "MACE-MP-0"):
        with pytest.raises(InputError, match="pickled Python objects"):
            universal_potential(name)
    with pytest.raises(InputError, match="needs weights="):
        universal_potential("sevenn")
    with pytest.raises(InputError, match="has its own weights"):
        universal_potential("7net-0", weights=tmp_path / "x.pth")
    with pytest.raises(MissingFileError, match="no file"):
        universal_potential("chgnet", weights=tmp_path / "x.pth")


class Burglar:
    """A pickle that would write a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("name", ["chgnet", "sevenn"])
def test_a_pickle_offered_as_weights_is_refused_and_never_run(tmp_path, name):
    import torch

    torch.save({"model": Burglar(tmp_path / "robbed")}, tmp_path / "weights.pth")
    (tmp_path / "noise.pth").write_bytes(b"no checkpoint at all")
    for file in ("weights.pth", "noise.pth"):
        with pytest.raises(InputError, match="reading Python objects runs code"):
            universal_potential(name, weights=tmp_path / file)
    assert not (tmp_path / "robbed").exists()


@pytest.mark.parametrize(("name", "package"), PACKAGES.items())
def test_without_its_package_the_line_to_install_is_told(monkeypatch, name, package):
    real = builtins.__import__

    def without(module, *rest, **more):
        if module.split(".")[0] == package:
            raise ImportError(f"No module named '{package}'")
        return real(module, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match=r"pip install 'hea-toolkit\[mlip\]'"):
        universal_potential(name)


def test_results_follow_the_contract(potential):
    atoms = alloy()
    result = potential.evaluate(atoms)
    assert result.site_energies_eV.sum() == pytest.approx(result.energy_eV, abs=SINGLE * len(atoms))
    assert np.abs(result.forces_eV_per_A.sum(axis=0)).max() < SINGLE
    np.testing.assert_array_equal(result.stress_eV_per_A3, result.stress_eV_per_A3.T)
    atoms.calc = potential.calculator()
    assert atoms.get_potential_energy() == pytest.approx(result.energy_eV, abs=SINGLE)
    np.testing.assert_allclose(atoms.get_forces(), result.forces_eV_per_A, atol=SINGLE)
    np.testing.assert_allclose(atoms.get_stress(voigt=False), result.stress_eV_per_A3, atol=SINGLE)
    assert {"Nb", "Mo", "Ta", "W"} <= set(potential.elements)


def test_turned_and_doubled_systems_give_the_same(potential):
    atoms = alloy()
    plain = potential.evaluate(atoms)
    turn, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ turn)
    turned.positions = atoms.positions @ turn
    after, double = potential.evaluate([turned, atoms.repeat((2, 1, 1))])
    assert after.energy_eV == pytest.approx(plain.energy_eV, abs=SINGLE * len(atoms))
    np.testing.assert_allclose(after.forces_eV_per_A, plain.forces_eV_per_A @ turn, atol=5 * SINGLE)
    np.testing.assert_allclose(after.stress_eV_per_A3, turn.T @ plain.stress_eV_per_A3 @ turn, atol=SINGLE)
    assert double.energy_eV == pytest.approx(2 * plain.energy_eV, abs=SINGLE * len(atoms))


def test_forces_and_stress_are_slopes_of_the_energy(potential):
    atoms = alloy(1)
    result = potential.evaluate(atoms)
    step = 1e-2  # single precision: smaller steps drown in rounding
    way = np.random.default_rng(2).standard_normal(atoms.positions.shape)
    strain = np.array([[0.6, 0.2, 0], [0.2, -0.3, 0.4], [0, 0.4, 0.5]])

    def energy(move, stretch):
        system = atoms.copy()
        system.positions += move * way
        system.set_cell(atoms.cell.array @ (np.eye(3) + stretch * strain), scale_atoms=True)
        return potential.evaluate(system).energy_eV

    def slope(f):
        return (8 * (f(step) - f(-step)) - (f(2 * step) - f(-2 * step))) / (12 * step)

    assert slope(lambda x: energy(x, 0)) == pytest.approx(-(result.forces_eV_per_A * way).sum(), rel=5e-3, abs=5e-3)
    wanted = (result.stress_eV_per_A3 * strain).sum() * atoms.cell.volume
    assert slope(lambda x: energy(0, x)) == pytest.approx(wanted, rel=5e-3, abs=5e-2)


def test_checkpoints_of_the_packages_load_as_weights_of_ones_own(tmp_path):
    pytest.importorskip("sevenn", reason="needs the extra mlip")
    from sevenn.util import pretrained_name_to_path

    shipped, own = (
        universal_potential("7net-0"),
        universal_potential("sevenn", weights=pretrained_name_to_path("7net-0")),
    )
    atoms = alloy(1)
    assert own.evaluate(atoms).energy_eV == pytest.approx(shipped.evaluate(atoms).energy_eV, abs=SINGLE)
    assert own.name == "sevenn checkpoint_sevennet_0.pth"
    import torch

    torch.save({"model": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="no model of sevenn"):
        universal_potential("sevenn", weights=tmp_path / "other.pth")


def test_mechanics_take_them(potential):
    cell = relaxed_volume(potential, bulk("W", a=3.2), fmax_eV_per_A=1e-3)
    assert cell.lattice_parameter_A(2).value == pytest.approx(3.165, rel=0.012)  # measured; PBE is up to 1 % larger
    elastic = elastic_constants(potential, cell.atoms, relax_ions=False)
    assert elastic.is_stable
    assert elastic.moduli().bulk_GPa.value == pytest.approx(cell.bulk_modulus_GPa, rel=0.1)
