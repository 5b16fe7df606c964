"""Structure factors and patterns in torch, the same code on CPU and CUDA.

`box_structure_factors` and `torch_powder_pattern` serve cells of displaced atoms; the differentiable powder model of
small cells is in `torch_powder`. Each has a NumPy twin that the tests compare.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from hea_sim.crystals import Crystal
from hea_sim.diffraction.debye import check_nearest, row_blocks
from hea_sim.diffraction.powder import angle_limits, draw_sticks
from hea_sim.diffraction.profile import Instrument, LineShape
from hea_sim.diffraction.radiation import Radiation
from hea_sim.diffraction.radiation import radiation as get_radiation
from hea_sim.diffraction.scattering import STANDARD_TABLE, ScatteringTable, dispersion, form_factor
from hea_sim.errors import InputError
from hea_sim.records import Pattern

if TYPE_CHECKING:
    from ase import Atoms

_STEP_DEG = 0.01
#: A simulated cell has too many reflections to hold on the device beyond this number.
_BOX_LIMIT = 200_000_000
#: Numbers held at a time by one batch of matrix products.
_BATCH = 50_000_000
#: Points of s at which form factors are tabulated for the device, per 1/A.
_POINTS_PER_A = 4000


def torch_device(name: str) -> torch.device:
    """Get a torch device by name; "auto" takes CUDA where there is one.

    Raises InputError for a device that this machine lacks.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device '{name}' is unknown; wanted auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device '{name}' asked for, but torch finds no CUDA device; take cpu or auto")
    return device


def box_structure_factors(
    crystal: Crystal, limits: tuple[int, int, int], *, device: str = "cpu", dtype: torch.dtype = torch.complex64
) -> torch.Tensor:
    """Sum the phases of each species on the box 0..H, -K..K, -L..L by batched matrix products.

    Returns (species, H + 1, 2 K + 1, 2 L + 1) on the device; the twin of `geometric_factors_on_box`.
    """
    place = torch_device(device)
    real = torch.float64 if dtype == torch.complex128 else torch.float32
    ranges = ((0, limits[0]), (-limits[1], limits[1]), (-limits[2], limits[2]))
    # Phases are reduced in float64 before the cast, or large indices would lose digits.
    positions = torch.tensor(crystal.positions, dtype=torch.float64, device=place)
    along = []
    for axis, (first, last) in enumerate(ranges):
        indices = torch.arange(first, last + 1, dtype=torch.float64, device=place)
        turns = torch.outer(positions[:, axis], indices)
        angle = 2 * torch.pi * (turns - torch.round(turns))
        along.append(torch.polar(torch.ones_like(angle), angle).to(dtype))
    shape = (len(crystal.species), *(last - first + 1 for first, last in ranges))
    out = torch.empty(shape, dtype=dtype, device=place)
    for i in range(shape[0]):
        used = torch.tensor(np.flatnonzero(crystal.occupancy[:, i]), device=place)
        share = torch.tensor(crystal.occupancy[:, i], dtype=real, device=place)[used]
        x, y, z = (a[used] for a in along)
        weighted = x * share[:, None]
        step = max(1, _BATCH // max(used.numel() * shape[2], 1))
        for first in range(0, shape[1], step):
            batch = weighted[:, first : first + step].T[:, None, :] * y.T[None, :, :]
            out[i, first : first + step] = batch @ z
    return out


def torch_powder_pattern(
    structure: Atoms | Crystal,
    radiation: Radiation | str | float,
    *,
    two_theta_deg: np.ndarray,
    instrument: LineShape | None = None,
    b_iso_A2: float = 0.4,
    monochromator: float = 1.0,
    table: ScatteringTable = STANDARD_TABLE,
    device: str = "auto",
    dtype: torch.dtype = torch.complex64,
) -> Pattern:
    """Compute the powder pattern of a simulated cell on a torch device; parameters as of `powder_pattern`."""
    source = radiation if isinstance(radiation, Radiation) else get_radiation(radiation)
    crystal = structure if isinstance(structure, Crystal) else Crystal.from_atoms(structure)
    angles = np.asarray(two_theta_deg, float)
    limits = angle_limits(angles)
    centres, areas = _gathered(crystal, source, limits, b_iso_A2, monochromator, table, device, dtype)
    shape = instrument or Instrument(w_deg2=0.01, u_deg2=0.02)
    return Pattern(
        two_theta_deg=angles,
        intensity=draw_sticks(angles, centres, areas, source, shape),
        radiation=source.name if source.is_tube else None,
        wavelength_A=None if source.is_tube else source.wavelength_A,
        source=f"powder pattern of {crystal.name}",
        metadata={"b_iso_A2": b_iso_A2, "synthetic": True},
    )


def _gathered(
    crystal: Crystal,
    source: Radiation,
    limits: tuple[float, float],
    b_iso_A2: float,
    monochromator: float,
    table: ScatteringTable,
    device: str,
    dtype: torch.dtype,
) -> tuple[np.ndarray, np.ndarray]:
    """Gather the reflections in angle bins on the device."""
    place, wavelength = torch_device(device), source.wavelength_A
    g_low, g_high = (2 * float(np.sin(np.radians(t) / 2)) / wavelength for t in limits)
    h, k, m = (int(np.floor(g_high * length)) for length in np.linalg.norm(crystal.cell_A, axis=1))
    size = (h + 1) * (2 * k + 1) * (2 * m + 1)
    if size > _BOX_LIMIT:
        raise InputError(
            f"the pattern of {len(crystal.positions)} sites needs {size:.3g} reflections (at most {_BOX_LIMIT:.3g});"
            " take a smaller cell, a longer wavelength or a shorter range of angles"
        )
    geometric = box_structure_factors(crystal, (h, k, m), device=device, dtype=dtype)
    axes = [torch.arange(f, n + 1, dtype=torch.float64, device=place) for f, n in ((0, h), (-k, k), (-m, m))]
    reciprocal = torch.tensor(np.linalg.inv(crystal.cell_A), dtype=torch.float64, device=place)
    g = torch.sqrt(_squared_lengths(axes, reciprocal))
    keep = (g >= g_low) & (g <= g_high)
    weight = torch.where(axes[0] > 0, 2.0, 1.0)[:, None, None].expand(g.shape)[keep]
    s = g[keep] / 2
    sine = s * wavelength
    two_theta = 2 * torch.rad2deg(torch.asin(sine))
    polarisation = 1 + monochromator * (1 - 2 * sine**2) ** 2
    factor = weight * polarisation / (sine**2 * torch.sqrt(1 - sine**2)) * torch.exp(-2 * b_iso_A2 * s**2)
    intensity = factor * _friedel_mean(crystal.species, geometric[:, keep], s, wavelength, table)
    bins = ((two_theta - limits[0]) / _STEP_DEG).long()
    size = int((limits[1] - limits[0]) / _STEP_DEG) + 2
    area, moment = (
        torch.zeros(size, dtype=torch.float64, device=place).index_add_(0, bins, values).cpu().numpy()
        for values in (intensity, intensity * two_theta)
    )
    filled = area > 0
    return moment[filled] / area[filled], area[filled] / crystal.volume_A3**2


def _squared_lengths(axes: list[torch.Tensor], reciprocal: torch.Tensor) -> torch.Tensor:
    """Compute 1/d^2 on the box; column i of `reciprocal` is the reciprocal vector i."""
    metric = reciprocal.T @ reciprocal
    h, k, m = axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :]
    diagonal = metric[0, 0] * h**2 + metric[1, 1] * k**2 + metric[2, 2] * m**2
    return diagonal + 2 * (metric[0, 1] * h * k + metric[0, 2] * h * m + metric[1, 2] * k * m)


