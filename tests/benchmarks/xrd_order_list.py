"""A list of ordered and disordered alloys, to ask whether order is claimed when, and only when, it can be seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from xrd_rendering import Rendered, RenderedPhase, render
from xrd_specimens import draw_scan

from hea_sim.alloy import Composition
from hea_sim.crystals import build_crystal, prototype

#: Superlattice lines weaker than the first number of sigma cannot be seen, stronger than the second they must be.
UNDECIDED_SIGMA = (4.0, 5.0)
#: Ordered structure, elements on its sublattices, a in Angstrom.
_ALLOYS: tuple[tuple[str, dict[str, str], float], ...] = (
    ("B2", {"A": "Ni", "B": "Al"}, 2.887),
    ("B2", {"A": "Fe", "B": "Al"}, 2.909),
    ("B2", {"A": "Fe", "B": "Ti"}, 2.976),
    ("B2", {"A": "Ni2Co2Fe", "B": "Al2Cr2Fe"}, 2.880),
    ("B2", {"A": "Co", "B": "Fe"}, 2.857),
    ("B2", {"A": "Cu", "B": "Zn"}, 2.950),
    ("B2", {"A": "Mo", "B": "Ta"}, 3.220),
    ("B2", {"A": "MoW", "B": "NbTa"}, 3.220),
    ("B2", {"A": "HfTa", "B": "TiNbZr"}, 3.400),
    ("L1_2", {"A": "Al", "B": "Ni"}, 3.572),
    ("L1_2", {"A": "AlTi", "B": "Ni2CoFe"}, 3.590),
    ("L1_2", {"A": "Cr", "B": "CoFeNi"}, 3.575),
    ("L1_2", {"A": "Fe", "B": "Ni"}, 3.555),
    ("L1_2", {"A": "Mn", "B": "Ni"}, 3.590),
    ("L1_2", {"A": "Au", "B": "Cu"}, 3.750),
    ("L1_2", {"A": "Fe", "B": "Pt"}, 3.870),
    ("L1_2", {"A": "Sc", "B": "Al"}, 4.103),
)
_TUBES = ("CuKa", "CoKa", "MoKa")


@dataclass(frozen=True, kw_only=True, eq=False)
class OrderCase:
    """Hold one pattern of the list: `significance` of its strongest superlattice line inside the scan, in sigma."""

    rendered: Rendered
    composition: Composition
    lattice: str
    ordered: str
    order_parameter: float
    significance: float

    @property
    def expected(self) -> str:
        """Say what has to be answered: "alternatives", "ordered alone", or "undecided"."""
        low, high = UNDECIDED_SIGMA
        if self.significance < low:
            return "alternatives"
        return "ordered alone" if self.significance > high else "undecided"


def draw_order_case(seed: tuple[int, ...]) -> OrderCase:
    """Draw an alloy, a tube, an order parameter (none in a quarter of the list) and a counting time."""
    rng = np.random.default_rng(seed)
    ordered, sublattices, a = _ALLOYS[int(rng.integers(len(_ALLOYS)))]
    order = 0.0 if rng.random() < 0.25 else float(rng.uniform(0, 1))
    kind = prototype(ordered)
    crystal = build_crystal(kind, sublattices, a_A=a * float(np.exp(rng.normal(0, 0.003))), order_parameter=order)
    # Every eighth scan begins above the first superlattice lines.
    scan = draw_scan(rng, str(rng.choice(_TUBES)), low_d_A=2.3 if rng.random() < 0.125 else 4.6)
    scan = replace(scan, peak_counts=float(np.exp(rng.uniform(np.log(300), np.log(3e5)))))
    phase = RenderedPhase(
        lattice=kind.fundamental,
        crystal=crystal,
        size_nm=float(np.exp(rng.uniform(np.log(20), np.log(300)))),
        microstrain=float(rng.uniform(0, 0.003)),
        line_scatter=float(rng.uniform(0, 0.15)),
    )
    rendered = render((phase,), scan, rng, name="order list")
    return OrderCase(
        rendered=rendered,
        composition=_mean_composition(kind.stoichiometry, sublattices),
        lattice=kind.fundamental,
        ordered=ordered,
        order_parameter=order,
        significance=rendered.significance(0, is_superlattice(ordered, rendered.sticks[0].hkl)),
    )


def is_superlattice(ordered: str, hkl: np.ndarray) -> np.ndarray:
    """Say which lines (m, 3) order alone makes: h + k + l odd for B2, indices of mixed parity for L1_2."""
    if ordered == "B2":
        return np.asarray(hkl.sum(axis=1) % 2 == 1)
    return np.asarray(np.ptp(hkl % 2, axis=1) > 0)


def _mean_composition(sites: dict[str, int], sublattices: dict[str, str]) -> Composition:
    amounts: dict[str, float] = {}
    for label, count in sites.items():
        for element, share in Composition.parse(sublattices[label]).items():
            amounts[element] = amounts.get(element, 0.0) + count * share
    return Composition.parse(amounts)
