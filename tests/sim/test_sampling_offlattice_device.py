"""Molecular dynamics with forces by torch, here on the CPU: the numbers of the compiled kernels, batches, hybrids."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

torch = pytest.importorskip("torch", reason="torch is not installed")

from hea_sim.errors import InputError  # noqa: E402
from hea_sim.potentials.contract import SitePotential  # noqa: E402
from hea_sim.potentials.mtp_device import on_device  # noqa: E402
from hea_sim.potentials.zhou import zhou_eam  # noqa: E402
from hea_sim.sampling.dynamics import Dynamics, Ramp  # noqa: E402
from hea_sim.sampling.dynamics_forces import force_field  # noqa: E402
from hea_sim.sampling.hybrid import Hybrid  # noqa: E402

from .mtp_systems import alloy, cluster, potential  # noqa: E402

ONE = SitePotential(name="mtp", model=potential(level=6, cutoff_A=4.2), element_energies_eV={"Nb": -1.0, "Ta": 0.5})


def box(size=5, seed=0):
    """A box with right angles, more than three cutoffs a side."""
    atoms = bulk("Nb", "bcc", a=3.25, cubic=True).repeat(size)
    atoms.symbols = np.random.default_rng(seed).choice(["Nb", "Mo", "Ta"], len(atoms))
    atoms.rattle(0.05, seed=seed)
    return atoms


def fields(systems, device="cpu", precision="float64"):
    sizes, periodic = [len(one) for one in systems], np.array([one.pbc for one in systems])
    return [
        force_field(ONE, sizes, periodic),
        force_field(ONE, sizes, periodic, device=device, precision=precision),
    ]


def check_fields(systems, device="cpu"):
    rng = np.random.default_rng(0)
    numbers = np.concatenate([one.numbers for one in systems])
    positions = np.concatenate([one.positions for one in systems])
    cells = np.array([one.cell.array for one in systems])
    for precision, error in (("float64", 1e-9), ("float32", 3e-4)):
        plain, there = fields(systems, device, precision)
        for _ in range(3):
            moved = positions + 0.1 * rng.standard_normal(positions.shape)
            strained = cells * np.exp(0.004 * rng.standard_normal(3))
            wanted, got = plain(moved, strained, numbers), there(moved, strained, numbers)
            assert np.allclose(got.energies_eV, wanted.energies_eV, rtol=0, atol=error * len(positions))
            assert np.allclose(got.forces_eV_per_A, wanted.forces_eV_per_A, rtol=0, atol=error)
            assert np.allclose(got.virials_eV, wanted.virials_eV, rtol=0, atol=10 * error * len(moved), equal_nan=True)
        assert there.rebuilds > 0 and there.rebuilds == plain.rebuilds


@pytest.mark.parametrize("name", ["one box", "slanted", "batch"])
def test_forces_by_torch_are_those_of_the_compiled_kernels(name):
    systems = {
        "one box": [box()],
        "slanted": [alloy(size=2, seed=1)],
        "batch": [alloy(size=3, seed=2), cluster(20, 1), alloy(size=1, seed=3), box()],
    }
    check_fields(systems[name])


@pytest.mark.parametrize(
    "how",
    [
        {"ensemble": "langevin"},
        {"ensemble": "npt", "barostat_fs": 50.0},
        {"ensemble": "bussi", "ramp": Ramp(steps=20, strain=(0.01, 0, -0.01))},
    ],
)
def test_a_batch_goes_the_way_of_the_compiled_kernels(how):
    systems = [box(seed=1), box(size=4, seed=2)]
    runs = [
        Dynamics(systems, ONE, [300.0, 900.0], np.random.default_rng(0), skin_A=0.2, **how, **where)
        for where in ({}, {"device": "cpu", "precision": "float64"})
    ]
    for run in runs:
        run.advance(25)
    assert np.allclose(runs[0].positions, runs[1].positions, rtol=0, atol=1e-7)
    assert np.allclose(runs[0].cells, runs[1].cells, rtol=0, atol=1e-8)
    for key, value in runs[0].observe().items():
        assert np.allclose(value, runs[1].observe()[key], rtol=1e-5, atol=1e-7), key


def test_energy_is_kept_in_single_precision():
    run = Dynamics(box(), ONE, 600, np.random.default_rng(1), ensemble="nve", timestep_fs=1.0, device="cpu")
    total = []
    for _ in range(20):
        run.advance(5)
        total.append(run.observe()["total_energy_eV_per_atom"])
    assert np.ptp(total) < 5e-4 and abs(np.mean(total[10:]) - np.mean(total[:10])) < 2e-4


def test_a_hybrid_walk_with_forces_by_torch_resumes_bit_for_bit():
    def make(seed=1):
        return Hybrid(box(), ONE, 1500, np.random.default_rng(seed), ensemble="npt", steps_per_cycle=4, device="cpu",
                      trials_per_cycle=30)  # fmt: skip

    whole, parts, resumed = make(), make(), make(seed=3)
    whole.advance(4)
    parts.advance(2)
    kept = {key: value.copy() for key, value in parts.state().items()}
    parts.advance(2)
    resumed.restore(kept)
    resumed.advance(2)
    for other in (parts, resumed):
        assert other.atoms() == whole.atoms() and str(other.observe()) == str(whole.observe())
    assert 0 < whole.exchange.accepted
    with pytest.raises(InputError, match="device was cpu, float32, is None"):
        Dynamics(box(), ONE, 1500, np.random.default_rng(0), ensemble="npt").restore({**kept, "walk": kept["dynamics"]})


def test_a_potential_that_is_on_a_device_stays_there():
    there = SitePotential(name="mtp", model=on_device(ONE.model, "cpu", "float64"))
    run = Dynamics(box(), there, 300, np.random.default_rng(0))
    assert type(run._field).__name__ == "DeviceField"
    with pytest.raises(InputError, match="wanted a moment tensor potential"):
        Dynamics(box(), zhou_eam(["Mo", "Ta", "W"]), 300, np.random.default_rng(0), device="cpu")
    with pytest.raises(InputError, match="'cuda:7'"):
        Dynamics(box(), ONE, 300, np.random.default_rng(0), device="cuda:7")
