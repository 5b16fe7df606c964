"""Numbers that describe an alloy, from its composition and named element tables.

| symbol | in code | unit |
|---|---|---|
| delta = sqrt(sum c_i (1 - r_i / r)^2) | `size_mismatch` | % |
| dH = sum 4 H_ij c_i c_j | `mixing_enthalpy` | kJ/mol |
| dS = -R sum c_i ln c_i | `mixing_entropy` | J/(mol K) |
| Omega = T_m dS / abs(dH) | `omega` | 1 |
| dchi, spread of Pauling's electronegativity | `electronegativity_spread` | Pauling |
| VEC | `valence_electrons` | electrons/atom |
| T_m, mean of the elements | `melting_temperature` | K |
| dH_el = sum c_i B_i (V_i - V)^2 / 2 V_i (doi:10.1016/j.mtla.2019.100222) | `elastic_energy` | kJ/mol |
| sqrt(sum c_i (1 - G_i / G)^2) | `shear_mismatch` | % |
| King's Phi, Ye's phi, Singh's Lambda, Wang's gamma | `king_phi`, `ye_phi`, `singh_lambda`, `wang_gamma` | |

Ratios whose denominator may vanish end at `descriptor_kernels.CEILING`. An element that a table lacks makes NaN of the
descriptors that need it; `missing_tables` says which and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hea_sim.errors import unknown_name
from hea_sim.properties.contract import AlloyBatch
from hea_sim.properties.descriptor_kernels import fill_descriptors
from hea_sim.properties.element_tables import PROPERTIES, SUPPLEMENT, described_elements, element_table

DescriptorGroup = Literal["rules", "pairs", "elements", "fractions"]
GROUPS: tuple[DescriptorGroup, ...] = ("rules", "pairs", "elements", "fractions")
_BLOCK = 32768

_RULES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("size_mismatch", "%", ("radii",)),
    ("mixing_entropy", "J/(mol K)", ()),
    ("omega", "1", ("melting points", "pair enthalpies")),
    ("electronegativity_spread", "Pauling", ("electronegativity",)),
    ("valence_electrons", "electrons/atom", ("valence electrons",)),
    ("melting_temperature", "K", ("melting points",)),
    ("elastic_energy", "kJ/mol", ("moduli and volumes",)),
    ("shear_mismatch", "%", ("moduli and volumes",)),
    ("excess_entropy", "J/(mol K)", ("radii",)),
    ("solution_free_energy", "kJ/mol", ("melting points", "pair enthalpies")),
    ("king_phi", "1", ("melting points", "pair enthalpies")),
    ("ye_phi", "1", ("melting points", "pair enthalpies", "radii")),
    ("singh_lambda", "J/(mol K %^2)", ("radii",)),
    ("wang_gamma", "1", ("radii",)),
    ("mean_electronegativity", "Pauling", ("electronegativity",)),
    ("n_elements", "1", ()),
    ("largest_fraction", "1", ()),
    ("entropy_energy", "kJ/mol", ("melting points",)),
    ("pair_enthalpy_range", "kJ/mol", ("pair enthalpies",)),
    ("mismatch_stress", "GPa", ("radii", "moduli and volumes")),
)
_PAIRS = (
    "mixing_enthalpy",
    "lowest_pair_enthalpy",
    "highest_pair_enthalpy",
    "pair_enthalpy_deviation",
    "lowest_pair_contribution",
    "highest_pair_contribution",
)
_PROPERTY_TABLES = {
    "radius": "radii",
    "melting_point": "melting points",
    "valence_electrons": "valence electrons",
    "electronegativity": "electronegativity",
}
_OF_ATOMS = (
    "atomic_number", "period", "group", "mass", "covalent_radius", "bcc_former", "fcc_former", "hcp_former",
)  # fmt: skip
#: Statistics that stand among the rules under their own name.
_TOLD_ALREADY = (
    "mean_melting_point",
    "mean_valence_electrons",
    "mean_electronegativity",
    "deviation_electronegativity",
)


@dataclass(frozen=True, kw_only=True)
class Descriptor:
    """Hold what is known of one descriptor: name, unit, group, and the tables of `element_tables.TABLES` behind it."""

    name: str
    unit: str
    group: DescriptorGroup
    tables: tuple[str, ...]


def list_descriptors(groups: Sequence[DescriptorGroup] = GROUPS) -> list[Descriptor]:
    """List the descriptors of some groups, in the order of the columns of `descriptor_matrix`."""
    for group in groups:
        if group not in GROUPS:
            raise unknown_name("group of descriptors", group, GROUPS)
    return [d for d in _layout() if d.group in groups and not (d.group == "elements" and d.name in _TOLD_ALREADY)]


def descriptor_names(groups: Sequence[DescriptorGroup] = GROUPS) -> tuple[str, ...]:
    """Name the columns of `descriptor_matrix`.

    >>> descriptor_names(["rules"])[:3]
    ('size_mismatch', 'mixing_entropy', 'omega')
    """
    return tuple(descriptor.name for descriptor in list_descriptors(groups))


def descriptor_matrix(
    batch: AlloyBatch,
    *,
    groups: Sequence[DescriptorGroup] = GROUPS,
    dtype: type[np.floating] = np.float64,
) -> np.ndarray:
    """Compute descriptors (n, d) of many alloys; NaN where an element stands in none of the tables needed.

    Columns do not depend on the elements of the batch. Memory beyond the result stays at a few blocks.

    Examples
    --------
    >>> alloys = AlloyBatch.of(["CoCrFeMnNi", "NbMoTaW"])
    >>> descriptor_matrix(alloys, groups=["rules"])[:, 0].round(2).tolist()
    [3.16, 2.49]
    """
    wanted = {descriptor.name for descriptor in list_descriptors(groups)}
    layout = [d for d in _layout() if d.group != "fractions"]
    columns = [
        k for k, d in enumerate(layout) if d.name in wanted and not (d.group == "elements" and d.name in _TOLD_ALREADY)
    ]
    table = element_table()
    properties, pairs = table.rows_of(batch.elements)
    out = np.empty((len(batch), len(wanted)), dtype)
    scratch = np.empty((min(_BLOCK, max(len(batch), 1)), len(layout)))
    for start in range(0, len(batch), _BLOCK):
        x = np.ascontiguousarray(batch.fractions[start : start + _BLOCK])
        stop = start + len(x)
        if columns:
            fill_descriptors(x, properties, pairs, scratch[: len(x)])
            out[start:stop, : len(columns)] = scratch[: len(x), columns]
        if "fractions" in groups:
            out[start:stop, len(columns) :] = 0
            for k, element in enumerate(batch.elements):
                if element in table.elements:
                    out[start:stop, len(columns) + table.elements.index(element)] = x[:, k]
    return out


def missing_tables(batch: AlloyBatch) -> list[str]:
    """Tell for each alloy why its descriptors are not whole; "" where they are.

    >>> missing_tables(AlloyBatch.of(["NbMoTaW", "NbMoTeXe"]))
    ['', 'no descriptors for Te, Xe: an element table lacks each']
    """
    unknown = np.array([e not in described_elements() for e in batch.elements], bool)
    lacking = [e for e, lacks in zip(batch.elements, unknown) if lacks]
    pairs = element_table().rows_of(batch.elements)[1]
    open_pairs = [(a, b) for a, b in np.argwhere(np.isnan(pairs)) if a < b and not (unknown[a] or unknown[b])]
    reasons = []
    for row in batch.fractions > 0:
        text = ""
        if row[unknown].any():
            names = ", ".join(e for e, held in zip(lacking, row[unknown]) if held)
            text = f"no descriptors for {names}: an element table lacks each"
        elif torn := [f"{batch.elements[a]}-{batch.elements[b]}" for a, b in open_pairs if row[a] and row[b]]:
            text = f"no enthalpy of mixing for {', '.join(torn)}: the table of pairs lacks it"
        reasons.append(text)
    return reasons


def filled_in(elements: Sequence[str]) -> tuple[str, ...]:
    """Give those elements whose radius and melting point `hea-bench` leaves out, so that they are derived here.

    >>> filled_in(["Al", "B", "Co"])
    ('B',)
    """
    return tuple(element for element in elements if element in SUPPLEMENT)


def _layout() -> list[Descriptor]:
    """List all columns in the order in which the kernel writes them, then the fractions."""
    found = [Descriptor(name=name, unit=unit, group="rules", tables=tables) for name, unit, tables in _RULES]
    found += [Descriptor(name=name, unit="kJ/mol", group="pairs", tables=("pair enthalpies",)) for name in _PAIRS]
    for statistic in ("mean", "deviation", "range"):
        for name, unit in PROPERTIES.items():
            table = "atoms" if name in _OF_ATOMS else _PROPERTY_TABLES.get(name, "moduli and volumes")
            found.append(Descriptor(name=f"{statistic}_{name}", unit=unit, group="elements", tables=(table,)))
    found += [
        Descriptor(name=f"fraction_{element}", unit="1", group="fractions", tables=())
        for element in element_table().elements
    ]
    return found
