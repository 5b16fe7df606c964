"""The one contract of all potentials: atoms in; energy, site energies, forces, stress and, where known, a std out.

A *site model* gives the energy of each atom from its neighbours and how it changes with them; everything else follows
here, once:

| symbol | here | unit |
|---|---|---|
| E = sum_i E_i({D_ij}) | `energy_eV`, `site_energies_eV` | eV |
| G_ij = dE_i / dD_ij | second result of `SiteModel.site_terms` | eV/A |
| F_i = sum_j G_ij - sum_j G_ji | `forces_eV_per_A` | eV/A |
| sigma = sum_ij D_ij (x) G_ij / V | `stress_eV_per_A3`, positive under tension, as ASE has it | eV/A^3 |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, overload

import numpy as np

from hea_sim.errors import InputError
from hea_sim.potentials.environment import Environment, find_neighbours
from hea_sim.potentials.pair_kernels import gather_forces

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator


@dataclass(frozen=True, kw_only=True, eq=False)
class AtomisticResult:
    """Hold what a potential says of one system.

    `energy_eV`; `site_energies_eV` (n,), which add up to it; `forces_eV_per_A` (n, 3); `stress_eV_per_A3` (3, 3), None
    where the system is not periodic in all directions; `energy_std_eV`, None where it was not asked for, or the
    potential cannot tell.
    """

    energy_eV: float
    site_energies_eV: np.ndarray
    forces_eV_per_A: np.ndarray
    stress_eV_per_A3: np.ndarray | None
    energy_std_eV: float | None = None


class Potential(Protocol):
    """What everything above this room asks of a potential."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols that it knows."""

    @property
    def cutoff_A(self) -> float:
        """Distance beyond which atoms do not see each other."""

    @overload
    def evaluate(self, atoms: Atoms, *, uncertainty: bool = False) -> AtomisticResult: ...
    @overload
    def evaluate(self, atoms: Sequence[Atoms], *, uncertainty: bool = False) -> list[AtomisticResult]: ...

    def calculator(self) -> Calculator:
        """Give the ASE face."""


