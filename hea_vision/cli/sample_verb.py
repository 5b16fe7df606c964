"""What `hea sample` does: a job in this process, in several, or on a Dask scheduler; results and a report."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hea_sim.documents import to_jsonable, write_csv
from hea_vision.cli.printing import print_json, progress_of, report_failures, say

if TYPE_CHECKING:
    from hea_sim.sampling.run_job import OpenRun


@dataclass(frozen=True, kw_only=True)
class ReplicaWork:
    """Run one replica of a job where it is sent to; the path names the replica's folder."""

    settings: Mapping[str, Any]
    out: str

    def __call__(self, path: Path) -> list[dict[str, Any]]:
        """Run the replica to its end."""
        from hea_sim.sampling.job import SampleJob
        from hea_sim.sampling.run_job import open_run, run_replica

        run = open_run(SampleJob.model_validate(dict(self.settings)), self.out)
        number = int(path.name.rsplit("-", 1)[1])
        run_replica(run, number)
        return [{"input": path.as_posix(), "replica": number}]


def sample(subject: str, out: Path, flags: Mapping[str, Any], json: bool) -> int:
    """Run a job, or go on with it; write results, figures and the report."""
    from hea_sim.sampling.run_job import finish, open_run
    from hea_vision.batch import make_folder
    from hea_vision.jobs.alloys import job_of

    job = job_of(subject, flags)
    make_folder(out)
    run = open_run(job, out)
    tell = (lambda text: None) if json else say
    tell(f"{run.job.composition.formula}: {run.chosen.name} ({run.chosen.why}), engine {run.job.engine}")
    for line in run.chosen.trust[:2]:
        tell(f"  {line}")
    # LAMMPS takes the workers as its own ranks, one replica after the other.
    processes = run.job.workers > 1 and run.job.engine != "lammps"
    failures = _elsewhere(run, json) if processes or run.job.scheduler else _here(run, json)
    content = finish(run, name=subject, failures=failures)
    if failures:
        write_csv(out / "failures.csv", failures, ("input", "error"))
    if content["results"] and run.job.figures:
        _write_report(run, content)
    if json:
        print_json(content)
    elif content["results"]:
        _print_results(content["results"][0], out, with_report=run.job.figures)
    return report_failures(failures)


def _here(run: OpenRun, quiet: bool) -> list[dict[str, str]]:
    """Run the replicas one after another, with a bar that counts steps."""
    from hea_sim.sampling.run_job import run_replica

    job = run.job
    with _step_progress(quiet) as show:
        for number in range(job.replicas):

            def tell(done: int, total: int, number: int = number) -> None:
                stage = min(done * len(job.stages) // max(total, 1), len(job.stages) - 1)
                where = f"{job.stages[stage][0]:g} K" + (f", replica {number + 1}" if job.replicas > 1 else "")
                show(number * total + done, job.replicas * total, where)

            run_replica(run, number, tell)
    return []


@contextmanager
def _step_progress(quiet: bool) -> Iterator[Callable[[int, int, str], None]]:
    """Show steps done: a bar with the time left on a terminal, a line for every tenth in a log."""
    with progress_of("sample", quiet) as show:
        told = [-1]

        def tell(done: int, total: int, where: str) -> None:
            if not quiet and not sys.stderr.isatty():
                tenth = 10 * done // max(total, 1)
                if tenth == told[0]:
                    return
                told[0] = tenth
            show(done, total, Path(where))

        yield tell


def _elsewhere(run: OpenRun, quiet: bool) -> list[dict[str, str]]:
    """Run the replicas in processes, or on a scheduler; those that are done are not sent again."""
    from hea_sim.sampling.job_files import replica_folder
    from hea_vision.executors import in_processes, on_scheduler

    job = run.job
    out = run.out.absolute() if job.scheduler else run.out
    left = [replica_folder(out, k) for k in range(job.replicas) if not run.finished(k)]
    work = ReplicaWork(settings=job.settings(), out=str(out))
    failures: list[dict[str, str]] = []
    if not left:
        return failures
    where = on_scheduler(work, left, job.scheduler) if job.scheduler else in_processes(work, left, job.workers)
    with progress_of("sample", quiet) as show:
        done = job.replicas - len(left)
        show(done, job.replicas, run.out)
        for path, rows in where:
            done += 1
            failures += [{"input": row["input"], "error": row["error"]} for row in rows if "error" in row]
            show(done, job.replicas, path)
    return failures


def _write_report(run: OpenRun, content: Mapping[str, Any]) -> None:
    from hea_sim.documents import write_atomic
    from hea_vision.report.sample import render_sample

    if not (run.out / "report.html").is_file():
        write_atomic(run.out / "report.html", render_sample(to_jsonable(content), run.out))


def _print_results(row: Mapping[str, Any], out: Path, *, with_report: bool) -> None:
    """Print the last temperature, transitions, and where the report is."""
    row = to_jsonable(row)
    energy = row["energy_eV_per_atom"]
    print(f"{row['alloy']}, {row['model']['name']}, {row['n_atoms']} atoms at {row['temperature_K']:g} K")
    error = "one run, no error known" if energy["std"] is None else f"± {energy['std']:.5f}, statistical"
    print(f"energy {energy['value']:.5f} eV/atom ({error})")
    if row["lattice_A"]:
        print(f"a = {row['lattice_A']['value']:.4f} ± {row['lattice_A']['std']:.4f} Å, as measured at room temperature")
    first = {pair: shells[0]["value"] for pair, shells in row["warren_cowley"].items()}
    strongest = sorted(first.items(), key=lambda item: item[1])[:3]
    if strongest:
        print("first shell: " + ", ".join(f"{pair} {value:+.3f}" for pair, value in strongest) + " (Warren-Cowley)")
    for found in row["transitions"]:
        t = found["temperature_K"]
        between = f"{t['value']:.0f} K" if t["low"] is None else f"{t['low']:.0f} to {t['high']:.0f} K"
        print(f"transition ({found['kind']}, {found['branch']}): {between}")
    for note in row["notes"]:
        print(f"note: {note}")
    print(f"report: {out / 'report.html'}" if with_report else f"results: {out / 'results.json'}")
