"""What a structure type is: its sites, its lattice and the rules by which elements are put on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np

System = Literal["cubic", "hexagonal", "tetragonal", "orthorhombic", "monoclinic"]
Role = Literal["solid solution", "ordered", "intermetallic", "carbide", "ceramic", "standard"]
#: What a sublattice takes: any element but the interstitial ones ("any", "metal"), the larger or smaller, the earlier
#: or later in the periodic table, p-block elements first ("main group"), light elements (all, or only some), or what
#: the type itself says, whatever the alloy ("typical").
Preference = Literal[
    "any",
    "metal",
    "large",
    "small",
    "early",
    "late",
    "main group",
    "interstitial",
    "carbon",
    "oxygen",
    "typical",
]
#: Light elements that each preference takes.
LIGHT_ELEMENTS: dict[str, tuple[str, ...]] = {
    "interstitial": ("H", "B", "C", "N", "O", "F"),
    "carbon": ("C", "B", "N"),
    "oxygen": ("O", "F"),
}


@dataclass(frozen=True, kw_only=True)
class Site:
    """Hold one Wyckoff site: its sublattice label and a representative position."""

    sublattice: str
    position: tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Prototype:
    """Hold one structure type.

    `axial_ratio` is c/a, `b_ratio` b/a, `beta_deg` the monoclinic angle; rhombohedral types stand in the hexagonal
    setting, monoclinic ones with unique axis b. The ranges bound a free-lattice search. `fundamental` names the
    lattice that remains when order is ignored and `fundamental_ratio` is a / a(fundamental). `origin_choice` is that
    of International Tables; where `lists_every_atom`, the sites are the whole cell and the group is not applied.
    `typical` gives a usual composition of each sublattice as a formula, `site_preference` what each takes of an alloy,
    `filling` the occupied share of a sublattice that has vacancies.
    """

    name: str
    space_group: int
    system: System
    sites: tuple[Site, ...]
    a_A: float
    a_range_A: tuple[float, float]
    axial_ratio: float = 1.0
    axial_ratio_range: tuple[float, float] = (1.0, 1.0)
    b_ratio: float = 1.0
    b_ratio_range: tuple[float, float] = (1.0, 1.0)
    beta_deg: float = 90.0
    beta_range_deg: tuple[float, float] = (90.0, 90.0)
    fundamental: str
    fundamental_ratio: float = 1.0
    metallic: bool = True
    role: Role = "intermetallic"
    # Mappings cannot be hashed; they take part in comparison all the same.
    typical: Mapping[str, str] = field(default_factory=dict, hash=False)
    site_preference: Mapping[str, Preference] = field(default_factory=dict, hash=False)
    filling: Mapping[str, float] = field(default_factory=dict, hash=False)
    origin_choice: int = 1
    lists_every_atom: bool = False
    reference: str = ""

    @property
    def sublattices(self) -> tuple[str, ...]:
        """List the sublattice labels in order."""
        return tuple(dict.fromkeys(site.sublattice for site in self.sites))

    @property
    def stoichiometry(self) -> dict[str, int]:
        """Count the sites of each sublattice in the conventional cell."""
        _, labels = expand(self)
        return {label: labels.count(label) for label in self.sublattices}


@lru_cache(maxsize=256)
def expand(kind: Prototype) -> tuple[np.ndarray, tuple[str, ...]]:
    """Expand the sites of a type to read-only fractional positions (n, 3) and the sublattice of each."""
    rows, labels = [], []
    for site in kind.sites:
        found = _equivalent_positions(kind, site)
        rows.append(found)
        labels += [site.sublattice] * len(found)
    positions = np.vstack(rows)
    positions.flags.writeable = False
    return positions, tuple(labels)


def _equivalent_positions(kind: Prototype, site: Site) -> np.ndarray:
    if kind.lists_every_atom:
        return np.array([site.position], float)
    from ase.spacegroup import Spacegroup

    group = Spacegroup(kind.space_group, setting=kind.origin_choice)
    found, _ = group.equivalent_sites([site.position], onduplicates="keep", symprec=1e-3)
    return np.asarray(found, float)


def cell_vectors(system: System, a: float, c: float) -> np.ndarray:
    """Build lattice vectors (3, 3) in Angstrom of a cubic, tetragonal or hexagonal cell."""
    if system == "hexagonal":
        return np.array([[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, c]])
    return np.diag([a, a, c]).astype(float)
