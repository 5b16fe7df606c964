"""Laws that every potential must keep, as a function that users can run on a potential of their own.

| law | what is compared |
|---|---|
| translation, rotation, order of atoms | energy, forces and stress before and after |
| sites | site energies add up to the energy |
| batch | many systems at once, and one by one |
| extensive | a repeated cell has as many times the energy; holds for cells smaller than the cutoff |
| forces | -dE/dx by central differences |
| stress | dE/dstrain / V by central differences |
| smooth cutoff | energy and force as an atom crosses the cutoff |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hea_sim.errors import InputError
from hea_sim.potentials.contract import AtomisticResult, Potential

if TYPE_CHECKING:
    from ase import Atoms

_STEP_A = 2e-4
_STRAIN = 1e-4


@dataclass(frozen=True, kw_only=True)
class Check:
    """Hold the outcome of one law: the largest error found and the largest that is allowed, in the law's unit."""

    law: str
    error: float
    allowed: float
    unit: str

    @property
    def passed(self) -> bool:
        """Tell whether the error is within what is allowed."""
        return bool(self.error <= self.allowed)


def check_potential(
    potential: Potential,
    systems: Sequence[Atoms] | None = None,
    *,
    precision: float = 1e-9,
    difference_precision: float = 1e-5,
    rng: np.random.Generator | None = None,
) -> list[Check]:
    """Check a potential against the laws that all potentials keep.

    Parameters
    ----------
    potential
        What to check.
    systems
        Where to check; None for small disordered bcc and fcc cells and a cluster of the potential's elements.
    precision
        Largest error allowed where two results should be equal: in eV per atom, eV/A, eV/A^3. Potentials in single
        precision need about 1e-4.
    difference_precision
        Largest error against central differences, in eV/A and eV/A^3.
    rng
        Draws rotations and orders; None for a fixed seed.

    Returns
    -------
    list[Check]
        One for each law; see `raise_if_failed`.
    """
    rng = rng or np.random.default_rng(0)
    systems = list(systems) if systems is not None else example_systems(potential.elements, rng)
    if not systems:
        raise InputError("check_potential: no system was given; wanted at least one, or None for examples")
    one_by_one = [potential.evaluate(atoms) for atoms in systems]
    errors: dict[str, float] = {
        "batch": max(map(_difference, potential.evaluate(systems), one_by_one)),
        "sites": max(abs(r.site_energies_eV.sum() - r.energy_eV) / len(r.site_energies_eV) for r in one_by_one),
    }
    for atoms, result in zip(systems, one_by_one, strict=True):
        found = {
            "translation": _translated(potential, atoms, result, rng),
            "rotation": _rotated(potential, atoms, result, rng),
            "order of atoms": _reordered(potential, atoms, result, rng),
            "extensive": _repeated(potential, atoms, result),
            "forces": _force_error(potential, atoms, result, rng),
            "stress": _stress_error(potential, atoms, result),
        }
        for law, error in found.items():
            errors[law] = max(errors.get(law, 0.0), error)
    errors["smooth cutoff"] = _jump_at_cutoff(potential)
    units = {"forces": "eV/A", "stress": "eV/A^3", "smooth cutoff": "eV, eV/A"}
    return [
        Check(
            law=law,
            error=float(error),
            allowed=difference_precision if law in units else precision,
            unit=units.get(law, "eV/atom, eV/A, eV/A^3"),
        )
        for law, error in errors.items()
    ]


def raise_if_failed(checks: Sequence[Check]) -> None:
    """Raise InputError naming every law that was broken and by how much."""
    broken = [f"{c.law} ({c.error:.2g} {c.unit}, allowed {c.allowed:.2g})" for c in checks if not c.passed]
    if broken:
        raise InputError(f"the potential breaks: {'; '.join(broken)}")


def example_systems(elements: Sequence[str], rng: np.random.Generator) -> list[Atoms]:
    """Make small disordered systems: a bcc and an fcc cell, a sheared primitive cell, and a free cluster."""
    from ase.build import bulk
    from ase.data import atomic_numbers, covalent_radii

    radius = float(np.mean([covalent_radii[atomic_numbers[e]] for e in elements]))
    side = 2 * radius * 1.03
    bcc = bulk(elements[0], "bcc", a=side * 2 / np.sqrt(3), cubic=True).repeat(2)
    fcc = bulk(elements[0], "fcc", a=side * np.sqrt(2), cubic=True)
    sheared = bulk(elements[0], "bcc", a=side * 2 / np.sqrt(3))
    sheared.set_cell(sheared.cell.array @ np.array([[1.02, 0.03, 0], [0, 0.99, 0.05], [0, 0, 1.01]]), scale_atoms=True)
    cluster = fcc.copy()
    cluster.pbc = False
    systems = [bcc, fcc, sheared, cluster]
    for atoms in systems:
        atoms.symbols = rng.choice(list(elements), len(atoms))
        atoms.positions += 0.08 * rng.standard_normal(atoms.positions.shape)
    return systems


