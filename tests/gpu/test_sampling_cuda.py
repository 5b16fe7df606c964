"""Replicas of a lattice cell make the same walk on CUDA as on the CPU: torch, and the Triton kernel."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from hea_sim.sampling.class_replicas import ReplicasWalk  # noqa: E402

from ..laws.test_monte_carlo import random_model  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]
INSTALLED = importlib.util.find_spec("triton") is not None
ENGINES = ["torch", pytest.param("triton", marks=pytest.mark.skipif(not INSTALLED, reason="triton is not installed"))]


def walk_on(device: str, engine: str) -> ReplicasWalk:
    model = random_model(3, shells=5, n=4)
    start = np.random.default_rng(0).permutation(np.arange(2 * 16 * 12 * 8) % 4)
    temperatures = [3000.0, 1500.0, 700.0]
    rng = np.random.default_rng(1)
    return ReplicasWalk(model, (16, 12, 8), start, temperatures, rng, device=device, engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_walk_is_that_of_the_cpu(engine: str) -> None:
    """Roundings may turn one decision in a million."""
    here, there = walk_on("cpu", "torch"), walk_on("cuda", engine)
    here.advance(2)
    there.advance(2)
    assert (here.occupations != there.occupations).mean() < 1e-2
    assert there.trials == pytest.approx(here.trials, rel=1e-2)
    for walk in (here, there):
        energies = [walk.model.energy_eV_per_atom(one, walk.size) for one in walk.occupations]
        assert np.allclose(walk.observe()["energies_eV_per_atom"], energies, atol=1e-10)
        assert np.array_equal(np.bincount(walk.occupations[0]), np.full(4, 2 * 16 * 12 * 8 / 4))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_resumed_walk_is_the_unbroken_one(engine: str) -> None:
    whole, cut = walk_on("cuda", engine), walk_on("cuda", engine)
    whole.advance(3)
    cut.advance(1)
    kept = cut.state()
    cut.advance(1)
    cut.restore(kept)
    cut.advance(2)
    assert all(whole.state()[name].tobytes() == cut.state()[name].tobytes() for name in kept)
