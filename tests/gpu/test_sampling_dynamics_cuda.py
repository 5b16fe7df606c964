"""Molecular dynamics with forces on CUDA: the numbers of the compiled kernels, and the same bits twice."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from hea_sim.sampling.dynamics import Dynamics  # noqa: E402
from hea_sim.sampling.hybrid import Hybrid  # noqa: E402

from ..sim.mtp_systems import alloy, cluster  # noqa: E402
from ..sim.test_sampling_offlattice_device import ONE, box, check_fields  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


@pytest.mark.parametrize("systems", [[box()], [alloy(size=2, seed=1)], [alloy(size=3), cluster(20, 1), box()]])
def test_forces_on_cuda_are_those_of_the_compiled_kernels(systems):
    check_fields(systems, "cuda")


def test_replicas_on_cuda_go_the_way_of_the_compiled_kernels():
    systems = [box(seed=k) for k in range(4)]
    runs = [
        Dynamics(systems, ONE, 900.0, np.random.default_rng(0), ensemble="npt", **where)
        for where in ({}, {"device": "cuda", "precision": "float64"})
    ]
    for run in runs:
        run.advance(25)
    assert np.allclose(runs[0].positions, runs[1].positions, rtol=0, atol=1e-6)


def test_a_hybrid_walk_on_cuda_gives_the_same_bits_twice():
    runs = [Hybrid(box(), ONE, 1500, np.random.default_rng(1), steps_per_cycle=5, device="cuda") for _ in range(2)]
    for run in runs:
        run.advance(4)
    assert runs[0].atoms() == runs[1].atoms() and runs[0].exchange.accepted > 0