def _friedel_mean(
    species: tuple[str, ...], geometric: torch.Tensor, s: torch.Tensor, wavelength_A: float, table: ScatteringTable
) -> torch.Tensor:
    """Compute |sum (f0 + f') S|^2 + |sum f'' S|^2, the mean of Friedel mates."""
    real = torch.zeros(s.shape, dtype=torch.complex128, device=s.device)
    imaginary = torch.zeros_like(real)
    last = float(s.max()) if s.numel() else 0.0
    grid = np.arange(int(last * _POINTS_PER_A) + 2) / _POINTS_PER_A
    below = (s * _POINTS_PER_A).long()
    part = s * _POINTS_PER_A - below
    for element, phases in zip(species, geometric):
        anomalous = dispersion(element, float(wavelength_A), table)
        values = torch.tensor(form_factor(element, grid, table), dtype=torch.float64, device=s.device)
        f0 = values[below] * (1 - part) + values[below + 1] * part
        real += (f0 + anomalous.real) * phases
        imaginary += anomalous.imag * phases
    return real.abs() ** 2 + imaginary.abs() ** 2


def gather_pairs_torch(
    one: np.ndarray, other: np.ndarray, triangle: bool, bin_A: float, n_bins: int, *, device: str = "cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """Gather pair distances on a torch device in float64; the twin of `hea_sim.diffraction.debye.gather_pairs`."""
    place = torch_device(device)
    first, second = (torch.tensor(x, dtype=torch.float64, device=place) for x in (one, other))
    norm_first, norm_second = (first**2).sum(1), (second**2).sum(1)
    sums = torch.zeros(2, n_bins, dtype=torch.float64, device=place)
    for rows in row_blocks(len(one), len(other)):
        start = rows.start if triangle else 0
        squared = norm_first[rows, None] + norm_second[None, start:] - 2 * (first[rows] @ second[start:].T)
        if triangle:
            upper = torch.ones(squared.shape, dtype=torch.bool, device=place).triu(1)
            squared = squared[upper]
        squared = squared.reshape(-1)
        if squared.numel() == 0:
            continue
        check_nearest(float(squared.min()))
        r = torch.sqrt(squared)
        which = (r / bin_A).long()
        sums[0].index_add_(0, which, 1 / r)
        sums[1].index_add_(0, which, 1 - (which.double() + 0.5) * bin_A / r)
    zeroth, slope = sums.cpu().numpy()
    return zeroth, slope
