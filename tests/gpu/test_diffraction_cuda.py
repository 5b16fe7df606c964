"""The diffraction engine gives the same numbers on CUDA as on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from ase.build import bulk  # noqa: E402

from hea_sim.crystals import build_crystal  # noqa: E402
from hea_sim.diffraction import powder_pattern  # noqa: E402
from hea_sim.diffraction.debye import pair_sums  # noqa: E402
from hea_sim.diffraction.torch_engine import torch_powder_pattern  # noqa: E402
from hea_sim.diffraction.torch_powder import TorchPowder  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]
ANGLES = np.arange(25, 110, 0.05)


def test_a_displaced_cell_has_the_pattern_of_the_reference() -> None:
    rng = np.random.default_rng(1)
    atoms = bulk("Ni", "fcc", a=3.60, cubic=True) * (6, 6, 6)
    atoms.positions += rng.normal(0, 0.08, atoms.positions.shape)
    reference = powder_pattern(atoms, "CuKa", two_theta_deg=ANGLES).intensity
    ours = torch_powder_pattern(atoms, "CuKa", two_theta_deg=ANGLES, device="cuda").intensity
    assert np.abs(ours - reference).max() < 1e-4 * reference.max()


def test_pair_distances_equal_those_of_numpy() -> None:
    atoms = bulk("Ni", "fcc", a=3.60, cubic=True) * (4, 4, 4)
    atoms.positions += np.random.default_rng(2).normal(0, 0.08, atoms.positions.shape)
    one, other = pair_sums(atoms), pair_sums(atoms, device="cuda")
    assert np.allclose(one.zeroth.sum(axis=1), other.zeroth.sum(axis=1), rtol=1e-10)


def test_pattern_and_gradient_equal_those_of_the_cpu() -> None:
    results = []
    for device in ("cpu", "cuda"):
        model = TorchPowder(build_crystal("A2", "W", a_A=3.165), "CuKa", ANGLES, device=device)
        a = torch.tensor([3.166], dtype=torch.float64, device=device, requires_grad=True)
        pattern = model(lattice_A=a)
        (pattern**2).sum().backward()
        results.append((pattern.detach().cpu().numpy(), float(a.grad)))
    assert np.allclose(results[0][0], results[1][0], rtol=1e-9)
    assert results[0][1] == pytest.approx(results[1][1], rel=1e-9)
