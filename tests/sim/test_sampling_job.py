"""The job of `hea sample`: resumed = unbroken, kill -9 and full disks lose nothing, other jobs are refused."""

from __future__ import annotations

import errno
import multiprocessing
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.documents import read_json
from hea_sim.errors import HEAError, InputError, MissingFileError
from hea_sim.observables import blocked_mean
from hea_sim.sampling import run_job, run_replica
from hea_sim.sampling.contract import generator_state, restore_generator
from hea_sim.sampling.job import SampleJob, read_sample_job
from hea_sim.sampling.job_files import read_arrays, replica_folder, write_arrays
from hea_sim.sampling.job_results import stage_rows, transition_rows
from hea_sim.sampling.job_samples import Samples, combined_mean
from hea_sim.sampling.run_replica import CHECKPOINT, SAMPLES, ReplicaRun

SMALL: dict[str, Any] = {
    "alloy": "NbMoTaW", "temperatures_K": [2000.0, 1000.0], "size": [3, 3, 3], "equilibration_steps": 7, "steps": 20,
    "samples": 10, "seed": 5,
}  # fmt: skip


class Drift:
    """A walk whose numbers are those of its generator: every draw that is lost or repeated shows."""

    def __init__(self, rng: np.random.Generator, delay_s: float = 0.0) -> None:
        self.rng, self.temperature_K, self.place, self.steps, self.delay_s = rng, 1.0, 0.0, 0, delay_s

    def advance(self, steps: int) -> None:
        for _ in range(steps):
            self.place += self.temperature_K * self.rng.normal()
            self.steps += 1

    def observe(self) -> dict[str, float | np.ndarray]:
        return {"energy_eV_per_atom": self.place, "trials": float(self.steps), "accepted": float(self.steps // 2)}

    def atoms(self) -> Any:
        from ase import Atoms

        return Atoms("Nb", positions=[[self.place, 0, 0]], cell=[3, 3, 3], pbc=True)

    def state(self) -> dict[str, np.ndarray]:
        numbers = np.array([self.place, self.temperature_K, self.steps])
        return {"numbers": numbers, "rng": generator_state(self.rng)}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        self.place, self.temperature_K, steps = state["numbers"].tolist()
        self.steps = int(steps)
        restore_generator(self.rng, state["rng"])


def drift_run(job: SampleJob, out: Path, number: int = 0) -> ReplicaRun:
    return ReplicaRun(job, out, number, "owner", Drift, look=lambda atoms: {"x": atoms.positions[0, 0]})


def kept(out: Path, number: int = 0) -> dict[str, bytes]:
    """Give what a replica left behind, without the time stamps of the archive."""
    folder = replica_folder(out, number)
    found = {name: array.tobytes() for name, array in read_arrays(folder / SAMPLES, "owner").items()}
    return {**found, "cell": (folder / "cell.extxyz").read_bytes()}


@settings(max_examples=12, deadline=None)
@given(
    stops=st.lists(st.integers(0, 60), max_size=6),
    equilibration=st.integers(0, 9),
    steps=st.integers(1, 23),
    samples=st.integers(1, 30),
    snapshots=st.integers(0, 5),
)
def test_a_run_that_stops_anywhere_ends_as_if_unbroken(
    tmp_path_factory: pytest.TempPathFactory, stops: list[int], equilibration: int, steps: int, samples: int,
    snapshots: int,
) -> None:  # fmt: skip
    tmp = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)  # a checkpoint at every step would wait for the disk
        _stop_and_go_on(tmp, stops, equilibration, steps, samples, snapshots)


def _stop_and_go_on(tmp: Path, stops: list[int], equilibration: int, steps: int, samples: int, snapshots: int) -> None:
    job = SampleJob(
        alloy="NbTa", temperatures_K=(3.0, 2.0, 1.0), heating=True, equilibration_steps=equilibration, steps=steps,
        samples=samples, snapshots=snapshots, checkpoint_s=0.0,
    )  # fmt: skip
    drift_run(job, tmp / "unbroken").run()
    for stop in stops:

        class Stop(Exception):
            pass

        calls = iter(range(10**6))

        def progress(done: int, total: int, stop: int = stop, calls: Any = calls, kind: Any = Stop) -> None:
            if next(calls) == stop:
                raise kind

        run = drift_run(job, tmp / "broken")
        run.progress = progress
        try:
            run.run()
        except Stop:
            continue
    drift_run(job, tmp / "broken").run()
    assert kept(tmp / "broken") == kept(tmp / "unbroken")
    assert not (replica_folder(tmp / "broken", 0) / CHECKPOINT).exists()


def test_samples_are_counted_as_the_job_says(tmp_path: Path) -> None:
    job = SampleJob(alloy="NbTa", temperatures_K=(2.0, 1.0), equilibration_steps=5, steps=100, samples=20, snapshots=4)
    drift_run(job, tmp_path).run()
    arrays = read_arrays(replica_folder(tmp_path, 0) / SAMPLES, "owner")
    for stage in ("stage-0000", "stage-0001"):
        assert len(arrays[f"{stage}/energy_eV_per_atom"]) == 20
        assert len(arrays[f"{stage}/cell:x"]) == 4
        trials = arrays[f"{stage}/trials"]
        assert trials[-1] - arrays[f"{stage}/start:trials"][0] == 100
        assert np.all(np.diff(trials) == 5)
    # what the whole cell shows is what the sample of that moment shows
    assert arrays["stage-0001/cell:x"][-1] == arrays["stage-0001/energy_eV_per_atom"][-1]


def _run_slowly(job: SampleJob, out: str) -> None:
    run_job.sample(job, out)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork to begin 20 runs fast")
def test_kill_9_at_random_moments_changes_nothing(tmp_path: Path) -> None:
    job = SampleJob.model_validate({**SMALL, "steps": 160, "samples": 80, "checkpoint_s": 0.0, "figures": False})
    whole = run_job.sample(job, tmp_path / "whole")["results"][0]
    rng = np.random.default_rng(0)
    context = multiprocessing.get_context("fork")
    killed = 0
    for _ in range(20):
        process = context.Process(target=_run_slowly, args=(job, str(tmp_path / "killed")))
        process.start()
        process.join(float(rng.uniform(0.01, 0.25)))
        if process.is_alive():
            process.kill()
            killed += 1
        process.join()
    again = run_job.sample(job, tmp_path / "killed")["results"][0]
    assert killed >= 3, "the run is too short for this test"
    for row in (whole, again):
        row.pop("atoms")
    assert _plain(again) == _plain(whole)
    assert (tmp_path / "killed/cell.extxyz").read_bytes() == (tmp_path / "whole/cell.extxyz").read_bytes()
    left = [p.name for p in (tmp_path / "killed").rglob("*") if p.name.startswith(".")]
    assert not left


def _plain(row: Any) -> Any:
    from hea_sim.documents import to_jsonable

    return to_jsonable(row)


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = SampleJob.model_validate({**SMALL, "checkpoint_s": 0.0})
    whole = run_job.sample(job, tmp_path / "whole")["results"][0]
    synced, real = [0], os.fsync

    def full(handle: int) -> None:
        synced[0] += 1
        if synced[0] > 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="last checkpoint is kept: make room and run the same command again") as caught:
        run_job.sample(job, tmp_path / "full")
    assert caught.value.errno == errno.ENOSPC and "replica-0000" in str(caught.value.filename)
    monkeypatch.undo()
    folder = replica_folder(tmp_path / "full", 0)
    assert [p.name for p in folder.iterdir()] == [CHECKPOINT]  # whole, and nothing half-written beside it
    again = run_job.sample(job, tmp_path / "full")["results"][0]
    assert _plain(again["temperatures"]) == _plain(whole["temperatures"])


