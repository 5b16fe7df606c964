"""Volume, elastic constants and vacancies: laws, models in closed form, LAMMPS as peer."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.units import GPa
from scipy.spatial.transform import Rotation

from hea_sim.errors import InputError
from hea_sim.mechanics import elastic_constants, relaxed_volume, vacancy_formation_energy
from hea_sim.mechanics.elastic import VOIGT, ElasticConstants
from hea_sim.potentials.contract import SitePotential
from hea_sim.potentials.environment import find_neighbours
from hea_sim.potentials.zhou import zhou_eam

from .pair_double import EmbeddedPairs

CU = zhou_eam(["Cu"])
ALLOY = zhou_eam(["Mo", "Ta", "W"])


def random_alloy(size=3, seed=0) -> Atoms:
    atoms = bulk("W", "bcc", a=3.2, cubic=True).repeat(size)
    symbols = np.array(["Mo", "Ta", "W"])[np.arange(len(atoms)) % 3]
    np.random.default_rng(seed).shuffle(symbols)
    atoms.symbols = symbols
    return atoms


@pytest.fixture(scope="module")
def alloy_at_rest():
    return relaxed_volume(ALLOY, random_alloy())


@pytest.fixture(scope="module")
def copper():
    return relaxed_volume(CU, bulk("Cu", a=3.5)).atoms


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """Central pair energies."""

    elements: tuple[str, ...]
    cutoff_A: float
    form: str

    def terms(self, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.form == "Lennard-Jones":
            return 4 * (r**-12 - r**-6), 4 * (6 * r**-7 - 12 * r**-13)
        x = np.exp(-1.5 * (r - 2.8))
        return 0.35 * (x**2 - 2 * x), 0.35 * -1.5 * (2 * x**2 - 2 * x)

    def site_terms(self, environment):
        r = np.linalg.norm(environment.vectors, axis=1)
        u, slope = self.terms(r)
        near = r < self.cutoff_A
        u, slope = np.where(near, u, 0.0), np.where(near, slope, 0.0)
        energies = 0.5 * np.bincount(environment.first, u, minlength=len(environment.numbers))
        return energies, (0.5 * slope / r)[:, None] * environment.vectors


def pairs(form: str, element: str, cutoff_A: float) -> SitePotential:
    return SitePotential(name=form, model=Pairs(elements=(element,), cutoff_A=cutoff_A, form=form))


def as_tensor(stiffness: np.ndarray) -> np.ndarray:
    full = np.empty((3, 3, 3, 3))
    for m, (i, j) in enumerate(VOIGT):
        for n, (p, q) in enumerate(VOIGT):
            full[i, j, p, q] = full[j, i, p, q] = full[i, j, q, p] = full[j, i, q, p] = stiffness[m, n]
    return full


def as_matrix(tensor: np.ndarray) -> np.ndarray:
    return np.array([[tensor[i, j, p, q] for p, q in VOIGT] for i, j in VOIGT])


# volume


@pytest.mark.parametrize("fix_shape", [True, False])
def test_at_the_volume_of_rest_there_is_no_pressure(fix_shape):
    cell = relaxed_volume(ALLOY, random_alloy(), fix_shape=fix_shape)
    pressure = -cell.stress_GPa[:3].mean()
    assert abs(pressure) < 1e-3
    assert bool(np.abs(cell.stress_GPa).max() < 1e-3) is (not fix_shape)
    shape = cell.atoms.cell.array / cell.atoms.cell.volume ** (1 / 3)
    kept = np.allclose(shape, np.eye(3) * shape[0, 0], atol=1e-9)
    assert kept is fix_shape
    assert cell.atoms.calc is None and cell.volume_A3.unit == "A^3"


@pytest.mark.parametrize("start", [3.4, 3.9])
def test_the_volume_is_the_minimum_of_the_energy_from_either_side(start):
    cell = relaxed_volume(CU, bulk("Cu", a=start))
    a = cell.lattice_parameter_A(4)
    sizes = a.value * (1 + np.linspace(-0.004, 0.004, 9))
    energies = [CU.evaluate(bulk("Cu", a=size)).energy_eV for size in sizes]
    curve = np.polynomial.Polynomial.fit(sizes, energies, 4)
    roots = curve.deriv().roots()
    lowest = roots[(abs(roots.imag) < 1e-9) & (abs(roots.real - a.value) < 0.01)].real
    assert lowest == pytest.approx(a.value, abs=2e-5)
    # bulk modulus from the energy: 9 V B = a^2 d2E/da2 for one atom of volume V
    bulk_GPa = a.value**2 * curve.deriv(2)(a.value) / (9 * cell.volume_A3.value) / GPa
    assert cell.bulk_modulus_GPa == pytest.approx(bulk_GPa, rel=5e-3)


def test_lennard_jones_crystals_have_their_known_size_and_energy():
    # lattice sums of the fcc crystal (Kittel): sum r^-12 12.13188, sum r^-6 14.45392
    cell = relaxed_volume(pairs("Lennard-Jones", "Ar", 9.0), bulk("Ar", "fcc", a=1.6))
    a = cell.lattice_parameter_A(4).value
    assert a / np.sqrt(2) == pytest.approx((2 * 12.13188 / 14.45392) ** (1 / 6), rel=1e-3)
    assert cell.energy_eV_per_atom == pytest.approx(-(14.45392**2) / (2 * 12.13188), rel=3e-3)


def test_pressure_is_what_was_asked_for():
    squeezed, free = (relaxed_volume(CU, bulk("Cu", a=3.6), at_pressure_GPa=p) for p in (5.0, 0.0))
    assert -squeezed.stress_GPa[:3].mean() == pytest.approx(5.0, abs=1e-3)
    assert squeezed.volume_A3.value < free.volume_A3.value


def test_atoms_that_are_held_keep_their_relative_places(alloy_at_rest):
    start = random_alloy()
    held = relaxed_volume(ALLOY, start, relax_ions=False)
    np.testing.assert_allclose(held.atoms.get_scaled_positions(), start.get_scaled_positions(), atol=1e-12)
    assert abs(held.stress_GPa[:3].mean()) < 1e-2
    assert held.energy_eV_per_atom > alloy_at_rest.energy_eV_per_atom


# elastic constants


def test_central_pairs_give_the_relation_of_cauchy():
    morse = pairs("Morse", "Cu", 20.0)
    cell = relaxed_volume(morse, bulk("Cu", "fcc", a=3.9))
    cubic = elastic_constants(morse, cell.atoms, strain=2e-3).cubic()
    assert cubic.C12.value == pytest.approx(cubic.C44.value, rel=2e-3)
    assert cubic.departure_GPa < 1e-6 * cubic.C11.value


def test_many_body_energies_break_the_relation_of_cauchy(copper):
    cubic = elastic_constants(CU, copper).cubic()
    assert cubic.C12.value > 1.2 * cubic.C44.value  # copper: 122 and 76 GPa


def test_constants_are_second_derivatives_of_the_energy(copper):
    elastic = elastic_constants(CU, copper, strain=2e-3)
    h, rng = 3e-3, np.random.default_rng(0)
    for _ in range(3):
        strain = rng.standard_normal(6) / 2
        energies = []
        for k in (-2, -1, 0, 1, 2):
            e = np.zeros((3, 3))
            for value, (i, j) in zip(strain, VOIGT, strict=True):
                e[i, j] += 0.5 * value
                e[j, i] += 0.5 * value
            # the energy is quadratic in the strain of Green and Lagrange, F^T F = 1 + 2 e
            lambdas, vectors = np.linalg.eigh(np.eye(3) + 2 * k * h * e)
            strained = copper.copy()
            strained.set_cell(copper.cell.array @ (vectors * np.sqrt(lambdas)) @ vectors.T, scale_atoms=True)
            energies.append(CU.evaluate(strained).energy_eV)
        second = (-energies[0] + 16 * energies[1] - 30 * energies[2] + 16 * energies[3] - energies[4]) / (12 * h**2)
        wanted = strain @ elastic.stiffness_GPa @ strain
        assert second / copper.cell.volume / GPa == pytest.approx(wanted, rel=2e-3)


def test_a_turned_crystal_has_the_turned_stiffness(copper):
    rotation = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix()
    turned = copper.copy()
    turned.set_cell(copper.cell.array @ rotation.T, scale_atoms=True)
    upright, tilted = elastic_constants(CU, copper), elastic_constants(CU, turned)
    wanted = as_matrix(np.einsum("ai,bj,ck,dl,ijkl->abcd", *[rotation] * 4, as_tensor(upright.stiffness_GPa)))
    np.testing.assert_allclose(tilted.stiffness_GPa, wanted, atol=0.2)
    # bounds over all orientations do not depend on the orientation
    for name in ("voigt_GPa", "reuss_GPa"):
        np.testing.assert_allclose(getattr(tilted.moduli(), name), getattr(upright.moduli(), name), rtol=1e-3)


def test_hexagonal_crystals_are_isotropic_across_their_axis():
    potential = zhou_eam(["Ti"])
    cell = relaxed_volume(potential, bulk("Ti", "hcp", a=2.93, c=4.77), fix_shape=False)
    c = elastic_constants(potential, cell.atoms).stiffness_GPa
    assert c[0, 0] == pytest.approx(c[1, 1], rel=3e-3)
    assert c[5, 5] == pytest.approx(0.5 * (c[0, 0] - c[0, 1]), rel=1e-2)
    assert c[3, 3] == pytest.approx(c[4, 4], rel=3e-3)


def test_alloys_are_symmetric_softer_at_rest_and_say_their_scatter(alloy_at_rest):
    relaxed = elastic_constants(ALLOY, alloy_at_rest.atoms)
    held = elastic_constants(ALLOY, alloy_at_rest.atoms, relax_ions=False)
    np.testing.assert_array_equal(relaxed.stiffness_GPa, relaxed.stiffness_GPa.T)
    # relaxing atoms can only lower the energy of a strain
    assert np.linalg.eigvalsh(held.stiffness_GPa - relaxed.stiffness_GPa)[0] > -0.5
    assert relaxed.is_stable and relaxed.stress_GPa.shape == (6,)
    cubic = relaxed.cubic()
    assert cubic.C11.std > 0 and cubic.C11.unit == "GPa" and cubic.departure_GPa < 0.02 * cubic.C11.value
    assert max(cubic.spread_GPa) < 0.02 * cubic.C11.value
    assert "relaxed" in cubic.C44.method


def test_moduli_of_an_isotropic_stiffness_are_its_own_and_bounds_are_ordered(copper):
    bulk_GPa, shear_GPa = 160.0, 60.0
    c = np.zeros((6, 6))
    c[:3, :3] = bulk_GPa - 2 / 3 * shear_GPa
    c[np.arange(6), np.arange(6)] = [bulk_GPa + 4 / 3 * shear_GPa] * 3 + [shear_GPa] * 3
    moduli = ElasticConstants(stiffness_GPa=c, std_GPa=np.zeros((6, 6)), stress_GPa=np.zeros(6), method="").moduli()
    assert moduli.bulk_GPa.value == pytest.approx(bulk_GPa) and moduli.shear_GPa.value == pytest.approx(shear_GPa)
    assert moduli.young_GPa.value == pytest.approx(9 * 160 * 60 / (3 * 160 + 60))
    assert moduli.poisson.value == pytest.approx((3 * 160 - 120) / (2 * (3 * 160 + 60)))
    moduli = elastic_constants(CU, copper).moduli()
    assert moduli.reuss_GPa[1] < moduli.shear_GPa.value < moduli.voigt_GPa[1]
    assert moduli.reuss_GPa[0] == pytest.approx(moduli.voigt_GPa[0], rel=1e-4)  # cubic: one bulk modulus
    assert moduli.shear_GPa.std > 0


def test_errors_of_the_stiffness_reach_the_moduli():
    c = np.diag([200.0, 200, 200, 70, 70, 70])
    c[:3, :3] += 120 * (1 - np.eye(3))
    std = np.zeros((6, 6))
    std[0, 1] = std[1, 0] = 3.0
    moduli = ElasticConstants(stiffness_GPa=c, std_GPa=std, stress_GPa=np.zeros(6), method="").moduli()
    assert moduli.bulk_GPa.std == pytest.approx(2 / 9 * 3.0, rel=0.02)


def test_a_crystal_that_is_not_stable_is_told():
    bain = relaxed_volume(CU, bulk("Cu", "bcc", a=2.87))
    elastic = elastic_constants(CU, bain.atoms)
    assert not elastic.is_stable  # bcc copper gives way to tetragonal strain: C11 < C12
    assert elastic.cubic().C11.value < elastic.cubic().C12.value
    with pytest.raises(InputError, match="wanted a stable crystal"):
        elastic.moduli()


# vacancies


def test_broken_bonds_of_a_nearest_neighbour_model_are_counted():
    # a linear pair model: E_i = s_i = z g, g the energy of one bond end; N - 1 atoms have z fewer bonds
    model = EmbeddedPairs(elements=("Nb",), strengths=(1.0,), cutoff_A=3.2, curved=0.0)
    potential = SitePotential(name="bonds", model=model)
    crystal = bulk("Nb", "bcc", a=3.3, cubic=True).repeat(3)
    per_atom = potential.evaluate(crystal).energy_eV / len(crystal)
    assert np.bincount(find_neighbours([crystal], 3.2).first).tolist() == [8] * len(crystal)
    for size in (3, 4):
        atoms = bulk("Nb", "bcc", a=3.3, cubic=True).repeat(size)
        found = vacancy_formation_energy(potential, atoms, relax_ions=False)
        # z bonds of 2 g / 2 each are lost, one atom is gained back in the bulk: E_f = -z g = -E per atom
        assert found.energy.value == pytest.approx(-per_atom, rel=1e-12)
        assert found.unrelaxed.value == found.energy.value and found.energy.unit == "eV"


def test_larger_cells_change_it_by_no_more_than_its_std():
    cells = [bulk("Cu", a=3.61497, cubic=True).repeat(n) for n in (3, 4, 6)]
    small, middle, large = (vacancy_formation_energy(CU, atoms, "Cu") for atoms in cells)
    assert abs(small.energy.value - large.energy.value) < 2 * small.energy.std
    assert abs(middle.energy.value - large.energy.value) < 2 * middle.energy.std
    assert small.energy.std > middle.energy.std > large.energy.std > 0
    assert large.energy.value < large.unrelaxed.value
    checked = vacancy_formation_energy(CU, cells[0], check_repeat=(2, 2, 2))
    assert checked.energy.value == small.energy.value
    assert checked.size_error_eV >= abs(checked.energy.value - large.energy.value) * 0.99
    assert "864 atoms" in checked.energy.method


def test_potentials_of_the_elements_shift_the_energy_of_alloys(alloy_at_rest):
    atoms = alloy_at_rest.atoms
    low = vacancy_formation_energy(ALLOY, atoms, "W", chemical_potentials_eV={"W": -8.76}, n_sites=2)
    high = vacancy_formation_energy(ALLOY, atoms, "W", chemical_potentials_eV={"W": -8.0}, n_sites=2)
    assert high.energy.value - low.energy.value == pytest.approx(0.76, abs=1e-9)
    assert low.elements == ("W", "W") and low.sites == high.sites
    assert "W -8.76 eV" in low.energy.method


def test_the_mean_over_an_alloy_needs_no_potentials(alloy_at_rest):
    # any potentials that add up to the energy of the alloy give the same mean over the composition
    atoms = alloy_at_rest.atoms
    free = vacancy_formation_energy(ALLOY, atoms, n_sites=2, seed=3)
    share = {e: np.mean(atoms.symbols == e) for e in ("Mo", "Ta", "W")}
    mu = {"Mo": -6.0, "Ta": -8.5}
    mu["W"] = (alloy_at_rest.energy_eV_per_atom - sum(share[e] * mu[e] for e in mu)) / share["W"]
    given = vacancy_formation_energy(ALLOY, atoms, n_sites=2, seed=3, chemical_potentials_eV=mu)
    assert given.energy.value == pytest.approx(free.energy.value, abs=1e-4)
    assert free.energy.std > 0 and free.scatter_eV > 0 and len(free.site_energies_eV) == 6
    again = vacancy_formation_energy(ALLOY, atoms, n_sites=2, seed=3)
    np.testing.assert_array_equal(again.site_energies_eV, free.site_energies_eV)


# calls


@pytest.mark.parametrize("task", [relaxed_volume, elastic_constants, vacancy_formation_energy])
def test_what_cannot_be_computed_is_refused_in_one_line(task):
    for potential, atoms, says in (
        (CU, Atoms("Cu2", [[0, 0, 0], [0, 0, 2]]), "wanted a crystal"),
        (CU, Atoms(), "no atoms.*wanted a crystal"),
        ("copper", bulk("Cu", cubic=True), "got str; wanted a potential"),
        (CU, bulk("Nb", cubic=True), "no Nb in this potential"),
    ):
        with pytest.raises(InputError, match=says) as error:
            task(potential, atoms)
        assert "\n" not in str(error.value)


def test_wrong_settings_are_refused(alloy_at_rest):
    atoms = alloy_at_rest.atoms
    for task, says in (
        (lambda: relaxed_volume(CU, bulk("Cu"), max_steps=0), "wanted both above 0"),
        (lambda: relaxed_volume(ALLOY, random_alloy(), max_steps=2), "largest force is .* after 4 steps"),
        (lambda: elastic_constants(CU, bulk("Cu"), strain=0.5), "wanted 1e-5 to 0.05"),
        (lambda: vacancy_formation_energy(CU, bulk("Cu")), "several atoms"),
        (lambda: vacancy_formation_energy(ALLOY, atoms, "W"), "needs the energy of W elsewhere"),
        (lambda: vacancy_formation_energy(ALLOY, atoms, "Cu"), "no Cu in a crystal of Mo, Ta, W"),
        (lambda: vacancy_formation_energy(ALLOY, atoms, sites=[0]), "only the mean over all its elements"),
        (lambda: vacancy_formation_energy(ALLOY, atoms, sites=[999]), "wanted different indices"),
        (lambda: vacancy_formation_energy(ALLOY, atoms, n_sites=0), "wanted at least 1"),
        (lambda: vacancy_formation_energy(ALLOY, atoms, chemical_potentials_eV={"W": 0.0}), "no chemical potential of"),
        (lambda: alloy_at_rest.lattice_parameter_A(0), "wanted 2 for bcc"),
    ):
        with pytest.raises(InputError, match=says):
            task()


def test_atoms_of_the_caller_stay_as_they_were():
    atoms = random_alloy()
    before = atoms.copy()
    relaxed_volume(ALLOY, atoms)
    elastic_constants(ALLOY, atoms, fmax_eV_per_A=0.05)
    assert atoms == before and atoms.calc is None


# peer


@pytest.mark.oracle
def test_lammps_relaxes_to_the_same_vacancy(tmp_path):
    from hea_sim.potentials.eam_files import write_setfl

    from ..lammps_pairs import LammpsPairs

    write_setfl(CU.model.tables, tmp_path / "cu")
    atoms = bulk("Cu", a=3.615, cubic=True).repeat(3)
    ours = vacancy_formation_energy(CU, atoms, fmax_eV_per_A=1e-5)
    with LammpsPairs(f"pair_style eam/alloy\npair_coeff * * {tmp_path}/cu Cu", ("Cu",)) as peer:
        energies = []
        for system in (atoms, atoms[1:]):
            peer.set_up(system)
            peer.lmp.command("minimize 0 1e-5 2000 20000")
            energies.append(peer.lmp.get_thermo("pe"))
    theirs = energies[1] - energies[0] * (len(atoms) - 1) / len(atoms)
    assert ours.energy.value == pytest.approx(theirs, abs=1e-6)


@pytest.mark.oracle
def test_lammps_gives_the_same_elastic_constants(tmp_path, copper):
    from hea_sim.potentials.eam_files import write_setfl

    from ..lammps_pairs import LammpsPairs

    write_setfl(CU.model.tables, tmp_path / "cu")
    ours = elastic_constants(CU, copper)
    with LammpsPairs(f"pair_style eam/alloy\npair_coeff * * {tmp_path}/cu Cu", ("Cu",)) as peer:
        theirs = elastic_constants(peer, copper)
    np.testing.assert_allclose(ours.stiffness_GPa, theirs.stiffness_GPa, rtol=1e-5, atol=1e-4)


def test_every_strain_is_symmetric_and_of_its_size():
    from hea_sim.mechanics.elastic import _strained

    atoms = bulk("Cu", cubic=True)
    for component, strain in product(range(6), (0.01, -0.02)):
        deformation = np.linalg.solve(atoms.cell.array, _strained(atoms, component, strain, 0.0).cell.array)
        np.testing.assert_allclose(deformation, deformation.T, atol=1e-15)
        i, j = VOIGT[component]
        assert deformation[i, j] - (i == j) == pytest.approx(strain if i == j else strain / 2)
