"""Text files of moment tensor potentials as mlip-2 writes them, doi:10.1088/2632-2153/abc9fe.

Such a file numbers its species and does not name them, so whoever reads it says which they are. What stands behind
`#MVS`, the state of a selection of training data, is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hea_sim.documents import write_atomic
from hea_sim.errors import InputError, MissingFileError
from hea_sim.potentials.mtp import MtpModel
from hea_sim.potentials.mtp_basis import MomentBasis

#: Later programs write the radial section with shorter names.
_OTHER_NAMES = {
    "min": "min_dist", "max": "max_dist", "size": "radial_basis_size",
    "min_val": "min_dist", "max_val": "max_dist", "basis_size": "radial_basis_size",
}  # fmt: skip
_COEFFICIENTS = ("radial_coeffs", "species_coeffs", "moment_coeffs")
_INTEGER, _NUMBER = r"[-+]?\d+", r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


def read_mtp(path: str | Path, species: Sequence[str]) -> MtpModel:
    """Read a potential of mlip-2; `species` are the elements in the order in which the file numbers them.

    Raises MissingFileError, or InputError that names the entry that is missing, cut or does not fit the others.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"no file {path}; give an .mtp file of mlip-2")
    try:
        text = path.read_bytes().split(b"#MVS")[0].decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name} is not text; wanted an .mtp file of mlip-2") from error
    if text.split(maxsplit=1)[:1] != ["MTP"]:
        raise InputError(f"{path.name} does not begin with MTP; wanted an .mtp file of mlip-2")
    try:
        return _Entries(path.name, text).model(tuple(species))
    except InputError as error:
        if str(error).startswith(path.name):
            raise
        raise InputError(f"{path.name}: {error}") from error


