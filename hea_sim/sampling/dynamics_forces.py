"""Forces of one or many systems over many steps: neighbours are kept while atoms move and cells are strained.

A pair that lies within the cutoff R now lay, when the list was made, within (R + 2 u) / s: u the largest displacement
beyond that of the cell, s the smallest factor by which the cell has stretched a vector since. The list holds all pairs
within R + skin, so it is whole as long as (R + 2 u) / s <= R + skin. Each system has its own list, made when its own
atoms ask for it: a system in a batch goes the way it would go alone, to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms

from hea_sim.potentials.contract import Potential, SitePotential
from hea_sim.potentials.environment import Environment, find_neighbours
from hea_sim.potentials.pair_kernels import pair_vectors


class Forces(NamedTuple):
    """Hold energies (systems,) in eV, forces (n, 3) in eV/A and virials -V sigma (systems, 3, 3) in eV.

    The virial is NaN where a system is not periodic in all directions.
    """

    energies_eV: np.ndarray
    forces_eV_per_A: np.ndarray
    virials_eV: np.ndarray


class KeptList(NamedTuple):
    """Hold the pairs of one system with their lattice shifts, and where the atoms were when it was made."""

    first: np.ndarray
    second: np.ndarray
    shifts: np.ndarray
    starts: np.ndarray
    positions: np.ndarray
    cell: np.ndarray


class ForceField:
    """Give the forces of systems of fixed sizes and periodicity under a potential.

    `periodic` (systems, 3), `sizes` (systems,). `rebuilds` counts how often neighbours were found anew.
    """

    def __init__(
        self, potential: Potential, sizes: Sequence[int], periodic: np.ndarray, *, skin_A: float = 0.5
    ) -> None:
        self.potential = replace(potential, variance=None) if isinstance(potential, SitePotential) else potential
        self.sizes, self.periodic, self.skin_A = [int(size) for size in sizes], np.asarray(periodic, bool), skin_A
        ends = np.cumsum(self.sizes)
        self.parts = [slice(int(end) - size, int(end)) for end, size in zip(ends, self.sizes, strict=True)]
        self.rebuilds = 0
        self._lists: list[KeptList | None] = [None] * len(self.sizes)

    def __call__(self, positions: np.ndarray, cells: np.ndarray, numbers: np.ndarray) -> Forces:
        """Compute the forces of all systems at positions (n, 3) in cells (systems, 3, 3)."""
        if isinstance(self.potential, SitePotential):
            results = self.potential.evaluate_in(self.environment(positions, cells, numbers))
        else:
            results = self.potential.evaluate(self._systems(positions, cells, numbers))
        virials = np.full((len(results), 3, 3), np.nan)
        for k, (result, cell) in enumerate(zip(results, cells, strict=True)):
            if result.stress_eV_per_A3 is not None:
                virials[k] = -abs(np.linalg.det(cell)) * result.stress_eV_per_A3
        return Forces(
            np.array([result.energy_eV for result in results]),
            np.concatenate([result.forces_eV_per_A for result in results]),
            virials,
        )

    def environment(self, positions: np.ndarray, cells: np.ndarray, numbers: np.ndarray) -> Environment:
        """Give the neighbours of all systems; pairs up to the cutoff and some of the skin are listed."""
        lists = [self._fresh(k, positions[part], cells[k], numbers[part]) for k, part in enumerate(self.parts)]
        vectors = [
            pair_vectors(positions[part], cells[k], one.first, one.second, one.shifts)
            for k, (part, one) in enumerate(zip(self.parts, lists, strict=True))
        ]
        counts = np.concatenate([np.diff(one.starts) for one in lists])
        offsets = [part.start for part in self.parts]
        return Environment(
            numbers=numbers,
            starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            second=np.concatenate([one.second + offset for one, offset in zip(lists, offsets, strict=True)]),
            vectors=vectors[0] if len(vectors) == 1 else np.concatenate(vectors),
            system=np.repeat(np.arange(len(self.sizes)), self.sizes),
            volumes_A3=np.where(self.periodic.all(1), np.abs(np.linalg.det(cells)), np.nan),
        )

    def state(self) -> dict[str, np.ndarray]:
        """Give where the lists were made: another list of the same pairs may round sums differently."""
        lists = [one for one in self._lists if one is not None]
        if len(lists) < len(self.sizes):
            return {}
        return {
            "list_positions_A": np.concatenate([one.positions for one in lists]),
            "list_cells_A": np.array([one.cell for one in lists]),
        }

    def restore(self, state: Mapping[str, np.ndarray], numbers: np.ndarray) -> None:
        """Make the lists anew where they were made."""
        self._lists = [None] * len(self.sizes)
        if "list_positions_A" in state:
            for k, part in enumerate(self.parts):
                self._lists[k] = self._made(k, state["list_positions_A"][part], state["list_cells_A"][k], numbers[part])

    def _systems(self, positions: np.ndarray, cells: np.ndarray, numbers: np.ndarray) -> list[Any]:
        return [
            Atoms(numbers=numbers[part], positions=positions[part], cell=cells[k], pbc=self.periodic[k])
            for k, part in enumerate(self.parts)
        ]

    def _fresh(self, k: int, positions: np.ndarray, cell: np.ndarray, numbers: np.ndarray) -> KeptList:
        kept = self._lists[k]
        if kept is None or not self._still_good(kept, positions, cell):
            kept = self._lists[k] = self._made(k, positions, cell, numbers)
            self.rebuilds += 1
        return kept

    def _still_good(self, kept: KeptList, positions: np.ndarray, cell: np.ndarray) -> bool:
        moved, least = positions - kept.positions, 1.0
        if not np.array_equal(cell, kept.cell):
            stretch = np.linalg.solve(_whole(kept.cell), _whole(cell))
            moved, least = positions - kept.positions @ stretch, float(np.linalg.svd(stretch, compute_uv=False)[-1])
        # Atoms that all move alike are as near each other as before.
        moved = moved - moved.mean(0)
        furthest = float(np.sqrt(np.einsum("ik,ik->i", moved, moved).max()))
        cutoff = self.potential.cutoff_A
        return cutoff + 2 * furthest <= least * (cutoff + self.skin_A)

    def _made(self, k: int, positions: np.ndarray, cell: np.ndarray, numbers: np.ndarray) -> KeptList:
        atoms = Atoms(numbers=numbers, positions=positions, cell=cell, pbc=self.periodic[k])
        found = find_neighbours([atoms], self.potential.cutoff_A + self.skin_A)
        offset = found.vectors - positions[found.second] + positions[found.first]
        shifts = np.rint(np.linalg.solve(_whole(cell).T, offset.T).T).astype(np.int64)
        return KeptList(
            found.first, found.second, np.ascontiguousarray(shifts), found.starts, positions.copy(), cell.copy()
        )


def _whole(cell: np.ndarray) -> np.ndarray:
    """Complete a cell that has no extent in some direction."""
    from ase.cell import Cell

    return np.asarray(Cell(cell).complete().array)


def force_field(
    potential: Potential,
    sizes: Sequence[int],
    periodic: np.ndarray,
    *,
    skin_A: float = 0.5,
    device: str | None = None,
    precision: str = "float32",
) -> ForceField:
    """Make what gives the forces: compiled for the CPU, or by torch on a device, see `dynamics_device`."""
    if device is None and not hasattr(getattr(potential, "model", None), "forces"):
        return ForceField(potential, sizes, periodic, skin_A=skin_A)
    from hea_sim.sampling.dynamics_device import device_field

    return device_field(potential, sizes, periodic, skin_A=skin_A, device=device, precision=precision)
