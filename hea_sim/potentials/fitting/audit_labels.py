"""Checks of the labels of one set: references of energies, forces, and the sign and scale of stresses.

| check | what must hold |
|---|---|
| references | E / n = sum_e c_e mu_e + r; r of one group far from the rest: energies of another reference |
| stress | d(tr sigma / 3) / d ln V = bulk modulus > 0 among frames of one composition and one group |
| forces | their sum vanishes |
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hea_sim.potentials.fitting.structures import TrainingStructure
from hea_sim.units import GPA_PER_EV_A3

#: A group whose energies lie further than this from what its composition says has another reference, in eV/atom.
REFERENCE_EV = 1.0
_BULK_GPA = (5.0, 1500.0)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Hold one thing that was found: `frames` are places in the list that was looked at."""

    check: str
    severity: Literal["error", "warning", "note"]
    frames: tuple[int, ...]
    text: str
    mend: str

    @property
    def count(self) -> int:
        """Count the frames."""
        return len(self.frames)


def label_findings(structures: Sequence[TrainingStructure], name: str) -> list[Finding]:
    """Check the labels of one set; `name` says which in the texts."""
    return [
        *_reference_findings(structures, name),
        *_force_findings(structures, name),
        *_stress_findings(structures, name),
    ]


def composition_residuals(structures: Sequence[TrainingStructure]) -> tuple[dict[str, float], np.ndarray]:
    """Regress energies per atom on composition, robustly; give energies of the elements and residuals in eV/atom."""
    elements = sorted({e for s in structures for e in set(s.atoms.get_chemical_symbols())})
    table = np.array([_fractions(s, elements) for s in structures])
    energy = np.array([s.energy_eV / s.n_atoms for s in structures])
    weights = np.ones(len(energy))
    values = np.zeros(len(elements))
    for _ in range(30):  # iteratively reweighted towards least absolute deviations
        root = np.sqrt(weights)[:, None]
        values = np.linalg.lstsq(table * root, energy * root[:, 0], rcond=1e-10)[0]
        weights = 1.0 / np.maximum(np.abs(energy - table @ values), 1e-3)
    return dict(zip(elements, values.tolist(), strict=True)), energy - table @ values


def _fractions(structure: TrainingStructure, elements: Sequence[str]) -> list[float]:
    symbols = structure.atoms.get_chemical_symbols()
    return [symbols.count(e) / len(symbols) for e in elements]


def _reference_findings(structures: Sequence[TrainingStructure], name: str) -> list[Finding]:
    foreign, others = _foreign_groups(structures)
    found = [
        Finding(
            check="references",
            severity="error",
            frames=tuple(k for k, s in enumerate(structures) if s.group == group),
            text=f"{name}: energies of group {group} lie {middle:+.2f} eV/atom from what the composition says of the"
            " others: another reference, functional or unit",
            mend="bring all energies to one reference (total energies of one code and functional)",
        )
        for group, middle in foreign.items()
    ]
    _, residual = composition_residuals([structures[k] for k in others])
    alone = tuple(k for k, r in zip(others, residual, strict=True) if abs(r) > max(2.0, 12 * _spread(residual)))
    if alone:
        worst = int(np.argmax(np.abs(residual)))
        found.append(
            Finding(
                check="outliers",
                severity="warning",
                frames=alone,
                text=f"{name}: {len(alone)} frames stand alone in energy, the furthest by"
                f" {residual[worst]:+.2f} eV/atom ({structures[others[worst]].name})",
                mend="check whether these calculations converged",
            )
        )
    return found


def _spread(values: np.ndarray) -> float:
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _foreign_groups(structures: Sequence[TrainingStructure]) -> tuple[dict[str, float], list[int]]:
    """Take out group after group whose energies do not fit the others; give their distances and who is left."""
    left = list(range(len(structures)))
    foreign: dict[str, float] = {}
    while True:
        groups: dict[str, list[int]] = defaultdict(list)
        for k in left:
            groups[structures[k].group].append(k)
        far: dict[str, tuple[float, float]] = {}
        for group, members in groups.items():
            middle, limit = _distance(structures, members, [k for k in left if structures[k].group != group])
            if abs(middle) > limit:
                far[group] = abs(middle) / limit, middle
        if not far:
            return foreign, left
        # Two groups accuse each other: the smaller one is named.
        worst = min(far, key=lambda g: len(groups[g])) if len(groups) == 2 else max(far, key=lambda g: far[g][0])
        foreign[worst] = far[worst][1]
        left = [k for k in left if structures[k].group != worst]