def test_replicas_do_not_depend_on_each_other(tmp_path: Path) -> None:
    three = run_job.sample(SampleJob.model_validate({**SMALL, "replicas": 3}), tmp_path / "three")
    one = run_job.open_run(SampleJob.model_validate({**SMALL, "replicas": 3}), tmp_path / "one")
    run_job.run_replica(one, 2)
    a = read_arrays(replica_folder(tmp_path / "three", 2) / SAMPLES, one.owner)
    b = read_arrays(replica_folder(tmp_path / "one", 2) / SAMPLES, one.owner)
    assert a.keys() == b.keys() and all(np.array_equal(a[k], b[k], equal_nan=True) for k in a)
    assert three["results"][0]["replicas"] == 3


def test_results_hold_what_the_contract_names(tmp_path: Path) -> None:
    job = read_sample_job(None, {**SMALL, "replicas": 2})
    content = run_job.sample(job, tmp_path, name="job.toml")
    document = read_json(tmp_path / "results.json")
    row = document["results"][0]
    assert row["input"] == "job.toml" and Path(row["atoms"]).is_file() and row["temperature_K"] == 1000.0
    assert {"value", "std"} <= row["energy_eV_per_atom"].keys()
    assert 0 < row["acceptance"] < 1 and row["trials"] > 0
    pairs = row["warren_cowley"]
    assert set(pairs) == {"Mo-Mo", "Mo-Nb", "Mo-Ta", "Mo-W", "Nb-Nb", "Nb-Ta", "Nb-W", "Ta-Ta", "Ta-W", "W-W"}
    assert all(len(shells) == 3 and {"value", "std"} <= shells[0].keys() for shells in pairs.values())
    assert row["model"]["name"] == "nbmotaw-pairs" and len(row["model"]["sha256"]) == 64 and row["model"]["trust"]
    assert row["transitions"] == [] and [t["temperature_K"] for t in row["temperatures"]] == [2000.0, 1000.0]
    assert document["provenance"]["model_sha256"] and document["failures"] == []
    assert _plain(content) == document
    # sum rule: sum_j c_j alpha_ij = 0 in every shell, with the cell's own fractions
    from ase.io import read

    atoms = read(row["atoms"])
    symbols = atoms.get_chemical_symbols()
    for shell in range(3):
        total = sum(
            symbols.count(b) * pairs["-".join(sorted(("Mo", b)))][shell]["value"] for b in ("Nb", "Mo", "Ta", "W")
        )
        assert abs(total / len(symbols)) < 1e-9


