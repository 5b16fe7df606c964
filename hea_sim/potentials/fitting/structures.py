"""Labelled structures to fit to: extended XYZ, plain or compressed, in eV, A, eV/A and eV/A^3.

| in the file | here |
|---|---|
| energy of the frame | `energy_eV` |
| forces (n, 3) | `forces_eV_per_A` |
| stress, 6 numbers in ASE's order of Voigt or 9 | `stress_eV_per_A3` (6,), positive under tension |
| virial W, 6 or 9 | stress = -W / V |
| group, config_type or config | `group` |
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hea_sim.errors import InputError, MissingFileError

if TYPE_CHECKING:
    from ase import Atoms

#: Forces below this count as zero, in eV/A: DFT codes print some 1e-8 where symmetry gives none.
ZERO_FORCE_EV_PER_A = 1e-6

_ENERGY = ("energy", "Energy", "REF_energy", "ref_energy", "dft_energy", "free_energy", "energy_dft")
_FORCES = ("forces", "force", "REF_forces", "ref_forces", "dft_forces", "dft_force", "forces_dft")
_STRESS = ("stress", "REF_stress", "ref_stress", "dft_stress")
_VIRIAL = ("virial", "virials", "REF_virial", "ref_virial", "dft_virial")
_GROUP = ("group", "config_type", "config")
_FOREIGN_UNITS = re.compile(r"(ha|hartree|ry|rydberg|kcal|kj|bohr|kbar|gpa)$", re.IGNORECASE)
_OPENERS: dict[str, Callable[..., Any]] = {".xz": lzma.open, ".gz": gzip.open, ".bz2": bz2.open}
_PAIR = re.compile(r"""([A-Za-z_][\w.-]*)\s*=\s*("[^"]*"|'[^']*'|\{[^}]*\}|\[[^=]*\]|\S+)""")
_VOIGT_OF_NINE = np.array([0, 4, 8, 5, 2, 1])


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingStructure:
    """Hold one labelled structure.

    `forces_eV_per_A` (n, 3); `stress_eV_per_A3` (6,) in the order xx yy zz yz xz xy, positive under tension, None where
    the file has none; `index` is the number of the frame in the file `source`, from 0.
    """

    atoms: Atoms
    energy_eV: float
    forces_eV_per_A: np.ndarray
    stress_eV_per_A3: np.ndarray | None = None
    group: str = "all"
    index: int = 0
    source: str = ""

    @property
    def n_atoms(self) -> int:
        """Count the atoms."""
        return len(self.atoms)

    @property
    def forces_are_zero(self) -> bool:
        """Tell whether all forces vanish, as in a perfect crystal: such a frame is no test of forces."""
        return bool(np.abs(self.forces_eV_per_A).max(initial=0.0) < ZERO_FORCE_EV_PER_A)

    @property
    def name(self) -> str:
        """Name the frame for a message."""
        return f"frame {self.index} of {self.source or 'the set'} ({self.atoms.get_chemical_formula()})"


def read_structures(
    path: str | os.PathLike[str],
    *,
    energy_key: str | None = None,
    forces_key: str | None = None,
    stress_key: str | None = None,
) -> list[TrainingStructure]:
    """Read labelled structures from an extended XYZ file, plain or compressed (.xz, .gz, .bz2).

    Keys are found by their usual names where none is given. Raises MissingFileError, or InputError naming file, frame
    and line where something is missing, cut short, not finite or in another unit.
    """
    path = Path(path)
    frames = _Frames(path, _text_of(path).splitlines(), energy_key, forces_key, stress_key)
    found = list(frames.read())
    if not found:
        raise InputError(f"{path}: no frames; wanted extended XYZ with energies and forces")
    return found


def _text_of(path: Path) -> str:
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file; wanted labelled structures as extended XYZ")
    suffixes = [s.lower() for s in path.suffixes]
    kind = next((s for s in reversed(suffixes) if s not in _OPENERS), "")
    if kind not in (".xyz", ".extxyz"):
        raise InputError(f"{path}: wanted .xyz or .extxyz, plain or with .xz, .gz or .bz2; convert it with ase")
    try:
        with _OPENERS.get(suffixes[-1], open)(path, "rt", encoding="utf-8") as stream:
            text: str = stream.read()
    except (lzma.LZMAError, gzip.BadGzipFile, EOFError, UnicodeDecodeError, OSError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}); is the file whole, and compressed as its name says?"
        ) from (error)
    return text


