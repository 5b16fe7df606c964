"""Jobs for LAMMPS: the same energies, the same ensemble, and plain words where it cannot be."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.io import read

from hea_sim.errors import InputError, MissingDependencyError
from hea_sim.potentials import load_potential
from hea_sim.sampling import lammps_job_run
from hea_sim.sampling.job import read_sample_job
from hea_sim.sampling.job_walks import starting_atoms
from hea_sim.sampling.lammps_job import write_lammps_job
from hea_sim.sampling.run_job import sample

TANTALUM_TUNGSTEN: dict[str, Any] = {
    "alloy": "TaW", "potential": "zhou-eam", "species": ["Ta", "W"], "lattice": "bcc", "lattice_parameter_A": 3.24,
    "size": [4, 4, 4], "temperatures_K": [600.0], "engine": "lammps", "seed": 2, "observables": [],
}  # fmt: skip


@pytest.fixture()
def lammps() -> None:
    try:
        ctypes.CDLL(f"{sys.prefix}/lib/libmpi.so.12", ctypes.RTLD_GLOBAL)
        import lammps  # noqa: F401
    except (ImportError, OSError) as error:
        pytest.skip(f"the peer LAMMPS is not installed (extra lammps): {error}")


def test_the_input_holds_what_the_job_says(tmp_path: Path) -> None:
    job = read_sample_job(
        None,
        {**TANTALUM_TUNGSTEN, "temperatures_K": [900.0, 600.0], "ensemble": "hybrid", "steps": 50, "samples": 10,
         "dynamics": {"md_steps": 20, "sweeps": 0.5}},
    )  # fmt: skip
    rng = np.random.default_rng(0)
    atoms = starting_atoms(job, rng, 3.24)
    text = write_lammps_job(job, load_potential("zhou-eam", species=["Ta", "W"]), atoms, tmp_path, rng).read_text()
    assert text.count("fix swap12 all atom/swap 20 32 ") == 4  # 2 c_i c_j N sweeps = 32 trials, every 20 steps
    assert "pair_coeff * * potential.eam.alloy Ta W" in text and "timestep 0.002" in text
    assert text.count("run 1000") == 2 and text.count("langevin 900 900 0.1") == 2  # 50 steps of 20, both parts at 900
    assert "print 100 " in text and (tmp_path / "data.lammps").is_file()


def test_potentials_that_lammps_cannot_read_are_refused(tmp_path: Path) -> None:
    job = read_sample_job(None, {**TANTALUM_TUNGSTEN, "alloy": "NbTa", "potential": "nbmotaw-mtp", "species": []})
    with pytest.raises(InputError, match="wanted a SNAP or an EAM"):
        sample(job, tmp_path)


def test_without_lammps_the_input_is_left_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lammps_job_run, "_find", lambda program: None)
    with pytest.raises(MissingDependencyError, match=r"mpiexec -n 1 lmp -in in\.lammps"):
        sample(read_sample_job(None, TANTALUM_TUNGSTEN), tmp_path)
    assert (tmp_path / "replica-0000/in.lammps").is_file()


@pytest.mark.oracle
@pytest.mark.usefixtures("lammps")
@pytest.mark.parametrize("ensemble", ["canonical", "nvt", "npt", "hybrid"])
def test_energies_are_the_same(tmp_path: Path, ensemble: str) -> None:
    settings = {**TANTALUM_TUNGSTEN, "ensemble": ensemble, "equilibration_steps": 1, "steps": 6, "samples": 3}
    row = sample(read_sample_job(None, settings), tmp_path)["results"][0]
    potential = load_potential("zhou-eam", species=["Ta", "W"])
    folder = tmp_path / "replica-0000"
    start = read(folder / "data.lammps", format="lammps-data", atom_style="atomic")
    ours = potential.evaluate(start).energy_eV / len(start)
    assert float((folder / "start.txt").read_text()) == pytest.approx(ours, abs=1e-7)
    table = np.loadtxt(folder / "000-samples.txt")
    table = table[table[:, 0] > 0]
    assert len(table) == 3 and row["energy_eV_per_atom"]["n"] == 3
    last = read(folder / "cell.extxyz")
    assert table[-1, 1] == pytest.approx(potential.evaluate(last).energy_eV / len(last), abs=1e-6)
    assert (row["trials"] is None) == (ensemble in ("nvt", "npt"))
    assert sorted(last.get_chemical_symbols()) == sorted(["Ta", "W"] * 64)


@pytest.mark.slow
@pytest.mark.oracle
@pytest.mark.usefixtures("lammps")
def test_the_same_ensemble_as_our_exchanges(tmp_path: Path) -> None:
    """Mean energies of exchanges at fixed places agree within their errors; the alloy orders, so it is a test."""
    common = {**TANTALUM_TUNGSTEN, "size": [3, 3, 3], "equilibration_steps": 30, "steps": 120, "samples": 120}
    theirs = sample(read_sample_job(None, common), tmp_path / "theirs")["results"][0]
    ours = sample(
        read_sample_job(None, {**common, "engine": "atoms", "steps": 600, "samples": 600}), tmp_path / "ours"
    )["results"][0]
    a, b = theirs["energy_eV_per_atom"], ours["energy_eV_per_atom"]
    assert abs(a["value"] - b["value"]) < 4 * np.hypot(a["std"], b["std"])
    random = sample(read_sample_job(None, {**common, "engine": "atoms", "temperatures_K": [1e5]}), tmp_path / "random")[
        "results"
    ][0]["energy_eV_per_atom"]
    assert random["value"] - b["value"] > 8 * np.hypot(random["std"], b["std"])
