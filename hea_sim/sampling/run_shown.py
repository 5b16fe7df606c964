"""What a walk shows at one moment: of one temperature, of all that it walks at, or of a density of states."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hea_sim.sampling.contract import Walk
from hea_sim.sampling.job import SampleJob

#: What a Wang-Landau walk knows of the density of states at its end.
DENSITY = ("log_states", "energies_eV_per_atom", "step")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Hold what is seen at one stage of a job, and how to get the cell there."""

    stage: int
    seen: Mapping[str, float | np.ndarray]
    atoms: Callable[[], Any]


def shown(job: SampleJob, walk: Walk, stage: int) -> list[Shown]:
    """List what a walk shows now; `stage` is that of walks at one temperature after another."""
    if job.ensemble == "replica-exchange":
        return _of_ladder(walk)
    seen = walk.observe()
    if job.ensemble == "wang-landau":
        seen = {key: value for key, value in seen.items() if key not in DENSITY}
        seen["energy_eV_per_atom"] = seen.pop("present_energy_eV_per_atom")
    return [Shown(stage=stage, seen=seen, atoms=walk.atoms)]


def _of_ladder(walk: Any) -> list[Shown]:
    """List what the walks at all temperatures show, hot ones first, as the stages are; the coldest tells of trades."""
    found = walk.observe_each()[::-1]
    found[-1] = {**found[-1], "trade_rates": walk.trade_rates}
    return [
        Shown(stage=k, seen=seen, atoms=one.atoms)
        for k, (seen, one) in enumerate(zip(found, walk.walks[::-1], strict=True))
    ]


def at_end(job: SampleJob, walk: Walk) -> Mapping[str, float | np.ndarray]:
    """Give what is known only when a pass is over: the density of states."""
    if job.ensemble != "wang-landau":
        return {}
    seen = walk.observe()
    return {key: seen[key] for key in DENSITY}


def settled(job: SampleJob, walk: Any) -> bool:
    """Tell whether a pass may end before its last step: where the density of states is as good as was asked for."""
    return job.ensemble == "wang-landau" and bool(walk.step < job.wang_landau.ln_f)
