"""What an exchange of atoms does to the energy: only atoms that see a changed one are computed again.

E = sum_c E_c, and E_c hangs on c and its neighbours alone, so a trial that changes the species of a few atoms S changes
only the E_c of the *centres* N[S], S and the neighbours of S: its cost does not grow with the system. Trials whose
centres are disjoint do not touch each other's energies: done at once, they give what they give one after another.
`wave_numbers` sorts a list of trials into waves of such trials, so that the walk is the serial one whatever the way it
is computed.

| engine | for | computes |
|---|---|---|
| `local_energies_kept.KeptEnergies` | MTP, SNAP | from moments or densities that are kept; compiled |
| `SiteEnergies` | any other site model | site energies of the centres of a wave by one call of the model |
| `local_energies_moving.MovingEnergies` | any site model | the same at places that move |
| `WholeEnergies` | any potential | the whole energy of each trial: slow, and the judge of the others |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from hea_sim.errors import InputError
from hea_sim.potentials.contract import Potential, SitePotential
from hea_sim.potentials.environment import Environment, find_neighbours
from hea_sim.sampling.wave_kernels import wave_numbers

if TYPE_CHECKING:
    from ase import Atoms

#: Trials of a wave that are computed in one call: bounds the memory.
MOST_AT_ONCE = 256


class Outcome(NamedTuple):
    """Hold what became of a list of trials.

    `trials` counts those that changed something (like atoms are no trial), `accepted` (t,) tells which were accepted,
    `change_eV` (t,) the energy change of each trial, zero where there was none.
    """

    trials: int
    accepted: np.ndarray
    change_eV: np.ndarray


class LocalEnergies(Protocol):
    """Atoms at fixed places whose species change under trials; all indices are those of the atoms.

    `kinds` (n,) are the present species as places in `elements`; `energy_eV` is the energy of the whole system as
    computed when the places were set, plus all accepted changes.
    """

    elements: tuple[str, ...]
    energy_eV: float

    @property
    def kinds(self) -> np.ndarray:
        """Present species (n,)."""

    def exchange(self, first: np.ndarray, second: np.ndarray, allowance_eV: np.ndarray) -> Outcome:
        """Exchange the species of atoms (t,) and (t,), one trial after another.

        A trial is accepted where the energy change is at most its allowance (t,), -kT ln(u) for Metropolis.
        """

    def replace(
        self, atoms: np.ndarray, kinds: np.ndarray, allowance_eV: np.ndarray, potential_eV: np.ndarray
    ) -> Outcome:
        """Give atoms (t,) other kinds (t,), one trial after another.

        A trial is accepted where energy change less that of the chemical potentials (elements,) is at most its
        allowance.
        """

    def state(self) -> dict[str, np.ndarray]:
        """Give what the future depends on beside the places."""

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to a kept state at the same places."""


def offsets_of(potential: SitePotential) -> np.ndarray:
    """Give what a potential adds for an atom of each of its elements, in eV."""
    return np.array([float(potential.element_energies_eV.get(element, 0.0)) for element in potential.elements])


class Places(NamedTuple):
    """Hold neighbours within the cutoff: of atom i, `starts[i]` to `starts[i + 1]` of `second` and `vectors`."""

    starts: np.ndarray
    second: np.ndarray
    vectors: np.ndarray


def places_within(environment: Environment, cutoff_A: float) -> Places:
    """Keep the pairs of an environment that lie within a cutoff."""
    near = np.einsum("pk,pk->p", environment.vectors, environment.vectors) < cutoff_A**2
    counts = np.bincount(environment.first[near], minlength=len(environment.numbers))
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Places(starts, environment.second[near], np.ascontiguousarray(environment.vectors[near]))


def local_energies(
    potential: Potential, atoms: Atoms, environment: Environment | None = None, *, fast: bool = True
) -> LocalEnergies:
    """Make the engine that suits a potential; without `fast`, the one that any site model has.

    `environment` spares finding the neighbours of the atoms.
    """
    if not isinstance(potential, SitePotential):
        return WholeEnergies(potential, atoms)
    if environment is None:
        environment = find_neighbours([atoms], potential.cutoff_A)
    if fast:
        from hea_sim.sampling.local_energies_kept import WITH_ENGINE, KeptEnergies

        if isinstance(potential.model, WITH_ENGINE):
            return KeptEnergies(potential, environment)
    return SiteEnergies(potential, environment)


