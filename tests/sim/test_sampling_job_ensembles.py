"""Jobs that sample all temperatures at once, and lattices with sublattices: exact enumeration, resume, bad input."""

from __future__ import annotations

import os
from itertools import combinations
from math import comb, log
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hea_sim.documents import to_jsonable
from hea_sim.errors import InputError
from hea_sim.lattice import clusters, pairs
from hea_sim.lattice.cluster_functions import cluster_space
from hea_sim.lattice.parents import parent_lattice
from hea_sim.registry.cards import DataSource, ModelCard, Score, save_model
from hea_sim.sampling import run_job
from hea_sim.sampling.job import SampleJob, read_sample_job
from hea_sim.sampling.job_files import read_arrays, replica_folder
from hea_sim.sampling.job_models import choose_model
from hea_sim.sampling.job_walks import make_walk
from hea_sim.sampling.lattice_walks import CanonicalWalk, SemiGrandWalk
from hea_sim.sampling.replica_exchange import ReplicaExchange
from hea_sim.sampling.run_replica import SAMPLES, TRAJECTORY, ReplicaRun
from hea_sim.sampling.trajectory import read_trajectory
from hea_sim.sampling.wang_landau import WangLandau
from hea_sim.units import BOLTZMANN_EV_PER_K

from ..laws.test_monte_carlo import random_model

#: Sixteen sites of a bcc crystal of AB with bonds between nearest neighbours: 12,870 arrangements.
SIZE, SITES, BOND_EV = (2, 2, 2), 16, -0.02
SCORE = Score(value=0.0, unit="meV/atom", how="planted")


def saved(model: Any, kind: str, arrays: dict[str, np.ndarray], folder: Path) -> str:
    card = ModelCard(
        name=model.name, kind=kind, elements=model.species, lattice=model.lattice, scores={"energy_cv_rmse": SCORE},
        data=(DataSource(name="planted", source="this test", licence="none"),), seeds={}, remake="this test",
        licence="none", citation="none",
    )  # fmt: skip
    save_model(folder, card, arrays)
    return str(folder)


