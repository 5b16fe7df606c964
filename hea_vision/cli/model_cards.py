"""What `hea models show` prints of a model card: what it is, how well it does, by which errors, from which data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hea_sim.registry.cards import ModelCard
from hea_vision.cli.printing import print_table

#: Fields of a row of errors -> heading and decimals.
_ERROR_COLUMNS = {
    "group": ("group", None),
    "n_structures": ("frames", 0),
    "n_atoms": ("atoms", 0),
    "energy_mae_meV_per_atom": ("E MAE", 2),
    "energy_rmse_meV_per_atom": ("E RMSE", 2),
    "force_mae_eV_per_A": ("F MAE", 3),
    "force_rmse_eV_per_A": ("F RMSE", 3),
    "force_mae_moving_eV_per_A": ("F MAE moving", 3),
    "force_rmse_moving_eV_per_A": ("F RMSE moving", 3),
    "n_zero_force": ("at rest", 0),
    "stress_mae_GPa": ("stress MAE", 2),
    "stress_rmse_GPa": ("stress RMSE", 2),
}
_ERRORS, _ENERGIES = "errors", "element_energies_eV"
#: Settings that are longer than this are counted, not printed.
_LONGEST = 100


def show_card(card: ModelCard) -> None:
    """Print a card for people; `--json` gives all of it."""
    about = [
        ("kind", card.kind),
        ("elements", " ".join(card.elements) or "-"),
        *([("lattice", card.lattice)] if card.lattice else []),
        ("licence", card.licence),
        ("citation", card.citation),
        ("arrays", f"SHA-256 {card.arrays_sha256}"),
        ("seeds", ", ".join(f"{key} {value}" for key, value in card.seeds.items()) or "-"),
        ("remake", card.remake),
        *[("note", note) for note in card.notes],
    ]
    print_table("", ("model", card.name), about)
    print_table(
        "data",
        ("name", "licence", "used for", "source"),
        [(source.name, source.licence, source.used or "-", source.source) for source in card.data],
    )
    print_table(
        "scores",
        ("score", "value", "unit", "n", "how"),
        [
            (name, f"{score.value:.4g}", score.unit, "-" if score.n is None else str(score.n), score.how)
            for name, score in card.scores.items()
        ],
    )
    _show_errors(card.settings.get(_ERRORS))
    _show_energies(card.settings.get(_ENERGIES))
    rest = {key: value for key, value in card.settings.items() if key not in (_ERRORS, _ENERGIES)}
    if rest:
        print_table("settings", ("setting", "value"), [(key, _short(value)) for key, value in rest.items()])


def _show_errors(tables: Any) -> None:
    """Print a table of errors by group for each set of structures."""
    for name, rows in tables.items() if isinstance(tables, Mapping) else ():
        if not isinstance(rows, Sequence) or not all(isinstance(row, Mapping) for row in rows) or not rows:
            continue
        keys = [key for key in _ERROR_COLUMNS if any(row.get(key) is not None for row in rows)]
        print_table(
            f"errors, {name} (energy meV/atom, force eV/A by component, stress GPa)",
            [_ERROR_COLUMNS[key][0] for key in keys],
            [[_cell(row.get(key), _ERROR_COLUMNS[key][1]) for key in keys] for row in rows],
        )


def _show_energies(energies: Any) -> None:
    if isinstance(energies, Mapping):
        print_table("energies of the elements", ("element", "eV/atom"), [(e, _cell(v, 5)) for e, v in energies.items()])


def _cell(value: Any, decimals: int | None) -> str:
    if value is None:
        return "-"
    if decimals is None or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:.{decimals}f}"


def _short(value: Any) -> str:
    text = str(value)
    if len(text) <= _LONGEST or not isinstance(value, (Mapping, list)):
        return text
    return f"({len(value)} entries; --json prints them)"
