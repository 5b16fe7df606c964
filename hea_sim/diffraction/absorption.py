"""Linear absorption and microabsorption.

A particle that absorbs more than its neighbours shows less of its volume: tau = <exp(-(mu - mu_mean) x)>, x the path of
the rays inside the particle. Brindley, Phil. Mag. 36, 347 (1945), 10.1080/14786444508520918. Mass absorption: Elam,
Ravel & Sieber, Radiat. Phys. Chem. 63, 121 (2002), 10.1016/S0969-806X(01)00227-4, through `xraydb`.

| symbol | variable | unit |
|---|---|---|
| mu | `linear_absorption_per_cm` | 1/cm |
| mu / rho | `mass_absorption_cm2_per_g` | cm^2/g |
| tau | `microabsorption_factors` | 1 |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.crystals import Crystal
from hea_sim.diffraction.radiation import Radiation
from hea_sim.diffraction.radiation import radiation as get_radiation
from hea_sim.errors import InputError

#: Unified atomic mass unit in g, times 1e24 A^3 per cm^3.
_G_PER_CM3_OF_U_PER_A3 = 1.66053907
#: Nodes along radius, latitude and longitude of a sphere.
_NODES = 24


def mass_absorption_cm2_per_g(
    composition: Composition | Mapping[str, float] | str, radiation: Radiation | str | float
) -> float:
    """Compute mu / rho in cm^2/g (photoelectric and scattering) at the strongest wavelength."""
    import xraydb

    source = radiation if isinstance(radiation, Radiation) else get_radiation(radiation)
    total = 0.0
    for element, share in Composition.parse(composition).weight_fractions().items():
        try:
            total += share * float(xraydb.mu_elam(element, source.energy_eV))
        except (ValueError, TypeError, IndexError) as error:
            raise InputError(f"no absorption coefficient for '{element}' ({error})") from error
    return total


def linear_absorption_per_cm(
    composition: Composition | Mapping[str, float] | str, density_g_cm3: float, radiation: Radiation | str | float
) -> float:
    """Compute mu in 1/cm of a composition (atomic) of this density.

    >>> round(linear_absorption_per_cm("Fe", 7.874, "CuKa"), -2)
    2400.0
    """
    if not density_g_cm3 > 0:
        raise InputError(f"density {density_g_cm3} g/cm^3; wanted a number above zero")
    return density_g_cm3 * mass_absorption_cm2_per_g(composition, radiation)


def crystal_absorption_per_cm(crystal: Crystal, radiation: Radiation | str | float) -> float:
    """Compute mu in 1/cm of a crystal from its cell's contents and volume."""
    amounts = dict(zip(crystal.species, crystal.occupancy.sum(axis=0).tolist()))
    density = crystal.mass_u / crystal.volume_A3 * _G_PER_CM3_OF_U_PER_A3
    return linear_absorption_per_cm(amounts, density, radiation)


def sphere_transmission(mu_radius: float, two_theta_deg: float = 90.0) -> float:
    """Average exp(-mu x) over a sphere, x the path in and out of it in units of the radius.

    `mu_radius` is mu times the radius, negative where the sphere absorbs less than what surrounds it.

    >>> sphere_transmission(0.0)
    1.0
    """
    x, y, z, weight = _sphere_nodes()
    turn = np.radians(two_theta_deg)
    squared = x**2 + y**2 + z**2
    path = np.zeros_like(x)
    # Back to the surface against the incoming ray (along x), and on to it along the outgoing ray.
    for along in (-x, x * np.cos(turn) + y * np.sin(turn)):
        path += np.sqrt(np.maximum(along**2 + 1 - squared, 0)) - along
    return float(np.sum(weight * np.exp(-mu_radius * path)) / weight.sum())


def _sphere_nodes() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    r, cosine = np.meshgrid((nodes + 1) / 2, nodes, indexing="ij")
    weight = (weights / 2)[:, None] * r**2 * weights[None, :]
    phi = 2 * np.pi * (np.arange(_NODES) + 0.5) / _NODES
    ring = (r * np.sqrt(1 - cosine**2))[..., None]
    x, y = ring * np.cos(phi), ring * np.sin(phi)
    z = np.broadcast_to((r * cosine)[..., None], x.shape)
    return x, y, z, np.broadcast_to(weight[..., None], x.shape)


def microabsorption_factors(
    absorption_per_cm: Sequence[float],
    volume_fractions: Sequence[float],
    diameters_um: Sequence[float],
    *,
    two_theta_deg: float = 90.0,
) -> np.ndarray:
    """Compute Brindley's tau of each phase of a mixture of spheres, (phases,).

    Parameters
    ----------
    absorption_per_cm
        mu of each phase in 1/cm.
    volume_fractions
        Of the solid; they are normalised.
    diameters_um
        Particle diameters in micrometre.
    two_theta_deg
        Angle at which rays cross the particle; tau hardly depends on it.

    Raises
    ------
    InputError
        Where lengths differ or a value is negative, or no volume fraction is above zero.
    """
    mu, volume, size = (np.asarray(v, float) for v in (absorption_per_cm, volume_fractions, diameters_um))
    if not mu.shape == volume.shape == size.shape or mu.ndim != 1 or mu.size == 0:
        raise InputError(
            f"{mu.size} absorptions, {volume.size} volume fractions, {size.size} diameters; wanted one each"
        )
    if min(mu.min(), volume.min(), size.min()) < 0 or not volume.sum() > 0:
        raise InputError("absorptions, volume fractions and diameters must not be negative, nor all fractions zero")
    mean = float(volume @ mu / volume.sum())
    radius_cm = size * 0.5e-4
    return np.array([sphere_transmission(x, two_theta_deg) for x in (mu - mean) * radius_cm])


def corrected_fractions(apparent: Sequence[float], factors: Sequence[float] | np.ndarray) -> np.ndarray:
    """Correct fractions (weight or volume) that were read from intensities, by the factors of the phases."""
    raw = np.asarray(apparent, float) / np.asarray(factors, float)
    return raw / raw.sum()
