"""Trials at places that move: an atom is displaced, or trades its species, at the cost of its surroundings.

Neighbours are listed up to the cutoff and a skin around the places of the time when the list was made, so that the list
is whole as long as no atom is farther from there than half the skin. A list of trials is cut so that none of its atoms
can get farther, whatever is accepted: the order of trials never hangs on what became of them. Vectors are computed from
the places wherever an atom moved, so that the same places give the same bits on any way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hea_sim.errors import InputError
from hea_sim.potentials.contract import SitePotential
from hea_sim.potentials.environment import find_neighbours
from hea_sim.sampling.local_energies import MOST_AT_ONCE, Outcome, Places, SiteEnergies, ranges
from hea_sim.sampling.wave_kernels import wave_numbers

if TYPE_CHECKING:
    from ase import Atoms


class _Step(NamedTuple):
    """Hold the trials of one wave: `atoms` (t,), their places before and as tried (t, 3)."""

    atoms: np.ndarray
    before_A: np.ndarray
    after_A: np.ndarray


class MovingEnergies(SiteEnergies):
    """Follow site energies while atoms change their species and their places, for any site model.

    `positions` (n, 3) are the present places; `rebuilds` counts how often neighbours were found anew.
    """

    def __init__(self, potential: SitePotential, atoms: Atoms, skin_A: float = 1.0) -> None:
        if not 0 < skin_A < potential.cutoff_A:
            raise InputError(f"skin {skin_A} A; wanted a positive length below the cutoff, {potential.cutoff_A:g} A")
        self._frame, self.skin_A, self.cutoff_A = atoms.copy(), skin_A, potential.cutoff_A
        self._frame.calc = None
        self.positions = np.array(atoms.positions, np.float64)
        self.rebuilds = 0
        super().__init__(potential, find_neighbours([self._frame], potential.cutoff_A))
        self.new_list()

    def displace(self, atoms: np.ndarray, steps_A: np.ndarray, allowance_eV: np.ndarray) -> Outcome:
        """Move atoms (t,) by steps (t, 3), one trial after another, see `LocalEnergies.exchange`."""
        accepted, change = np.zeros(len(atoms), bool), np.zeros(len(atoms))
        start = 0
        while start < len(atoms):
            stop = self._reach(atoms, steps_A, start)
            number = wave_numbers(atoms[start:stop, None], self._places.starts, self._places.second)
            order = np.argsort(number, kind="stable")
            for wave in np.split(order, np.flatnonzero(np.diff(number[order])) + 1):
                for first in range(0, len(wave), MOST_AT_ONCE):
                    rows = start + wave[first : first + MOST_AT_ONCE]
                    self._some_steps(rows, atoms, steps_A, allowance_eV, accepted, change)
            start = stop
        for one in change[accepted]:
            self.energy_eV += float(one)
        return Outcome(len(atoms), accepted, change)

    def set_places(self, atoms: np.ndarray, places_A: np.ndarray) -> None:
        """Put atoms (m,) elsewhere (m, 3) and compute the energies that hang on them."""
        self.positions[atoms] = places_A
        if self.excursion_A(atoms) > 0.5 * self.skin_A:
            self.new_list()
        self.refresh(np.unique(atoms))
        centres = np.unique(np.concatenate([atoms, self._places.second[self._pairs_of(atoms)]]))
        pairs = self._pairs_of(centres)
        energies = self._site_energies(centres, self.kinds[centres], self.kinds[self._places.second[pairs]], pairs)
        self.energy_eV += float((energies - self._site_eV[centres]).sum())
        self._site_eV[centres] = energies

    def excursion_A(self, atoms: np.ndarray | slice = slice(None)) -> float:
        """Give how far an atom has come, at most, from where the list was made."""
        return float(np.linalg.norm(self.positions[atoms] - self._origin[atoms], axis=1).max(initial=0.0))

    def state(self) -> dict[str, np.ndarray]:
        """Give what the future depends on: the places too, and those that the list was made for."""
        return super().state() | {"positions_A": self.positions.copy(), "list_positions_A": self._origin.copy()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to a kept state, see `LocalEnergies`."""
        self.positions[:] = state["list_positions_A"]
        self.new_list()
        self.positions[:] = state["positions_A"]
        self.refresh(np.arange(len(self.positions)))
        super().restore(state)

    def new_list(self) -> None:
        """Find the neighbours of the present places, and which pair is the mirror image of which."""
        self._frame.positions = self.positions
        found = find_neighbours([self._frame], self.cutoff_A + self.skin_A)
        first, second = found.first, found.second
        self._first = first
        self._images = found.vectors - self.positions[second] + self.positions[first]
        shift = np.rint(np.linalg.solve(self._frame.cell.complete().array.T, self._images.T).T).astype(np.int64)
        self._mirror = np.empty(len(second), np.int64)
        forth = np.lexsort((*shift.T, second, first))
        self._mirror[forth] = np.lexsort((*-shift.T, first, second))
        self._images = shift @ self._frame.cell.array
        self._places = Places(found.starts, second, np.empty_like(found.vectors))
        self._origin = self.positions.copy()
        self.refresh(np.arange(len(self.positions)))
        self.rebuilds += 1

    def _reach(self, atoms: np.ndarray, steps_A: np.ndarray, start: int) -> int:
        """Give how far trials from `start` on may be done with one list; make a new one where it is worn."""
        lengths = np.linalg.norm(steps_A[start:], axis=1)
        limit = 0.5 * self.skin_A
        if lengths.max() > limit:
            raise InputError(f"a displacement of {lengths.max():.3f} A; wanted at most half the skin, {limit:.3f} A")
        gone = np.linalg.norm(self.positions - self._origin, axis=1)
        farthest = _summed_by(atoms[start:], lengths) + gone[atoms[start:]]
        far = np.flatnonzero(farthest > limit)
        if len(far) and far[0] < max(1, len(lengths) // 4):
            self.new_list()
            far = np.flatnonzero(_summed_by(atoms[start:], lengths) > limit)
        return start + int(far[0]) if len(far) else len(atoms)

    def _some_steps(
        self, rows: np.ndarray, atoms: np.ndarray, steps_A: np.ndarray, allowance_eV: np.ndarray,
        accepted: np.ndarray, change: np.ndarray,
    ) -> None:  # fmt: skip
        """Do trials that do not touch each other."""
        before = self.positions[atoms[rows]]
        step = _Step(atoms[rows], before, before + steps_A[rows])
        centres, owner = self._touched(step)
        self._put(step.atoms, step.after_A)
        pairs = self._pairs_of(centres)
        energies = self._site_energies(centres, self.kinds[centres], self.kinds[self._places.second[pairs]], pairs)
        change[rows] = np.bincount(owner, energies - self._site_eV[centres], minlength=len(rows))
        accepted[rows] = change[rows] <= allowance_eV[rows]
        taken = accepted[rows]
        self._site_eV[centres[taken[owner]]] = energies[taken[owner]]
        self._put(step.atoms[~taken], before[~taken])

    def _put(self, atoms: np.ndarray, places_A: np.ndarray) -> None:
        self.positions[atoms] = places_A
        self.refresh(atoms)

    def refresh(self, atoms: np.ndarray) -> None:
        """Compute the vectors of pairs that atoms are part of."""
        mine = self._pairs_of(atoms)
        pairs = np.concatenate([mine, self._mirror[mine]])
        first, second = self._first[pairs], self._places.second[pairs]
        self._places.vectors[pairs] = self.positions[second] - self.positions[first] + self._images[pairs]

    def _pairs_of(self, atoms: np.ndarray) -> np.ndarray:
        starts = self._places.starts
        return ranges(starts[atoms], starts[atoms + 1])

    def _touched(self, step: _Step) -> tuple[np.ndarray, np.ndarray]:
        """List the centres that see an atom before or after its step, and the trial of each."""
        starts = self._places.starts
        counts = starts[step.atoms + 1] - starts[step.atoms]
        pairs, trial = self._pairs_of(step.atoms), np.repeat(np.arange(len(step.atoms)), counts)
        vectors, second = self._places.vectors[pairs], self._places.second[pairs]
        moved = vectors - (step.after_A - step.before_A)[trial]
        square = np.minimum(np.einsum("pk,pk->p", vectors, vectors), np.einsum("pk,pk->p", moved, moved))
        near = square < self.cutoff_A**2
        owners = np.concatenate([np.arange(len(step.atoms)), trial[near]])
        found = np.unique(owners * len(self.kinds) + np.concatenate([step.atoms, second[near]]))
        return found % len(self.kinds), found // len(self.kinds)

    def _centres(self, atoms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """List the centres of exchanges, those within the cutoff only, and the trial of each."""
        flat = atoms.ravel()
        starts = self._places.starts
        pairs, trial = self._pairs_of(flat), np.repeat(np.arange(len(atoms)), atoms.shape[1])
        vectors = self._places.vectors[pairs]
        near = np.einsum("pk,pk->p", vectors, vectors) < self.cutoff_A**2
        owners = np.concatenate([trial, np.repeat(trial, starts[flat + 1] - starts[flat])[near]])
        found = np.unique(owners * len(self.kinds) + np.concatenate([flat, self._places.second[pairs][near]]))
        return found % len(self.kinds), found // len(self.kinds)


def _summed_by(atoms: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Give, for each trial, the length of all steps of its atom up to it (t,)."""
    order = np.argsort(atoms, kind="stable")
    sums = np.cumsum(lengths[order])
    first = np.concatenate([[True], np.diff(atoms[order]) != 0])
    before = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
    summed = np.empty(len(order))
    summed[order] = sums - (sums - lengths[order])[before]
    return summed
