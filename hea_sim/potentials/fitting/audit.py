"""Look at labelled structures before anything is fitted to them: what is wrong is named, with how to mend it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from hea_sim.errors import InputError
from hea_sim.potentials.fitting.audit_labels import Finding, label_findings
from hea_sim.potentials.fitting.fingerprints import SAME, environments, fingerprints_in, lowest_equal, near_pairs
from hea_sim.potentials.fitting.structures import TrainingStructure
from hea_sim.units import GPA_PER_EV_A3

#: Two labels of one structure that differ by more than this contradict each other, in eV per atom.
CONFLICT_EV = 2e-3


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Say what a set of structures holds.

    `closest_A` is the shortest distance of each pair of elements; ranges are (lowest, highest).
    """

    n_structures: int
    n_atoms: int
    elements: tuple[str, ...]
    compositions: int
    groups: dict[str, int]
    closest_A: dict[str, float]
    volume_A3_per_atom: tuple[float, float]
    largest_force_eV_per_A: float
    energy_eV_per_atom: tuple[float, float]
    stress_GPa: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Hold what was found; `duplicates` and `leaked` are the frames of training and test that had better go."""

    findings: tuple[Finding, ...]
    train: Coverage
    test: Coverage | None = None
    duplicates: tuple[int, ...] = ()
    leaked: tuple[int, ...] = ()
    label_noise_meV_per_atom: float | None = field(default=None)

    @property
    def worst(self) -> Literal["error", "warning", "note"] | None:
        """Give the severity of the worst finding."""
        for severity in ("error", "warning", "note"):
            if any(f.severity == severity for f in self.findings):
                return severity
        return None


def audit_structures(train: Sequence[TrainingStructure], test: Sequence[TrainingStructure] | None = None) -> Audit:
    """Look for duplicates, leakage, contradicting labels, mixed references, wrong stresses and gaps.

    A duplicate is the same crystal or cluster, however it is turned, shifted, numbered or repeated. Raises InputError
    where there is nothing to look at.
    """
    if not train:
        raise InputError("no structures to look at; wanted at least one labelled frame")
    test = list(test or ())
    elements = sorted({e for s in (*train, *test) for e in set(s.atoms.get_chemical_symbols())})
    table, closest = _describe(train, elements)
    pairs = near_pairs(table, SAME)
    first = lowest_equal(pairs, len(train))
    duplicates = tuple(int(k) for k in np.flatnonzero(first != np.arange(len(train))))
    findings = [*_duplicate_findings(train, pairs, duplicates), *label_findings(train, "training")]
    coverage, noise = _coverage(train, closest), _noise(train, train, pairs)
    leaked: tuple[int, ...] = ()
    test_coverage = None
    if test:
        test_table, test_closest = _describe(test, elements)
        shared = near_pairs(table, SAME, test_table)
        leaked = tuple(sorted({int(j) for j in shared[:, 1]}))
        test_coverage = _coverage(test, test_closest)
        noise = max(filter(None, (noise, _noise(train, test, shared))), default=None)
        findings += [
            *_leak_findings(train, test, shared, leaked),
            *label_findings(test, "test"),
            *_shared_stress(train, test, {int(j) for j in shared[:, 1]}),
            *_gap_findings(train, test, coverage, test_coverage),
        ]
    order = {"error": 0, "warning": 1, "note": 2}
    return Audit(
        findings=tuple(sorted(findings, key=lambda f: order[f.severity])),
        train=coverage,
        test=test_coverage,
        duplicates=duplicates,
        leaked=leaked,
        label_noise_meV_per_atom=None if noise is None else 1e3 * noise,
    )


def without(structures: Sequence[TrainingStructure], frames: Sequence[int]) -> list[TrainingStructure]:
    """Leave out frames by their place in the list."""
    out = set(frames)
    return [s for k, s in enumerate(structures) if k not in out]


def _describe(structures: Sequence[TrainingStructure], elements: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Give fingerprints and the shortest distance of each pair of elements (elements, elements)."""
    rows, n = [], len(elements)
    closest = np.full(n * n, np.inf)
    for environment in environments(structures):
        rows.append(fingerprints_in(environment, elements))
        species = environment.indices_of(elements)
        pair = species[environment.first] * n + species[environment.second]
        np.minimum.at(closest, pair, np.linalg.norm(environment.vectors, axis=1))
    return np.concatenate(rows), closest.reshape(n, n)


def _energies(structures: Sequence[TrainingStructure]) -> np.ndarray:
    return np.array([s.energy_eV / s.n_atoms for s in structures])


def _noise(a: Sequence[TrainingStructure], b: Sequence[TrainingStructure], pairs: np.ndarray) -> float | None:
    """Estimate the noise of energy labels from structures that were labelled in cells of different size."""
    differences = [
        a[i].energy_eV / a[i].n_atoms - b[j].energy_eV / b[j].n_atoms for i, j in pairs if a[i].n_atoms != b[j].n_atoms
    ]
    return float(np.sqrt(np.mean(np.square(differences)) / 2)) if len(differences) >= 5 else None