class _Frames:
    """Read frame after frame of one file; every error names the file, the frame and its line."""

    def __init__(
        self, path: Path, lines: list[str], energy_key: str | None, forces_key: str | None, stress_key: str | None
    ) -> None:
        self.path, self.lines = path, lines
        self.energy = (energy_key,) if energy_key else _ENERGY
        self.forces = (forces_key,) if forces_key else _FORCES
        self.stress = (stress_key,) if stress_key else _STRESS
        self.frame = self.line = 0

    def read(self) -> Iterator[TrainingStructure]:
        """Give every frame."""
        while self.line < len(self.lines):
            if not self.lines[self.line].strip():  # empty lines at the end
                self.line += 1
                continue
            yield self._structure()
            self.frame += 1

    def _fail(self, text: str) -> InputError:
        return InputError(f"{self.path}: frame {self.frame} at line {self.line + 1}: {text}")

    def _structure(self) -> TrainingStructure:
        n = self._count()
        header = self._header(self.lines[self.line + 1])
        columns = self._columns(header, self.lines[self.line + 2 : self.line + 2 + n])
        atoms = self._atoms(header, columns)
        structure = TrainingStructure(
            atoms=atoms,
            energy_eV=self._energy(header),
            forces_eV_per_A=self._forces(columns),
            stress_eV_per_A3=self._stress(header, atoms),
            group=next((header[key] for key in _GROUP if key in header), "all"),
            index=self.frame,
            source=self.path.name,
        )
        self.line += 2 + n
        return structure

    def _count(self) -> int:
        try:
            n = int(self.lines[self.line])
        except ValueError:
            raise self._fail(f"wanted the number of atoms, got '{self.lines[self.line][:40]}'") from None
        if n < 1 or self.line + 2 + n > len(self.lines):
            left = len(self.lines) - self.line - 2
            raise self._fail(f"says {n} atoms, {max(left, 0)} lines follow; is the file cut short?")
        return n

    def _header(self, line: str) -> dict[str, str]:
        header = {key: value.strip("\"'{}[]").strip() for key, value in _PAIR.findall(line)}
        foreign = [key for key in header if key.lower().startswith(("energy_", "stress_", "virial_"))]
        for key, value in [(key, key) for key in foreign] + [("units", header.get("units", ""))]:
            if found := _FOREIGN_UNITS.search(value):
                raise self._fail(f"'{key}' speaks of {found[0]}; wanted eV, A, eV/A and eV/A^3: convert the file first")
        return header

    def _columns(self, header: dict[str, str], lines: Sequence[str]) -> dict[str, np.ndarray]:
        names = header.get("Properties", "").split(":")
        if len(names) < 6 or len(names) % 3:
            raise self._fail("no usable Properties=species:S:1:pos:R:3:forces:R:3; is this extended XYZ?")
        rows = [line.split() for line in lines]
        width = sum(int(w) for w in names[2::3])
        if any(len(row) < width for row in rows):
            raise self._fail(f"a line of an atom has fewer than {width} columns, which Properties names")
        table, columns, start = np.array([row[:width] for row in rows]), {}, 0
        for name, kind, size in zip(names[::3], names[1::3], names[2::3], strict=True):
            part, start = table[:, start : start + int(size)], start + int(size)
            if kind in "RI":
                try:
                    part = part.astype(np.float64)
                except ValueError:
                    raise self._fail(f"column '{name}' holds something that is no number") from None
                if not np.isfinite(part).all():
                    raise self._fail(f"column '{name}' holds a number that is not finite")
            columns[name] = part
        return columns

    def _atoms(self, header: dict[str, str], columns: dict[str, np.ndarray]) -> Atoms:
        from ase import Atoms
        from ase.data import atomic_numbers

        if "pos" not in columns or not ({"species", "Z", "numbers"} & columns.keys()):
            raise self._fail(f"columns {', '.join(columns)}; wanted at least species and pos")
        cell = self._numbers(header, "Lattice", (9,)).reshape(3, 3) if "Lattice" in header else None
        if "species" in columns:
            symbols = columns["species"][:, 0]
            unknown = sorted({str(s) for s in set(symbols.tolist()) if s not in atomic_numbers})
            if unknown:
                raise self._fail(f"'{unknown[0]}' is no element; wanted chemical symbols")
            numbers = np.array([atomic_numbers[s] for s in symbols])
        else:
            numbers = np.asarray(columns["Z" if "Z" in columns else "numbers"][:, 0], int)
        flags = header.get("pbc", "T T T" if cell is not None else "F F F").split()
        periodic = [flag.upper().startswith("T") or flag == "1" for flag in flags]
        if len(periodic) != 3 or (cell is None and any(periodic)):
            raise self._fail(f"pbc '{header.get('pbc')}'; wanted three of T and F, and a Lattice where one is T")
        return Atoms(numbers=numbers, positions=columns["pos"], cell=cell, pbc=periodic)

    def _numbers(self, header: dict[str, str], key: str, sizes: tuple[int, ...]) -> np.ndarray:
        try:
            values = np.array([float(v) for v in header[key].replace(",", " ").split()])
        except ValueError:
            raise self._fail(f"'{key}' is no list of numbers: '{header[key][:60]}'") from None
        if values.size not in sizes or not np.isfinite(values).all():
            raise self._fail(f"'{key}' has {values.size} numbers; wanted {' or '.join(map(str, sizes))}, all finite")
        return values

    def _energy(self, header: dict[str, str]) -> float:
        key = next((key for key in self.energy if key in header), None)
        if key is None:
            raise self._fail(
                f"no energy under {', '.join(self.energy)}; the frame has {', '.join(header) or 'no keys'}: name the"
                " right one with energy_key, or label the structures first"
            )
        return float(self._numbers(header, key, (1,))[0])

    def _forces(self, columns: dict[str, np.ndarray]) -> np.ndarray:
        key = next((key for key in self.forces if key in columns), None)
        if key is None or columns[key].shape[1] != 3:
            raise self._fail(
                f"no forces (three columns) under {', '.join(self.forces)}; the frame has {', '.join(columns)}: name"
                " the right ones with forces_key, or label the structures first"
            )
        return np.ascontiguousarray(columns[key])

    def _stress(self, header: dict[str, str], atoms: Atoms) -> np.ndarray | None:
        key = next((key for key in self.stress if key in header), None)
        virial = next((key for key in _VIRIAL if key in header), None) if key is None else None
        if not atoms.pbc.all() or (key is None and virial is None):
            return None
        values = self._numbers(header, key or str(virial), (6, 9))
        if values.size == 9:
            if np.abs(values - values.reshape(3, 3).T.ravel()).max() > 1e-3 * max(np.abs(values).max(), 1e-2):
                raise self._fail(f"'{key or virial}' is not symmetric; wanted a symmetric tensor of 9, or 6 numbers")
            values = values[_VOIGT_OF_NINE]
        return values if virial is None else -values / atoms.cell.volume
