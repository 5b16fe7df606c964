"""The settings of `hea sample`: those of `hea_sim.sampling.job`, read from TOML or from a composition and flags."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hea_sim.sampling.job import SampleJob, read_sample_job
from hea_sim.sampling.job_models import resolved_job

__all__ = ["QUICK_POINTS", "SampleJob", "job_of"]

#: Temperatures of the way down to the one that is asked for, where a composition stands in place of a job.
QUICK_POINTS, QUICK_START_K, QUICK_CELLS = 16, 3000.0, (5, 5, 5)
#: Keys that name files.
_FILES = ("potential", "start", "model")


def job_of(subject: str, flags: Mapping[str, Any]) -> SampleJob:
    """Read the job that a call names: a TOML file, or a composition whose settings are the flags.

    Files that a job names are looked for here, then beside the job. A composition with one temperature is cooled to
    it from 3000 K, or from twice that temperature where this is more, so that order is seen to come.
    """
    path = Path(subject)
    if path.suffix == ".toml" or path.exists():
        job = read_sample_job(path, flags)
        beside = {
            key: (path.parent / value).as_posix()
            for key in _FILES
            if (value := getattr(job, key)) and not Path(value).exists() and (path.parent / value).exists()
        }
        return job.model_copy(update=beside)
    given = {key: value for key, value in flags.items() if value is not None}
    temperatures = given.get("temperatures_K", ())
    if len(temperatures) == 1:
        start = max(QUICK_START_K, 2 * temperatures[0])
        given.pop("temperatures_K")
        given["ramp"] = {
            "start_K": start, "stop_K": temperatures[0], "points": QUICK_POINTS, "spacing": "geometric",
        }  # fmt: skip
    return _in_reach(read_sample_job(None, {"alloy": subject, **given}), given)


def _in_reach(job: SampleJob, given: Mapping[str, Any]) -> SampleJob:
    """Make a call small where only a potential holds the alloy, whose trials are a thousand times dearer."""
    chosen = resolved_job(job)
    if chosen.engine == "lattice" or "engine" in given:
        return job
    small: dict[str, Any] = {"size": QUICK_CELLS, "steps": 40, "equilibration_steps": 20}
    return chosen.model_copy(update={key: value for key, value in small.items() if key not in given})
