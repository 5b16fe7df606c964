"""Count the errors of potentials on DFT test structures: NbMoTaW, and the mlearn sets of Ni, Cu and Mo.

    python tests/benchmarks/potential_errors.py [--potentials NAME ...] [--data FOLDER] [--quick] [--json FILE]

NAME is a shipped potential, `published-snap` or `published-mtp` (the files of the NbMoTaW set), a model folder, or a
file (an .mtp as PATH:Nb-Mo-Ta-W). Each is judged on the set of its elements, four ways: all test frames;
without the frames that training holds to the last digit; without those that it holds turned, shifted or as another cell
of the same crystal (`audit_structures`); and the frames of four elements apart. Errors of forces are those of their
components, with and without the frames whose forces vanish by symmetry. Rows of the notes were measured before, with
LAMMPS of 22 Jul 2025. `--quick`: every eighth frame, and the audit of the small sets alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from potential_common import (
    SHIPPED,
    Measured,
    benchmark_parser,
    data_folder,
    judged,
    read_potentials,
    write_results,
)

from hea_sim.documents import sha256_of
from hea_sim.potentials.fitting.audit import audit_structures, without
from hea_sim.potentials.fitting.scores import ErrorRow, Predictions, error_table, predict_structures
from hea_sim.potentials.fitting.structures import TrainingStructure, read_structures

SETS = {name: ("nbmotaw/" if name == "nbmotaw" else f"mlearn/{name}_") for name in ("nbmotaw", "Ni", "Cu", "Mo")}
#: What the notes hold of published models: energy MAE and RMSE in meV/atom, force MAE and RMSE in eV/A.
NOTES = {
    ("nbmotaw", "all"): {"mlearn SNAP": (5.09, 7.11, 0.125, 0.195)},
    ("nbmotaw", "quaternary"): {"mlearn SNAP": (5.88, None, 0.189, 0.249)},
    ("Ni", "all"): {"SNAP": (None, 1.17, None, 0.085), "qSNAP": (None, 1.04, None, 0.075)},
    ("Cu", "all"): {"SNAP": (None, 0.75, None, 0.083), "qSNAP": (None, 0.77, None, 0.055)},
    ("Mo", "all"): {"SNAP": (None, 9.25, None, 0.376), "qSNAP": (None, 4.04, None, 0.333)},
}
_E_MAE, _E_RMSE = "energy_mae_meV_per_atom", "energy_rmse_meV_per_atom"
_F_MAE, _F_RMSE = "force_mae_eV_per_A", "force_rmse_eV_per_A"
#: Potential, set, way -> highest errors.
TARGETS: dict[tuple[str, str, str], dict[str, float]] = {
    ("nbmotaw-snap", "nbmotaw", "all"): {_E_MAE: 5.1, _F_MAE: 0.125},
    ("nbmotaw-snap", "nbmotaw", "without copies"): {_E_MAE: 5.1, _F_MAE: 0.125},
    ("nbmotaw-snap", "nbmotaw", "quaternary"): {_E_MAE: 5.9, _F_MAE: 0.189},
    ("ni-mtp", "Ni", "all"): {_E_RMSE: 1.04, _F_RMSE: 0.075},
    ("cu-mtp", "Cu", "all"): {_E_RMSE: 0.77, _F_RMSE: 0.055},
    ("mo-mtp", "Mo", "all"): {_E_RMSE: 4.04, _F_RMSE: 0.333},
}
#: The production potential against the own SNAP: part of its force error, part of its energy error.
FORCE_PART, ENERGY_PART = 0.75, 1.0


@dataclass(frozen=True, kw_only=True)
class TestSet:
    """Hold the test frames of a set; `leaked` stand in training too, `copies` of these to the last digit.

    Both are None where nothing was compared with training.
    """

    name: str
    frames: Sequence[TrainingStructure]
    leaked: frozenset[int] | None
    copies: frozenset[int] | None
    sha256: Mapping[str, str]

    @property
    def elements(self) -> set[str]:
        """Name the elements of all frames."""
        return {symbol for s in self.frames for symbol in s.atoms.get_chemical_symbols()}

    def ways(self) -> dict[str, list[int]]:
        """Give the frames of each way to judge."""
        every = list(range(len(self.frames)))
        found = {"all": every}
        if self.copies is not None and self.leaked is not None:
            found["without copies"] = [k for k in every if k not in self.copies]
            found["without leaked"] = [k for k in every if k not in self.leaked]
        found["quaternary"] = [k for k, s in enumerate(self.frames) if len(set(s.atoms.symbols)) == 4]
        return {way: frames for way, frames in found.items() if frames}


def read_set(name: str, folder: Path, quick: bool) -> TestSet:
    """Read a set, and look which of its test frames also stand in training."""
    files = {part: folder / "potentials" / f"{SETS[name]}{part}.extxyz.xz" for part in ("train", "test")}
    test = read_structures(files["test"])
    test = test[::8] if quick and name == "nbmotaw" else test
    leaked = copies = None
    if not (quick and name == "nbmotaw"):
        train = read_structures(files["train"])
        leaked = frozenset(audit_structures(train, test).leaked)
        known = {as_bytes(s) for s in train}
        copies = frozenset(k for k, s in enumerate(test) if as_bytes(s) in known)
        kept = without(test, leaked)
        assert len(kept) == len(test) - len(leaked)
    sha256 = {path.name: sha256_of(path) for path in files.values()}
    return TestSet(name=name, frames=test, leaked=leaked, copies=copies, sha256=sha256)


def as_bytes(structure: TrainingStructure) -> bytes:
    """Give the same bytes for frames that are the same as they stand."""
    atoms = structure.atoms
    rounded = np.round(np.vstack([atoms.cell.array, atoms.positions]), 6) + 0.0
    return bytes(atoms.numbers.tobytes() + rounded.tobytes())


def part_of(whole: Predictions, frames: Sequence[int]) -> Predictions:
    """Take some frames out of predictions."""
    return Predictions(
        structures=tuple(whole.structures[k] for k in frames),
        energies_eV=whole.energies_eV[list(frames)],
        forces_eV_per_A=tuple(whole.forces_eV_per_A[k] for k in frames),
        stresses_eV_per_A3=tuple(whole.stresses_eV_per_A3[k] for k in frames),
    )


def judge(one: Measured, test: TestSet) -> dict[str, list[ErrorRow]]:
    """Count the errors of a potential on a set in all ways: a row of all frames, then one of each group."""
    predictions = predict_structures(one.potential, test.frames)
    return {way: error_table(part_of(predictions, frames)) for way, frames in test.ways().items()}


HEADER = (
    f"  {'':30s} {'frames':>6s} {'at rest':>7s}   energy meV/atom     force eV/A      force, moving frames\n"
    f"  {'':30s} {'':6s} {'':7s}     MAE    RMSE       MAE    RMSE       MAE    RMSE"
)


def line_of(label: str, row: ErrorRow) -> str:
    """Write a row of errors."""
    moving = [row.force_mae_moving_eV_per_A, row.force_rmse_moving_eV_per_A]
    numbers = [
        f"{v:7.3f}" if v is not None else f"{'-':>7s}" for v in (row.force_mae_eV_per_A, row.force_rmse_eV_per_A)
    ]
    numbers += [f"{v:7.3f}" if v is not None else f"{'-':>7s}" for v in moving]
    energy = f"{row.energy_mae_meV_per_atom:7.2f} {row.energy_rmse_meV_per_atom:7.2f}"
    return (
        f"  {label:30s} {row.n_structures:6d} {row.n_zero_force:7d}  {energy}   {' '.join(numbers[:2])}"
        f"   {' '.join(numbers[2:])}"
    )


def show_set(test: TestSet, found: Mapping[str, Mapping[str, Sequence[ErrorRow]]]) -> None:
    """Print the table of a set: every way and potential, the rows of the notes, then every group."""
    leaked = "not looked for" if test.leaked is None else f"{len(test.leaked)}, {len(test.copies or ())} to the digit"
    print(f"\n{test.name}: {len(test.frames)} test frames; of these in training too: {leaked}")
    print(HEADER)
    for way in test.ways():
        for name, ways in found.items():
            print(line_of(f"{way}: {name}", ways[way][0]))
        for model, values in NOTES.get((test.name, way), {}).items():
            e_mae, e_rmse, f_mae, f_rmse = (f"{v:7.3g}" if v is not None else f"{'-':>7s}" for v in values)
            print(
                f"  {f'{way}: {model}':30s} {'':6s} {'':7s}  {e_mae} {e_rmse}   {f_mae} {f_rmse}   notes, measured with"
                " LAMMPS"
            )
    groups = list(dict.fromkeys(s.group for s in test.frames))
    for group in groups if len(groups) > 1 else ():
        for name, ways in found.items():
            row = next(row for row in ways["all"] if row.group == group)
            print(line_of(f"{group}: {name}", row))


def fixed_targets(name: str, test: str, ways: Mapping[str, Sequence[ErrorRow]]) -> list[dict[str, Any]]:
    """Compare a potential with the targets that are numbers."""
    found = []
    for (potential, of, way), limits in TARGETS.items():
        if (potential, of) == (name, test) and way in ways:
            found += [
                {
                    "potential": name,
                    "set": test,
                    "way": way,
                    "what": key,
                    "value": getattr(ways[way][0], key),
                    "limit": v,
                }
                for key, v in limits.items()
            ]
    return found


def targets_beside_snap(found: Mapping[str, Mapping[str, Sequence[ErrorRow]]]) -> list[dict[str, Any]]:
    """Compare nbmotaw-mtp with nbmotaw-snap in every way."""
    if not {"nbmotaw-mtp", "nbmotaw-snap"} <= found.keys():
        return []
    rows = []
    for way, table in found["nbmotaw-mtp"].items():
        snap = found["nbmotaw-snap"][way][0]
        for key, part in ((_F_MAE, FORCE_PART), (_F_RMSE, FORCE_PART), (_E_MAE, ENERGY_PART), (_E_RMSE, ENERGY_PART)):
            value, limit = getattr(table[0], key), part * getattr(snap, key)
            rows.append(
                {"potential": "nbmotaw-mtp", "set": "nbmotaw", "way": way, "what": key, "value": value, "limit": limit}
            )
    return rows


def show_targets(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print what was to be reached and whether it was."""
    if rows:
        print("\ntargets")
    for row in rows:
        print(
            f"  {row['potential']:14s} {row['set']:8s} {row['way']:15s} {row['what']:26s} {row['value']:8.4g}"
            f"  {judged(row['value'], row['limit'])}"
        )


