"""What the page of a loop says of the cells that a potential relaxed, as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hea_sim.crystals import atoms_per_cell
from hea_sim.records import Estimate
from hea_vision.report.text import format_estimate

if TYPE_CHECKING:
    from hea_sim.forecasting import Forecast
    from hea_sim.mechanics.alloy import AlloyMechanics
    from hea_sim.potentials.choice import PotentialRecord

#: Scores of a card that the page shows.
_SHOWN_SCORES = {
    "energy_mae": "energy, mean error",
    "energy_rmse": "energy, rms error",
    "force_mae": "force, mean error",
    "force_rmse": "force, rms error",
}


def relaxed_cell_section(expected: Forecast, measured_at_K: float) -> dict[str, Any] | None:
    """Write what a potential made of the alloy; None where no potential was used."""
    record, found = expected.potential, expected.mechanics
    if record is None or found is None:
        return None
    room = expected.lattice_parameter(found.structure)
    rows = [("lattice parameter a at 0 K", found.lattice_A)]
    if room is not None:
        method = found.lattice_parameter_at(measured_at_K).method
        rows.append((f"a at {measured_at_K:g} K, corrected by the elements", replace(room, method=method)))
    rows += [
        (f"a at {measured_at_K:g} K without it ({source})", _edge(volume, found.structure))
        for source, volume in expected.compared_volumes_A3.items()
    ]
    rows += _energies(found) + _constants(found)
    return {
        "name": record.name,
        "why": record.why,
        "cells": f"{found.n_cells} {'cells' if found.n_cells > 1 else 'cell'} of {found.n_atoms} atoms",
        "structure": found.structure,
        "rows": [(name, format_estimate(e), e.method) for name, e in rows],
        "scores": _scores(record.scores),
        "sha256": ", ".join(f"{name} {sha}" for name, sha in record.sha256.items()),
        "notes": _notes(record),
    }


def _edge(volume_A3: Estimate, structure: str) -> Estimate:
    a = (atoms_per_cell(structure) * volume_A3.value) ** (1 / 3)
    std = a / 3 * (volume_A3.std or 0.0) / volume_A3.value
    return Estimate.normal(a, std, unit="A", method=volume_A3.method)


def _energies(found: AlloyMechanics) -> list[tuple[str, Estimate]]:
    rows = [("static displacement of the atoms, rms", found.displacement_A)]
    if found.mixing_energy is not None:
        e = found.mixing_energy
        in_meV = Estimate.normal(1e3 * e.value, 1e3 * (e.std or 0.0), unit="meV/atom", method=e.method)
        rows.append(("energy of mixing", in_meV))
    if found.vacancy is not None:
        rows.append(("vacancy formation energy", found.vacancy))
    return rows


def _constants(found: AlloyMechanics) -> list[tuple[str, Estimate]]:
    rows: list[tuple[str, Estimate]] = []
    if found.elastic is not None:
        rows += [(name, getattr(found.elastic, name)) for name in ("C11", "C12", "C44")]
    if found.moduli is not None:
        names = {"bulk_GPa": "bulk modulus K", "shear_GPa": "shear modulus G", "young_GPa": "Young's modulus E"}
        rows += [(f"{text}, polycrystal", getattr(found.moduli, name)) for name, text in names.items()]
        rows.append(("Poisson's ratio, polycrystal", found.moduli.poisson))
    return rows


def _scores(scores: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [
        f"{text} {scores[key]['value']:.3g} {scores[key]['unit'].replace('/A', '/Å')}"
        for key, text in _SHOWN_SCORES.items()
        if key in scores
    ]


def _notes(record: PotentialRecord) -> list[str]:
    known = [] if record.scores else ["its own error is not known here: no card comes with it"]
    return [*record.notes, *known]
