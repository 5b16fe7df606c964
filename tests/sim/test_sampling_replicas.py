"""Replicas in torch and in the Triton kernel make the walk of the compiled class layout; each has its temperature."""

import importlib.util
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from hea_sim.errors import InputError, MissingDependencyError  # noqa: E402
from hea_sim.sampling.class_replicas import ReplicasWalk  # noqa: E402
from hea_sim.sampling.class_walk import ClassWalk  # noqa: E402

from ..laws.test_monte_carlo import random_model  # noqa: E402
from .class_triton_cases import CASES, walk_of  # noqa: E402

INSTALLED = importlib.util.find_spec("triton") is not None
needs_triton = pytest.mark.skipif(not INSTALLED, reason="triton is not installed (pip install triton, on Linux)")
#: Before 3.7 the interpreter takes numbers from arrays in a way that NumPy 2.4 refuses; the compiler is not concerned.
needs_interpreter = pytest.mark.skipif(
    not INSTALLED or version("triton").split(".")[:2] in (["3", str(k)] for k in range(7)),
    reason="needs triton 3.7 or later (pip install 'triton>=3.7', on Linux)",
)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_one_replica_is_the_walk_of_the_compiled_kernels(number):
    replicas = walk_of(number, "torch")
    alone = ClassWalk(
        replicas.model, replicas.size, replicas.occupations[0], replicas.temperature_K, np.random.default_rng(1)
    )
    for _ in range(3):
        replicas.advance(1)
        alone.advance(1)
        assert np.array_equal(replicas.occupations[0], alone.occupation)
    assert alone.accepted > 5
    ours, theirs = replicas.observe(), alone.observe()
    assert np.allclose(ours["pair_fractions"], theirs["pair_fractions"], atol=1e-15)
    assert ours["energy_eV_per_atom"] == pytest.approx(theirs["energy_eV_per_atom"], abs=1e-12)
    assert replicas.atoms().get_chemical_symbols() == alone.atoms().get_chemical_symbols()


def test_a_replica_walks_as_it_would_beside_others_and_resumes():
    pair, resumed = walk_of(0, "torch"), walk_of(0, "torch")
    pair.advance(4)
    resumed.advance(1)
    kept = resumed.state()
    resumed.advance(5)
    resumed.restore(kept)
    resumed.advance(3)
    assert all(pair.state()[name].tobytes() == resumed.state()[name].tobytes() for name in pair.state())
    other = walk_of(0, "torch")
    other.temperatures_K = np.array([pair.temperature_K, 9000.0])
    other.advance(4)
    assert np.array_equal(other.occupations[0], pair.occupations[0])
    assert not np.array_equal(other.occupations[1], pair.occupations[1])
    with pytest.raises(InputError, match="another walk"):
        walk_of(1, "torch").restore(kept)


def test_replicas_have_the_mean_energies_of_exact_enumeration():
    """Two-dimensional Ising cell of 8 x 4 sites, four atoms of one kind: 35,960 arrangements."""
    from itertools import combinations

    from hea_sim.lattice.shells import neighbour_table
    from hea_sim.units import BOLTZMANN_EV_PER_K

    model, size, temperatures = random_model(8, shells=1, n=2, lattice="A_h"), (8, 4, 1), np.array([600.0, 1500.0])
    j = float(model.pair_energy_eV[0, 0, 1])
    table = neighbour_table("A_h", size, 1)[0]
    bonds = np.zeros((32, 32))
    np.add.at(bonds, (np.repeat(np.arange(32), 6), table.ravel()), -2 * j)
    sites = np.array(list(combinations(range(32), 4)))
    energies = sum(bonds[sites[:, p], sites[:, q]] for p, q in combinations(range(4), 2)) + 16 * j
    start = np.isin(range(32), sites[0]).astype(np.int8)
    offset = model.energy_eV_per_atom(start, size) * 32 - energies[0]
    replicas = 40
    walk = ReplicasWalk(model, size, start, np.repeat(temperatures, replicas), np.random.default_rng(0))
    walk.advance(20)
    seen = []
    for _ in range(40):
        walk.advance(2)
        seen.append(np.asarray(walk.observe()["energies_eV_per_atom"]) * 32)
    by_temperature = np.array(seen).reshape(40, 2, replicas)
    for k, temperature in enumerate(temperatures):
        weight = np.exp(-(energies - energies.min()) / (BOLTZMANN_EV_PER_K * temperature))
        mean = weight @ energies / weight.sum() + offset
        own = by_temperature[:, k].mean(axis=0)  # replicas are independent of one another, but for shared shifts
        assert abs(own.mean() - mean) < 4.5 * own.std(ddof=1) / np.sqrt(replicas)
        assert own.std() < 0.2 * energies.std()


def run_alone(*words: str, folder: Path, interpret: bool) -> str:
    """Run the cases in a process that has Triton as an interpreter, or has not; nothing is taken from a cache."""
    environment = os.environ | {"TRITON_INTERPRET": "1" if interpret else "0", "TRITON_CACHE_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.sim.class_triton_cases", *words],
        cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@needs_interpreter
def test_the_triton_kernel_makes_the_walk_of_torch(tmp_path):
    run_alone("interpret", str(tmp_path / "found.npz"), folder=tmp_path, interpret=True)
    with np.load(tmp_path / "found.npz") as found:
        assert found["interpreted"]
        for k in range(len(CASES)):
            walk = walk_of(k, "torch")
            walk.advance(1)
            assert np.array_equal(found[f"occupations {k}"], walk.occupations)
            assert found[f"counters {k}"].tolist() == [walk.trials, walk.accepted]


@needs_triton
def test_the_triton_kernel_compiles_for_a_gpu_without_one(tmp_path):
    assert int(run_alone("compile", folder=tmp_path, interpret=False)) > 1000


@pytest.mark.skipif(INSTALLED, reason="triton is installed")
def test_without_triton_the_error_says_what_to_install():
    with pytest.raises(MissingDependencyError, match="pip install triton"):
        walk_of(0, "triton")


def test_a_cell_too_short_for_launches_between_classes_is_refused():
    with pytest.raises(InputError, match="wanted at least 8 cells along the longest axis"):
        ReplicasWalk(random_model(1), (6, 6, 6), "NbMoTa", 1000.0, np.random.default_rng(0))
    with pytest.raises(InputError, match="engine 'jax'"):
        ReplicasWalk(random_model(1), (8, 8, 8), "NbMoTa", 1000.0, np.random.default_rng(0), engine="jax")