@pytest.fixture(scope="module")
def nearest(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model folder: bonds between unlike nearest neighbours of bcc."""
    base = random_model(0, shells=1, n=2)
    bond = np.array([[[0.0, BOND_EV], [BOND_EV, 0.0]]])
    model = type(base)(**{**vars(base), "name": "nearest", "pair_energy_eV": bond, "site_energy_eV": np.zeros(2)})
    return saved(model, pairs.KIND, pairs.model_arrays(model), tmp_path_factory.mktemp("model"))


#: Distinct energies in eV, and how many arrangements have each.
Levels = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def levels(nearest: str) -> Levels:
    """The energies of all arrangements."""
    from hea_sim.lattice.shells import neighbour_table

    (table,) = neighbour_table("A2", SIZE, 1)
    states = np.array([np.isin(range(SITES), k) for k in combinations(range(SITES), SITES // 2)])
    unlike = np.array([(states[:, [i]] != states[:, table[i]]).sum(axis=1) for i in range(SITES)]).sum(axis=0)
    found = BOND_EV * unlike / 2
    model = pairs.load_lattice_model(nearest)
    for k in (0, 777, 9000):
        assert found[k] == pytest.approx(SITES * model.energy_eV_per_atom(states[k].astype(np.int8), SIZE))
    distinct, number = np.unique(found.round(9), return_counts=True)
    assert number.sum() == comb(SITES, SITES // 2)
    return distinct, number


def exact(levels: Levels, temperature_K: float) -> dict[str, float]:
    beta, (energies, degeneracy) = 1 / (BOLTZMANN_EV_PER_K * temperature_K), levels
    weight = degeneracy * np.exp(-beta * (energies - energies.min()))
    mean = weight @ energies / weight.sum()
    capacity = beta**2 * (weight @ (energies - mean) ** 2) / weight.sum()
    free = energies.min() - np.log(weight.sum()) / beta
    return {"energy": mean / SITES, "capacity": capacity / SITES, "free": free / SITES}


def peak_of(levels: Levels, low_K: float, high_K: float) -> float:
    grid = np.linspace(low_K, high_K, 500)
    return float(grid[int(np.argmax([exact(levels, t)["capacity"] for t in grid]))])


LADDER = tuple(np.linspace(500.0, 2500.0, 9))
EXCHANGE: dict[str, Any] = {
    "alloy": "NbMo", "ensemble": "replica-exchange", "temperatures_K": LADDER, "size": SIZE, "steps": 2000,
    "samples": 1000, "equilibration_steps": 100, "shells": 2, "lattice_parameter_A": 3.2, "seed": 3,
}  # fmt: skip
DENSITY: dict[str, Any] = {
    "alloy": "NbMo", "ensemble": "wang-landau", "temperatures_K": LADDER, "size": SIZE, "steps": 200_000,
    "samples": 2000, "shells": 2, "lattice_parameter_A": 3.2, "replicas": 3, "observables": [],
    "wang_landau": {"bins": 60, "ln_f": 3e-5},
}  # fmt: skip


@pytest.fixture(scope="module")
def exchanged(nearest: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    job = read_sample_job(None, {**EXCHANGE, "model": nearest})
    row: dict[str, Any] = to_jsonable(run_job.sample(job, tmp_path_factory.mktemp("o"))["results"][0])
    return row


@pytest.fixture(scope="module")
def learnt(nearest: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    job = read_sample_job(None, {**DENSITY, "model": nearest})
    row: dict[str, Any] = to_jsonable(run_job.sample(job, tmp_path_factory.mktemp("o"))["results"][0])
    return row


@pytest.mark.parametrize("which", ["exchanged", "learnt"])
def test_every_temperature_is_that_of_exact_enumeration(
    which: str, levels: Levels, request: pytest.FixtureRequest
) -> None:
    row = request.getfixturevalue(which)
    assert [t["temperature_K"] for t in row["temperatures"]] == sorted(LADDER, reverse=True)
    assert row["temperature_K"] == 500.0 and row["transitions"][0]["kind"] == "heat capacity"
    for stage in row["temperatures"]:
        true = exact(levels, stage["temperature_K"])
        energy, capacity = stage["energy_eV_per_atom"], stage["heat_capacity_k"]
        assert abs(energy["value"] - true["energy"]) < 5 * energy["std"] + 1e-6
        assert abs(capacity["value"] - true["capacity"]) < 5 * capacity["std"] + 1e-3
        # one shell carries all energy: E / N = z / 2 * J * (bonds between unlike atoms), and alpha says how many
        alpha = stage["warren_cowley"]["Mo-Nb"][0]
        assert abs(4 * BOND_EV * (1 - alpha["value"]) / 2 - true["energy"]) < 5 * 2 * abs(BOND_EV) * alpha["std"] + 1e-4
    curve = row["curve"]
    true = [exact(levels, t)["capacity"] for t in curve["temperature_K"]]
    assert len(true) > 200
    off = np.abs(np.array(curve["heat_capacity_k"]) - true)
    assert (off < 5 * np.array(curve["heat_capacity_std_k"]) + 2e-3).all()


@pytest.mark.parametrize("which", ["exchanged", "learnt"])
def test_the_transition_is_the_peak_of_the_exact_heat_capacity(
    which: str, levels: Levels, request: pytest.FixtureRequest
) -> None:
    (found,) = request.getfixturevalue(which)["transitions"]
    t = found["temperature_K"]
    true = peak_of(levels, *LADDER[:: len(LADDER) - 1])
    assert t["low"] < t["value"] < t["high"] and abs(t["value"] - true) < 4 * t["std"] + 2
    assert t["std"] < 0.03 * true
    assert found["heat_capacity_k"] == pytest.approx(exact(levels, true)["capacity"], rel=0.08)


def test_free_energies_are_absolute(learnt: dict[str, Any], levels: Levels) -> None:
    for stage in learnt["temperatures"]:
        free = stage["free_energy_eV_per_atom"]
        true = exact(levels, stage["temperature_K"])["free"]
        assert abs(free["value"] - true) < 5 * free["std"] + 1e-5


def test_replicas_that_trade_tell_how_often(exchanged: dict[str, Any]) -> None:
    assert len(exchanged["trade_rates"]) == len(LADDER) - 1 and min(exchanged["trade_rates"]) > 0.2
    made = [stage["trials"] for stage in exchanged["temperatures"]]
    # a sweep proposes 16 exchanges, of which about half are of unlike atoms, at each temperature alike
    assert 0.4 * 2000 * SITES < min(made) and max(made) < 2000 * SITES
    taken = [stage["acceptance"] for stage in exchanged["temperatures"]]
    assert taken == sorted(taken, reverse=True)


class Stop(Exception):
    """Ends a run from without."""


@pytest.mark.parametrize("kind", ["replica-exchange", "wang-landau"])
def test_a_run_of_all_temperatures_goes_on_bit_by_bit(
    kind: str, nearest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # a checkpoint at every step would wait for the disk
    settings = EXCHANGE if kind == "replica-exchange" else DENSITY
    frames = {"trajectory_every": 4} if kind == "replica-exchange" else {}
    short = {"steps": 60, "samples": 20, "equilibration_steps": 7, "checkpoint_s": 0.0, "replicas": 1, **frames}
    job = read_sample_job(None, {**settings, **short, "model": nearest})
    chosen = choose_model(job)

    def run(out: Path, stop: int | None = None) -> dict[str, bytes]:
        calls = iter(range(10**6))

        def progress(done: int, total: int) -> None:
            if next(calls) == stop:
                raise Stop

        make = lambda rng: make_walk(job, chosen, rng, lattice_parameter_A=3.2)  # noqa: E731
        ReplicaRun(job, out, 0, "owner", make, progress=progress).run()
        found = {k: a.tobytes() for k, a in read_arrays(replica_folder(out, 0) / SAMPLES, "owner").items()}
        cells = {path.name: path.read_bytes() for path in replica_folder(out, 0).glob("*.extxyz")}
        return found | cells

    for stop in (1, 4, 3, 9):
        with pytest.raises(Stop):
            run(tmp_path / "broken", stop)
    again, whole = run(tmp_path / "broken"), run(tmp_path / "whole")
    assert again == whole
    assert ("cell.extxyz" in whole) == (kind == "replica-exchange")
    if frames:
        read = list(read_trajectory(replica_folder(tmp_path / "whole", 0) / TRAJECTORY))
        assert len(read) == 5 and all(len(frame) == SITES for frame in read)


def test_a_density_of_states_ends_when_it_is_good(nearest: str, tmp_path: Path) -> None:
    few = {**DENSITY, "model": nearest, "replicas": 1, "steps": 400, "samples": 40, "wang_landau": {"ln_f": 1e-9}}
    row = run_job.sample(read_sample_job(None, few), tmp_path / "few")["results"][0]
    assert any("give more steps" in note for note in row["notes"]) and row["atoms"] is None
    assert any("replicas = 4" in note for note in row["notes"]) and row["energy_eV_per_atom"]["std"] is None
    early = {**few, "steps": 100_000, "samples": 1000, "wang_landau": {"bins": 20, "ln_f": 0.01}}
    run = run_job.sample(read_sample_job(None, early), tmp_path / "early")["results"][0]
    arrays = read_arrays(replica_folder(tmp_path / "early", 0) / SAMPLES, owner_of(tmp_path / "early", early))
    assert len(arrays["stage-0000/energy_eV_per_atom"]) < 100 and arrays["stage-0000/step"][-1] < 0.01
    assert not any("ln f" in note for note in run["notes"])


def owner_of(out: Path, settings: dict[str, Any]) -> str:
    return run_job.open_run(read_sample_job(None, settings), out).owner


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"heating": True}, "leave heating out"),
        ({"temperatures_K": [900.0]}, "two temperatures or more"),
        ({"temperatures_K": [900.0, 900.0]}, "all different"),
        ({"ensemble": "wang-landau", "observables": ["rdf"]}, "reads order alone"),
        ({"ensemble": "wang-landau", "wang_landau": {"bin": 20}}, "did you mean 'bins'"),
        ({"ensemble": "wang-landau", "wang_landau": {"ln_f": 2.0}}, "less than 1"),
        ({"ensemble": "replica-exchang"}, "wanted one of canonical"),
        ({"engine": "atoms", "potential": "nbmotaw-snap", "ensemble": "replica-exchange"}, "wanted one of canonical"),
        ({"sublattices": ["Nb", "Mo"]}, "has one; leave them out"),
        ({"sublattices": ["Xx"]}, "no element"),
    ],
)
def test_bad_settings_are_told(change: dict[str, Any], says: str, nearest: str, tmp_path: Path) -> None:
    model = {} if change.get("engine") else {"model": nearest}
    with pytest.raises(InputError, match=says) as caught:
        run_job.open_run(read_sample_job(None, {**EXCHANGE, **model, **change}), tmp_path / "o")
    assert "\n" not in str(caught.value) and not (tmp_path / "o").exists()


# ---------------------------------------------------------------------------------------------- sublattices


@pytest.fixture(scope="module")
def ordered() -> clusters.ClusterModel:
    """A B2 crystal whose corners hold Nb and Mo, and whose centres hold Ta and W."""
    parent = parent_lattice("B2").with_species(("Nb", "Mo"), ("Ta", "W"))
    space = cluster_space(parent, ("Nb", "Mo", "Ta", "W"), {2: 1.1, 3: 1.1})
    coefficients = np.random.default_rng(4).normal(size=len(space)) * 0.02
    return clusters.ClusterModel(name="ordered", space=space, coefficients_eV=coefficients, energy_std_eV=0.0)


def states_of(sites: int = 16) -> np.ndarray:
    """All arrangements of 4 + 4 atoms on the even sites and of 5 + 3 on the odd ones: 70 times 56."""
    found = []
    for corner in combinations(range(0, sites, 2), 4):
        for centre in combinations(range(1, sites, 2), 3):
            state = np.tile(np.array([0, 2], np.int8), sites // 2)
            state[list(corner)], state[list(centre)] = 1, 3
            found.append(state)
    return np.array(found)


@pytest.fixture(scope="module")
def arrangements(ordered: clusters.ClusterModel) -> tuple[np.ndarray, np.ndarray]:
    states = states_of()
    return states, ordered.rows(states, SIZE) @ ordered.coefficients_eV


PARTS = ("Nb4Mo4", "Ta5W3")


def test_wang_landau_counts_the_arrangements_of_each_sublattice(
    ordered: clusters.ClusterModel, arrangements: tuple[np.ndarray, np.ndarray]
) -> None:
    states, found = arrangements
    edges = (float(found.min()) - 1e-6, float(found.max()) + 1e-6)
    walk = WangLandau(ordered, SIZE, PARTS, 1000.0, np.random.default_rng(0), bins=25, energy_range_eV_per_atom=edges)
    walk.advance(30_000)
    exact_counts = np.histogram(found, bins=25, range=edges)[0]
    assert len(states) == comb(8, 4) * comb(8, 3)
    assert np.array_equal(np.isfinite(walk.log_states), exact_counts > 0)
    assert np.log(np.exp(walk.log_states).sum()) == pytest.approx(log(len(states)), abs=1e-9)
    seen = exact_counts > 0
    assert np.abs(walk.log_states[seen] - np.log(exact_counts[seen])).max() < 0.15
    free = found.min() - np.log(np.exp(-SITES * (found - found.min()) / (BOLTZMANN_EV_PER_K * 800)).sum()) * (
        BOLTZMANN_EV_PER_K * 800 / SITES
    )
    assert walk.canonical(800.0)["free_energy_eV_per_atom"] == pytest.approx(free, abs=5e-4)


def test_a_sought_range_keeps_atoms_on_their_sublattice(ordered: clusters.ClusterModel) -> None:
    walk = WangLandau(ordered, SIZE, PARTS, 1000.0, np.random.default_rng(1), bins=20)
    for _ in range(20):
        drawn = walk._shuffled(np.random.default_rng(5))
        assert set(drawn[::2]) == {0, 1} and set(drawn[1::2]) == {2, 3}


@pytest.mark.parametrize("kind", [CanonicalWalk, ReplicaExchange])
def test_walks_on_sublattices_have_the_distribution_of_enumeration(
    kind: Any, ordered: clusters.ClusterModel, arrangements: tuple[np.ndarray, np.ndarray]
) -> None:
    states, found = arrangements
    temperatures: Any = 600.0 if kind is CanonicalWalk else [600.0, 900.0]
    walk = kind(ordered, SIZE, PARTS, temperatures, np.random.default_rng(2))
    walk.advance(50)
    energies, samples = [], 3000
    cold = walk if kind is CanonicalWalk else None
    for _ in range(samples):
        walk.advance(3)
        one = cold or walk.walks[0]
        energies.append(one.energy_eV / SITES)
    assert set(one.occupation[::2]) == {0, 1} and set(one.occupation[1::2]) == {2, 3}
    weight = np.exp(-SITES * (found - found.min()) / (BOLTZMANN_EV_PER_K * 600.0))
    mean = weight @ found / weight.sum()
    spread = np.sqrt(weight @ (found - mean) ** 2 / weight.sum())
    assert abs(np.mean(energies) - mean) < 6 * spread / np.sqrt(samples)
    assert np.std(energies) == pytest.approx(spread, rel=0.1)


def test_semi_grand_walks_turn_atoms_into_those_of_their_sublattice(ordered: clusters.ClusterModel) -> None:
    walk = SemiGrandWalk(
        ordered, SIZE, PARTS, 3000.0, np.random.default_rng(0), chemical_potentials_eV={"Nb": 0.1, "W": -0.1}
    )
    walk.advance(200)
    assert set(walk.occupation[::2]) <= {0, 1} and set(walk.occupation[1::2]) <= {2, 3}
    fractions = np.asarray(walk.observe()["sublattice_fractions"])
    assert fractions.shape == (2, 4) and np.allclose(fractions.sum(axis=1), 1) and fractions[0, 2:].sum() == 0


def test_a_start_on_the_wrong_sublattice_is_refused(ordered: clusters.ClusterModel) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="sublattice 0 of model ordered holds Nb, Mo; got Ta, W on it"):
        CanonicalWalk(ordered, SIZE, ("TaW", "NbMo"), 1000.0, rng)
    with pytest.raises(InputError, match="has 2 sublattices; got one composition"):
        CanonicalWalk(ordered, SIZE, "NbMoTaW", 1000.0, rng)
    with pytest.raises(InputError, match="got 3 compositions"):
        CanonicalWalk(ordered, SIZE, ("Nb", "Mo", "Ta"), 1000.0, rng)


def ordered_job(ordered: clusters.ClusterModel, tmp_path: Path, **change: Any) -> SampleJob:
    folder = saved(ordered, clusters.KIND, clusters.model_arrays(ordered), tmp_path / "model")
    plain = {
        "alloy": "Nb4Mo4Ta5W3", "model": folder, "temperatures_K": [900.0], "size": SIZE, "steps": 300,
        "equilibration_steps": 20,
    }  # fmt: skip
    return read_sample_job(None, {**plain, **change})


def test_a_job_on_sublattices(
    ordered: clusters.ClusterModel, arrangements: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    job = ordered_job(ordered, tmp_path, steps=4000, samples=2000)
    row = run_job.sample(job, tmp_path / "o")["results"][0]
    _, found = arrangements
    weight = np.exp(-SITES * (found - found.min()) / (BOLTZMANN_EV_PER_K * 900.0))
    energy = row["energy_eV_per_atom"]
    assert abs(energy["value"] - weight @ found / weight.sum()) < 5 * energy["std"]
    assert row["lattice"] == "B2" and len(row["shells_A"]) == 1
    held = np.array(row["observables"]["sublattice_fractions"]["value"])
    assert held == pytest.approx(np.array([[0.5, 0.5, 0, 0], [0, 0, 0.625, 0.375]]))
    # all neighbours of a corner are centres, of which every corner of this cell sees all: alpha = 1 - 2
    assert row["warren_cowley"]["Mo-Ta"][0]["value"] == pytest.approx(-1.0)


@pytest.mark.parametrize("kind", ["replica-exchange", "wang-landau"])
def test_all_temperatures_at_once_on_sublattices(
    kind: str, ordered: clusters.ClusterModel, arrangements: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    job = ordered_job(
        ordered, tmp_path, ensemble=kind, temperatures_K=[1200.0, 900.0, 700.0, 500.0], replicas=2,
        steps=4000 if kind == "replica-exchange" else 40_000, samples=500, wang_landau={"bins": 40},
        sublattices=["NbMo", "Ta5W3"],
    )  # fmt: skip
    row = run_job.sample(job, tmp_path / "o")["results"][0]
    _, found = arrangements
    for stage in row["temperatures"]:
        weight = np.exp(-SITES * (found - found.min()) / (BOLTZMANN_EV_PER_K * stage["temperature_K"]))
        assert stage["energy_eV_per_atom"]["value"] == pytest.approx(weight @ found / weight.sum(), abs=4e-4)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"alloy": "NbMoTa"}, "leaves open what each holds: give sublattices"),
        ({"sublattices": ["NbMo"]}, "got 1, model ordered has 2"),
        ({"sublattices": ["NbTa", "TaW"]}, "Ta on number 0 of ordered; 0: Nb Mo; 1: Ta W"),
        ({"sublattices": ["NbMo", "TaW"]}, "hold 25.0 at.% Ta together, alloy Nb4Mo4Ta5W3 31.2"),
    ],
)
def test_sublattices_that_do_not_fit_are_told(
    change: dict[str, Any], says: str, ordered: clusters.ClusterModel, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=says):
        run_job.open_run(ordered_job(ordered, tmp_path, **change), tmp_path / "o")
