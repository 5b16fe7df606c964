"""Sampling jobs at their limits: settings that were passed over, cells too small, errors that nobody can know."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hea_sim.documents import to_jsonable
from hea_sim.errors import InputError
from hea_sim.lattice.pairs import load_lattice_model
from hea_sim.sampling import job_lock, run_job
from hea_sim.sampling.job import SampleJob, read_sample_job
from hea_sim.sampling.job_density import density_order
from hea_sim.sampling.job_lock import LOCK_FILE, folder_lock
from hea_sim.sampling.job_samples import Samples
from hea_sim.sampling.trajectory import read_trajectory
from hea_sim.units import BOLTZMANN_EV_PER_K

SMALL: dict[str, Any] = {
    "alloy": "NbMo", "temperatures_K": [2000.0, 1000.0], "size": [3, 3, 3], "equilibration_steps": 0, "steps": 10,
    "samples": 10, "seed": 5, "model": "nbmotaw-pairs",
}  # fmt: skip
POTENTIALS = {"ensemble": "semi-grand", "chemical_potentials_eV": {"Nb": 0.0, "Mo": 0.0}}


def sampled(out: Path, **change: Any) -> dict[str, Any]:
    row: dict[str, Any] = to_jsonable(run_job.sample(read_sample_job(None, {**SMALL, **change}), out)["results"][0])
    return row


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"engine": "latice"}, "engine: Input should be 'lattice'"),
        ({"engine": ["lattice"]}, "engine: Input should be"),
        ({**POTENTIALS, "chemical_potentials_eV": {"Nb": float("nan"), "Mo": 0.0}}, "finite number"),
        ({"ensemble": "wang-landau", "wang_landau": {"energy_range_eV_per_atom": [0.1, -0.1]}}, "lower energy first"),
        ({**POTENTIALS, "layout": "classes"}, "layout 'classes' with engine 'lattice', ensemble 'semi-grand'"),
        ({"ensemble": "replica-exchange", "layout": "classes"}, "wanted engine 'lattice' and ensemble 'canonical'"),
        ({"sublattices": ["Nb0.9Mo0.1"]}, "hold 90.0 at.% Nb together, alloy NbMo 50.0"),
        ({"model": "nbmotaw-clusters", "size": [4, 4, 1]}, "reaches 1.73 lattice parameters"),
    ],
)
def test_settings_that_do_not_fit_leave_no_folder(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says) as caught:
        run_job.open_run(read_sample_job(None, {**SMALL, **change}), tmp_path / "o")
    assert "\n" not in str(caught.value) and not (tmp_path / "o").exists()


def test_the_sublattice_of_a_model_with_one_is_the_alloy(tmp_path: Path) -> None:
    plain, told = sampled(tmp_path / "a"), sampled(tmp_path / "b", sublattices=["NbMo"])
    assert told["energy_eV_per_atom"] == plain["energy_eV_per_atom"]


def test_one_sample_has_no_error(tmp_path: Path) -> None:
    row = sampled(tmp_path / "o", steps=1, samples=1)
    assert row["energy_eV_per_atom"]["std"] is None and row["energy_eV_per_atom"]["low"] is None
    assert row["warren_cowley"]["Mo-Nb"][0]["std"] is None
    several = sampled(tmp_path / "several", steps=1, samples=1, replicas=3)
    assert several["energy_eV_per_atom"]["std"] > 0


def test_too_few_samples_to_join_temperatures_still_give_results(tmp_path: Path) -> None:
    row = sampled(tmp_path / "o", ensemble="replica-exchange", steps=1, samples=1)
    assert row["curve"] == {} and row["temperature_K"] == 1000.0


def test_frames_of_the_coldest_walk_carry_its_stage(tmp_path: Path) -> None:
    row = sampled(tmp_path, ensemble="replica-exchange", steps=4, samples=4, trajectory_every=2)
    frames = list(read_trajectory(tmp_path / "replica-0000" / "trajectory.extxyz"))
    assert [f.info["temperature_K"] for f in frames] == [
        row["temperatures"][f.info["stage"]]["temperature_K"] for f in frames
    ]
    assert [f.info["stage"] for f in frames] == [1, 1]


def test_a_walk_that_stood_still_is_told(tmp_path: Path) -> None:
    # kappa = 200 of 54 sites: a change of one atom costs 2 kappa / N = 7.4 in the exponent
    row = sampled(tmp_path / "vc", ensemble="variance-constrained", temperatures_K=[1000.0])
    assert row["acceptance"] * row["trials"] < 10
    assert any("trials were accepted at 1000 K" in note for note in row["notes"])
    moving = sampled(tmp_path / "moves", temperatures_K=[3000.0])
    assert not any("trials were accepted" in note for note in moving["notes"])
    one = sampled(tmp_path / "one", alloy="Nb", temperatures_K=[1000.0])  # nothing could move
    assert one["trials"] == 0 and not any("trials were accepted" in note for note in one["notes"])


DENSITY: dict[str, Any] = {"ensemble": "wang-landau", "steps": 1000, "samples": 50}


def test_a_density_of_states_that_is_good_early_still_has_samples(tmp_path: Path) -> None:
    soon = {"bins": 20, "ln_f": 0.4}
    row = sampled(tmp_path, **DENSITY, equilibration_steps=20_000, wang_landau=soon)
    assert row["trials"] > 0 and row["energy_eV_per_atom"]["value"] < 0


def test_bins_wider_than_kT_are_told(tmp_path: Path) -> None:
    wide = {"bins": 10, "ln_f": 0.4, "energy_range_eV_per_atom": [-0.5, 0.5]}
    row = sampled(tmp_path / "wide", **DENSITY, wang_landau=wide)  # 54 sites: 5.4 eV a bin
    assert any("wider than kT, holds most at 2000 K, 1000 K" in note for note in row["notes"])
    row = sampled(tmp_path / "narrow", **DENSITY, wang_landau={"bins": 400, "ln_f": 0.4})
    assert not any("wider than kT" in note for note in row["notes"])


def two_levels(counts: tuple[int, int]) -> Samples:
    """A density of states of two energies, 0 and 0.1 eV of the cell, sampled so often; pairs unlike in the lower."""
    job = SampleJob(alloy="NbMo", ensemble="wang-landau", temperatures_K=(500.0,))
    unlike, even = np.array([[[0.0, 0.5], [0.5, 0.0]]]), np.full((1, 2, 2), 0.25)
    stage = {
        "log_states": np.array([[0.0, 1.0]]),
        "energies_eV_per_atom": np.array([[0.0, 0.01]]),
        "energy_eV_per_atom": np.repeat([0.0, 0.01], counts),
        "pair_fractions": np.array([unlike] * counts[0] + [even] * counts[1]),
    }
    return Samples(job=job, species=("Nb", "Mo"), n_atoms=10, replicas=((stage,),))


def test_order_is_given_where_samples_have_the_energies_that_count() -> None:
    lower = 1 / (1 + np.exp(1 - 0.1 / (BOLTZMANN_EV_PER_K * 500.0)))
    found = density_order(two_levels((3, 5)), 500.0)
    assert found is not None and found[0][0, 0, 1] == pytest.approx(-lower)


def test_order_is_not_given_where_samples_miss_the_energies_that_count() -> None:
    samples = two_levels((0, 5))
    assert density_order(samples, 500.0) is None
    assert density_order(samples, 5000.0) is not None


def test_one_sample_that_counts_alone_tells_no_error() -> None:
    alone = density_order(two_levels((1, 5)), 100.0)
    assert alone is not None and alone[0][0, 0, 1] == pytest.approx(-1.0, abs=1e-3)
    assert np.isnan(alone[1][0, 0, 1])


def test_an_asymmetry_of_one_sign_is_no_model() -> None:
    model = load_lattice_model("nbmotaw-pairs")
    with pytest.raises(InputError, match="asymmetry_eV of nbmotaw-pairs"):
        replace(model, asymmetry_eV=np.triu(model.asymmetry_eV))
    with pytest.raises(InputError, match="asymmetry_A3"):
        replace(model, asymmetry_A3=np.zeros((2, 2)))


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="needs /proc")
def test_a_lock_of_a_process_of_the_same_number_is_taken_over(tmp_path: Path) -> None:
    # A container that is started again gives its processes the same numbers.
    left = {"host": socket.gethostname(), "pid": os.getpid(), "process_began": "1", "began": 1}
    (tmp_path / LOCK_FILE).write_text(json.dumps(left))
    with folder_lock(tmp_path):
        kept = json.loads((tmp_path / LOCK_FILE).read_text())
        assert kept["process_began"] == job_lock._process_began(os.getpid()) != "1"
        with pytest.raises(InputError, match="is being run by"), folder_lock(tmp_path):
            pass
    assert list(tmp_path.iterdir()) == []
