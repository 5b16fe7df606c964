"""The scalars of an MTP of a level: as many as published, invariant, different, and a complete set."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hea_sim.errors import InputError
from hea_sim.potentials.environment import find_neighbours
from hea_sim.potentials.mtp import MtpModel, new_mtp, plain_moments
from hea_sim.potentials.mtp_basis import LEVELS, MomentBasis, basis_of_level, graphs_of_level
from hea_sim.potentials.mtp_files import read_mtp

from .mtp_systems import alloy, cluster


def scalars(model: MtpModel, systems) -> np.ndarray:
    """Compute B_s (atoms, scalars), each column scaled to a largest value of one."""
    values = plain_moments(model, find_neighbours(systems, model.cutoff_A)).values[model.basis.scalars].T
    return values / np.abs(values).max(axis=0)


@pytest.mark.oracle
@pytest.mark.parametrize("level", [2, 4, 6, 8, 10, 12, 14, 16, 18, 20])
def test_there_are_as_many_scalars_as_published(level):
    motep = pytest.importorskip("motep", reason="motep is not installed (extra `oracle`)")
    table = Path(motep.__file__).parent / f"potentials/mtp/jax/precomputed_moments/moments_level{level}.json"
    basis = basis_of_level(level)
    assert len(basis.scalars) == len(json.loads(table.read_text()))
    assert len(np.unique(basis.scalars)) == len(basis.scalars)


def test_a_level_holds_the_levels_below():
    numbers = [len(graphs_of_level(level)) for level in range(2, 19, 2)]
    assert numbers == sorted(numbers) and numbers[:3] == [1, 2, 5]  # M00; M00^2; M10, M00^3, M01.M01
    assert basis_of_level(14).radial_functions == 4 and basis_of_level(14).highest_rank == 5


def test_scalars_do_not_turn_with_the_atoms():
    model = new_mtp(("Nb", "Mo", "Ta"), 16, 5.0, seed=1)
    atoms = cluster(20, 0)
    turned = atoms.copy()
    turned.positions = Rotation.from_rotvec([0.3, 1.1, -0.7]).apply(atoms.positions)
    mirrored = atoms.copy()
    mirrored.positions = -atoms.positions
    before = scalars(model, [atoms])
    np.testing.assert_allclose(scalars(model, [turned]), before, rtol=0, atol=1e-10)
    np.testing.assert_allclose(scalars(model, [mirrored]), before, rtol=0, atol=1e-10)


def test_no_scalar_is_a_combination_of_the_others():
    model = new_mtp(("Nb", "Mo", "Ta"), 12, 5.0, seed=1)
    values = scalars(model, [alloy(size=3, seed=seed) for seed in range(4)])
    spread = np.linalg.svd(values, compute_uv=False)
    assert spread[-1] > 1e-9 * spread[0]


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "species", "level", "structure", "a_A"),
    [
        ("nbmotaw/quaternary.mtp", ("Nb", "Mo", "Ta", "W"), 14, "bcc", 3.25),
        ("crconi/MTP_TS-f_Cao_20230208.mtp", ("Cr", "Co", "Ni"), 20, "fcc", 3.55),
    ],
)
def test_our_scalars_span_those_of_published_files(data, file, species, level, structure, a_A):
    published = read_mtp(data / "potentials" / file, species)
    basis = basis_of_level(level)
    assert len(basis.scalars) == len(published.basis.scalars)
    ours = MtpModel(
        elements=species, basis=basis, least_distance_A=published.least_distance_A, cutoff_A=published.cutoff_A,
        scaling=published.scaling, radial=published.radial, species_eV=published.species_eV,
        linear_eV=np.zeros(len(basis.scalars)),
    )  # fmt: skip
    systems = [alloy(species, 2, a_A, structure, seed) for seed in range(12)]  # more sites than scalars
    theirs = scalars(published, systems)
    rows = scalars(ours, systems)
    found, *_ = np.linalg.lstsq(rows, theirs, rcond=1e-14)
    np.testing.assert_allclose(rows @ found, theirs, rtol=0, atol=1e-9)


@pytest.mark.parametrize("level", [0, 3, 26, "8"])
def test_other_levels_are_refused(level):
    with pytest.raises(InputError, match=f"wanted an even number from {LEVELS[0]} to {LEVELS[-1]}"):
        basis_of_level(level)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"basic": np.zeros((0, 4), int)}, "at least one basic moment"),
        ({"basic": np.array([[0, 0, 0, -1]])}, "non-negative"),
        ({"products": np.zeros((1, 3), int)}, "four numbers"),
        ({"products": np.array([[0, 0, 1, 2]])}, "outside the 2 moments"),
        ({"products": np.array([[0, 0, 1, 0]])}, "onto a basic one"),
        ({"products": np.array([[0, 1, 1, 1]])}, "not below its own"),
        ({"scalars": np.array([2])}, "outside the 2 moments"),
        ({"n_moments": 0}, "wanted no fewer"),
    ],
)
def test_inconsistent_tables_are_refused(change, says):
    good = {
        "basic": np.array([[0, 0, 0, 0]]),
        "products": np.array([[0, 0, 1, 1]]),
        "scalars": np.array([0, 1]),
        "n_moments": 2,
    }
    assert MomentBasis(**good).radial_functions == 1
    with pytest.raises(InputError, match=says):
        MomentBasis(**{**good, **change})
