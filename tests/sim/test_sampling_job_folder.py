"""The folder of a sampling job: one process at a time, what is sought once, what its settings and its model say."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from hea_sim.errors import InputError
from hea_sim.sampling import job_lock, run_job
from hea_sim.sampling.job import FREE_KEYS, SampleJob, read_sample_job
from hea_sim.sampling.job_files import replica_folder
from hea_sim.sampling.job_lock import LOCK_FILE, folder_lock
from hea_sim.sampling.job_models import choose_model
from hea_sim.settings import RUN_FILE, claim_folder, kept_settings

SMALL: dict[str, Any] = {
    "alloy": "NbMoTaW", "temperatures_K": [2000.0, 1000.0], "size": [3, 3, 3], "equilibration_steps": 7, "steps": 20,
    "samples": 10, "seed": 5,
}  # fmt: skip


def kept(folder: Path, **change: Any) -> str:
    plain = {"host": socket.gethostname(), "pid": os.getpid(), "began": 1}
    (folder / LOCK_FILE).write_text(json.dumps({**plain, **change}))
    return str(folder / LOCK_FILE)


def test_a_folder_is_held_by_one_and_given_back(tmp_path: Path) -> None:
    with folder_lock(tmp_path / "o"):
        with pytest.raises(InputError, match=f"is being run by process {os.getpid()}; wait for it") as caught:
            with folder_lock(tmp_path / "o"):
                pass
        assert "\n" not in str(caught.value)
    assert list((tmp_path / "o").iterdir()) == []
    with folder_lock(tmp_path / "o"):
        assert [p.name for p in (tmp_path / "o").iterdir()] == [LOCK_FILE]


def _ended() -> int:
    """Give the number of a process that has ended."""
    process = multiprocessing.get_context("spawn" if os.name == "nt" else "fork").Process(target=int)
    process.start()
    process.join()
    assert process.pid is not None
    return process.pid


def test_a_lock_left_by_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    kept(tmp_path, pid=_ended())
    with folder_lock(tmp_path):
        assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": 3}'])
def test_a_lock_cut_off_is_taken_over_once_it_is_old(tmp_path: Path, text: str) -> None:
    (tmp_path / LOCK_FILE).write_text(text)
    with pytest.raises(InputError, match="just begun"), folder_lock(tmp_path):
        pass
    old = time.time() - 60
    os.utime(tmp_path / LOCK_FILE, (old, old))
    with folder_lock(tmp_path):
        pass


def test_another_machines_lock_holds_while_it_is_touched(tmp_path: Path) -> None:
    path = kept(tmp_path, host="elsewhere", pid=7)
    with pytest.raises(InputError, match="process 7 on elsewhere"), folder_lock(tmp_path):
        pass
    old = time.time() - job_lock.FORGOTTEN_S - 5
    os.utime(path, (old, old))
    with folder_lock(tmp_path):
        pass


def test_a_lock_is_touched_while_it_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_lock, "TOUCHED_S", 0.02)
    with folder_lock(tmp_path):
        os.utime(tmp_path / LOCK_FILE, (1.0, 1.0))
        until = time.monotonic() + 10
        while (tmp_path / LOCK_FILE).stat().st_mtime < 100 and time.monotonic() < until:
            time.sleep(0.01)
        assert time.time() - (tmp_path / LOCK_FILE).stat().st_mtime < 60


def test_two_processes_do_not_run_one_replica(tmp_path: Path) -> None:
    run = run_job.open_run(read_sample_job(None, SMALL), tmp_path)
    with folder_lock(replica_folder(tmp_path, 0)), pytest.raises(InputError, match="replica-0000 is being run by"):
        run_job.run_replica(run, 0)
    run_job.run_replica(run, 0)
    assert not (replica_folder(tmp_path, 0) / LOCK_FILE).exists()
    with folder_lock(replica_folder(tmp_path, 0)):  # a finished one is read, whoever holds the folder
        run_job.run_replica(run, 0)


def test_the_lattice_parameter_is_sought_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run_job.open_run(read_sample_job(None, SMALL), tmp_path)

    def again(*given: Any) -> float:
        raise AssertionError("sought again")

    monkeypatch.setattr(run_job, "lattice_parameter_of", again)
    second = run_job.open_run(read_sample_job(None, SMALL), tmp_path)
    assert second.job.lattice_parameter_A == first.job.lattice_parameter_A is not None
    with pytest.raises(InputError, match="lattice_parameter_A was 3"):
        run_job.open_run(read_sample_job(None, {**SMALL, "lattice_parameter_A": 4.0}), tmp_path)


def test_a_claimed_folder_names_the_first_setting_that_differs(tmp_path: Path) -> None:
    job = SampleJob(alloy="NbTa", temperatures_K=(900.0,))
    claim_folder(job, tmp_path, free=FREE_KEYS)
    settings = kept_settings(tmp_path)
    assert settings is not None and settings["dynamics"]["timestep_fs"] == 2.0
    moves = {"timestep_fs": 1.0, "md_steps": 20}
    changed = SampleJob.model_validate({"alloy": "NbTa", "temperatures_K": [900.0], "dynamics": moves})
    with pytest.raises(InputError, match=r"dynamics\.timestep_fs was 2\.0, is 1\.0; name another --out folder"):
        claim_folder(changed, tmp_path, free=FREE_KEYS)
    with pytest.raises(InputError, match=r"start was 'left out', is 'x\.cif'"):
        claim_folder(job.model_copy(update={"start": "x.cif"}), tmp_path, free=FREE_KEYS)
    before = (tmp_path / RUN_FILE).stat().st_mtime_ns
    claim_folder(job, tmp_path)
    assert (tmp_path / RUN_FILE).stat().st_mtime_ns == before
    claim_folder(job.model_copy(update={"workers": 3}), tmp_path, free=FREE_KEYS)
    with pytest.raises(InputError, match="workers was 3, is 1"):
        claim_folder(job, tmp_path)
    (tmp_path / RUN_FILE).write_text("alloy = ")
    with pytest.raises(InputError, match="not the settings of a run"):
        claim_folder(job, tmp_path)


def test_a_lattice_that_was_not_in_training_is_told() -> None:
    job = SampleJob(alloy="NbMoTaW", temperatures_K=(900.0,), potential="nbmotaw-snap", lattice="fcc")
    assert "A1 was not in its training" in choose_model(job).trust[0]
    assert not any("training" in line for line in choose_model(job.model_copy(update={"lattice": "bcc"})).trust)
    nickel = SampleJob(alloy="Ni", temperatures_K=(900.0,), potential="ni-mtp", lattice="fcc")
    assert not any("not in its training" in line for line in choose_model(nickel).trust)


def test_cards_that_list_structures_are_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    from hea_sim.registry import cards

    read = cards.read_card

    def listing(folder: Any) -> Any:
        card = read(folder)
        return card.model_copy(update={"settings": {**card.settings, "structures": ["A2", "A15"]}})

    monkeypatch.setattr(cards, "read_card", listing)
    job = SampleJob(alloy="NbMoTaW", temperatures_K=(900.0,), potential="nbmotaw-snap", lattice="fcc")
    assert choose_model(job).trust[0] == "A1 was not among the structures of its training: A2, A15"
