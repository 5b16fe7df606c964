"""Run one replica of a job, in parts: checkpoints on the way, bit-identical when taken up again.

A checkpoint holds the state of the walk, where it stands in the schedule, and all samples so far. It is written whole
or not at all, so that whatever ends a run loses only what came after the last one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.documents import write_atomic
from hea_sim.errors import HEAError, InputError
from hea_sim.sampling.contract import Walk
from hea_sim.sampling.job import SampleJob
from hea_sim.sampling.job_files import packed, read_arrays, replica_folder, sweep_leftovers, unpacked, write_arrays
from hea_sim.sampling.replica_exchange import ReplicaExchange
from hea_sim.sampling.run_shown import at_end, settled, shown

#: Told of steps done and steps in all.
Progress = Callable[[int, int], None]
#: Looks at a cell: atoms -> numbers and arrays by name.
Look = Callable[[Any], Mapping[str, Any]]
CHECKPOINT, SAMPLES, LAST_CELL, TRAJECTORY = "checkpoint.npz", "samples.npz", "cell.extxyz", "trajectory.extxyz"


@dataclass(kw_only=True)
class Record:
    """Gather the samples of all stages of a replica.

    `stages[k]` maps a name to the list of what was observed there; what was seen of whole cells stands under "cell:".
    """

    stages: list[dict[str, list[np.ndarray]]] = field(default_factory=list)

    def add(self, stage: int, seen: Mapping[str, Any]) -> None:
        """Keep one observation."""
        while len(self.stages) <= stage:
            self.stages.append({})
        for name, value in seen.items():
            self.stages[stage].setdefault(name, []).append(np.asarray(value, float))

    def arrays(self) -> dict[str, np.ndarray]:
        """Give the samples as arrays (samples, ...)."""
        return {
            f"stage-{k:04d}/{name}": np.array(values)
            for k, stage in enumerate(self.stages)
            for name, values in stage.items()
        }

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> Record:
        """Take up what `arrays` gave."""
        record = cls()
        for key, values in arrays.items():
            stage, name = key.split("/", 1)
            while len(record.stages) <= int(stage.removeprefix("stage-")):
                record.stages.append({})
            record.stages[int(stage.removeprefix("stage-"))][name] = list(values)
        return record


class ReplicaRun:
    """Advance one replica through its stages, one after another, or all of them in one pass.

    `make_walk` builds the walk from the replica's generator; `look` reads whole cells, at `job.snapshots` samples of
    each stage, `each` at all of them; `owner` is the checksum that binds checkpoints to the job.
    """

    def __init__(
        self,
        job: SampleJob,
        out: Path,
        number: int,
        owner: str,
        make_walk: Callable[[np.random.Generator], Walk],
        look: Look | None = None,
        each: Look | None = None,
        progress: Progress = lambda done, total: None,
    ) -> None:
        self.job, self.folder, self.owner, self.progress = job, replica_folder(out, number), owner, progress
        self._make_walk, self._look, self._each = make_walk, look, each
        self._rng = np.random.default_rng(np.random.SeedSequence(job.seed, spawn_key=(number,)))
        self.stage = self.done = 0
        self.record = Record()
        self._trajectory = _trajectory_in(self.folder) if job.trajectory_every else None

    @property
    def finished(self) -> bool:
        """Tell whether all stages are done."""
        return self.stage >= self.job.passes

    def run(self) -> None:
        """Go on from the last checkpoint to the end; nothing is done where the replica is finished already."""
        sweep_leftovers(self.folder)
        samples = self.folder / SAMPLES
        if samples.is_file():
            read_arrays(samples, self.owner)
            return
        try:
            self._advance(self._make_walk(self._rng))
        finally:
            if self._trajectory is not None:
                self._trajectory.close()
        self._guarded(lambda: write_arrays(samples, self.record.arrays(), self.owner))
        (self.folder / CHECKPOINT).unlink(missing_ok=True)

    def _advance(self, walk: Walk) -> None:
        """Advance from the last checkpoint through all stages."""
        self._resume(walk)
        saved = time.monotonic()
        self._tell()
        while not self.finished:
            self._go_on(walk)
            self._tell()
            if time.monotonic() - saved >= self.job.checkpoint_s and not self.finished:
                self._save(walk)
                saved = time.monotonic()

    def _go_on(self, walk: Walk) -> None:
        """Advance to the next observation, or as far while the stage equilibrates; close a stage that is done."""
        job, every = self.job, self.job.sample_every
        start, end = job.equilibration_steps, job.equilibration_steps + job.steps
        if self.done == 0:
            if not job.at_once:
                walk.temperature_K = job.stages[self.stage][0]
            if start == 0:
                self._count(walk)
        step = min(every, (start if self.done < start else end) - self.done)
        walk.advance(step)
        self.done += step
        if self.done == start:
            self._count(walk)
        elif self.done > start:
            self._observe(walk)
        if self.done >= end or (self.done > start and settled(job, walk)):  # not without a sample
            self._close(walk)
            self.stage, self.done = self.stage + 1, 0

    def _close(self, walk: Walk) -> None:
        """Keep what is known at the end of a pass, and its cells."""
        job = self.job
        self.record.add(self.stage, at_end(job, walk))
        if job.cells == "none" or job.ensemble == "wang-landau":  # whose last cell is one of any temperature
            return
        for one in shown(job, walk, self.stage):
            temperature_K = job.stages[one.stage][0]
            if job.cells == "all":
                self._write_cell(one.atoms(), temperature_K, f"{one.stage + 1:03d}-{temperature_K:g}K.extxyz")
            if one.stage == job.main_stage:
                self._write_cell(one.atoms(), temperature_K, LAST_CELL)

    def _count(self, walk: Walk) -> None:
        """Keep the counters from which the sampled part of a stage begins."""
        for one in shown(self.job, walk, self.stage):
            counters = {f"start:{k}": one.seen[k] for k in ("trials", "accepted") if k in one.seen}
            self.record.add(one.stage, counters)

    def _observe(self, walk: Walk) -> None:
        job = self.job
        number = (self.done - job.equilibration_steps) // job.sample_every  # from 1
        for one in shown(job, walk, self.stage):
            seen = one.seen
            if self._each is not None:
                seen = {**self._each(one.atoms()), **seen}
            self.record.add(one.stage, seen)
            if self._look is not None and self._looks(number):
                found = self._look(one.atoms())
                self.record.add(one.stage, {f"cell:{name}": value for name, value in found.items()})
        if self._trajectory is not None and number % job.trajectory_every == 0:
            frame, stage = walk, self.stage
            if isinstance(walk, ReplicaExchange):  # the coldest
                frame, stage = walk.walks[0], job.main_stage
            append = self._trajectory.append
            self._guarded(lambda: append(frame, step=self.done, stage=stage))

    def _looks(self, number: int) -> bool:
        """Tell whether a sample looks at the whole cell: all of a density of states do, else some, evenly."""
        job = self.job
        if job.ensemble == "wang-landau":
            return job.snapshots > 0
        most = max(1, job.steps // job.sample_every)
        looks = min(job.snapshots, most)
        return number <= most and (number * looks) // most > ((number - 1) * looks) // most

    def _tell(self) -> None:
        each = self.job.equilibration_steps + self.job.steps
        self.progress(self.stage * each + self.done, each * self.job.passes)

    def _resume(self, walk: Walk) -> None:
        path = self.folder / CHECKPOINT
        if not path.is_file():
            return
        arrays = read_arrays(path, self.owner)
        try:
            walk.restore(unpacked("walk", arrays))
            self.stage, self.done = (int(n) for n in arrays["place"])
            self.record = Record.of(unpacked("record", arrays))
            if self._trajectory is not None:
                self._trajectory.restore(unpacked("trajectory", arrays))
        except HEAError as error:
            raise InputError(f"{path}: {error}") from error
        except (KeyError, ValueError) as error:
            raise InputError(f"{path}: is no checkpoint of this job ({error}); remove it to begin again") from error

    def _save(self, walk: Walk) -> None:
        arrays = {
            **packed("walk", walk.state()),
            **packed("record", self.record.arrays()),
            "place": np.array([self.stage, self.done]),
        }
        if self._trajectory is not None:
            arrays |= packed("trajectory", self._guarded(self._trajectory.state))
        self._guarded(lambda: write_arrays(self.folder / CHECKPOINT, arrays, self.owner))

    def _write_cell(self, atoms: Any, temperature_K: float, name: str) -> None:
        import io

        from ase.io import write

        stream = io.StringIO()
        atoms.info["temperature_K"] = temperature_K
        write(stream, atoms, format="extxyz")
        self._guarded(lambda: write_atomic(self.folder / name, stream.getvalue()))

    def _guarded(self, write: Callable[[], Any]) -> Any:
        """Say what is lost where the disk takes no more: nothing but what came after the last checkpoint."""
        try:
            return write()
        except OSError as error:
            kept = (self.folder / CHECKPOINT).is_file()
            left = "the last checkpoint is kept" if kept else "no checkpoint was written yet"
            raise OSError(
                error.errno,
                f"{error.strerror or error}; {left}: make room and run the same command again to go on",
                str(self.folder),
            ) from error


def _trajectory_in(folder: Path) -> Any:
    """Give the writer of a replica's trajectory, which touches no disk before its first frame."""
    from hea_sim.sampling.trajectory import Trajectory

    return Trajectory(folder / TRAJECTORY)
