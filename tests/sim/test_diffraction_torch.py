"""The torch engine: the same numbers as NumPy, and gradients that are finite differences."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

from hea_sim.crystals import Crystal, build_crystal
from hea_sim.diffraction import powder_lines, powder_pattern
from hea_sim.diffraction.debye import pair_sums
from hea_sim.diffraction.powder import broaden
from hea_sim.diffraction.profile import (
    ThompsonCoxHastings,
    bragg_two_theta_deg,
    microstrain_to_width_deg,
    size_to_width_deg,
)
from hea_sim.diffraction.radiation import radiation
from hea_sim.diffraction.structure_factor import geometric_factors
from hea_sim.diffraction.torch_engine import box_structure_factors, torch_powder_pattern
from hea_sim.diffraction.torch_powder import TorchPowder, differentiable_pattern
from hea_sim.errors import InputError, UnknownNameError

ANGLES = np.arange(25, 130, 0.05)


def displaced(cells: int = 4) -> Atoms:
    rng = np.random.default_rng(1)
    atoms = bulk("Ni", "fcc", a=3.60, cubic=True) * (cells, cells, cells)
    atoms.set_atomic_numbers(rng.permutation(np.resize([13, 26, 28], len(atoms))))
    atoms.positions += rng.normal(0, 0.08, atoms.positions.shape)
    return atoms


def nickel_aluminide(order: float) -> Crystal:
    share = 0.5 + 0.5 * order
    return build_crystal("B2", {"A": {"Ni": share, "Al": 1 - share}, "B": {"Ni": 1 - share, "Al": share}}, a_A=2.887)


def test_importing_the_room_does_not_import_torch() -> None:
    code = "import sys, hea_sim.diffraction.debye, hea_sim.diffraction.on_lattice; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.complex64, 1e-4), (torch.complex128, 1e-12)])
def test_box_equals_the_plain_sum(dtype: torch.dtype, tolerance: float) -> None:
    crystal = Crystal.from_atoms(displaced(2))
    box = box_structure_factors(crystal, (5, 4, 6), dtype=dtype).numpy()
    hkl = np.random.default_rng(0).integers((0, -4, -6), (6, 5, 7), (60, 3))
    plain = geometric_factors(crystal, hkl)
    ours = box[:, hkl[:, 0], hkl[:, 1] + 4, hkl[:, 2] + 6]
    assert np.abs(ours - plain).max() < tolerance * np.abs(plain).max()


def test_a_displaced_cell_has_the_pattern_of_the_reference() -> None:
    atoms = displaced()
    reference = powder_pattern(atoms, "CuKa", two_theta_deg=ANGLES).intensity
    ours = torch_powder_pattern(atoms, "CuKa", two_theta_deg=ANGLES, device="cpu").intensity
    assert np.abs(ours - reference).max() < 1e-4 * reference.max()


def test_pair_distances_equal_those_of_numpy() -> None:
    one, other = pair_sums(displaced(2)), pair_sums(displaced(2), device="cpu")
    assert np.allclose(one.zeroth.sum(axis=1), other.zeroth.sum(axis=1), rtol=1e-12)
    assert np.allclose(one.zeroth, other.zeroth, rtol=1e-9) and np.allclose(one.first, other.first, atol=1e-9)


@pytest.mark.parametrize("order", [0.0, 0.7])
@pytest.mark.parametrize("tube", ["CuKa", "MoKa"])
def test_the_differentiable_model_equals_the_reference(order: float, tube: str) -> None:
    size, strain, radius = 15.0, 2e-3, 217.5
    model = TorchPowder(nickel_aluminide(0.0), tube, ANGLES, ordered=nickel_aluminide(1.0), goniometer_radius_mm=radius)
    ours = model(order_parameter=order, size_nm=size, microstrain=strain, displacement_mm=0.1, zero_deg=0.02).numpy()
    source = radiation(tube)
    lines = powder_lines(nickel_aluminide(order), source, two_theta_range_deg=(22, 133))
    reference = np.zeros_like(ANGLES)
    for wavelength, weight in source.lines:
        shape = ThompsonCoxHastings(
            u_deg2=0.02,
            w_deg2=0.01,
            x_deg=size_to_width_deg(size, wavelength),
            y_deg=microstrain_to_width_deg(strain),
            zero_deg=0.02,
            displacement_mm=0.1,
            goniometer_radius_mm=radius,
        )
        centres = bragg_two_theta_deg(lines.d_A, wavelength)
        reference += weight / 1.5 * broaden(ANGLES, centres, lines.intensity, shape, reach=1e6)
    assert np.abs(ours - reference).max() < 1e-4 * reference.max()


PARAMETERS = {
    "scale": 1.3,
    "lattice_A": [2.95, 4.70],
    "order_parameter": 0.6,
    "b_iso_A2": 0.5,
    "u_deg2": 0.03,
    "v_deg2": -0.01,
    "w_deg2": 0.02,
    "size_nm": 30.0,
    "microstrain": 1.5e-3,
    "zero_deg": 0.01,
    "displacement_mm": 0.05,
}


def hexagonal(order: float) -> Crystal:
    """Put titanium and aluminium on the two sites of a hexagonal cell, in part ordered."""
    cell = np.array([[2.95, 0, 0], [-2.95 / 2, 2.95 * np.sqrt(3) / 2, 0], [0, 0, 4.70]])
    occupancy = np.array([[0.5 + order / 2, 0.5 - order / 2], [0.5 - order / 2, 0.5 + order / 2]])
    positions = np.array([[1 / 3, 2 / 3, 1 / 4], [2 / 3, 1 / 3, 3 / 4]])
    return Crystal(name="TiAl", cell_A=cell, positions=positions, species=("Ti", "Al"), occupancy=occupancy)


@pytest.mark.parametrize("name", PARAMETERS)
def test_gradients_are_finite_differences(name: str) -> None:
    model = TorchPowder(
        hexagonal(0.0), "CuKa", np.arange(30, 110, 0.1), ordered=hexagonal(1.0), goniometer_radius_mm=217.5
    )
    weights = torch.tensor(np.random.default_rng(2).normal(size=model.angles_deg.numel()))

    def score(value: torch.Tensor) -> torch.Tensor:
        return (weights * model(**{**PARAMETERS, name: value})).sum()

    start = torch.tensor(PARAMETERS[name], dtype=torch.float64)
    (gradient,) = torch.autograd.grad(score(start.requires_grad_()), start)
    start = start.detach()
    for index in np.ndindex(*start.shape):
        unit = torch.zeros_like(start)
        unit[index] = 1.0
        step = {"lattice_A": 1e-4, "size_nm": 0.1, "scale": 0.1}.get(name, 2e-5)

        def central(h: float, unit: torch.Tensor = unit) -> float:
            return float(score(start + h * unit) - score(start - h * unit)) / (2 * h)

        wanted = (4 * central(step / 2) - central(step)) / 3  # Richardson: error of fourth order
        assert abs(wanted) > 0
        assert float(gradient[index]) == pytest.approx(wanted, rel=1e-5)


def test_the_lattice_of_a_hexagonal_cell_has_two_lengths() -> None:
    assert np.allclose(TorchPowder(hexagonal(0.0), "CuKa", ANGLES).lattice_A, [2.95, 4.70])
    assert TorchPowder(nickel_aluminide(0.0), "CuKa", ANGLES).lattice_A.shape == (1,)


def test_one_call_gives_the_pattern_of_the_model() -> None:
    a = torch.tensor([2.89], dtype=torch.float64)
    one = differentiable_pattern(nickel_aluminide(1.0), "CuKa", ANGLES, {"lattice_A": a})
    assert torch.equal(one, TorchPowder(nickel_aluminide(1.0), "CuKa", ANGLES)(lattice_A=a))


def test_wrong_parameters_are_named() -> None:
    model = TorchPowder(nickel_aluminide(0.0), "CuKa", ANGLES)
    with pytest.raises(UnknownNameError, match="did you mean 'scale'"):
        model(scales=1.0)
    with pytest.raises(InputError, match="1 distinct"):
        model(lattice_A=[2.9, 2.9])
    with pytest.raises(InputError, match="goniometer_radius_mm"):
        model(displacement_mm=0.1)
    with pytest.raises(InputError, match="wanted the 2 sites and species"):
        TorchPowder(nickel_aluminide(0.0), "CuKa", ANGLES, ordered=build_crystal("A1", "Ni"))
    with pytest.raises(InputError, match="torch_powder_pattern"):
        TorchPowder(Crystal.from_atoms(displaced()), "CuKa", ANGLES)
    with pytest.raises(InputError, match="device"):
        box_structure_factors(nickel_aluminide(0.0), (1, 1, 1), device="nowhere")
