"""Elastic constants from the stress of a strained crystal, averages over orientations, stability.

| symbol | here | unit |
|---|---|---|
| C_ij = d sigma_i / d e_j | `stiffness_GPa`, Voigt order xx yy zz yz xz xy, shear strains doubled | GPa |
| K, G, E, nu of a polycrystal (Hill 1952, doi:10.1088/0370-1298/65/5/307) | `ElasticConstants.moduli` | GPa, 1 |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_sim.mechanics.relaxation import run_to_rest, stress_GPa, with_calculator
from hea_sim.records import Estimate

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


@dataclass(frozen=True, kw_only=True)
class CubicConstants:
    """Hold the three constants of a cubic crystal, averaged over its axes.

    The std joins the scatter of the three axes (a random alloy in a finite cell is not quite cubic) and the error of
    the differences. `spread_GPa` is largest minus smallest of each; `departure_GPa` the largest difference between
    the full matrix and its cubic average.
    """

    C11: Estimate
    C12: Estimate
    C44: Estimate
    spread_GPa: tuple[float, float, float]
    departure_GPa: float

    @property
    def zener(self) -> float:
        """Anisotropy 2 C44 / (C11 - C12); 1 is isotropic."""
        return 2 * self.C44.value / (self.C11.value - self.C12.value)


@dataclass(frozen=True, kw_only=True)
class Moduli:
    """Hold moduli of a polycrystal without texture: Hill's means, and the bounds of Voigt and Reuss (bulk, shear)."""

    bulk_GPa: Estimate
    shear_GPa: Estimate
    young_GPa: Estimate
    poisson: Estimate
    voigt_GPa: tuple[float, float]
    reuss_GPa: tuple[float, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class ElasticConstants:
    """Hold the stiffness of a crystal in its Cartesian axes.

    `stiffness_GPa` (6, 6), symmetric; `std_GPa` (6, 6): what refining the strain changed, and the asymmetry of the
    matrix before it was made symmetric; `stress_GPa` (6,) of the crystal without strain: where it is not zero these
    are the stress-strain coefficients at that stress; `method` in words.
    """

    stiffness_GPa: np.ndarray
    std_GPa: np.ndarray
    stress_GPa: np.ndarray
    method: str

    @property
    def least_eigenvalue_GPa(self) -> float:
        """Smallest eigenvalue of the stiffness; above zero in a crystal that is stable (Born)."""
        return float(np.linalg.eigvalsh(self.stiffness_GPa)[0])

    @property
    def is_stable(self) -> bool:
        """Tell whether every small strain costs energy (Born)."""
        return self.least_eigenvalue_GPa > 0

    def cubic(self) -> CubicConstants:
        """Average over the axes of a cubic crystal, which must lie along x, y and z."""
        c = self.stiffness_GPa
        members = (
            ([0, 1, 2], [0, 1, 2]),
            ([0, 0, 1], [1, 2, 2]),
            ([3, 4, 5], [3, 4, 5]),
        )
        values = [c[rows] for rows in members]
        means = [float(v.mean()) for v in values]
        form = np.zeros((6, 6))
        form[:3, :3] = means[1]
        form[np.arange(6), np.arange(6)] = [means[0]] * 3 + [means[2]] * 3
        estimates = []
        for rows, v, mean in zip(members, values, means, strict=True):
            std = float(np.sqrt(v.var(ddof=1) / 3 + np.mean(self.std_GPa[rows] ** 2)))
            estimates.append(
                Estimate.normal(mean, std, unit="GPa", n=3, method=f"mean over the cubic axes; {self.method}")
            )
        spread = (float(np.ptp(values[0])), float(np.ptp(values[1])), float(np.ptp(values[2])))
        return CubicConstants(
            C11=estimates[0],
            C12=estimates[1],
            C44=estimates[2],
            spread_GPa=spread,
            departure_GPa=float(np.abs(c - form).max()),
        )

    def moduli(self) -> Moduli:
        """Average over all orientations; the std is that of the stiffness, not the gap between the bounds.

        Raises InputError where the crystal is not stable, since its averages have no meaning.
        """
        if not self.is_stable:
            raise InputError(
                f"the least eigenvalue of the stiffness is {self.least_eigenvalue_GPa:.3g} GPa; wanted a stable crystal"
                " (all above 0): relax its volume first, or take the stiffness as it is"
            )
        hill = _hill(self.stiffness_GPa)
        changes = []
        for i in range(6):
            for j in range(i, 6):
                step = np.zeros((6, 6))
                step[i, j] = step[j, i] = 1e-4 * np.abs(self.stiffness_GPa).max()
                slope = (_hill(self.stiffness_GPa + step) - hill) / step[i, j]
                changes.append(slope * self.std_GPa[i, j])
        std = np.sqrt((np.array(changes) ** 2).sum(axis=0))
        units = ("GPa", "GPa", "GPa", "")
        bulk, shear, young, poisson = (
            Estimate.normal(value, s, unit=unit, method=f"Hill's mean; {self.method}")
            for value, s, unit in zip(hill, std, units, strict=True)
        )
        return Moduli(
            bulk_GPa=bulk,
            shear_GPa=shear,
            young_GPa=young,
            poisson=poisson,
            voigt_GPa=_voigt(self.stiffness_GPa),
            reuss_GPa=_reuss(self.stiffness_GPa),
        )


def _voigt(c: np.ndarray) -> tuple[float, float]:
    """Give bulk and shear modulus at equal strain in all grains."""
    normal, cross, shear = c[0, 0] + c[1, 1] + c[2, 2], c[0, 1] + c[0, 2] + c[1, 2], c[3, 3] + c[4, 4] + c[5, 5]
    return float(normal + 2 * cross) / 9, float(normal - cross + 3 * shear) / 15


def _reuss(c: np.ndarray) -> tuple[float, float]:
    """Give bulk and shear modulus at equal stress in all grains."""
    s = np.linalg.inv(c)
    normal, cross, shear = s[0, 0] + s[1, 1] + s[2, 2], s[0, 1] + s[0, 2] + s[1, 2], s[3, 3] + s[4, 4] + s[5, 5]
    return 1 / float(normal + 2 * cross), 15 / float(4 * normal - 4 * cross + 3 * shear)


def _hill(c: np.ndarray) -> np.ndarray:
    """Give K, G, E and nu, the mean of both bounds."""
    bulk, shear = np.mean([_voigt(c), _reuss(c)], axis=0)
    return np.array(
        [
            bulk,
            shear,
            9 * bulk * shear / (3 * bulk + shear),
            (3 * bulk - 2 * shear) / (6 * bulk + 2 * shear),
        ]
    )


def elastic_constants(
    potential: Any,
    atoms: Any,
    *,
    relax_ions: bool = True,
    strain: float = 5e-3,
    fmax_eV_per_A: float = 1e-4,
    max_steps: int = 500,
) -> ElasticConstants:
    """Compute the full stiffness of a crystal from its stress under twelve pairs of opposite strains.

    `potential` is anything with `.calculator()`, or an ASE calculator. Relax the volume before (`relaxed_volume`). Each
    of the six strains is taken at plus and minus `strain` and twice that; central differences at both are joined so
    that the error of second order falls out (Richardson). With `relax_ions` the atoms come to rest at each strain.
    """
    if not 1e-5 <= strain <= 0.05:
        raise InputError(f"strain {strain}; wanted 1e-5 to 0.05 (0.005 suits most potentials)")
    reference = with_calculator(atoms, potential)
    what = f"elastic constants of {reference.get_chemical_formula()}"
    if relax_ions:
        run_to_rest(reference, fmax_eV_per_A, max_steps, what)
    unstrained = stress_GPa(reference)
    fine, joined = np.empty((6, 6)), np.empty((6, 6))
    for j in range(6):
        moved = np.zeros_like(reference.positions)
        differences = []
        for size in (1, 2):
            stresses = []
            for sign in (1, -1):
                # atoms answer small strains in proportion, so the last answer is a good start for the next
                work = _strained(reference, j, sign * size * strain, sign * size * moved)
                start = work.positions - sign * size * moved
                if relax_ions:
                    run_to_rest(work, fmax_eV_per_A, max_steps, what)
                    moved = sign / size * (work.positions - start)
                stresses.append(stress_GPa(work))
            differences.append((stresses[0] - stresses[1]) / (2 * size * strain))
        fine[:, j] = differences[0]
        joined[:, j] = (4 * differences[0] - differences[1]) / 3
    method = (
        f"stress under strains of {strain:g} and {2 * strain:g}, central differences, Richardson; atoms"
        f" {'relaxed' if relax_ions else 'held'}"
    )
    refined, asymmetry = 0.5 * (joined - fine + (joined - fine).T), 0.5 * (joined - joined.T)
    return ElasticConstants(
        stiffness_GPa=0.5 * (joined + joined.T),
        std_GPa=np.sqrt(refined**2 + asymmetry**2),
        stress_GPa=unstrained,
        method=method,
    )


def _strained(atoms: Any, component: int, strain: float, moved: np.ndarray) -> Any:
    """Strain a copy of atoms without rotation, then displace them; a shear strain is twice its tensor component."""
    i, j = VOIGT[component]
    deformation = np.eye(3)
    deformation[i, j] += 0.5 * strain
    deformation[j, i] += 0.5 * strain
    copy = atoms.copy()
    copy.calc = atoms.calc
    copy.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
    copy.positions += moved
    return copy
