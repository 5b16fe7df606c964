"""A powder pattern in torch that can be differentiated by everything a refinement moves.

Reflections that coincide for every lattice of the crystal's kind form a family. The intensity of a family is a
quadratic form in the scattering factors of the species,

sum |F|^2 = sum_ab [(f0 + f')_a (f0 + f')_b + f''_a f''_b] M_ab,   M_ab = sum_members Re(G_a G_b*),

and G is linear in the site occupancies, so that M is a polynomial of degree two in the order parameter S that leads
from `crystal` (S = 0) to `ordered` (S = 1).

| parameter | unit | meaning |
|---|---|---|
| `scale` | 1 | factor of the whole pattern |
| `lattice_A` | A | the distinct lengths, for example (a,) of a cubic and (a, c) of a hexagonal cell |
| `order_parameter` | 1 | S above |
| `b_iso_A2` | A^2 | Debye-Waller factor |
| `u_deg2`, `v_deg2`, `w_deg2` | degree^2 | Caglioti widths |
| `size_nm`, `microstrain` | nm, 1 | Lorentzian widths of the specimen (`profile`) |
| `zero_deg`, `displacement_mm` | degree, mm | shifts of the lines (`profile`) |
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from hea_sim.crystals import Crystal
from hea_sim.diffraction.powder import angle_limits
from hea_sim.diffraction.profile import SCHERRER_K, gaussian_fwhm_squared, mix_widths
from hea_sim.diffraction.radiation import Radiation
from hea_sim.diffraction.radiation import radiation as get_radiation
from hea_sim.diffraction.scattering import STANDARD_TABLE, ScatteringTable, dispersion
from hea_sim.diffraction.structure_factor import geometric_factors, scattering_vectors_per_A
from hea_sim.diffraction.torch_engine import torch_device
from hea_sim.errors import InputError, unknown_name

_NEGLIGIBLE = 1e-8
_SITE_LIMIT = 200
_KNOT_STEP_PER_A = 0.01
Value = float | torch.Tensor


class TorchPowder:
    """Compute the powder pattern of a crystal as a function of its parameters.

    Parameters
    ----------
    crystal
        Structure at order parameter 0; its lattice is the starting value.
    radiation
        Name of a tube (its K-alpha doublet is included) or wavelength in Angstrom.
    two_theta_deg
        Angles (n,) in degrees.
    ordered
        The same sites with the occupancies of order parameter 1; `crystal` itself where left out.
    goniometer_radius_mm
        Needed for `displacement_mm` alone.
    monochromator
        K of the polarisation factor (see `lorentz_polarisation`).

    Examples
    --------
    >>> from hea_sim.crystals import build_crystal
    >>> model = TorchPowder(build_crystal("A2", "W", a_A=3.165), "CuKa", np.linspace(30, 100, 701))
    >>> a = torch.tensor([3.165], dtype=torch.float64, requires_grad=True)
    >>> model(lattice_A=a).sum().backward()
    >>> tuple(a.grad.shape)
    (1,)
    """

    def __init__(
        self,
        crystal: Crystal,
        radiation: Radiation | str | float,
        two_theta_deg: np.ndarray,
        *,
        ordered: Crystal | None = None,
        goniometer_radius_mm: float = 0.0,
        monochromator: float = 1.0,
        table: ScatteringTable = STANDARD_TABLE,
        device: str = "cpu",
    ) -> None:
        if len(crystal.positions) > _SITE_LIMIT:
            raise InputError(
                f"{len(crystal.positions)} sites are too many for a differentiable pattern (at most {_SITE_LIMIT});"
                " compute the pattern with torch_powder_pattern"
            )
        self.device = torch_device(device)
        self.source = radiation if isinstance(radiation, Radiation) else get_radiation(radiation)
        angles = np.asarray(two_theta_deg, float)
        self.angles_deg = self._tensor(angles)
        self.goniometer_radius_mm = goniometer_radius_mm
        self.monochromator = monochromator
        limits = angle_limits(angles)
        g_low, g_high = (2 * np.sin(np.radians(t) / 2) / self.source.wavelength_A for t in limits)
        cell = np.asarray(crystal.cell_A, float)
        self.lattice_A, self._which = _distinct_lengths(cell)
        self._directions = self._tensor(cell / np.linalg.norm(cell, axis=1)[:, None])
        self.hkl, correlations = _families(crystal, ordered or crystal, (g_low, g_high))
        self._hkl = self._tensor(self.hkl)
        self._correlations = self._tensor(correlations)
        self.species = crystal.species
        anomalous = np.array([dispersion(e, float(self.source.wavelength_A), table) for e in crystal.species])
        self._real, self._imaginary = self._tensor(anomalous.real), self._tensor(anomalous.imag)
        self._spline = self._tensor(_splines(crystal.species, table))
        self.defaults: dict[str, Value] = {
            "scale": 1.0,
            "lattice_A": self._tensor(self.lattice_A),
            "order_parameter": 0.0,
            "b_iso_A2": crystal.b_iso_A2,
            "u_deg2": 0.02,
            "v_deg2": 0.0,
            "w_deg2": 0.01,
            "size_nm": float("inf"),
            "microstrain": 0.0,
            "zero_deg": 0.0,
            "displacement_mm": 0.0,
        }

    def _tensor(self, values: object) -> torch.Tensor:
        return torch.as_tensor(values, dtype=torch.float64, device=self.device)

    def __call__(self, **parameters: Value) -> torch.Tensor:
        """Compute the intensities (n,), in the unit of `powder_pattern`; parameters as in the module's table."""
        p = self._complete(parameters)
        cell = p["lattice_A"][self._which][:, None] * self._directions
        volume = torch.linalg.det(cell).abs()
        g = torch.linalg.norm(self._hkl @ torch.linalg.inv(cell).T, dim=-1)
        areas = p["scale"] * self._strengths(g, p["order_parameter"], p["b_iso_A2"]) / volume**2
        total = torch.zeros_like(self.angles_deg)
        weight = sum(w for _, w in self.source.lines)
        for wavelength, share in self.source.lines:
            total = total + share / weight * self._drawn(g, areas, wavelength, p)
        return total

    def _complete(self, parameters: Mapping[str, Value]) -> dict[str, torch.Tensor]:
        for name in parameters:
            if name not in self.defaults:
                raise unknown_name("parameter", name, self.defaults)
        complete = {name: self._tensor(value) for name, value in {**self.defaults, **parameters}.items()}
        if complete["lattice_A"].shape != (len(self.lattice_A),):
            raise InputError(
                f"lattice_A of shape {tuple(complete['lattice_A'].shape)}; this cell has {len(self.lattice_A)} distinct"
                f" length(s), for example {np.round(self.lattice_A, 4).tolist()}"
            )
        if "displacement_mm" in parameters and not self.goniometer_radius_mm > 0:
            raise InputError("displacement_mm needs the goniometer radius; give goniometer_radius_mm to TorchPowder")
        return complete

    def _strengths(self, g: torch.Tensor, order: torch.Tensor, b_iso_A2: torch.Tensor) -> torch.Tensor:
        """Compute the sum of |F|^2 of each family times Lorentz and polarisation factor, (families,)."""
        s = g / 2
        knot = (s / _KNOT_STEP_PER_A).long()
        rest = s - knot * _KNOT_STEP_PER_A
        c = self._spline[:, :, knot]
        f0 = ((c[0] * rest + c[1]) * rest + c[2]) * rest + c[3]
        real = f0 + self._real[:, None]
        products = real[:, None] * real[None] + (self._imaginary[:, None] * self._imaginary[None])[:, :, None]
        m = self._correlations
        strengths = torch.einsum("abf,fab->f", products, m[0] + order * m[1] + order**2 * m[2])
        sine = s * self.source.wavelength_A
        polarisation = 1 + self.monochromator * (1 - 2 * sine**2) ** 2
        return strengths * torch.exp(-2 * b_iso_A2 * s**2) * polarisation / (sine**2 * torch.sqrt(1 - sine**2))

    def _drawn(
        self, g: torch.Tensor, areas: torch.Tensor, wavelength_A: float, p: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """Draw pseudo-Voigt lines of Thompson-Cox-Hastings widths, not cut anywhere."""
        sine = g * wavelength_A / 2
        seen = sine < 1
        theta = torch.asin(sine[seen])
        tangent, cosine = torch.tan(theta), torch.cos(theta)
        squared = gaussian_fwhm_squared(tangent, p["u_deg2"], p["v_deg2"], p["w_deg2"])
        gaussian = torch.sqrt(torch.clamp(squared, min=1e-8))
        size = SCHERRER_K * wavelength_A / (10 * p["size_nm"])
        lorentzian = torch.rad2deg(size / cosine + 4 * p["microstrain"] * tangent)
        fwhm, eta = mix_widths(gaussian, lorentzian)
        radius = self.goniometer_radius_mm or 1.0
        centres = torch.rad2deg(2 * theta - 2 * p["displacement_mm"] * cosine / radius) + p["zero_deg"]
        x = (self.angles_deg[:, None] - centres) / fwhm
        gauss = 2 * (np.log(2) / np.pi) ** 0.5 * torch.exp(-4 * np.log(2) * x**2)
        lorentz = 2 / np.pi / (1 + 4 * x**2)
        return (eta * lorentz + (1 - eta) * gauss) @ (areas[seen] / fwhm)


def differentiable_pattern(
    crystal: Crystal,
    radiation: Radiation | str | float,
    two_theta_deg: np.ndarray,
    parameters: Mapping[str, Value],
    *,
    ordered: Crystal | None = None,
    goniometer_radius_mm: float = 0.0,
    device: str = "cpu",
) -> torch.Tensor:
    """Compute one pattern (n,) with gradients; for many patterns of one structure keep a `TorchPowder`."""
    model = TorchPowder(
        crystal,
        radiation,
        two_theta_deg,
        ordered=ordered,
        goniometer_radius_mm=goniometer_radius_mm,
        device=device,
    )
    return model(**parameters)


def _distinct_lengths(cell_A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the distinct lattice lengths and which of them each axis has."""
    lengths = np.linalg.norm(cell_A, axis=1)
    distinct: list[float] = []
    which = []
    for length in lengths:
        same = [i for i, known in enumerate(distinct) if abs(known - length) < 1e-6 * length]
        which.append(same[0] if same else len(distinct))
        if not same:
            distinct.append(float(length))
    return np.array(distinct), np.array(which)


def _families(crystal: Crystal, ordered: Crystal, g_range_per_A: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Group reflections that coincide for all lengths; give one of each (m, 3) and M_ab as (3, m, species, species)."""
    if ordered.species != crystal.species or ordered.positions.shape != crystal.positions.shape:
        raise InputError(
            f"ordered structure of {len(ordered.positions)} sites and species {', '.join(ordered.species)}; wanted the"
            f" {len(crystal.positions)} sites and species {', '.join(crystal.species)} of the disordered one"
        )
    cell = np.asarray(crystal.cell_A, float)
    lengths, which = _distinct_lengths(cell)
    bounds = [int(np.floor(g_range_per_A[1] * n)) for n in np.linalg.norm(cell, axis=1)]
    grid = np.meshgrid(*(np.arange(-b, b + 1) for b in bounds), indexing="ij")
    hkl = np.stack([x.ravel() for x in grid], axis=1)
    g = scattering_vectors_per_A(cell, hkl)
    hkl = hkl[(g >= g_range_per_A[0]) & (g <= g_range_per_A[1])]
    # Irrational factors on the lengths keep apart what coincides by chance.
    factors = 1 + 0.1 * np.sqrt(np.array([2.0, 3.0, 5.0]))[: len(lengths)]
    keys = [scattering_vectors_per_A(cell * f[which][:, None], hkl) for f in (np.ones(len(lengths)), factors)]
    _, first, group = np.unique(np.round(keys, 7), axis=1, return_index=True, return_inverse=True)
    start = geometric_factors(crystal, hkl)
    change = geometric_factors(ordered, hkl) - start
    forms = []
    for a, b in ((start, start), (start, change), (change, change)):
        products = (a[:, None] * np.conj(b[None])).real
        forms.append(products + products.transpose(1, 0, 2) if b is not a else products)
    n = len(first)
    summed = np.zeros((3, n, len(crystal.species), len(crystal.species)))
    for form, out in zip(forms, summed):
        np.add.at(out, group.ravel(), form.transpose(2, 0, 1))
    size = np.abs(summed).max(axis=(0, 2, 3))
    kept = size > _NEGLIGIBLE * max(size.max(initial=0.0), 1e-30)
    return hkl[first][kept], summed[:, kept]


def _splines(species: tuple[str, ...], table: ScatteringTable) -> np.ndarray:
    """Lay cubic splines through f0, (4, species, pieces), highest power first."""
    from scipy.interpolate import CubicSpline

    knots = np.arange(0, 6 + _KNOT_STEP_PER_A / 2, _KNOT_STEP_PER_A)
    return np.stack([CubicSpline(knots, table.f0(e, knots)).c for e in species], axis=1)
