"""Structure types by Strukturbericht name, with elements and a lattice put on them.

A `Crystal` may share a site between elements; that is how a solid solution enters the diffraction model. A
simulated cell becomes a `Crystal` whose every site holds one element.
"""

from __future__ import annotations

from hea_sim.crystals.cif import crystal_from_cif, prototype_from_cif
from hea_sim.crystals.crystal import Crystal, build_crystal
from hea_sim.crystals.occupation import site_compositions
from hea_sim.crystals.prototypes import atoms_per_cell, cell_of, expanded_sites, prototype, prototype_names
from hea_sim.crystals.structure_types import Preference, Prototype, Role, Site, System, cell_vectors

__all__ = [
    "Crystal",
    "Preference",
    "Prototype",
    "Role",
    "Site",
    "System",
    "atoms_per_cell",
    "build_crystal",
    "cell_of",
    "cell_vectors",
    "crystal_from_cif",
    "expanded_sites",
    "prototype",
    "prototype_from_cif",
    "prototype_names",
    "site_compositions",
]
