"""The samples of a job as its results read them: by replica and stage; how chains are averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hea_sim.observables.warren_cowley import blocked_mean
from hea_sim.sampling.job import SampleJob
from hea_sim.sampling.job_files import read_arrays, replica_folder
from hea_sim.sampling.run_replica import SAMPLES, Record


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """Hold the samples of all replicas: `replicas[r][stage][name]` are arrays (samples, ...)."""

    job: SampleJob
    species: tuple[str, ...]
    n_atoms: int
    replicas: tuple[tuple[Mapping[str, np.ndarray], ...], ...]

    def of(self, stage: int, name: str) -> list[np.ndarray]:
        """List what the replicas saw of something at one stage; empty where nobody looked."""
        return [replica[stage][name] for replica in self.replicas if name in replica[stage]]


def read_samples(job: SampleJob, out: Path, owner: str, species: Sequence[str], n_atoms: int) -> Samples:
    """Read the samples of all finished replicas."""
    replicas = []
    for number in range(job.replicas):
        record = Record.of(read_arrays(replica_folder(out, number) / SAMPLES, owner))
        replicas.append(tuple({k: np.array(v) for k, v in stage.items()} for stage in record.stages))
    return Samples(job=job, species=tuple(species), n_atoms=n_atoms, replicas=tuple(replicas))


def combined_mean(samples: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Average chains (samples, ...) of independent replicas; the larger of two errors is given.

    One is joined from the blocked errors of the chains, the other is the spread of their means: it is larger where
    the chains have not forgotten how they began.
    """
    means, errors = zip(*(blocked_mean(s) for s in samples), strict=True)
    count = len(means)
    inside = np.sqrt(np.sum(np.square(np.array(errors)), axis=0)) / count
    if count == 1:
        return np.asarray(means[0]), inside
    between = np.std(np.array(means), axis=0, ddof=1) / np.sqrt(count)
    return np.mean(np.array(means), axis=0), np.fmax(inside, between)


def named_pairs(species: Sequence[str], value: np.ndarray, std: np.ndarray) -> dict[str, list[dict[str, float]]]:
    """Name arrays (shells, species, species) by pair, in order of the symbols, but for pairs that are not there."""
    table = {}
    for i, a in enumerate(species):
        for j, b in enumerate(species):
            if a <= b and np.isfinite(value[:, i, j]).all():
                table[f"{a}-{b}"] = [
                    {"value": float(v), "std": float(s)} for v, s in zip(value[:, i, j], std[:, i, j], strict=True)
                ]
    return dict(sorted(table.items()))
