"""MTPs on CUDA give the numbers of the CPU: torch with and without CUDA graphs, and the Triton kernel."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from hea_sim.potentials.cell_lists import device_neighbours  # noqa: E402
from hea_sim.potentials.checks import check_potential, raise_if_failed  # noqa: E402
from hea_sim.potentials.contract import SitePotential  # noqa: E402
from hea_sim.potentials.environment import find_neighbours  # noqa: E402
from hea_sim.potentials.mtp_device import on_device  # noqa: E402

from ..sim.mtp_systems import alloy, cluster, potential  # noqa: E402
from ..sim.test_potentials_device import box  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
WAYS = ["eager", "graphs", pytest.param("triton", marks=needs_triton)]


def put(model, way, dtype="float64", **changes):
    if way == "triton":
        from hea_sim.potentials.mtp_triton import on_triton

        return on_triton(model, "cuda", dtype, **changes)
    return on_device(model, "cuda", dtype, capture=way == "graphs", **changes)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("level", [2, 8, 12, 16])
def test_it_equals_the_kernel_of_the_cpu(level, way):
    model = potential(level, cutoff_A=4.8)
    environment = find_neighbours([alloy(seed=1), cluster(40, 0), alloy(size=5, seed=2)], 5.5)
    wanted = model.site_terms(environment)
    roundings = 100 * np.finfo(np.float32).eps
    own = wanted[0] - model.species_eV[environment.indices_of(model.elements)]
    for dtype in ("float64", "float32"):
        device = put(model, way, dtype, chunk=100)
        for _ in range(2):  # the second time graphs are replayed and kernels compiled
            energies, gradients = device.site_terms(environment)
            exact = dtype == "float64"
            np.testing.assert_allclose(
                energies, wanted[0], rtol=0, atol=1e-10 if exact else roundings * np.abs(own).max()
            )
            np.testing.assert_allclose(
                gradients, wanted[1], rtol=0, atol=1e-10 if exact else roundings * np.abs(wanted[1]).max()
            )


def test_a_replayed_graph_equals_eager_torch():
    model = potential(12, cutoff_A=4.8).with_precision("float32")
    captured, eager = put(model, "graphs", "float32"), put(model, "eager", "float32")
    for seed in range(3):  # the same shape with other numbers, then another shape
        environment = find_neighbours([alloy(size=5 - seed // 2, seed=seed)], 4.8)
        for got, wanted in zip(captured.site_terms(environment), eager.site_terms(environment), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=0, atol=20 * np.finfo(np.float32).eps * np.abs(wanted).max())


@pytest.mark.parametrize("way", WAYS)
def test_it_keeps_all_laws(way):
    raise_if_failed(check_potential(SitePotential(name=way, model=put(potential(8), way))))


@pytest.mark.parametrize("way", WAYS)
def test_forces_from_neighbours_found_there_are_those_of_the_cpu(way):
    model, atoms = potential(12, cutoff_A=4.0), box((6, 5, 4), seed=3)
    result = SitePotential(name="x", model=model).evaluate(atoms)
    positions = torch.tensor(atoms.positions, device="cuda")
    neighbours = device_neighbours(positions, torch.tensor(atoms.cell.lengths()), 4.3)
    kinds = torch.tensor(find_neighbours([atoms], 3.0).indices_of(model.elements), device="cuda")
    device = put(model, way, chunk=70)
    energies, forces, virial = device.forces(positions, kinds, neighbours)
    np.testing.assert_allclose(energies.cpu().numpy(), result.site_energies_eV, rtol=0, atol=1e-10)
    np.testing.assert_allclose(forces.cpu().numpy(), result.forces_eV_per_A, rtol=0, atol=1e-10)
    np.testing.assert_allclose(
        np.trace(virial.cpu().numpy()), np.trace(result.stress_eV_per_A3) * atoms.cell.volume, rtol=0, atol=1e-8
    )
    assert torch.equal(forces, device.forces(positions, kinds, neighbours)[1])


def test_neighbours_found_there_are_those_found_on_the_cpu():
    atoms = box((6, 5, 4), seed=5)
    lengths = torch.tensor(atoms.cell.lengths())
    one, other = (device_neighbours(torch.tensor(atoms.positions, device=d), lengths, 4.3) for d in ("cpu", "cuda"))
    for name in ("second", "shift", "mirror", "real"):
        assert torch.equal(getattr(one, name), getattr(other, name).cpu())
