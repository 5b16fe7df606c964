"""Texture and absorption: known answers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from hea_sim.crystals import build_crystal
from hea_sim.diffraction.absorption import (
    corrected_fractions,
    crystal_absorption_per_cm,
    linear_absorption_per_cm,
    mass_absorption_cm2_per_g,
    microabsorption_factors,
    sphere_transmission,
)
from hea_sim.diffraction.texture import lattice_operations, march_dollase, texture_factors
from hea_sim.errors import InputError


def test_a_line_along_the_axis_of_a_hexagonal_lattice_has_the_density_of_the_pole() -> None:
    crystal = build_crystal("A3", "Ti")
    factors = texture_factors(crystal, np.array([[0, 0, 2], [1, 0, 0], [1, 0, 1]]), (0, 0, 1), 0.6)
    ratio = crystal.cell_A[2, 2] / np.linalg.norm(crystal.cell_A[0])
    between = np.degrees(np.arctan(2 * ratio / np.sqrt(3)))  # of the normals of (001) and (101)
    assert np.allclose(factors, [0.6**-3, 0.6**1.5, march_dollase(0.6, between)])


def test_operations_of_lattices() -> None:
    hexagonal = build_crystal("A3", "Ti").cell_A
    assert [len(lattice_operations(c)) for c in (np.eye(3) * 3, np.diag([3, 3, 4]), np.diag([3, 4, 5]), hexagonal)] == [
        48,
        16,
        8,
        24,
    ]


def test_multiplicity_weighted_texture_averages_to_one() -> None:
    # Many families of a cubic lattice cover the sphere evenly, so their mean density is that of the sphere.
    h = np.arange(-24, 25)
    hkl = np.stack(np.meshgrid(h, h, h, indexing="ij"), axis=-1).reshape(-1, 3)
    norm = np.linalg.norm(hkl, axis=1)
    hkl = hkl[(norm > 12) & (norm <= 24)]
    cosine = hkl[:, 2] / np.linalg.norm(hkl, axis=1)
    assert march_dollase(0.7, np.degrees(np.arccos(cosine))).mean() == pytest.approx(1.0, abs=2e-3)


def test_senseless_texture_is_refused() -> None:
    with pytest.raises(InputError, match="above zero"):
        march_dollase(0.0, 10.0)
    with pytest.raises(InputError, match="non-zero triples"):
        texture_factors(np.eye(3), np.array([[0, 0, 0]]), (0, 0, 1), 0.5)
    with pytest.raises(InputError, match="non-zero triples"):
        texture_factors(np.eye(3), np.array([[1, 0, 0]]), (0, 0, 0), 0.5)


@pytest.mark.parametrize(
    ("element", "low", "high"), [("Al", 47, 52), ("Fe", 295, 325), ("Ni", 44, 50), ("W", 163, 177)]
)
def test_mass_absorption_of_copper_radiation_is_that_of_the_handbooks(element: str, low: float, high: float) -> None:
    # Ranges spanned by International Tables C 4.2.4 and Cullity's table for Cu K-alpha.
    assert low < mass_absorption_cm2_per_g(element, "CuKa") < high


def test_absorption_of_a_crystal_is_that_of_its_composition_and_density() -> None:
    iron = build_crystal("A2", "Fe", a_A=2.8665)
    assert crystal_absorption_per_cm(iron, "CoKa") == pytest.approx(
        linear_absorption_per_cm("Fe", 7.874, "CoKa"), rel=2e-3
    )


@pytest.mark.parametrize("x", [-0.5, -0.1, 0.1, 0.5, 2.0])
def test_transmission_of_a_sphere_forward_and_backward(x: float) -> None:
    # Forward the path is a whole chord, backward it is twice the way to the surface.
    def chord(b: float) -> float:
        return float(2 * np.sqrt(1 - b * b))

    volume = 4 * np.pi / 3
    forward = quad(lambda b: 2 * np.pi * b * chord(b) * np.exp(-x * chord(b)), 0, 1)[0] / volume
    backward = quad(lambda b: 2 * np.pi * b * (1 - np.exp(-2 * x * chord(b))) / (2 * x), 0, 1)[0] / volume
    assert sphere_transmission(x, 0.0) == pytest.approx(forward, rel=1e-3)
    assert sphere_transmission(x, 180.0) == pytest.approx(backward, rel=1e-3)


def test_fine_powders_need_no_correction_and_coarse_heavy_phases_are_hidden() -> None:
    mu, volume = [2400.0, 130.0], [0.5, 0.5]
    assert np.allclose(microabsorption_factors(mu, volume, [0.0, 0.0]), 1.0)
    heavy, light = microabsorption_factors(mu, volume, [5.0, 5.0])
    assert heavy < 1 < light
    x = 1135.0 * 0.5e-4 * 0.01  # to first order the mean path is 1.5 radii
    first = microabsorption_factors(mu, volume, [0.01, 0.01])
    assert np.allclose(first - 1, [-1.5 * x, 1.5 * x], rtol=2e-3)
    assert np.allclose(microabsorption_factors([900.0, 900.0], volume, [50.0, 5.0]), 1.0)
    assert np.allclose(corrected_fractions([heavy * 0.5, light * 0.5], [heavy, light]), 0.5)


def test_senseless_absorption_is_refused() -> None:
    with pytest.raises(InputError, match="above zero"):
        linear_absorption_per_cm("Fe", 0.0, "CuKa")
    with pytest.raises(InputError, match="wanted one each"):
        microabsorption_factors([1.0, 2.0], [1.0], [1.0, 1.0])
    with pytest.raises(InputError, match="negative"):
        microabsorption_factors([1.0, 2.0], [0.5, 0.5], [-1.0, 1.0])
