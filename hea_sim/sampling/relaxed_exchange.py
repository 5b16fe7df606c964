"""Exchange Monte Carlo with relaxation: energies of trials are those of places at rest.

| `relax` | energy of a trial | what is sampled |
|---|---|---|
| "whole" | E*(s): all places at rest under species s, from the places given at the start | exp(-E*(s) / kT) exactly |
| "near" | atoms within `near_A` of the two come to rest, the others stay | the same but for what is said below |

"whole": E* hangs on the species alone, since each relaxation begins at the same places, so that min(1, exp(-dE* / kT))
keeps detailed balance among arrangements; the cost grows with the system. Its samples are *inherent structures*: no
vibrations, hence no difference of vibrational entropy between arrangements. `VibratingExchange` and `Hybrid` have them.

"near": the cost does not grow with the system. The energy after a trial lies above E* by what the atoms farther away
would still have given, so that trials are refused a little too often, and the places carry some of the past: detailed
balance holds as far as this *residue* is small against kT. Every `settle_every` steps all places come to rest anew, and
what this gave, over the exchanges accepted since, is observed as "residue_eV" per exchange: hold it against kT.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hea_sim.errors import InputError, unknown_name
from hea_sim.potentials.contract import SitePotential
from hea_sim.potentials.environment import Environment
from hea_sim.potentials.pair_kernels import gather_forces
from hea_sim.sampling.atom_exchange import AtomExchange
from hea_sim.sampling.local_energies import Outcome, ranges
from hea_sim.sampling.local_energies_moving import MovingEnergies

if TYPE_CHECKING:
    from ase import Atoms

WAYS = ("whole", "near")
#: Relaxed energies of arrangements that are remembered.
_REMEMBERED = 4096
#: Steps of a minimiser; what is not at rest then has slipped into another structure.
_MOST_STEPS = 500


class RelaxedEnergies(MovingEnergies):
    """Follow the energy of places at rest while species change; see the module."""

    def __init__(
        self, potential: SitePotential, atoms: Atoms, way: str, near_A: float, fmax_eV_per_A: float, skin_A: float
    ) -> None:
        super().__init__(potential, atoms, skin_A)
        self.way, self.near_A, self.fmax_eV_per_A = way, near_A, fmax_eV_per_A
        self.start_A = self.positions.copy()
        self._known: dict[bytes, float] = {}
        self.settle()

    def exchange(self, first: np.ndarray, second: np.ndarray, allowance_eV: np.ndarray) -> Outcome:
        """Exchange species and relax, one trial after another, see `LocalEnergies`."""
        accepted, change = np.zeros(len(first), bool), np.zeros(len(first))
        trials = 0
        for t, pair in enumerate(np.column_stack([first, second])):
            if self.kinds[pair[0]] == self.kinds[pair[1]]:
                continue
            trials += 1
            change[t], take_back = (self._whole if self.way == "whole" else self._near)(pair)
            accepted[t] = change[t] <= allowance_eV[t]
            if accepted[t]:
                self.energy_eV += float(change[t])
            else:
                take_back()
        return Outcome(trials, accepted, change)

    def replace(
        self, atoms: np.ndarray, kinds: np.ndarray, allowance_eV: np.ndarray, potential_eV: np.ndarray
    ) -> Outcome:
        """Say that replacements are not relaxed here."""
        raise InputError("replacements with relaxation; wanted exchanges, or AtomReplacement at fixed places")

    def settle(self) -> float:
        """Bring all places to rest from those of the start; give the energy that this took, in eV."""
        before = self.energy_eV
        self._put_all(self.start_A)
        self._rest(np.arange(len(self.kinds)))
        self.energy_eV = float(self._site_eV.sum())
        return before - self.energy_eV

    def _whole(self, pair: np.ndarray) -> tuple[float, Callable[[], None]]:
        """Exchange two species; give the change of the energy at rest. The places wait for `settle`."""
        self.kinds[pair] = self.kinds[pair[::-1]]
        key = self.kinds.astype(np.uint8).tobytes()
        if key not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.pop(next(iter(self._known)))
            followed = self.energy_eV
            self.settle()
            self._known[key], self.energy_eV = self.energy_eV, followed

        def take_back() -> None:
            self.kinds[pair] = self.kinds[pair[::-1]]

        return self._known[key] - self.energy_eV, take_back

    def _near(self, pair: np.ndarray) -> tuple[float, Callable[[], None]]:
        """Exchange two species and relax their surroundings; give the change of the energy."""
        movable = self._within(pair)
        places, energy = self.positions[movable].copy(), self.energy_eV
        self.kinds[pair] = self.kinds[pair[::-1]]
        self._rest(movable)
        change, self.energy_eV = self.energy_eV - energy, energy

        def take_back() -> None:
            self.kinds[pair] = self.kinds[pair[::-1]]
            self.set_places(movable, places)
            self.energy_eV = energy

        return change, take_back

    def _within(self, pair: np.ndarray) -> np.ndarray:
        """List the two atoms and those near them."""
        pairs = self._pairs_of(pair)
        vectors = self._places.vectors[pairs]
        near = np.einsum("pk,pk->p", vectors, vectors) < self.near_A**2
        return np.unique(np.concatenate([pair, self._places.second[pairs[near]]]))

    def _put_all(self, places_A: np.ndarray) -> None:
        self.positions[:] = places_A
        if np.array_equal(self._origin, places_A):
            self.refresh(np.arange(len(self.positions)))
        else:  # the same places with the same list come to rest in the same way, to the bit
            self.new_list()

    def _rest(self, movable: np.ndarray) -> None:
        """Bring atoms to rest, all others fixed, and take over places and energies."""
        from scipy.optimize import minimize

        surroundings = _Surroundings(self, movable)
        start = self.positions[movable]
        level, _ = surroundings(start)

        def target(flat: np.ndarray) -> tuple[float, np.ndarray]:
            energy, forces = surroundings(flat.reshape(-1, 3))
            return energy - level, -forces.ravel()

        options = {"maxiter": _MOST_STEPS, "gtol": self.fmax_eV_per_A, "ftol": 0.0, "maxcor": 12}
        done = minimize(target, start.ravel(), jac=True, method="L-BFGS-B", options=options)
        left = float(np.abs(done.jac).max())
        if not left < 10 * self.fmax_eV_per_A:
            raise InputError(
                f"places did not come to rest in {done.nit} steps, {left:.3g} eV/A is left; wanted less than"
                f" {self.fmax_eV_per_A:g}: the arrangement has no structure near the places of the start"
            )
        self.set_places(movable, done.x.reshape(-1, 3))


class _Surroundings:
    """Give the energy of the centres that see some atoms, and the forces on these, as the atoms move."""

    def __init__(self, energies: MovingEnergies, movable: np.ndarray) -> None:
        self._energies, self._movable = energies, movable
        self._list_of = -1
        self._find()

    def __call__(self, places_A: np.ndarray) -> tuple[float, np.ndarray]:
        """Give energy in eV and forces (m, 3) in eV/A with the atoms at places (m, 3)."""
        mine = self._energies
        mine.positions[self._movable] = places_A
        if mine.excursion_A(self._movable) > 0.5 * mine.skin_A:
            mine.new_list()
        if self._list_of != mine.rebuilds:
            self._find()
        mine.refresh(self._movable)
        vectors = np.ascontiguousarray(mine._places.vectors[self._pairs])
        environment = Environment(
            numbers=self._numbers, starts=self._starts, second=self._second, vectors=vectors,
            system=np.zeros(len(self._numbers), np.int64), volumes_A3=np.array([np.nan]),
        )  # fmt: skip
        energies, gradients = mine._model.site_terms(environment)
        forces, _ = gather_forces(self._starts, self._second, vectors, gradients, environment.system, 1)
        return float(np.sum(energies[: self._centres], dtype=np.float64)), forces[self._rows]

    def _find(self) -> None:
        """List the centres, first of all atoms that are needed; the others have no neighbours here."""
        mine = self._energies
        self._list_of = mine.rebuilds
        starts, second = mine._places.starts, mine._places.second
        pairs = ranges(starts[self._movable], starts[self._movable + 1])
        centres = np.unique(np.concatenate([self._movable, second[pairs]]))
        self._pairs = ranges(starts[centres], starts[centres + 1])
        rest = np.setdiff1d(second[self._pairs], centres)
        every = np.concatenate([centres, rest])
        place = np.empty(len(mine.kinds), np.int64)
        place[every] = np.arange(len(every))
        counts = np.concatenate([(starts[1:] - starts[:-1])[centres], np.zeros(len(rest), np.int64)])
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self._second, self._centres = place[second[self._pairs]], len(centres)
        self._numbers = mine._numbers[mine.kinds[every]]
        self._rows = place[self._movable]


class RelaxedExchange(AtomExchange):
    """Exchange unlike atoms whose places come to rest; the cell stays.

    Parameters
    ----------
    atoms, potential, temperature_K, rng, near_share, trials_per_step
        As `AtomExchange` takes them. Relaxations of the whole begin at the places of `atoms`, best those of the
        perfect lattice.
    relax
        "whole" or "near", see the module.
    near_A
        Distance up to which atoms come to rest with the two ("near"), and for near exchanges.
    fmax_eV_per_A
        Largest component of a force at rest.
    settle_every
        Steps between relaxations of the whole, for "near".
    skin_A
        Neighbours are listed up to the cutoff and this.

    Raises
    ------
    InputError, UnknownNameError
        Where a setting is out of range, the potential is no site model, or places do not come to rest.
    """

    energies: RelaxedEnergies

    def __init__(
        self,
        atoms: Atoms,
        potential: SitePotential,
        temperature_K: float,
        rng: np.random.Generator,
        *,
        relax: str = "near",
        near_A: float = 4.0,
        fmax_eV_per_A: float = 1e-3,
        settle_every: int = 1,
        near_share: float = 0.0,
        trials_per_step: int | None = None,
        skin_A: float = 1.0,
    ) -> None:
        if relax not in WAYS:
            raise unknown_name("way of relaxing", relax, WAYS)
        if not isinstance(potential, SitePotential):
            raise InputError(f"{potential.name} gives no energies of sites; wanted a site model")
        if not 0 < near_A <= potential.cutoff_A + 0.5 * skin_A or not fmax_eV_per_A > 0 or settle_every < 1:
            raise InputError(
                f"near_A {near_A}, fmax_eV_per_A {fmax_eV_per_A}, settle_every {settle_every}; wanted a distance up to"
                f" the cutoff and half the skin, {potential.cutoff_A + 0.5 * skin_A:g} A, a positive force, at least 1"
            )
        self.relax, self.reach_A, self.fmax_eV_per_A = relax, float(near_A), float(fmax_eV_per_A)
        self.settle_every, self.skin_A = int(settle_every), float(skin_A)
        self.settled_eV, self._before, self._step = 0.0, 0, 0
        super().__init__(
            atoms, potential, temperature_K, rng,
            near_share=near_share, near_A=near_A if near_share else None, trials_per_step=trials_per_step,
        )  # fmt: skip

    def _engine(self, environment: Environment | None = None) -> RelaxedEnergies:
        assert isinstance(self.potential, SitePotential)  # as asked for above
        return RelaxedEnergies(self.potential, self._atoms, self.relax, self.reach_A, self.fmax_eV_per_A, self.skin_A)

    def advance(self, steps: int) -> None:
        """Make `trials_per_step` proposals a step, and settle all places now and then."""
        for _ in range(steps):
            super().advance(1)
            self._step += 1
            if self.relax == "near" and self._step % self.settle_every == 0:
                self.settled_eV += self.energies.settle()
                self._before = self.accepted

    def observe(self) -> dict[str, float | np.ndarray]:
        """Give what exchanges observe; with "near", the residue in eV per exchange accepted."""
        seen = super().observe()
        if self.relax == "near" and self._before:
            seen["residue_eV"] = self.settled_eV / self._before
        return seen

    def atoms(self) -> Any:
        """Give the present atoms at rest."""
        made = super().atoms()
        if self.relax == "whole":
            followed = self.energies.energy_eV
            self.energies.settle()
            self.energies.energy_eV = followed
        made.positions = self.energies.positions
        return made

    def state(self) -> dict[str, np.ndarray]:
        """Give all that the future depends on."""
        return super().state() | {"settled": np.array([self.settled_eV, self._before, self._step])}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to a kept state; InputError where it belongs to another walk."""
        super().restore(state)
        self.settled_eV = float(state["settled"][0])
        self._before, self._step = (int(number) for number in state["settled"][1:])

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {
            "relax": self.relax,
            "reach_A": self.reach_A,
            "fmax_eV_per_A": self.fmax_eV_per_A,
            "settle_every": self.settle_every,
            "skin_A": self.skin_A,
        }