def _distance(
    structures: Sequence[TrainingStructure], members: Sequence[int], others: Sequence[int]
) -> tuple[float, float]:
    """Give how far a group lies from a regression on the others, in eV/atom, and how far it may."""
    known = {e for k in others for e in set(structures[k].atoms.get_chemical_symbols())}
    inside = [k for k in members if set(structures[k].atoms.get_chemical_symbols()) <= known]
    if len(inside) < 3 or len(others) < 3:
        return 0.0, 1.0
    values, residual = composition_residuals([structures[k] for k in others])
    own = [
        (structures[k].energy_eV - sum(values[e] for e in structures[k].atoms.get_chemical_symbols()))
        / structures[k].n_atoms
        for k in inside
    ]
    return float(np.median(own)), max(REFERENCE_EV, 6 * _spread(residual))


def _force_findings(structures: Sequence[TrainingStructure], name: str) -> list[Finding]:
    found = []
    zero = tuple(k for k, s in enumerate(structures) if s.forces_are_zero)
    if zero:
        found.append(
            Finding(
                check="zero forces",
                severity="note",
                frames=zero,
                text=f"{name}: {len(zero)} frames have no forces, by symmetry",
                mend="quote force errors without them too; they make the mean look better",
            )
        )
    net = [np.abs(s.forces_eV_per_A.sum(axis=0)).max() / s.n_atoms for s in structures]
    pulled = tuple(int(k) for k in np.flatnonzero(np.array(net) > 0.01))
    if pulled:
        found.append(
            Finding(
                check="net force",
                severity="warning",
                frames=pulled,
                text=f"{name}: {len(pulled)} frames have forces that do not add up to zero, by up to"
                f" {max(net):.2f} eV/A an atom",
                mend="check the order of atoms and forces, or fixed atoms whose forces were set to zero",
            )
        )
    largest = float(np.median([np.abs(s.forces_eV_per_A).max() for s in structures if not s.forces_are_zero] or [1.0]))
    if not 1e-3 < largest < 100:
        text = f"{name}: the median of the largest force is {largest:.3g} eV/A"
        mend = "check the unit of the forces; wanted eV/A"
        found.append(Finding(check="units", severity="warning", frames=(), text=text, mend=mend))
    return found


def _stress_findings(structures: Sequence[TrainingStructure], name: str) -> list[Finding]:
    families: dict[tuple[str, str], list[int]] = defaultdict(list)
    for k, s in enumerate(structures):
        if s.stress_eV_per_A3 is not None:
            families[s.group, s.atoms.get_chemical_formula(empirical=True)].append(k)
    votes = [v for frames in families.values() if (v := _stress_vote(structures, frames)) is not None]
    if not votes:
        return []
    correlation = float(np.median([v[0] for v in votes]))
    bulk = float(np.median([v[1] for v in votes]))
    frames = tuple(k for key in families for k in families[key])
    how = (
        f"{name}: among {len(votes)} families of one composition the stress goes with the volume with a correlation of"
    )
    if correlation < -0.8:
        text = f"{how} {correlation:.2f}: its sign is reversed"
        return [_stress_error(frames, text, "turn the sign; in ASE tension is positive")]
    if correlation < 0.5:
        text = f"{how} only {correlation:.2f}: stresses and structures do not belong together"
        return [_stress_error(frames, text, "get the stresses again, or fit and judge without stress")]
    if not _BULK_GPA[0] < bulk < _BULK_GPA[1]:
        text = f"{name}: the stresses would mean a bulk modulus of {bulk:.3g} GPa"
        return [_stress_error(frames, text, "check the unit of the stress; wanted eV/A^3 (1 eV/A^3 = 160.2 GPa)")]
    return []


def _stress_error(frames: tuple[int, ...], text: str, mend: str) -> Finding:
    return Finding(check="stress", severity="error", frames=frames, text=text, mend=mend)


def _stress_vote(structures: Sequence[TrainingStructure], frames: Sequence[int]) -> tuple[float, float] | None:
    """Give correlation and bulk modulus in GPa of one family; None where its volumes hardly differ."""
    volume = np.array([structures[k].atoms.cell.volume / structures[k].n_atoms for k in frames])
    solid = np.abs(volume / np.median(volume) - 1) < 0.2  # surfaces count the vacuum in their volume
    frames, volume = [k for k, kept in zip(frames, solid, strict=True) if kept], volume[solid]
    if len(frames) < 5 or np.ptp(volume) < 0.02 * volume.mean():
        return None
    trace = np.array([structures[k].stress_eV_per_A3[:3].mean() for k in frames])  # type: ignore[index]
    if np.ptp(trace) < 1e-12:
        return 0.0, 0.0
    slope = np.polyfit(np.log(volume), trace, 1)[0]
    return float(np.corrcoef(volume, trace)[0, 1]), float(slope * GPA_PER_EV_A3)
