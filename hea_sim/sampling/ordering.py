"""Where an alloy orders on cooling: replicas at many temperatures, their heat capacity and order.

| symbol | here |
|---|---|
| C(T) from all replicas together | `OrderingScan.heat_capacity` |
| S, order of the best-sorted species, mean over samples | `order_parameter` |
| T_c with what the model is wrong by: ln T_c scatters by dE / E | `_with_model_error` |

dE / E is the model's error on differences between arrangements over their spread, by its card: energies of arrangements
that are wrong by a factor move every transition by that factor. It says nothing of kinetics: what is frozen in is
another matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.lattice.contract import LatticeModel
from hea_sim.lattice.pairs import PairModel
from hea_sim.lattice.shells import lattice_name
from hea_sim.observables.reweighting import reweight
from hea_sim.observables.superlattice_order import long_range_order
from hea_sim.observables.transitions import HeatCapacity, Transition, find_transitions, heat_capacity_curve
from hea_sim.records import Estimate
from hea_sim.sampling.job_models import arrangement_error
from hea_sim.sampling.replica_exchange import ReplicaExchange

#: Temperatures of the replicas, near enough to one another that their energies overlap in cells of some 400 atoms.
LADDER_K = tuple(float(t) for t in np.geomspace(250.0, 2500.0, 40))
#: Ordered structures that are looked for on a lattice.
STRUCTURES = {"A1": ("L1_0", "L1_2"), "A2": ("B2",)}
#: Relative error of energies of arrangements where a card tells none.
UNKNOWN_ERROR = 1.0
_SAMPLE_EVERY, _ORDER_EVERY = 2, 5


@dataclass(frozen=True, kw_only=True, eq=False)
class OrderingScan:
    """Hold how the order of an alloy depends on temperature.

    `order_parameter` and `order_std` (n,) belong to the best-sorted species and `structure`; `transitions` have
    intervals that span the model's error, `relative_error` that of the energies of arrangements.
    """

    model: str
    structure: str
    n_atoms: int
    sweeps: int
    temperatures_K: np.ndarray
    energy_eV_per_atom: np.ndarray
    order_parameter: np.ndarray
    order_std: np.ndarray
    heat_capacity: HeatCapacity
    transitions: tuple[Transition, ...]
    relative_error: float


def scan_ordering(
    alloy: Composition | str,
    model: LatticeModel,
    *,
    seed: int,
    size: Sequence[int] = (6, 6, 6),
    temperatures_K: Sequence[float] = LADDER_K,
    sweeps: int = 400,
    equilibration_sweeps: int = 150,
) -> OrderingScan:
    """Sample an alloy at many temperatures by replica exchange and find where it orders.

    Raises what `ReplicaExchange` raises for a model without the alloy's elements.
    """
    composition = Composition.parse(alloy)
    if isinstance(model, PairModel):
        model = model.restricted(composition.elements)
    walk = ReplicaExchange(model, size, composition, temperatures_K, np.random.default_rng(seed))
    walk.advance(equilibration_sweeps)
    n_atoms = len(walk.walks[0].occupation)
    structures = STRUCTURES[lattice_name(model.lattice)]
    energies, order = [], []
    for k in range(sweeps // _SAMPLE_EVERY):
        walk.advance(_SAMPLE_EVERY)
        energies.append([w.energy_eV for w in walk.walks])
        if k % _ORDER_EVERY == 0:
            order.append([[_best_sorted(w.occupation, model, size, s) for w in walk.walks] for s in structures])
    totals = np.array(energies).T
    ratio = arrangement_error(getattr(model, "card", {}))
    ratio = UNKNOWN_ERROR if ratio is None else ratio
    found = find_transitions(list(totals), walk.temperatures_K, n_atoms, seed=seed)
    seen = np.array(order)  # (samples, structures, temperatures)
    strongest = int(np.argmax(seen.mean(axis=0)[:, 0]))
    return OrderingScan(
        model=model.name,
        structure=structures[strongest],
        n_atoms=n_atoms,
        sweeps=sweeps,
        temperatures_K=walk.temperatures_K.copy(),
        energy_eV_per_atom=totals.mean(axis=1) / n_atoms,
        order_parameter=seen[:, strongest].mean(axis=0),
        order_std=seen[:, strongest].std(axis=0, ddof=1),
        heat_capacity=heat_capacity_curve(reweight(list(totals), walk.temperatures_K), n_atoms, seed=seed),
        transitions=tuple(_with_model_error(one, ratio) for one in found),
        relative_error=ratio,
    )


def _best_sorted(occupation: np.ndarray, model: LatticeModel, size: Sequence[int], structure: str) -> float:
    return float(np.nanmax(long_range_order(occupation, model.lattice, structure, size=size, species=model.species)))


def _with_model_error(found: Transition, ratio: float) -> Transition:
    """Widen the interval of a transition: the logarithm of its temperature scatters by the model's relative error."""
    t = found.temperature_K
    scatter = float(np.hypot(ratio, (t.std or 0.0) / t.value))
    spread = np.exp(1.96 * scatter)
    return replace(
        found,
        temperature_K=Estimate(
            value=t.value, std=t.value * scatter, low=t.value / spread, high=t.value * spread, level=0.95, unit="K",
            n=t.n, method=f"{t.method}; widened by the model's error on differences between arrangements,"
            f" {100 * ratio:.0f} % of their spread",
        ),
    )  # fmt: skip