class SiteModel(Protocol):
    """A short-ranged model: the energy of an atom depends on its neighbours within a cutoff alone."""

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols in the order of the parameters."""

    @property
    def cutoff_A(self) -> float:
        """Distance in A beyond which atoms do not see each other."""

    def site_terms(self, environment: Environment) -> tuple[np.ndarray, np.ndarray]:
        """Give the site energies (n,) in eV and their gradients dE_i / dD_ij (pairs, 3) in eV/A.

        Pairs beyond the cutoff have gradients of zero.
        """


class Design(NamedTuple):
    """Hold what each coefficient of a linear model adds to energy, forces and stress of systems.

    `energy` (systems, features) in eV; `forces` (3 atoms, features) in eV/A; `stress` (systems, 6, features) in eV/A^3,
    in ASE's order xx yy zz yz xz xy and sign, NaN where a system is not periodic in all directions.
    """

    energy: np.ndarray
    forces: np.ndarray
    stress: np.ndarray


class LinearModel(SiteModel, Protocol):
    """A site model whose energy is linear in its coefficients, so that a fit is a linear problem."""

    @property
    def n_features(self) -> int:
        """Number of coefficients."""

    @property
    def coefficients(self) -> np.ndarray:
        """Coefficients (features,) in eV."""

    def design(self, environment: Environment) -> Design:
        """Give the rows of a fit."""

    def with_coefficients(self, coefficients: np.ndarray) -> LinearModel:
        """Give the same model with other coefficients."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SitePotential:
    """Make a potential of a site model.

    `element_energies_eV` are added for each atom: what turns energies against the elements into those of the training
    data, or back. `variance` gives the variance of the energy of each system in eV^2 from an environment, where the
    model has one. `notes` are told to whoever asks what the potential is.
    """

    name: str
    model: SiteModel
    element_energies_eV: Mapping[str, float] = field(default_factory=dict)
    variance: Any = None
    notes: tuple[str, ...] = ()

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols that it knows."""
        return self.model.elements

    @property
    def cutoff_A(self) -> float:
        """Distance in A beyond which atoms do not see each other."""
        return self.model.cutoff_A

    def __repr__(self) -> str:
        said = "".join(f"; {note}" for note in self.notes[:1])
        return f"<{self.name}: {', '.join(self.elements)}, cutoff {self.cutoff_A:g} A{said}>"

    def shifted(self, element_energies_eV: Mapping[str, float]) -> SitePotential:
        """Give the same potential with other energies added for each atom."""
        return replace(self, element_energies_eV=dict(element_energies_eV))

    @overload
    def evaluate(self, atoms: Atoms, *, uncertainty: bool = False) -> AtomisticResult: ...
    @overload
    def evaluate(self, atoms: Sequence[Atoms], *, uncertainty: bool = False) -> list[AtomisticResult]: ...
    def evaluate(
        self, atoms: Atoms | Sequence[Atoms], *, uncertainty: bool = False
    ) -> AtomisticResult | list[AtomisticResult]:
        """Evaluate one system, or many of any sizes and periodicity at once.

        `uncertainty` asks for the std of the energies too, which may take a hundred times as long.

        Raises InputError where an element is unknown, atoms overlap or a number is not finite.
        """
        if hasattr(atoms, "numbers"):
            return self.evaluate_in(find_neighbours([atoms], self.cutoff_A), uncertainty=uncertainty)[0]
        if not len(atoms):
            return []
        return self.evaluate_in(find_neighbours(list(atoms), self.cutoff_A), uncertainty=uncertainty)

    def evaluate_in(self, environment: Environment, *, uncertainty: bool = False) -> list[AtomisticResult]:
        """Evaluate systems whose neighbours are known; the environment may list pairs beyond the cutoff."""
        energies, gradients = self.model.site_terms(environment)
        if not np.isfinite(energies).all():
            raise InputError(
                f"{self.name}: an energy is not finite; its coefficients are out of range, load another file"
            )
        offsets = np.array([self.element_energies_eV.get(element, 0.0) for element in self.elements])
        energies = np.asarray(energies, np.float64)
        if offsets.any():
            energies = energies + offsets[environment.indices_of(self.elements)]
        systems = len(environment.volumes_A3)
        forces, virials = gather_forces(
            environment.starts, environment.second, environment.vectors, gradients, environment.system, systems
        )
        variances = self.variance(environment) if uncertainty and self.variance is not None else None
        ends = np.cumsum(np.bincount(environment.system, minlength=systems))
        results = []
        for k, (end, volume) in enumerate(zip(ends, environment.volumes_A3, strict=True)):
            start = 0 if k == 0 else int(ends[k - 1])
            stress = None if np.isnan(volume) else 0.5 * (virials[k] + virials[k].T) / volume
            results.append(
                AtomisticResult(
                    energy_eV=float(energies[start:end].sum()),
                    site_energies_eV=energies[start:end],
                    forces_eV_per_A=forces[start:end],
                    stress_eV_per_A3=stress,
                    energy_std_eV=None if variances is None else float(np.sqrt(variances[k])),
                )
            )
        return results

    def calculator(self, skin_A: float = 0.5) -> Calculator:
        """Give the ASE face; neighbours are kept until an atom moves by half the skin."""
        from hea_sim.potentials.calculator import PotentialCalculator

        return PotentialCalculator(self, skin_A=skin_A)


@dataclass(frozen=True, kw_only=True, eq=False)
class SumModel:
    """Add site models of the same elements, such as a fitted one and the repulsion of nuclei at short distances."""

    parts: tuple[SiteModel, ...]

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols of the first part."""
        return self.parts[0].elements

    @property
    def cutoff_A(self) -> float:
        """The largest cutoff of the parts, in A."""
        return max(part.cutoff_A for part in self.parts)

    def site_terms(self, environment: Environment) -> tuple[np.ndarray, np.ndarray]:
        """Add what the parts give."""
        energies, gradients = self.parts[0].site_terms(environment)
        for part in self.parts[1:]:
            more = part.site_terms(environment)
            energies, gradients = energies + more[0], gradients + more[1]
        return energies, gradients
