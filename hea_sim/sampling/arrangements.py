"""Small cells of one alloy, each another arrangement of its atoms: what potentials are asked about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.elements import vegard_volume_A3
from hea_sim.errors import InputError
from hea_sim.lattice.pairs import PairModel
from hea_sim.lattice.shells import lattice_name, lattice_points, sites_per_cell
from hea_sim.sampling.canonical import anneal

#: Conventional cells along each edge, for about 250 atoms.
EDGE = {"A1": 4, "A2": 5}


def small_cells(
    composition: Composition,
    structure: str,
    *,
    n: int,
    seed: int,
    model: PairModel | None = None,
    temperatures_K: Sequence[float] = (),
) -> list[Any]:
    """Make cubic cells of about 250 atoms on the sites of a lattice, each with a seed of its own drawn from `seed`.

    With a pair model they are annealed down the temperatures, without one their atoms are placed at random.
    """
    structure = lattice_name(structure)
    if n < 1:
        raise InputError(f"{n} cells; wanted at least 1")
    size = (EDGE[structure],) * 3
    seeds = [int(s) for s in np.random.SeedSequence(seed).generate_state(n)]
    if model is not None:
        if not len(temperatures_K):
            raise InputError("cells of a pair model need temperatures to anneal them; got none")
        return [anneal(composition, model, size=size, temperatures_K=temperatures_K, seed=s).atoms for s in seeds]
    return [_random_cell(composition, structure, size, np.random.default_rng(s)) for s in seeds]


def _random_cell(composition: Composition, structure: str, size: tuple[int, int, int], rng: np.random.Generator) -> Any:
    from ase import Atoms

    points = lattice_points(structure, size)
    a = (sites_per_cell(structure) * vegard_volume_A3(composition).value) ** (1 / 3)
    counts = composition.counts(len(points))
    symbols = rng.permutation(np.repeat(list(counts), list(counts.values())))
    return Atoms(symbols.tolist(), positions=points * (a / 2), cell=np.array(size) * a, pbc=True)