def test_a_finished_run_is_given_back_and_not_made_again(tmp_path: Path) -> None:
    job = read_sample_job(None, SMALL)
    first = run_job.sample(job, tmp_path)
    times = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    assert _plain(run_job.sample(job, tmp_path)) == _plain(first)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()} == times


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seed": 6}, "seed was 5, is 6"),
        ({"steps": 21}, "steps was 20, is 21"),
        ({"temperatures_K": [2000.0, 900.0]}, "temperatures_K"),
        ({"near_share": 0.0}, "near_share"),
    ],
)
def test_a_changed_job_is_refused(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    run_job.open_run(read_sample_job(None, SMALL), tmp_path)
    with pytest.raises(InputError, match=says):
        run_job.open_run(read_sample_job(None, {**SMALL, **change}), tmp_path)


def test_what_changes_no_result_may_change(tmp_path: Path) -> None:
    run_job.open_run(read_sample_job(None, SMALL), tmp_path)
    run = run_job.open_run(read_sample_job(None, {**SMALL, "workers": 2, "checkpoint_s": 1.0}), tmp_path)
    assert run.job.workers == 2


def test_another_jobs_checkpoint_is_refused(tmp_path: Path) -> None:
    job = SampleJob(alloy="NbTa", temperatures_K=(2.0,))
    path = replica_folder(tmp_path, 0) / CHECKPOINT
    write_arrays(path, {"place": np.zeros(2, int)}, "somebody else")
    with pytest.raises(InputError, match="belongs to another job"):
        drift_run(job, tmp_path).run()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"cannot be read.*remove it"):
        drift_run(job, tmp_path).run()
    write_arrays(path, {"place": np.zeros(2, int)}, "owner")
    with pytest.raises(InputError, match="no checkpoint of this job"):
        drift_run(job, tmp_path).run()


