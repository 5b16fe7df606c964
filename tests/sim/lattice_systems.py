"""What the tests of lattice models share: random models, and the laws that every model on a lattice keeps."""

from __future__ import annotations

import numpy as np

from hea_sim.lattice.cluster_functions import cluster_space
from hea_sim.lattice.clusters import ClusterModel
from hea_sim.lattice.contract import LatticeModel
from hea_sim.lattice.low_rank import LowRankModel, neighbourhood
from hea_sim.lattice.parents import ParentLattice, parent_lattice, symmetry_of

SPECIES = ("Nb", "Mo", "Ta", "W")
CUTOFFS = {
    "A1": {2: 1.01, 3: 0.8, 4: 0.8}, "A2": {2: 1.5, 3: 1.1, 4: 1.1}, "A3": {2: 1.5, 3: 1.1, 4: 1.1},
    "A_h": {2: 1.5, 3: 1.5, 4: 1.5}, "B2": {2: 1.1, 3: 1.1}, "L1_2": {2: 1.1, 3: 0.8},
}  # fmt: skip


def parent(name: str) -> ParentLattice:
    return parent_lattice(name, c_over_a=1.6 if name == "A3" else None)


def random_clusters(name: str, n_species: int = 3, seed: int = 0, **options) -> ClusterModel:
    space = cluster_space(parent(name), SPECIES[:n_species], CUTOFFS[name], **options)
    coefficients = np.random.default_rng(seed).normal(size=len(space))
    return ClusterModel(name="planted", space=space, coefficients_eV=coefficients, energy_std_eV=0.0)


def random_low_rank(name: str, n_species: int = 3, seed: int = 0, n_shells: int = 1, rank: int = 2) -> LowRankModel:
    rng, lattice = np.random.default_rng(seed), parent(name)
    n = neighbourhood(lattice, n_shells).n_sites
    return LowRankModel(
        name="planted", species=SPECIES[:n_species], parent=lattice, n_shells=n_shells, energy_std_eV=0.0,
        cores=rng.normal(size=(n, n_species, rank, rank)) * 0.8, site_energy_eV=rng.normal(size=n_species),
    )  # fmt: skip


def check_extensive(model: LatticeModel, lattice: ParentLattice, rng: np.random.Generator) -> None:
    """The energy per atom of a cell is that of the cell repeated."""
    size = (2, 1, 2)
    small = rng.integers(len(model.species), size=lattice.n_sites * 4)
    grid = small.reshape(2, 1, 2, lattice.n_sites)
    large = np.tile(grid, (1, 3, 2, 1)).ravel()
    assert np.isclose(model.energy_eV_per_atom(small, size), model.energy_eV_per_atom(large, (2, 3, 4)), atol=1e-10)


def check_symmetric(model: LatticeModel, lattice: ParentLattice, rng: np.random.Generator) -> None:
    """The energy is the same for all cells that the space group carries into one another."""
    edge = 3
    n_sites = lattice.n_sites * edge**3
    occupation = rng.integers(len(model.species), size=n_sites)
    energy, symmetry = model.energy_eV_per_atom(occupation, (edge,) * 3), symmetry_of(lattice)
    b = np.arange(n_sites) % lattice.n_sites
    n = np.stack(np.unravel_index(np.arange(n_sites) // lattice.n_sites, (edge,) * 3), axis=1)
    for g in rng.choice(len(symmetry), size=min(12, len(symmetry)), replace=False):
        moved = (n @ symmetry.rotations[g].T + symmetry.shift[g][b]) % edge
        target = np.ravel_multi_index(tuple(moved.T), (edge,) * 3) * lattice.n_sites + symmetry.to[g][b]
        image = np.empty_like(occupation)
        image[target] = occupation
        assert np.isclose(model.energy_eV_per_atom(image, (edge,) * 3), energy, atol=1e-10)


def check_energy_change(model: LatticeModel, size: tuple[int, int, int], seed: int, compiled=None) -> None:
    """The change of the energy is the difference of total energies, for any two sites of any cell, or for one site."""
    rng, bound, n = np.random.default_rng(seed), model.bound(size), len(model.species)
    sites = len(bound.nearest)
    occupation = rng.integers(n, size=sites).astype(np.int8)
    i, j = rng.choice(sites, size=2, replace=False)
    a, b = rng.integers(n, size=2)
    for other in (j, -1):
        changed = occupation.copy()
        changed[i] = a
        if other >= 0:
            changed[other] = b
        before, after = (sites * model.energy_eV_per_atom(o, size) for o in (occupation, changed))
        kept = occupation.copy()
        found = bound.energy_change(occupation, i, a, other, b, bound.tables)
        scale = max(1.0, abs(before), abs(after))
        assert abs(found - (after - before)) < 1e-10 * scale
        assert np.array_equal(kept, occupation)
        if compiled is not None:
            assert abs(compiled(occupation, i, a, other, b, bound.tables) - found) < 1e-11 * scale