def _difference(a: AtomisticResult, b: AtomisticResult) -> float:
    """Give the largest difference of two results."""
    parts = [
        abs(a.energy_eV - b.energy_eV) / len(a.site_energies_eV),
        np.abs(a.site_energies_eV - b.site_energies_eV).max(),
        np.abs(a.forces_eV_per_A - b.forces_eV_per_A).max(),
    ]
    if a.stress_eV_per_A3 is not None and b.stress_eV_per_A3 is not None:
        parts.append(np.abs(a.stress_eV_per_A3 - b.stress_eV_per_A3).max())
    return float(max(parts))


def _translated(potential: Potential, atoms: Atoms, before: AtomisticResult, rng: np.random.Generator) -> float:
    moved = atoms.copy()
    moved.positions += rng.uniform(-5, 5, 3)
    moved.wrap()
    return _difference(potential.evaluate(moved), before)


def _rotated(potential: Potential, atoms: Atoms, before: AtomisticResult, rng: np.random.Generator) -> float:
    q, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ q)
    turned.positions = atoms.positions @ q
    after = potential.evaluate(turned)
    stress = None if after.stress_eV_per_A3 is None else q @ after.stress_eV_per_A3 @ q.T
    back = AtomisticResult(
        energy_eV=after.energy_eV,
        site_energies_eV=after.site_energies_eV,
        forces_eV_per_A=after.forces_eV_per_A @ q.T,
        stress_eV_per_A3=stress,
    )
    return _difference(back, before)


def _reordered(potential: Potential, atoms: Atoms, before: AtomisticResult, rng: np.random.Generator) -> float:
    order = rng.permutation(len(atoms))
    after = potential.evaluate(atoms[order])
    back = np.argsort(order)
    return _difference(
        AtomisticResult(
            energy_eV=after.energy_eV,
            site_energies_eV=after.site_energies_eV[back],
            forces_eV_per_A=after.forces_eV_per_A[back],
            stress_eV_per_A3=after.stress_eV_per_A3,
        ),
        before,
    )


def _repeated(potential: Potential, atoms: Atoms, before: AtomisticResult) -> float:
    """Compare a cell repeated along its periodic directions; this also tries cells smaller than the cutoff."""
    times = np.where(atoms.pbc, 2, 1)
    n = int(times.prod())
    if n == 1:
        return 0.0
    after = potential.evaluate(atoms.repeat(tuple(int(t) for t in times)))
    size = len(atoms)
    return _difference(
        AtomisticResult(
            energy_eV=after.energy_eV / n,
            site_energies_eV=after.site_energies_eV[:size],
            forces_eV_per_A=after.forces_eV_per_A[:size],
            stress_eV_per_A3=after.stress_eV_per_A3,
        ),
        before,
    )


def _force_error(potential: Potential, atoms: Atoms, result: AtomisticResult, rng: np.random.Generator) -> float:
    """Compare forces with central differences of fourth order along a few random directions of all atoms."""
    worst = 0.0
    for _ in range(3):
        way = rng.standard_normal(atoms.positions.shape)
        way /= np.abs(way).max()
        found = -_slope(lambda x: _energy_moved(potential, atoms, x * way), _STEP_A)  # noqa: B023
        worst = max(worst, abs(found - float((result.forces_eV_per_A * way).sum())) / np.abs(way).sum())
    for i in range(min(len(atoms), 2)):
        way = np.zeros_like(atoms.positions)
        way[i, int(rng.integers(3))] = 1.0
        found = -_slope(lambda x: _energy_moved(potential, atoms, x * way), _STEP_A)  # noqa: B023
        worst = max(worst, abs(found - float((result.forces_eV_per_A * way).sum())))
    return worst


def _energy_moved(potential: Potential, atoms: Atoms, by: np.ndarray) -> float:
    moved = atoms.copy()
    moved.positions += by
    return potential.evaluate(moved).energy_eV


def _stress_error(potential: Potential, atoms: Atoms, result: AtomisticResult) -> float:
    if result.stress_eV_per_A3 is None:
        return 0.0
    worst = 0.0
    for a, b in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)):
        strain = np.zeros((3, 3))
        strain[a, b] += 0.5
        strain[b, a] += 0.5
        found = _slope(lambda x: _energy_strained(potential, atoms, x * strain), _STRAIN) / atoms.cell.volume  # noqa: B023
        worst = max(worst, abs(found - result.stress_eV_per_A3[a, b]))
    return worst


def _energy_strained(potential: Potential, atoms: Atoms, strain: np.ndarray) -> float:
    moved = atoms.copy()
    moved.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return potential.evaluate(moved).energy_eV


def _slope(energy: Any, step: float) -> float:
    """Give the derivative at zero by central differences of fourth order."""
    return float((8 * (energy(step) - energy(-step)) - (energy(2 * step) - energy(-2 * step))) / (12 * step))


def _jump_at_cutoff(potential: Potential) -> float:
    """Let an atom leave a dimer through the cutoff: energy and force must have no step."""
    from ase import Atoms

    worst = 0.0
    radius, tiny = potential.cutoff_A, 1e-6
    for element in potential.elements:
        dimers = [
            Atoms([potential.elements[0], element], [[0, 0, 0], [r, 0, 0]])
            for r in (radius - tiny, radius + tiny)
        ]  # fmt: skip
        inside, outside = potential.evaluate(dimers)
        worst = max(
            worst,
            abs(inside.energy_eV - outside.energy_eV),
            float(np.abs(inside.forces_eV_per_A - outside.forces_eV_per_A).max()),
        )
    return worst