def test_checkpoints_hold_no_pickle(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        write_arrays(tmp_path / "x.npz", {"a": np.array([{}], dtype=object)}, "owner")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"temperatures_K": [-5]}, InputError, "greater than 0"),
        ({"temperatures_K": []}, InputError, "no temperature"),
        ({"ramp": {"start_K": 3000, "stop_K": 300, "points": 5}}, InputError, "got both"),
        ({"alloy": "NbMoXx"}, InputError, "no element"),
        ({"alloy": "NbFe"}, InputError, "has no lattice model"),
        ({"model": "nbmotaw-pairs", "alloy": "NbTi"}, InputError, "has no Ti"),
        ({"model": "nbmotw-pairs"}, HEAError, "did you mean 'nbmotaw-pairs'"),
        ({"alloy": "NbFe", "lattice": "fcc"}, InputError, "has no lattice model on fcc"),
        ({"model": "nbmotaw-pairs", "lattice": "fcc"}, InputError, "is for A2"),
        ({"size": [1, 4, 4]}, InputError, "meet its own image"),
        ({"alloy": "Nb0.001MoTaW"}, InputError, "Nb would get none"),
        ({"engine": "atoms"}, InputError, "needs a potential"),
        ({"potential": "nowhere.mtp", "species": ["Nb"]}, MissingFileError, "nowhere.mtp"),
        ({"potential": "x.mtp"}, InputError, "species"),
        ({"ensemble": "semi-grand"}, InputError, "chemical_potentials_eV"),
        (
            {"ensemble": "semi-grand", "chemical_potentials_eV": {"Nb": 0.0, "Mo": 0.1}},
            InputError,
            "has none for Ta, W",
        ),
        ({"ensemble": "semi-grand", "chemical_potentials_eV": {"Ti": 0.0}}, InputError, "names Ti, which alloy"),
        ({"potential": "nbmotaw-snap", "engine": "dynamics", "ensemble": "nve"}, InputError, "has no bath"),
        ({"precipitates": {"species": ["Al"], "threshold": 0.5}}, InputError, "names Al, which alloy"),
        ({"size": [4, 4]}, InputError, "size: too few values"),
        ({"ensemble": "nvt"}, InputError, "wanted one of canonical"),
        ({"observables": ["ordr"]}, HEAError, "did you mean 'order'"),
        ({"start": "nowhere.xyz"}, MissingFileError, "no such file"),
        ({"step": 3}, InputError, "did you mean 'steps'"),
        ({"workers": 2, "scheduler": "tcp://x:1"}, InputError, "leave one of them out"),
    ],
)
def test_bad_input_says_what_is_wrong_in_one_line(
    tmp_path: Path, change: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        run_job.sample(read_sample_job(None, {**SMALL, **change}), tmp_path / "o")
    assert "\n" not in str(caught.value)


def test_a_job_that_cannot_begin_claims_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="meet its own image"):
        run_job.open_run(read_sample_job(None, {**SMALL, "size": [1, 4, 4]}), tmp_path / "o")
    run_job.open_run(read_sample_job(None, SMALL), tmp_path / "o")


def test_a_cell_to_begin_with_is_that_of_the_job(tmp_path: Path) -> None:
    from ase.build import bulk

    cell = bulk("Nb", cubic=True, a=3.2).repeat(3)
    path = tmp_path / "start.extxyz"
    cell.symbols[::2] = "Ta"
    cell.write(path)
    job = {**SMALL, "alloy": "NbTa", "start": str(path)}
    with pytest.raises(InputError, match="wanted the alloy of the cell"):
        run_job.open_run(read_sample_job(None, {**job, "alloy": "NbTa3"}), tmp_path / "o")
    with pytest.raises(InputError, match=r"of size \[3, 3, 3\]; wanted that of the job, \[4, 4, 4\]"):
        run_job.open_run(read_sample_job(None, {**job, "size": [4, 4, 4]}), tmp_path / "o")
    run_job.sample(read_sample_job(None, job), tmp_path / "o")
    cell[::-1].write(path)  # the same name, another cell: its sites are in another order
    with pytest.raises(InputError, match="site order"):
        run_job.open_run(read_sample_job(None, job), tmp_path / "o")
    cell.symbols[:2] = ["Nb", "Ta"]
    cell.write(path)
    changed = run_job.open_run(read_sample_job(None, job), tmp_path / "o")
    with pytest.raises(InputError, match="belongs to another job"):
        run_job.run_replica(changed, 0)
    with pytest.raises(InputError, match="other files of the model or start"):
        run_job.finish(changed)


def test_semi_grand_walks_hold_the_species_of_the_alloy_alone(tmp_path: Path) -> None:
    mu = {"Nb": 0.0, "Ta": 0.02}
    job = {**SMALL, "alloy": "NbTa", "ensemble": "semi-grand", "chemical_potentials_eV": mu}
    row = run_job.sample(read_sample_job(None, job), tmp_path)["results"][0]
    assert tuple(row["species"]) == ("Nb", "Ta") and sum(row["observables"]["fractions"]["value"]) == pytest.approx(1.0)


