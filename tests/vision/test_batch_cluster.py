"""`hea segment --scheduler`: a real Dask scheduler and workers on this machine, one of them killed on the way."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .drawn_pictures import write_picture
from .test_cli import hea

distributed = pytest.importorskip("distributed", reason="needs the extra `cluster`")
N_IMAGES = 14


class Cluster:
    """Hold a scheduler and its workers, each a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                                     "--scheduler-file", str(self.file))  # fmt: skip
        deadline = time.monotonic() + 60
        while not self.file.exists():
            assert time.monotonic() < deadline and self.scheduler.poll() is None
            time.sleep(0.1)
        time.sleep(0.2)
        self.address = json.loads(self.file.read_text())["address"]
        self.workers: list[subprocess.Popen[bytes]] = []

    def add_worker(self) -> subprocess.Popen[bytes]:
        worker = self._start("worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard",
                             "--local-directory", str(self.folder))  # fmt: skip
        self.workers.append(worker)
        return worker

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        log = open(self.folder / f"{arguments[0]}.log", "ab")
        return subprocess.Popen([sys.executable, "-m", "dask", *arguments], cwd=self.folder, stdout=log, stderr=log)

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "cluster").mkdir()
    cluster = Cluster(tmp_path / "cluster")
    yield cluster
    cluster.close()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for number in range(N_IMAGES):
        write_picture(tmp_path / f"in/{number:02d}.tif", number)
    (tmp_path / "in/broken.tif").write_bytes(b"II*\0")
    return tmp_path


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_worker_killed_on_the_way_costs_no_image_and_doubles_none(cluster: Cluster, pictures: Path) -> None:
    cluster.add_worker(), cluster.add_worker()
    code = "from hea_vision.cli import main; main()"
    arguments = ["segment", "in", "--out", "out", "--scheduler", cluster.address]
    run = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=pictures, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert run.stderr is not None
    first = run.stderr.readline()
    os.kill(cluster.workers[0].pid, signal.SIGKILL)
    rest = run.stderr.read()
    assert run.wait(120) == 1, rest  # the broken file
    assert first.startswith("segment 1/15 ") and "Traceback" not in rest
    away = json.loads((pictures / "out/results.json").read_text())
    assert [Path(row["input"]).stem for row in away["results"]] == [f"{n:02d}" for n in range(N_IMAGES)]
    assert len(away["failures"]) == 1 and "in/broken.tif" in away["failures"][0]["input"]
    journal = [json.loads(line)["input"] for line in (pictures / "out/journal.jsonl").read_text().splitlines()]
    assert sorted(journal) == [f"in/{n:02d}.tif" for n in range(N_IMAGES)]
    here = hea("segment", "in", "--out", "here", "--json", cwd=pictures)
    assert json.loads(here.stdout) == away  # rows, failures and provenance
    for name in ("results.csv", "objects.csv", "failures.csv", "labels/03.tif", "overlays/03.png", "figures/03.png"):
        assert (pictures / "here" / name).read_bytes() == (pictures / "out" / name).read_bytes(), name


def test_a_scheduler_that_cannot_be_reached_says_so_within_seconds(pictures: Path) -> None:
    for address in ("tcp://127.0.0.1:9", "no address", "never://127.0.0.1:9", "tls://127.0.0.1:9"):
        start = time.monotonic()
        run = hea("segment", "in", "--out", "out", "--scheduler", address, cwd=pictures)
        assert run.returncode == 2 and time.monotonic() - start < 20
        lines = run.stderr.strip().splitlines()
        assert len(lines) == 1 and "cannot be reached" in lines[0] and address in lines[0], run.stderr
        assert not [thing for thing in gc.get_objects() if type(thing) is distributed.Client]  # else the next may hang


def test_a_scheduler_without_workers_says_so(cluster: Cluster, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hea_vision.executors.FIRST_WORKER_S", 1.0)
    run = hea("segment", "in", "--out", "out", "--scheduler", cluster.address, cwd=pictures)
    assert run.returncode == 2 and "has no worker" in run.stderr and len(run.stderr.strip().splitlines()) == 1


def test_the_end_of_the_scheduler_keeps_what_was_finished(cluster: Cluster, pictures: Path) -> None:
    from hea_sim.errors import InputError
    from hea_vision.batch import run_batch
    from hea_vision.jobs import SegmentJob
    from hea_vision.micrograph_work import MicrographWork

    cluster.add_worker()
    paths = sorted((pictures / "in").glob("[0-9]*.tif"))
    work = MicrographWork(job=SegmentJob(), out=pictures / "out", names={path: path.stem for path in paths})
    ended = []

    def end_it(done: int, total: int, path: Path) -> None:
        if done == 3:
            cluster.scheduler.kill()
            ended.append(done)

    with pytest.raises(InputError, match=r"went away|lost all its workers"):
        run_batch(paths, work, settings={}, out=pictures / "out", scheduler=cluster.address, progress=end_it)
    assert ended
    again = run_batch(paths, work, settings={}, out=pictures / "out")
    assert again.reused >= 3 and len(again.results) == N_IMAGES