class _Entries:
    """Hold the entries of a file, read on demand and checked against their counts."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        head, *rest = re.split(r"^\s*radial_coeffs\s*$", text, maxsplit=1, flags=re.MULTILINE)
        blocks = rest[0].splitlines() if rest else []
        self._entries = dict(_entries_of(head.splitlines()))
        end = next((k for k, line in enumerate(blocks) if "=" in line), len(blocks))
        self._entries |= _entries_of(blocks[end:])
        if rest:
            self._entries["radial_coeffs"] = "\n".join(blocks[:end])

    def model(self, elements: tuple[str, ...]) -> MtpModel:
        kind = self._text("radial_basis_type")
        if kind != "RBChebyshev":
            raise InputError(f"{self.name}: radial basis '{kind}'; this program reads RBChebyshev alone")
        count = self._integer("species_count")
        if count != len(elements):
            raise InputError(
                f"{self.name} holds {count} species, got {len(elements)} ({', '.join(elements)}); give the elements in"
                " the order in which the file numbers them"
            )
        if not any(key in self._entries for key in _COEFFICIENTS):
            raise InputError(f"{self.name} is a template without coefficients; make an untrained potential by new_mtp")
        basis = self._basis()
        return MtpModel(
            elements=elements,
            basis=basis,
            least_distance_A=self._number("min_dist"),
            cutoff_A=self._number("max_dist"),
            scaling=self._number("scaling") if "scaling" in self._entries else 1.0,
            radial=self._radial_coefficients(count),
            species_eV=self._numbers("species_coeffs", count),
            linear_eV=self._numbers("moment_coeffs", len(basis.scalars)),
        )

    def _basis(self) -> MomentBasis:
        counts = {key: self._integer(key) for key in ("alpha_index_basic_count", "alpha_index_times_count")}
        return MomentBasis(
            basic=self._integers("alpha_index_basic", 4 * counts["alpha_index_basic_count"]).reshape(-1, 4),
            products=self._integers("alpha_index_times", 4 * counts["alpha_index_times_count"]).reshape(-1, 4),
            scalars=self._integers("alpha_moment_mapping", self._integer("alpha_scalar_moments")),
            n_moments=self._integer("alpha_moments_count"),
        )

    def _radial_coefficients(self, species: int) -> np.ndarray:
        """Read c (mu, z_i, z_j, k), a block for each pair of species, in any order."""
        shape = (self._integer("radial_funcs_count"), self._integer("radial_basis_size"))
        least = 2 * species * species * shape[0] * shape[1]  # a digit and a comma for each number
        if least > len(self._text("radial_coeffs")):
            raise InputError(
                f"{self.name}: {shape[0]} x {shape[1]} radial coefficients a pair of species do not stand there"
            )
        found = np.full((species, species, *shape), np.nan)
        blocks = re.split(r"^\s*(\d+)-(\d+)\s*$", self._text("radial_coeffs"), flags=re.MULTILINE)
        for first, second, block in zip(blocks[1::3], blocks[2::3], blocks[3::3], strict=True):
            i, j = int(first), int(second)
            if max(i, j) >= species:
                raise InputError(f"{self.name}: radial coefficients of {i}-{j}, but {species} species")
            found[i, j] = self._parsed(f"radial_coeffs {i}-{j}", block, shape[0] * shape[1], _NUMBER).reshape(shape)
        if np.isnan(found).any():
            i, j = np.argwhere(np.isnan(found))[0, :2]
            raise InputError(f"{self.name}: no radial coefficients of species {i}-{j}; the file is cut or not whole")
        return found.transpose(2, 0, 1, 3)

    def _text(self, key: str) -> str:
        if key not in self._entries:
            raise InputError(f"{self.name} has no {key}; the file is cut or not of mlip-2")
        return self._entries[key]

    def _integer(self, key: str) -> int:
        text = self._text(key)
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise InputError(f"{self.name}: {key} = '{text[:40]}'; wanted a whole number")
        return int(text)

    def _number(self, key: str) -> float:
        text = self._text(key)
        if not re.fullmatch(_NUMBER, text):
            raise InputError(f"{self.name}: {key} = '{text[:40]}'; wanted a number")
        return float(text)

    def _integers(self, key: str, count: int) -> np.ndarray:
        return self._parsed(key, self._text(key), count, _INTEGER).astype(np.int64)

    def _numbers(self, key: str, count: int) -> np.ndarray:
        return self._parsed(key, self._text(key), count, _NUMBER)

    def _parsed(self, key: str, text: str, count: int, pattern: str) -> np.ndarray:
        """Read so many numbers in braces."""
        words = re.sub(r"[{},]", " ", text).split()
        bad = next((word for word in words if not re.fullmatch(pattern, word)), None)
        if bad is not None:
            raise InputError(f"{self.name}: '{bad[:40]}' in {key}; wanted numbers alone")
        if len(words) != count or text.count("{") != text.count("}"):
            raise InputError(
                f"{self.name}: {len(words)} numbers in {key}, the counts say {count}; the file is cut or damaged"
            )
        return np.array([float(word) for word in words])


def _entries_of(lines: list[str]) -> dict[str, str]:
    """Split lines of `key = value`; other lines hold nothing."""
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    entries = {key.strip(): value.strip() for key, value in pairs}
    return {_OTHER_NAMES.get(key, key): value for key, value in entries.items()}


def write_mtp(model: MtpModel, path: str | Path) -> None:
    """Write a potential as mlip-2 does, all digits kept; the file does not name the elements."""
    radial = model.radial.transpose(1, 2, 0, 3)
    basis, species = model.basis, len(model.elements)
    blocks = []
    for i in range(species):
        for j in range(species):
            blocks += [f"\t\t{i}-{j}", *(f"\t\t\t{_braces(row)}" for row in radial[i, j])]
    lines = [
        "MTP",
        "version = 1.1.0",
        "potential_name = MTP1m",
        f"scaling = {model.scaling:.16e}",
        f"species_count = {species}",
        "potential_tag = ",
        "radial_basis_type = RBChebyshev",
        f"\tmin_dist = {model.least_distance_A:.16e}",
        f"\tmax_dist = {model.cutoff_A:.16e}",
        f"\tradial_basis_size = {model.n_chebyshev}",
        f"\tradial_funcs_count = {len(model.radial)}",
        "\tradial_coeffs",
        *blocks,
        f"alpha_moments_count = {basis.n_moments}",
        f"alpha_index_basic_count = {len(basis.basic)}",
        f"alpha_index_basic = {_table(basis.basic)}",
        f"alpha_index_times_count = {len(basis.products)}",
        f"alpha_index_times = {_table(basis.products)}",
        f"alpha_scalar_moments = {len(basis.scalars)}",
        f"alpha_moment_mapping = {_braces(basis.scalars)}",
        f"species_coeffs = {_braces(model.species_eV)}",
        f"moment_coeffs = {_braces(model.linear_eV)}",
    ]
    write_atomic(path, "\n".join(lines) + "\n")


def _braces(values: np.ndarray) -> str:
    spell = "{:d}" if np.issubdtype(values.dtype, np.integer) else "{:.16e}"
    return "{" + ", ".join(spell.format(value) for value in values) + "}"


def _table(rows: np.ndarray) -> str:
    return "{" + ", ".join(_braces(row) for row in rows) + "}"