def test_fluctuations_under_chemical_potentials_are_those_of_what_is_weighed() -> None:
    """Sites that do not interact: all heat capacity is that of mu N, which E alone does not show."""
    mu, sites, t = 0.1, 400, 900.0
    x = mu / (8.617333262e-5 * t)
    share = 1 / (1 + np.exp(-x))
    c = np.random.default_rng(3).binomial(sites, share, 4000) / sites
    stage = {"energy_eV_per_atom": np.zeros(4000), "fractions": np.column_stack([1 - c, c])}
    job = SampleJob(
        alloy="NbTa", temperatures_K=(t,), ensemble="semi-grand", chemical_potentials_eV={"Nb": 0.0, "Ta": mu}
    )
    samples = Samples(job=job, species=("Nb", "Ta"), n_atoms=sites, replicas=((stage,),))
    found = stage_rows(samples)[0]["heat_capacity_k"]
    assert abs(found["value"] - x**2 * share * (1 - share)) < 4 * found["std"]


def test_a_ramp_and_its_way_back() -> None:
    job = read_sample_job(
        None, {"alloy": "NbTa", "ramp": {"start_K": 900, "stop_K": 300, "points": 3}, "heating": True}
    )
    assert [t for t, _ in job.stages] == [900, 600, 300, 600, 900]
    assert [b for _, b in job.stages] == ["cooling", "cooling", "cooling", "heating", "heating"]
    assert job.stages[job.main_stage] == (300, "cooling")


def test_errors_over_replicas_see_chains_that_forget_nothing() -> None:
    rng = np.random.default_rng(2)
    good = [rng.normal(size=4000) for _ in range(4)]
    mean, error = combined_mean(good)
    assert abs(mean) < 4 * error and error == pytest.approx(1 / np.sqrt(16000), rel=0.8)
    stuck = [np.full(4000, value) + 1e-3 * rng.normal(size=4000) for value in (1.0, 2.0, 3.0)]
    mean, error = combined_mean(stuck)
    assert mean == pytest.approx(2.0, abs=1e-3) and error == pytest.approx(1 / np.sqrt(3), rel=0.01)
    assert combined_mean([good[0]])[1] == blocked_mean(good[0])[1]


def test_heat_capacity_and_transition_of_a_known_system() -> None:
    """A cell of two levels with a large entropy step: Schottky's peak, from the samples of a job alone."""
    k, gap, degeneracy, cells = 8.617333262e-5, 0.1, 50.0, 200
    ladder = tuple(np.linspace(150.0, 450.0, 13))  # near enough for their energies to overlap
    rng = np.random.default_rng(0)

    def upper(t: float) -> float:
        return degeneracy * np.exp(-gap / (k * t)) / (1 + degeneracy * np.exp(-gap / (k * t)))

    stages = tuple({"energy_eV_per_atom": gap * rng.binomial(cells, upper(t), 4000) / cells} for t in ladder)
    job = SampleJob(alloy="NbTa", temperatures_K=ladder)
    samples = Samples(job=job, species=("Nb", "Ta"), n_atoms=cells, replicas=(stages,))
    grid = np.linspace(150, 600, 20001)
    capacity = (gap / (k * grid)) ** 2 * np.array([upper(t) * (1 - upper(t)) for t in grid])
    exact = grid[np.argmax(capacity)]
    found = transition_rows(samples)
    assert len(found) == 1 and found[0]["kind"] == "heat capacity"
    assert abs(found[0]["temperature_K"].value - exact) < 3 * found[0]["temperature_K"].std + 1
    # The whole interval lies on top of the peak, where the exact curve has lost less than a tenth.
    for end in (found[0]["temperature_K"].low, found[0]["temperature_K"].high):
        assert np.interp(end, grid, capacity) > 0.9 * capacity.max()
    for row in stage_rows(samples):
        expected = np.interp(row["temperature_K"], grid, capacity)
        assert abs(row["heat_capacity_k"]["value"] - expected) < 5 * row["heat_capacity_k"]["std"]


def test_leftovers_of_a_killed_write_are_swept(tmp_path: Path) -> None:
    job = SampleJob(alloy="NbTa", temperatures_K=(2.0,), steps=3, equilibration_steps=0)
    folder = replica_folder(tmp_path, 0)
    folder.mkdir()
    (folder / ".writing-abc").write_bytes(b"half")
    drift_run(job, tmp_path).run()
    assert sorted(p.name for p in folder.iterdir()) == ["cell.extxyz", run_replica.SAMPLES]
