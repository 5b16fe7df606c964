"""What `hea fit potential`, `hea fit lattice` and `hea data audit` do. Each returns the exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hea_sim.documents import document, versions
from hea_sim.records import Provenance
from hea_sim.settings import read_settings
from hea_vision.cli.printing import print_json, print_table, say

if TYPE_CHECKING:
    from hea_sim.lattice.fit_data import LatticeErrors
    from hea_sim.potentials.fitting.audit import Audit
    from hea_sim.potentials.fitting.scores import ErrorRow

_NAMES_SHOWN = 6


def fit_potential(out: Path, config: Path | None, flags: Mapping[str, Any], json: bool) -> int:
    """Fit a potential; the audit is told first."""
    from hea_sim.potentials.fitting import fit_run, job

    settings = job.read_fit_job(config, flags)
    made = fit_run.fit_potential(settings, out, say=say, show_audit=lambda audit: _tell_findings(audit))
    if json:
        print_json(made.results)
    else:
        for name, rows in made.errors.items():
            _print_errors(f"{settings.name}: errors on {name} structures", rows)
        print(f"{made.folder / fit_run.MODEL_FOLDER}: load it with hea_sim.potentials.load_potential")
    return 0


def fit_lattice(out: Path, config: Path | None, flags: Mapping[str, Any], json: bool) -> int:
    """Fit a lattice model; the audit is told before the fit."""
    from hea_sim.lattice import fit_run
    from hea_sim.lattice.fit_job import FitLatticeJob

    settings = read_settings(FitLatticeJob, config, flags)
    made = fit_run.fit_lattice(settings, out, say=say)
    if json:
        print_json(made.results)
    else:
        for name, rows in made.errors.items():
            _print_lattice_errors(f"{settings.name}: errors of cells {name}, meV/atom", rows)
        print(f"{made.folder / fit_run.MODEL_FOLDER}: model of the family {settings.family}")
    return 0


def _print_lattice_errors(title: str, rows: Sequence[LatticeErrors]) -> None:
    columns = ("group", "cells", "MAE", "RMSE", "bias", "between arrangements", "their spread")
    table = [
        (
            row.group,
            str(row.n_cells),
            *(
                "-" if value != value else f"{value:.2f}"
                for value in (
                    row.mae_meV, row.rmse_meV, row.bias_meV, row.arrangement_rmse_meV, row.arrangement_spread_meV
                )
            ),
        )
        for row in rows
    ]  # fmt: skip
    print_table(title, columns, table)


def audit(train: Sequence[Path], test: Sequence[Path], json: bool) -> int:
    """Look at labelled structures; 1 where something is wrong with them."""
    from hea_sim.potentials.fitting.audit import audit_structures
    from hea_sim.potentials.fitting.structures import read_structures

    sets = [[structure for path in paths for structure in read_structures(path)] for paths in (train, test)]
    found = audit_structures(*sets)
    if json:
        print_json(document([found], [], Provenance(versions=versions())))
    else:
        _print_coverage(found)
        rows = [(f.severity, f.check, str(f.count), f.text, f.mend) for f in found.findings]
        print_table("Findings", ("severity", "check", "frames", "what", "mend"), rows)
        if found.label_noise_meV_per_atom is not None:
            noise = found.label_noise_meV_per_atom
            print(f"Energies of one crystal in cells of different size scatter by {noise:.2f} meV/atom.")
    return 1 if found.worst == "error" else 0


def _tell_findings(audit: Audit) -> None:
    for finding in audit.findings:
        say(f"audit, {finding.severity}: {finding.text}; {finding.mend}")


def _print_coverage(audit: Audit) -> None:
    rows = []
    for name, c in (("training", audit.train), ("test", audit.test)):
        if c is not None:
            closest = sorted(c.closest_A.items(), key=lambda item: item[1])[:_NAMES_SHOWN]
            rows.append(
                (
                    name,
                    str(c.n_structures),
                    str(c.n_atoms),
                    " ".join(c.elements),
                    str(c.compositions),
                    ", ".join(f"{pair} {distance:.2f}" for pair, distance in closest),
                    f"{c.volume_A3_per_atom[0]:.1f} to {c.volume_A3_per_atom[1]:.1f}",
                    f"{c.largest_force_eV_per_A:.1f}",
                )
            )
    columns = (
        "set",
        "frames",
        "atoms",
        "elements",
        "compositions",
        "closest, A",
        "A^3 per atom",
        "largest force, eV/A",
    )
    print_table("Structures", columns, rows)


def _print_errors(title: str, rows: Sequence[ErrorRow]) -> None:
    def number(value: float | None, digits: int) -> str:
        return "-" if value is None else f"{value:.{digits}f}"

    columns = (
        "group", "frames", "E MAE meV/atom", "E RMSE", "F MAE eV/A", "F RMSE", "F MAE moving", "at rest", "S MAE GPa",
    )  # fmt: skip
    table = [
        (
            r.group,
            str(r.n_structures),
            number(r.energy_mae_meV_per_atom, 2),
            number(r.energy_rmse_meV_per_atom, 2),
            number(r.force_mae_eV_per_A, 3),
            number(r.force_rmse_eV_per_A, 3),
            number(r.force_mae_moving_eV_per_A, 3),
            str(r.n_zero_force),
            number(r.stress_mae_GPa, 2),
        )
        for r in rows
    ]
    print_table(title, columns, table)