def run(measured: Sequence[Measured], sets: Sequence[TestSet]) -> dict[str, Any]:
    """Judge every potential on the set of its elements."""
    results: dict[str, Any] = {"sets": {}, "targets": []}
    for test in sets:
        found = {one.name: judge(one, test) for one in measured if test.elements == set(one.potential.elements)}
        if not found:
            continue
        show_set(test, found)
        rows = [row for name, ways in found.items() for row in fixed_targets(name, test.name, ways)]
        results["targets"] += [*rows, *(targets_beside_snap(found) if test.name == "nbmotaw" else ())]
        results["sets"][test.name] = {
            "frames": len(test.frames),
            "leaked": test.leaked and sorted(test.leaked),
            "copies": test.copies and sorted(test.copies),
            "sha256": test.sha256,
            "errors": {n: {w: [asdict(row) for row in t] for w, t in ways.items()} for n, ways in found.items()},
            "notes": {way: rows for (name, way), rows in NOTES.items() if name == test.name},
        }
    results["targets"] = [row | {"reached": row["value"] <= row["limit"]} for row in results["targets"]]
    return results


def parsed() -> argparse.Namespace:
    """Read the options."""
    parser = benchmark_parser(__doc__, [*SHIPPED, "published-snap", "published-mtp"])
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    options = parser.parse_args()
    if not options.data:
        raise SystemExit("test structures: give --data FOLDER or set HEA_DATA")
    return options


def main() -> None:
    options = parsed()
    data = data_folder(options)
    assert data is not None
    measured = read_potentials(options.potentials, data)
    results = run(measured, [read_set(name, data, options.quick) for name in options.sets])
    show_targets(results["targets"])
    write_results(options, __file__, measured, **results)


if __name__ == "__main__":
    main()
