"""Structures from crystallographic information files (CIF).

ASE splits the file into tags; the atoms are put together here, because shared and partly filled sites must be kept.
Where a file lists no symmetry operations they follow from its space group.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.crystals.conventional import ConventionalCell, conventional_cell
from hea_sim.crystals.crystal import Crystal
from hea_sim.crystals.structure_types import LIGHT_ELEMENTS, Preference, Prototype, Site
from hea_sim.errors import InputError, MissingFileError

#: Two atoms closer than this (A) are one site; half the rounding of three decimals in a large cell is well below it.
_SAME_SITE_A = 0.05
#: Shares that sum to a little more than one are rounding; more than that is an error of the file.
_OVERFULL = 1.02
#: Atoms times symmetry operations; a file with more would take minutes.
_MAX_IMAGES = 200_000
_NEXT_BINS = np.array(list(product((-1, 0, 1), repeat=3)))
_OPERATIONS = (
    "_space_group_symop_operation_xyz",
    "_symmetry_equiv_pos_as_xyz",
    "_space_group_symop.operation_xyz",
    "_symmetry_equiv.pos_as_xyz",
)
_NUMBERS = ("_space_group_it_number", "_symmetry_int_tables_number", "_space_group.it_number")
_NAMES = ("_space_group_name_h-m_alt", "_symmetry_space_group_name_h-m", "_space_group.name_h-m_alt")
#: Groups with two choices of origin in International Tables, and those that may stand in rhombohedral axes.
_TWO_SETTINGS = frozenset(
    {48, 50, 59, 68, 70, 85, 86, 88, 125, 126, 129, 130, 133, 134, 137, 138, 141, 142, 201, 203, 222, 224, 227, 228}
    | {146, 148, 155, 160, 161, 166, 167}
)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Contents:
    """Hold a whole cell: `positions` (n, 3), `shares` of each site by element, `space_group` (1 if unsaid)."""

    name: str
    cell_A: np.ndarray
    positions: np.ndarray
    shares: tuple[dict[str, float], ...]
    space_group: int
    b_iso_A2: float


def crystal_from_cif(path: str | Path) -> Crystal:
    """Read a structure, with shared and partly filled sites, as a crystal in the file's own cell.

    Raises
    ------
    MissingFileError, InputError
        Where there is no such file, or no usable cell and atoms in it.
    """
    found = _read(Path(path))
    species = tuple(dict.fromkeys(e for share in found.shares for e in share))
    return Crystal(
        name=found.name,
        cell_A=found.cell_A,
        positions=found.positions,
        species=species,
        occupancy=np.array([[share.get(e, 0.0) for e in species] for share in found.shares]),
        b_iso_A2=found.b_iso_A2,
    )


def prototype_from_cif(
    path: str | Path, *, name: str | None = None, axial_freedom: float = 0.02, lattice_freedom: float = 0.05
) -> Prototype:
    """Make a structure type of one's own from a CIF.

    Every atom of the conventional cell is listed, so that no setting is guessed; primitive and rhombohedral cells are
    turned into conventional ones. Sites with the same elements share a sublattice, which keeps the file's composition.

    Parameters
    ----------
    name
        Name of the type; that of the file where left out.
    axial_freedom, lattice_freedom
        Relative half-widths of the bounds of c/a and b/a, and of a.

    Raises
    ------
    MissingFileError, InputError
        As `crystal_from_cif`, and where the lattice is triclinic.
    """
    source = Path(path)
    for what, value in (("axial_freedom", axial_freedom), ("lattice_freedom", lattice_freedom)):
        if not 0 <= value < 1:
            raise InputError(f"{what} {value}; wanted a share from 0 to below 1, such as 0.02")
    found = _read(source)
    cell = conventional_cell(found.cell_A, found.positions, found.space_group, str(source))
    labels, typical, filling = _sublattices([found.shares[i] for i in cell.origin])
    light = {e for s in typical if s.startswith("X") for e in Composition.parse(typical[s])}
    ceramic = bool(light & {"N", "O", "F"})
    preference: dict[str, Preference] = dict.fromkeys(typical, "typical")
    title = name or found.name
    return Prototype(
        name=title,
        space_group=found.space_group,
        system=cell.system,
        sites=tuple(
            Site(sublattice=s, position=(float(p[0]), float(p[1]), float(p[2]))) for s, p in zip(labels, cell.positions)
        ),
        a_A=cell.a_A,
        a_range_A=_around(cell.a_A, lattice_freedom),
        fundamental=title,
        metallic=not ceramic,
        role="ceramic"
        if ceramic
        else "carbide"
        if light
        else "intermetallic"
        if len(typical) > 1
        else "solid solution",
        typical=typical,
        site_preference=preference,
        filling=filling,
        lists_every_atom=True,
        reference=source.name,
        **_free_ratios(cell, axial_freedom),
    )


def _around(value: float, freedom: float) -> tuple[float, float]:
    return (value * (1 - freedom), value * (1 + freedom))


def _free_ratios(cell: ConventionalCell, freedom: float) -> dict[str, Any]:
    """Bound the ratios and the angle that the system leaves free."""
    ratios: dict[str, Any] = {}
    if cell.system != "cubic":
        ratios |= {"axial_ratio": cell.axial_ratio, "axial_ratio_range": _around(cell.axial_ratio, freedom)}
    if cell.system in ("orthorhombic", "monoclinic"):
        ratios |= {"b_ratio": cell.b_ratio, "b_ratio_range": _around(cell.b_ratio, freedom)}
    if cell.system == "monoclinic":
        spread = math.degrees(freedom)
        ratios |= {"beta_deg": cell.beta_deg, "beta_range_deg": (cell.beta_deg - spread, cell.beta_deg + spread)}
    return ratios


def _sublattices(shares: Sequence[dict[str, float]]) -> tuple[list[str], dict[str, str], dict[str, float]]:
    """Name the sublattices: light elements X, X2, ..., others M, or A, B, ... where there are several."""
    keys = [tuple(sorted((e, round(x, 6)) for e, x in share.items())) for share in shares]
    kinds = list(dict.fromkeys(keys))
    light = [max(k, key=lambda pair: pair[1])[0] in LIGHT_ELEMENTS["interstitial"] for k in kinds]
    n_light, n_metal = sum(light), len(kinds) - sum(light)
    light_names = iter(["X", *(f"X{i + 2}" for i in range(n_light))])
    letters = "ABCDEFGHIJKLMNOPQRSTUVW"
    metal_names = iter(["M"] if n_metal == 1 else [letters[i] if i < 23 else f"A{i - 22}" for i in range(n_metal)])
    names = {k: next(light_names if is_light else metal_names) for k, is_light in zip(kinds, light)}
    # A formula with ten digits keeps the shares of the file; the sign of an exponent is no part of a formula.
    typical = {names[k]: "".join(f"{e}{x:.10f}" for e, x in k) for k in kinds}
    filling = {names[k]: sum(x for _, x in k) for k in kinds if sum(x for _, x in k) < 1 - 1e-6}
    return [names[k] for k in keys], typical, filling


def _read(path: Path) -> _Contents:
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file; wanted a CIF")
    text = path.read_bytes().decode("utf-8", errors="replace")
    try:
        return _contents(_block(text), path.stem)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception as error:  # whatever a broken file does to the tokenizer of ASE
        raise InputError(
            f"{path}: not a readable CIF ({type(error).__name__}); wanted one with a cell and atom positions"
        ) from error


def _block(text: str) -> Any:
    """Find the first data block that has a cell and atoms."""
    from ase.io.cif import parse_cif

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        blocks = list(parse_cif(StringIO(text), reader="ase"))
    for block in blocks:
        if block.get("_cell_length_a") is not None and block.get("_atom_site_fract_x") is not None:
            return block
    raise InputError(
        f"{len(blocks)} data blocks, none with _cell_length_a and _atom_site_fract_x; wanted a CIF of a crystal"
    )


def _contents(block: Any, name: str) -> _Contents:
    cell = _cell(block)
    number, rotations, translations = _symmetry(block)
    _check_operations(rotations, translations, cell)
    symbols, rows, filled = _atom_rows(block)
    if len(rows) * len(rotations) > _MAX_IMAGES:
        raise InputError(f"{len(rows)} atoms and {len(rotations)} operations; wanted at most {_MAX_IMAGES} images")
    sites = _Sites(cell)
    for symbol, row, share in zip(symbols, rows, filled):
        if share > 0:
            sites.add((rotations @ row + translations) % 1.0, _element(symbol), share)
    if not sites.positions:
        raise InputError("no occupied site; wanted at least one atom")
    for position, site in zip(sites.positions, sites.shares):
        if sum(site.values()) > _OVERFULL:
            where = ", ".join(f"{x:.4f}" for x in position)
            raise InputError(f"site ({where}) is filled to {sum(site.values()):.3f}; wanted at most 1")
    return _Contents(
        name=name,
        cell_A=cell,
        positions=np.array(sites.positions),
        shares=tuple({e: x / max(1.0, sum(site.values())) for e, x in site.items()} for site in sites.shares),
        space_group=number,
        b_iso_A2=_b_iso_A2(block, filled),
    )


def _check_operations(rotations: np.ndarray, translations: np.ndarray, cell: np.ndarray) -> None:
    """Refuse operations that change lengths: a misread line, or those of another cell."""
    metric = cell @ cell.T
    moved = np.swapaxes(rotations, 1, 2) @ metric @ rotations
    wrong = np.abs(moved - metric).max(axis=(1, 2)) > 0.02 * metric.max()
    wrong |= ~np.isfinite(translations).all(axis=1)
    if wrong.any():
        raise InputError(
            f"symmetry operation {int(np.argmax(wrong)) + 1} does not map the lattice onto itself; wanted operations"
            " that fit the cell"
        )


def _atom_rows(block: Any) -> tuple[list[Any], np.ndarray, list[float]]:
    """Read symbols, fractional positions (n, 3) and shares of the atoms that are listed."""
    symbols = _column(block, "_atom_site_type_symbol") or _column(block, "_atom_site_label")
    columns = [[_number(v) for v in _column(block, f"_atom_site_fract_{axis}")] for axis in "xyz"]
    if len({len(symbols), *(len(c) for c in columns)}) != 1 or not np.isfinite(columns).all():
        raise InputError(f"{len(symbols)} atom symbols and {len(columns[0])} positions; wanted numbers for every atom")
    # A dot or a question mark stands for the default, which is a full site.
    said = [_number(v) for v in _column(block, "_atom_site_occupancy")] or [1.0] * len(symbols)
    filled = [1.0 if math.isnan(x) else x for x in said]
    if len(filled) != len(symbols) or not all(0 <= x < math.inf for x in filled):
        raise InputError("_atom_site_occupancy: wanted a number >= 0 for every atom")
    return symbols, np.array(columns).T, filled


class _Sites:
    """Collect the sites of a cell; an atom that falls on a site that is there already shares it.

    Sites are kept in bins twice as wide as the tolerance, so that only the next bins need be searched.
    """

    def __init__(self, cell_A: np.ndarray) -> None:
        self.positions: list[np.ndarray] = []
        self.shares: list[dict[str, float]] = []
        self._cell = cell_A
        heights = 1 / np.linalg.norm(np.linalg.inv(cell_A), axis=0)
        self._bins = np.maximum(1, heights // (2 * _SAME_SITE_A)).astype(int)
        self._members: dict[tuple[int, ...], list[int]] = {}

    def add(self, images: np.ndarray, element: str, share: float) -> None:
        """Put a share of an element on each distinct site among the images (k, 3) of an atom."""
        for index in dict.fromkeys(self._index_of(image) for image in images):
            self.shares[index][element] = self.shares[index].get(element, 0.0) + share

    def _index_of(self, image: np.ndarray) -> int:
        home = np.floor(image * self._bins).astype(int)
        around = {tuple(((home + step) % self._bins).tolist()) for step in _NEXT_BINS}
        for index in (i for key in around for i in self._members.get(key, ())):
            apart = self.positions[index] - image
            if np.linalg.norm((apart - np.round(apart)) @ self._cell) <= _SAME_SITE_A:
                return index
        self.positions.append(image)
        self.shares.append({})
        self._members.setdefault(tuple((home % self._bins).tolist()), []).append(len(self.positions) - 1)
        return len(self.positions) - 1


def _cell(block: Any) -> np.ndarray:
    from ase.geometry import cellpar_to_cell

    lengths = [_number(block.get(f"_cell_length_{axis}")) for axis in "abc"]
    angles = [_number(block.get(f"_cell_angle_{angle}", 90.0)) for angle in ("alpha", "beta", "gamma")]
    said = f"cell {', '.join(f'{x:g}' for x in lengths)} A, {', '.join(f'{x:g}' for x in angles)} deg"
    if not all(0 < x < 1e4 for x in lengths) or not all(0 < x < 180 for x in angles):
        raise InputError(f"{said}; wanted lengths above 0 and angles between 0 and 180")
    cell = np.asarray(cellpar_to_cell([*lengths, *angles]), float)
    if not np.isfinite(cell).all() or abs(np.linalg.det(cell)) < 1e-3 * np.prod(lengths):
        raise InputError(f"{said} has no volume; wanted angles that close a cell")
    return cell


def _symmetry(block: Any) -> tuple[int, np.ndarray, np.ndarray]:
    """Give the number of the space group (1 if unsaid) and its operations as (k, 3, 3) and (k, 3)."""
    from ase.spacegroup.spacegroup import parse_sitesym

    number = next((int(_number(block.get(tag))) for tag in _NUMBERS if not math.isnan(_number(block.get(tag)))), 0)
    title = next((str(block.get(tag)) for tag in _NAMES if str(block.get(tag) or "?") not in "?."), "")
    if not 0 <= number <= 230:
        raise InputError(f"space group number {number}; wanted 1 to 230")
    operations = next((column for tag in _OPERATIONS if (column := _column(block, tag))), None)
    if operations is None:
        return _tabulated_symmetry(number, title)
    if not number and title:
        number = getattr(_group_by_name(title.partition(":")[0]), "no", 1)
    rotations, translations = parse_sitesym([str(text) for text in operations])
    return number or 1, np.asarray(rotations, float), np.asarray(translations, float)


def _tabulated_symmetry(number: int, title: str) -> tuple[int, np.ndarray, np.ndarray]:
    """Take the operations from the space group, where its name and number leave no choice of axes or origin."""
    from ase.spacegroup import Spacegroup

    name, _, choice = (part.strip() for part in title.partition(":"))
    group = _group_by_name(name) if name else None
    # From 75 on, the number alone fixes the axes; below, P 21/c and P 21/n share one.
    if group is None and (number >= 75 or not name):
        group = Spacegroup(number or 1)
    if group is None:
        raise InputError(f"space group '{title}' is not known; wanted _space_group_symop_operation_xyz beside it")
    if group.no in _TWO_SETTINGS and choice not in ("1", "2", "H"):
        raise InputError(
            f"space group {group.no} has two settings and no symmetry operations are listed; wanted"
            " _space_group_symop_operation_xyz, or a name that ends with ':1', ':2' or ':H'"
        )
    if choice == "2":
        group = Spacegroup(group.no, setting=2)
    rotations, translations = zip(*group.get_symop())
    return int(group.no), np.asarray(rotations, float), np.asarray(translations, float)


def _group_by_name(name: str) -> Any:
    from ase.spacegroup import Spacegroup

    for text in (name, " ".join(name.split())):
        try:
            return Spacegroup(text)
        except Exception:  # ASE raises several kinds for a name that it does not know
            continue
    return None


def _b_iso_A2(block: Any, filled: Sequence[float]) -> float:
    """Average B over the atoms that have one, from B or U."""
    for tag, factor in (("_atom_site_b_iso_or_equiv", 1.0), ("_atom_site_u_iso_or_equiv", 8 * math.pi**2)):
        values = np.array([_number(v) for v in _column(block, tag)])
        if len(values) == len(filled) and (np.isfinite(values) & (values >= 0)).any():
            good = np.isfinite(values) & (values >= 0)
            weights = np.asarray(filled)[good]
            return float(factor * np.average(values[good], weights=weights if weights.sum() > 0 else None))
    return 0.4


def _column(block: Any, tag: str) -> list[Any]:
    value = block.get(tag)
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _number(value: Any) -> float:
    """Read a number, its uncertainty left off; not-a-number where there is none."""
    try:
        return float(re.sub(r"\(.*", "", str(value)))
    except ValueError:
        return math.nan


def _element(symbol: Any) -> str:
    from ase.data import atomic_numbers

    text = str(symbol).strip()
    for length in (2, 1):
        candidate = text[:length].capitalize()
        if len(candidate) == length and candidate.isalpha() and candidate in atomic_numbers and candidate != "X":
            return candidate
    if text[:1] in ("D", "T"):
        return "H"
    raise InputError(f"atom '{text[:20]}' names no element; wanted symbols such as Fe, O2-, Ni1")