class _Waves:
    """Do trials wave by wave, given the energy changes of the trials of one wave."""

    elements: tuple[str, ...]
    kinds: np.ndarray
    energy_eV: float

    def _waves(self, atoms: np.ndarray) -> np.ndarray:
        """Number the waves of trials that change atoms (t, m)."""
        raise NotImplementedError

    def _changes(self, atoms: np.ndarray, kinds: np.ndarray) -> np.ndarray:
        """Compute the energy changes (t,) of trials of one wave that give atoms (t, m) the kinds (t, m)."""
        raise NotImplementedError

    def _take(self, accepted: np.ndarray, atoms: np.ndarray, kinds: np.ndarray) -> None:
        """Take over the accepted ones of the trials that were computed last."""
        raise NotImplementedError

    def exchange(self, first: np.ndarray, second: np.ndarray, allowance_eV: np.ndarray) -> Outcome:
        """Exchange species, see `LocalEnergies`."""
        atoms = np.column_stack([first, second])
        return self._walk(atoms, lambda rows: self.kinds[atoms[rows, ::-1]], allowance_eV, np.zeros(len(self.elements)))

    def replace(
        self, atoms: np.ndarray, kinds: np.ndarray, allowance_eV: np.ndarray, potential_eV: np.ndarray
    ) -> Outcome:
        """Replace species, see `LocalEnergies`."""
        wanted = np.asarray(kinds)[:, None]
        return self._walk(np.asarray(atoms)[:, None], lambda rows: wanted[rows], allowance_eV, potential_eV)

    def state(self) -> dict[str, np.ndarray]:
        """Give what the future depends on, see `LocalEnergies`."""
        return {"kinds": self.kinds.copy(), "energy_eV": np.array(self.energy_eV)}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to a kept state, see `LocalEnergies`."""
        self.kinds[:] = state["kinds"]
        self.energy_eV = float(state["energy_eV"])

    def _walk(self, atoms: np.ndarray, wanted: Any, allowance_eV: np.ndarray, potential_eV: np.ndarray) -> Outcome:
        accepted, change = np.zeros(len(atoms), bool), np.zeros(len(atoms))
        number = self._waves(atoms)
        order = np.argsort(number, kind="stable")
        trials = 0
        for wave in np.split(order, np.flatnonzero(np.diff(number[order])) + 1):
            kinds = wanted(wave)
            unlike = (kinds != self.kinds[atoms[wave]]).any(1)
            rows, kinds = wave[unlike], kinds[unlike]
            trials += len(rows)
            for start in range(0, len(rows), MOST_AT_ONCE):
                some, new = rows[start : start + MOST_AT_ONCE], kinds[start : start + MOST_AT_ONCE]
                change[some] = self._changes(atoms[some], new)
                bought = (potential_eV[new] - potential_eV[self.kinds[atoms[some]]]).sum(1)
                accepted[some] = change[some] - bought <= allowance_eV[some]
                self._take(accepted[some], atoms[some], new)
        # Added in the order of the trials, so that the sum does not hang on the waves.
        for one in change[accepted]:
            self.energy_eV += float(one)
        return Outcome(trials, accepted, change)


class SiteEnergies(_Waves):
    """Compute trials by the site energies of their centres, for any site model."""

    def __init__(self, potential: SitePotential, environment: Environment) -> None:
        self.elements, self._model = potential.elements, potential.model
        self.kinds = environment.indices_of(potential.elements)
        self._offsets = offsets_of(potential)
        self._places = places_within(environment, potential.cutoff_A)
        self._numbers = _numbers(self.elements)
        every = np.arange(len(self.kinds))
        self._site_eV = self._site_energies(every, self.kinds, self.kinds[self._places.second])
        self.energy_eV = float(self._site_eV.sum())
        self._last: tuple[np.ndarray, np.ndarray, np.ndarray] = (every[:0], every[:0], self._site_eV[:0])

    def state(self) -> dict[str, np.ndarray]:
        """Give what the future depends on: site energies too, since some models round by what they compute at once."""
        return super().state() | {"site_energies_eV": self._site_eV.copy()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to a kept state, see `LocalEnergies`."""
        super().restore(state)
        self._site_eV[:] = state["site_energies_eV"]

    def _waves(self, atoms: np.ndarray) -> np.ndarray:
        return wave_numbers(atoms, self._places.starts, self._places.second)

    def _changes(self, atoms: np.ndarray, kinds: np.ndarray) -> np.ndarray:
        centres, owner = self._centres(atoms)
        after = self.kinds.copy()  # the trials of a wave change different atoms
        after[atoms] = kinds
        starts, second, _ = self._places
        pairs = ranges(starts[centres], starts[centres + 1])
        energies = self._site_energies(centres, after[centres], after[second[pairs]], pairs)
        self._last = centres, owner, energies
        return np.bincount(owner, energies - self._site_eV[centres], minlength=len(atoms))

    def _take(self, accepted: np.ndarray, atoms: np.ndarray, kinds: np.ndarray) -> None:
        centres, owner, energies = self._last
        self.kinds[atoms[accepted]] = kinds[accepted]
        self._site_eV[centres[accepted[owner]]] = energies[accepted[owner]]

    def _centres(self, atoms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """List the centres of trials, and the trial of each."""
        starts, second, _ = self._places
        flat = atoms.ravel()
        pairs = ranges(starts[flat], starts[flat + 1])
        trial = np.repeat(np.arange(len(atoms)), atoms.shape[1])
        all_owners = np.concatenate([trial, np.repeat(trial, starts[flat + 1] - starts[flat])])
        found = np.unique(all_owners * len(self.kinds) + np.concatenate([flat, second[pairs]]))
        return found % len(self.kinds), found // len(self.kinds)

    def _site_energies(
        self, centres: np.ndarray, own: np.ndarray, theirs: np.ndarray, pairs: np.ndarray | slice = slice(None)
    ) -> np.ndarray:
        """Compute the energies of centres of kinds `own` (centres,) with neighbours of kinds `theirs` (pairs,).

        Neighbours need no place of their own: one atom of each kind, without neighbours, stands for all.
        """
        starts = self._places.starts
        counts = (starts[1:] - starts[:-1])[centres]
        k = len(self._numbers)
        environment = Environment(
            numbers=np.concatenate([self._numbers[own], self._numbers]),
            starts=np.concatenate([[0], np.cumsum(counts), np.full(k, counts.sum())]).astype(np.int64),
            second=len(centres) + theirs,
            vectors=np.ascontiguousarray(self._places.vectors[pairs]),
            system=np.zeros(len(centres) + k, np.int64),
            volumes_A3=np.array([np.nan]),
        )
        energies = np.asarray(self._model.site_terms(environment)[0], np.float64)[: len(centres)]
        if not np.isfinite(energies).all():
            raise InputError("an energy of a trial is not finite; wanted numbers (do atoms overlap?)")
        return energies + self._offsets[own]


class WholeEnergies(_Waves):
    """Compute trials by the energy of the whole system, for any potential."""

    def __init__(self, potential: Potential, atoms: Atoms) -> None:
        self.elements, self._potential, self._atoms = tuple(potential.elements), potential, atoms.copy()
        self._numbers = _numbers(self.elements)
        place = {int(number): k for k, number in enumerate(self._numbers)}
        unknown = sorted({atom.symbol for atom in atoms if atom.number not in place})
        if unknown:
            known = ", ".join(self.elements)
            raise InputError(f"no {', '.join(unknown)} in this potential, which knows {known}; take another potential")
        self.kinds = np.array([place[int(number)] for number in atoms.numbers])
        self.energy_eV = self._now_eV = self._trial_eV = float(potential.evaluate(self._atoms).energy_eV)

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to a kept state, see `LocalEnergies`."""
        super().restore(state)
        self._atoms.numbers = self._numbers[self.kinds]
        self._now_eV = float(self._potential.evaluate(self._atoms).energy_eV)

    def _waves(self, atoms: np.ndarray) -> np.ndarray:
        return np.arange(len(atoms))

    def _changes(self, atoms: np.ndarray, kinds: np.ndarray) -> np.ndarray:
        trial = self._atoms.copy()
        trial.numbers[atoms[0]] = self._numbers[kinds[0]]
        self._trial_eV = float(self._potential.evaluate(trial).energy_eV)
        return np.array([self._trial_eV - self._now_eV])

    def _take(self, accepted: np.ndarray, atoms: np.ndarray, kinds: np.ndarray) -> None:
        if accepted[0]:
            self._now_eV = self._trial_eV
            self.kinds[atoms[0]] = kinds[0]
            self._atoms.numbers[atoms[0]] = self._numbers[kinds[0]]


def _numbers(elements: tuple[str, ...]) -> np.ndarray:
    from ase.data import atomic_numbers

    return np.array([atomic_numbers[element] for element in elements])


def ranges(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Concatenate the ranges from `first` (n,) up to `last` (n,)."""
    counts = last - first
    return np.arange(counts.sum()) + np.repeat(first - np.concatenate([[0], np.cumsum(counts[:-1])]), counts)
