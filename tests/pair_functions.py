"""A linear model simple enough to be checked by eye: a sum of pair functions, the double for SNAP and MTP in tests."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from ase.build import bulk

from hea_sim.potentials.contract import Design, SitePotential
from hea_sim.potentials.environment import Environment
from hea_sim.potentials.fitting.structures import TrainingStructure


@dataclass(frozen=True, kw_only=True, eq=False)
class PairFunctions:
    """E_i = e(element) + sum_j sum_k c_k(pair) f_k(r_ij), f_k Gaussians times (1 - (r / R)^2)^3."""

    elements: tuple[str, ...]
    cutoff_A: float
    coefficients: np.ndarray
    n_functions: int = 4

    @property
    def n_features(self) -> int:
        n = len(self.elements)
        return n + self.n_functions * n * (n + 1) // 2

    def with_coefficients(self, coefficients):
        return replace(self, coefficients=np.array(coefficients, float))

    def _functions(self, r):
        x = np.clip(r / self.cutoff_A, 0, 1)
        fade, slope = (1 - x**2) ** 3, -6 * x * (1 - x**2) ** 2 / self.cutoff_A
        centres = np.linspace(1.5, self.cutoff_A, self.n_functions + 2)[1:-1]
        d = (r[:, None] - centres) / 0.7
        g = np.exp(-0.5 * d**2)
        return g * fade[:, None], g * slope[:, None] - g * fade[:, None] * d / 0.7

    def _columns(self, environment):
        species, n = environment.indices_of(self.elements), len(self.elements)
        a, b = np.sort([species[environment.first], species[environment.second]], axis=0)
        pair = a * n - a * (a - 1) // 2 + b - a
        return species, n + self.n_functions * pair[:, None] + np.arange(self.n_functions)

    def site_terms(self, environment: Environment):
        species, columns = self._columns(environment)
        r = np.linalg.norm(environment.vectors, axis=1)
        f, slope = self._functions(r)
        c = self.coefficients[columns]
        energies = self.coefficients[species] + np.bincount(environment.first, (f * c).sum(1), len(species))
        return energies, ((slope * c).sum(1) / r)[:, None] * environment.vectors

    def design(self, environment: Environment) -> Design:
        species, columns = self._columns(environment)
        systems, n = len(environment.volumes_A3), len(species)
        energy = np.zeros((systems, self.n_features))
        forces, stress = np.zeros((n, 3, self.n_features)), np.zeros((systems, 6, self.n_features))
        np.add.at(energy, (environment.system, species), 1.0)
        r = np.linalg.norm(environment.vectors, axis=1)
        f, slope = self._functions(r)
        first, second, system = environment.first, environment.second, environment.system[environment.first]
        for k in range(self.n_functions):
            column = columns[:, k]
            np.add.at(energy, (system, column), f[:, k])
            gradient = (slope[:, k] / r)[:, None] * environment.vectors
            for axis in range(3):
                np.add.at(forces, (first, axis, column), gradient[:, axis])
                np.add.at(forces, (second, axis, column), -gradient[:, axis])
            for v, (x, y) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):
                np.add.at(stress, (system, v, column), environment.vectors[:, x] * gradient[:, y])
        return Design(energy, forces.reshape(3 * n, -1), stress / environment.volumes_A3[:, None, None])


def known_model(elements=("Ni", "Al"), seed=0) -> PairFunctions:
    """Make a model with random coefficients."""
    model = PairFunctions(elements=tuple(elements), cutoff_A=4.5, coefficients=np.zeros(0))
    return model.with_coefficients(np.random.default_rng(seed).normal(size=model.n_features))


def repulsive_model(elements=("Ni", "Al")) -> PairFunctions:
    """Make a model whose atoms push each other away, so that stress goes with volume."""
    model = PairFunctions(elements=tuple(elements), cutoff_A=4.5, coefficients=np.zeros(0))
    n = len(elements)
    pairs = n * (n + 1) // 2
    values = [(0.6 + 0.05 * k, 0.2, 0.0, 0.0) for k in range(pairs)]
    return model.with_coefficients(np.concatenate([-3.0 - np.arange(n), np.ravel(values)]))


def cells(count: int, elements=("Ni", "Al"), seed=0, shake_A=0.1) -> list[Atoms]:
    """Make shaken, strained cells of 8 atoms with elements at random."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        atoms = bulk(elements[0], "fcc", a=rng.uniform(3.4, 3.9), cubic=True).repeat((2, 1, 1))
        atoms.symbols[:] = rng.choice(elements, len(atoms))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.03 * rng.normal(size=(3, 3))), scale_atoms=True)
        atoms.positions += shake_A * rng.normal(size=atoms.positions.shape)
        found.append(atoms)
    return found


def labelled(model, systems, groups=("all",), noise_eV=0.0, seed=0) -> list[TrainingStructure]:
    """Label cells by a model, with normal noise on energies per atom and forces."""
    rng = np.random.default_rng(seed)
    results = SitePotential(name="truth", model=model).evaluate(systems)
    return [
        TrainingStructure(
            atoms=atoms,
            energy_eV=r.energy_eV + len(atoms) * noise_eV * rng.normal(),
            forces_eV_per_A=r.forces_eV_per_A + 3 * noise_eV * rng.normal(size=(len(atoms), 3)),
            stress_eV_per_A3=r.stress_eV_per_A3.ravel()[[0, 4, 8, 5, 2, 1]],
            group=groups[k % len(groups)],
            index=k,
            source="made.xyz",
        )
        for k, (atoms, r) in enumerate(zip(systems, results, strict=True))
    ]


def write_extxyz(path, structures) -> None:
    """Write structures as extended XYZ by hand, independent of the reader and of ase."""
    lines = []
    for s in structures:
        cell = " ".join(f"{v:.12f}" for v in s.atoms.cell.array.ravel())
        stress = " ".join(f"{v:.14f}" for v in s.stress_eV_per_A3[[0, 5, 4, 5, 1, 3, 4, 3, 2]])
        lines += [
            str(len(s.atoms)),
            f'Lattice="{cell}" Properties=species:S:1:pos:R:3:forces:R:3 group={s.group} energy={s.energy_eV:.12f}'
            f' stress="{stress}" pbc="T T T"',
        ]
        for symbol, x, f in zip(s.atoms.get_chemical_symbols(), s.atoms.positions, s.forces_eV_per_A, strict=True):
            lines.append(" ".join([symbol, *(f"{v:.12f}" for v in (*x, *f))]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