def _duplicate_findings(
    train: Sequence[TrainingStructure], pairs: np.ndarray, duplicates: tuple[int, ...]
) -> list[Finding]:
    found = []
    if duplicates:
        groups = Counter(train[k].group for k in duplicates)
        found.append(
            Finding(
                check="duplicates",
                severity="warning",
                frames=duplicates,
                text=f"{len(duplicates)} training frames repeat an earlier one, turned or shifted"
                f" ({', '.join(f'{g} {n}' for g, n in groups.most_common(6))})",
                mend="drop them (drop_duplicates = true), so that they weigh once and cannot sit in two splits",
            )
        )
    energy = _energies(train)
    wrong = [(i, j) for i, j in pairs if abs(energy[i] - energy[j]) > CONFLICT_EV]
    if wrong:
        i, j = max(wrong, key=lambda p: abs(energy[p[0]] - energy[p[1]]))
        found.append(
            Finding(
                check="contradiction",
                severity="error",
                frames=tuple(sorted({int(k) for pair in wrong for k in pair})),
                text=f"{len(wrong)} pairs of frames show one structure with energies that differ, up to"
                f" {1e3 * abs(energy[i] - energy[j]):.1f} meV/atom ({train[i].name} and {train[j].name})",
                mend="label both again with the same settings, or drop the worse one",
            )
        )
    return found


def _leak_findings(
    train: Sequence[TrainingStructure], test: Sequence[TrainingStructure], pairs: np.ndarray, leaked: tuple[int, ...]
) -> list[Finding]:
    if not leaked:
        return []
    a, b = _energies(train), _energies(test)
    difference = max(abs(a[i] - b[j]) for i, j in pairs)
    groups = Counter(test[k].group for k in leaked)
    return [
        Finding(
            check="leakage",
            severity="error",
            frames=leaked,
            text=f"{len(leaked)} test frames also stand in training, turned, shifted or as another cell of the same"
            f" crystal ({', '.join(f'{g} {n}' for g, n in groups.most_common(6))}); their energies differ by up to"
            f" {1e3 * difference:.2f} meV/atom",
            mend="drop them from the test set (drop_leaked = true), or quote errors without them too",
        )
    ]


def _shared_stress(
    train: Sequence[TrainingStructure], test: Sequence[TrainingStructure], leaked: set[int]
) -> list[Finding]:
    known = {s.stress_eV_per_A3.tobytes() for s in train if s.stress_eV_per_A3 is not None}
    frames = tuple(
        k
        for k, s in enumerate(test)
        if s.stress_eV_per_A3 is not None
        and np.abs(s.stress_eV_per_A3).max() > 1e-8
        and s.stress_eV_per_A3.tobytes() in known
        and k not in leaked
    )
    if not frames:
        return []
    return [
        Finding(
            check="copied stress",
            severity="error",
            frames=frames,
            text=f"{len(frames)} test frames carry, to the last digit, the stress of a training frame of another"
            " structure: their stresses were mixed up",
            mend="get the stresses again from the calculations, or judge without stress",
        )
    ]


def _gap_findings(
    train: Sequence[TrainingStructure], test: Sequence[TrainingStructure], a: Coverage, b: Coverage
) -> list[Finding]:
    found = []
    new = sorted(set(b.elements) - set(a.elements))
    if new:
        frames = tuple(k for k, s in enumerate(test) if set(new) & set(s.atoms.get_chemical_symbols()))
        text, mend = f"test has {', '.join(new)}, training has not", "add frames with it, or take these out"
        found.append(Finding(check="coverage", severity="error", frames=frames, text=text, mend=mend))
    systems = {frozenset(s.atoms.get_chemical_symbols()) for s in train}
    beyond = tuple(k for k, s in enumerate(test) if frozenset(s.atoms.get_chemical_symbols()) not in systems)
    if beyond and not new:
        names = Counter("-".join(sorted(set(test[k].atoms.get_chemical_symbols()))) for k in beyond)
        found.append(
            Finding(
                check="coverage",
                severity="note",
                frames=beyond,
                text=f"{len(beyond)} test frames hold elements together that training never does"
                f" ({', '.join(name for name, _ in names.most_common(3))})",
                mend="read their errors as those of extrapolation",
            )
        )
    for pair, distance in b.closest_A.items():
        if pair in a.closest_A and distance < a.closest_A[pair] - 0.05:
            text = f"{pair} come as near as {distance:.2f} A in test, {a.closest_A[pair]:.2f} A in training"
            mend = "add compressed frames, or a repulsion such as ZBL"
            found.append(Finding(check="coverage", severity="note", frames=(), text=text, mend=mend))
    return found


def _coverage(structures: Sequence[TrainingStructure], closest: np.ndarray) -> Coverage:
    elements = sorted({e for s in structures for e in set(s.atoms.get_chemical_symbols())})
    every = closest if len(closest) == len(elements) else None
    periodic = [s.atoms.cell.volume / s.n_atoms for s in structures if s.atoms.pbc.all()] or [np.nan]
    stress = [s.stress_eV_per_A3 for s in structures if s.stress_eV_per_A3 is not None]
    energies = _energies(structures)
    pairs = {} if every is None else {
        f"{x}-{y}": float(every[i, j])
        for i, x in enumerate(elements)
        for j, y in enumerate(elements[i:], i)
        if np.isfinite(every[i, j])
    }  # fmt: skip
    return Coverage(
        n_structures=len(structures),
        n_atoms=sum(s.n_atoms for s in structures),
        elements=tuple(elements),
        compositions=len({s.atoms.get_chemical_formula(empirical=True) for s in structures}),
        groups=dict(sorted(Counter(s.group for s in structures).items())),
        closest_A=pairs,
        volume_A3_per_atom=(float(min(periodic)), float(max(periodic))),
        largest_force_eV_per_A=float(max(np.abs(s.forces_eV_per_A).max() for s in structures)),
        energy_eV_per_atom=(float(energies.min()), float(energies.max())),
        stress_GPa=(GPA_PER_EV_A3 * float(np.min(stress)), GPA_PER_EV_A3 * float(np.max(stress))) if stress else None,
    )
