"""Trajectories of walks: frames in a file that survives crashes and is taken up again without a frame twice."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from ase.io import read

from hea_sim.errors import InputError
from hea_sim.sampling.atom_exchange import AtomExchange
from hea_sim.sampling.dynamics import Dynamics
from hea_sim.sampling.trajectory import Trajectory, read_trajectory
from tests.sim.mtp_systems import alloy, potential


def exchange(seed: int = 0) -> AtomExchange:
    from hea_sim.potentials.contract import SitePotential

    one = SitePotential(name="mtp", model=potential(level=6))
    return AtomExchange(alloy(size=2, seed=1), one, 1500, np.random.default_rng(seed), trials_per_step=10)


def test_frames_are_what_the_walk_was(tmp_path):
    walk, trajectory, kept = exchange(), Trajectory(tmp_path / "out" / "run.extxyz"), []
    for step in range(4):
        walk.advance(1)
        trajectory.append(walk, step=step, stage="hot")
        kept.append((walk.atoms(), walk.observe()["energy_eV_per_atom"]))
    trajectory.close()
    frames = read(tmp_path / "out" / "run.extxyz", index=":")
    assert len(frames) == trajectory.frames == 4
    for step, (frame, own, (atoms, energy)) in enumerate(
        zip(frames, read_trajectory(tmp_path / "out" / "run.extxyz"), kept, strict=True)
    ):
        assert np.array_equal(frame.numbers, atoms.numbers) and frame == own
        assert np.abs(frame.positions - atoms.positions).max() < 1e-8
        assert np.allclose(frame.cell.array, atoms.cell.array) and frame.pbc.all()
        assert frame.info["step"] == frame.info["frame"] == step and frame.info["stage"] == "hot"
        assert frame.info["temperature_K"] == 1500
        assert frame.info["energy_eV_per_atom"] == pytest.approx(energy, abs=1e-12)


def test_all_systems_of_a_batch_and_their_momenta_are_written(tmp_path):
    from tests.laws.test_dynamics import EAM
    from tests.laws.test_dynamics import alloy as motaw

    systems = [motaw(seed=0), motaw(size=2, seed=1)]
    run = Dynamics(systems, EAM, [300.0, 900.0], np.random.default_rng(0))
    trajectory = Trajectory(tmp_path / "run.xyz", momenta=True)
    trajectory.append(run)
    run.advance(3)
    trajectory.append(run)
    frames = list(read_trajectory(tmp_path / "run.xyz"))
    assert [len(frame) for frame in frames] == [54, 16, 54, 16]
    assert [frame.info["system"] for frame in frames] == [0, 1, 0, 1]
    assert [frame.info["temperature_K"] for frame in frames] == [300, 900, 300, 900]
    assert np.allclose(frames[3].get_momenta(), run.atoms()[1].get_momenta(), atol=1e-7)


def test_a_resumed_walk_writes_what_an_unbroken_one_writes(tmp_path):
    whole, walk = Trajectory(tmp_path / "whole.xyz"), exchange()
    for step in range(6):
        walk.advance(1)
        whole.append(walk, step=step)
    broken, walk = Trajectory(tmp_path / "broken.xyz"), exchange()
    for step in range(5):
        walk.advance(1)
        broken.append(walk, step=step)
        if step == 2:
            kept, file = walk.state(), broken.state()
    broken._write(b"16\nLattice=")  # a frame that a crash tore
    resumed, walk = Trajectory(tmp_path / "broken.xyz"), exchange(seed=5)
    walk.restore(kept)
    resumed.restore(file)
    for step in range(3, 6):
        walk.advance(1)
        resumed.append(walk, step=step)
    assert (tmp_path / "broken.xyz").read_bytes() == (tmp_path / "whole.xyz").read_bytes()


def test_a_new_trajectory_begins_anew_and_a_lost_one_is_missed(tmp_path):
    first = Trajectory(tmp_path / "run.xyz")
    first.append(exchange())
    first.append(exchange())
    kept = first.state()
    again = Trajectory(tmp_path / "run.xyz")
    assert len(list(read_trajectory(tmp_path / "run.xyz"))) == 2
    again.append(exchange())
    assert len(list(read_trajectory(tmp_path / "run.xyz"))) == 1
    with pytest.raises(InputError, match="the checkpoint tells of"):
        Trajectory(tmp_path / "run.xyz").restore(kept)
    with pytest.raises(InputError, match="wanted a name that ends"):
        Trajectory(tmp_path / "run.traj")
    (tmp_path / "other.xyz").write_text("no frames\n")
    with pytest.raises(InputError, match="wanted extended XYZ"):
        list(read_trajectory(tmp_path / "other.xyz"))


def test_frames_survive_wherever_the_file_is_torn(tmp_path):
    walk, trajectory = exchange(), Trajectory(tmp_path / "run.xyz")
    ends = []
    for _ in range(3):
        trajectory.append(walk)
        ends.append(int(trajectory.state()["bytes"]))
    text = (tmp_path / "run.xyz").read_bytes()
    for cut in range(0, len(text) + 1, 7):
        (tmp_path / "torn.xyz").write_bytes(text[:cut])
        assert len(list(read_trajectory(tmp_path / "torn.xyz"))) == sum(end <= cut for end in ends)


def test_a_full_disk_leaves_the_frames_before(tmp_path, monkeypatch):
    walk, trajectory = exchange(), Trajectory(tmp_path / "run.xyz")
    trajectory.append(walk)
    real = os.write

    def full(file, data):
        if len(data) < 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        trajectory.append(walk)
    monkeypatch.undo()
    assert len(read(tmp_path / "run.xyz", index=":")) == trajectory.frames == 1
    trajectory.append(walk)
    assert len(read(tmp_path / "run.xyz", index=":")) == 2


def test_a_killed_writer_leaves_a_readable_file(tmp_path):
    path = tmp_path / "run.xyz"
    code = textwrap.dedent("""
        import sys
        from ase.build import bulk
        from hea_sim.sampling.trajectory import Trajectory

        class Walk:
            temperature_K = 300.0
            def observe(self): return {"energy_eV_per_atom": -1.0}
            def atoms(self): return atoms
        atoms = bulk("W", "bcc", a=3.2, cubic=True).repeat(9)
        trajectory = Trajectory(sys.argv[1])
        while True:
            trajectory.append(Walk())
    """)
    program = subprocess.Popen([sys.executable, "-c", code, str(path)])
    limit = time.monotonic() + 60
    while not (path.is_file() and path.stat().st_size > 500_000) and time.monotonic() < limit:
        time.sleep(0.02)
    program.kill()
    program.wait()
    frames = list(read_trajectory(path))
    assert len(frames) >= 4 and {len(frame) for frame in frames} == {1458}
    assert [frame.info["frame"] for frame in frames] == list(range(len(frames)))
