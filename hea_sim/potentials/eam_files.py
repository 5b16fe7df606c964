"""Files of the embedded-atom method: setfl, also called eam/alloy.

Three lines of comment; the elements; `n_rho d_rho n_r d_r cutoff`; for each element a line `Z mass a lattice`, its
embedding energies and its densities; then r phi(r) of each pair (1,1), (2,1), (2,2), (3,1), ... Energies in eV,
lengths in A.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hea_sim.documents import write_atomic
from hea_sim.errors import InputError, MissingFileError
from hea_sim.potentials.contract import SitePotential
from hea_sim.potentials.eam import EAMModel, EAMTables, ElementHeader


def read_setfl(path: str | Path) -> EAMTables:
    """Read the tables of a setfl file (eam/alloy).

    Raises MissingFileError, or InputError that names the line of what cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"no file {path}; give a setfl file (eam/alloy)")
    try:
        reader = _Reader(path.name, path.read_text(encoding="utf-8", errors="replace").splitlines())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    return reader.tables()


def load_eam(path: str | Path, *, name: str | None = None) -> SitePotential:
    """Load a potential from a setfl file (eam/alloy); its name is that of the file unless one is given."""
    tables = read_setfl(path)
    notes = (f"setfl file {Path(path).name}", tables.comment.replace("\n", " ").strip())
    return SitePotential(name=name or Path(path).name, model=EAMModel(tables=tables), notes=notes)


def write_setfl(tables: EAMTables, path: str | Path) -> None:
    """Write tables as a setfl file (eam/alloy), all digits kept.

    Raises InputError where an element has no header (mass, lattice), which the file must hold.
    """
    from ase.data import atomic_numbers

    missing = [element for element in tables.elements if element not in tables.headers]
    if missing:
        raise InputError(f"no header (mass, lattice) of {', '.join(missing)}; a setfl file needs one for each element")
    comment = [*tables.comment.splitlines()[:3], "", "", ""][:3]
    n = len(tables.elements)
    n_rho, n_r = tables.embedding_eV.shape[-1], tables.density.shape[-1]
    lines = [*comment, f"{n} {' '.join(tables.elements)}"]
    lines.append(f"{n_rho} {tables.rho_step:.17g} {n_r} {tables.r_step_A:.17g} {tables.cutoff_A:.17g}")
    for k, element in enumerate(tables.elements):
        header = tables.headers[element]
        lines.append(f"{atomic_numbers[element]} {header.mass_u:.17g} {header.a_A:.17g} {header.lattice}")
        lines += _rows(tables.embedding_eV[k]) + _rows(tables.density[k])
    for a in range(n):
        for b in range(a + 1):
            lines += _rows(tables.pair_eV_A[a, b])
    write_atomic(Path(path), "\n".join(lines) + "\n")


def _rows(values: np.ndarray) -> list[str]:
    texts = [f"{value:.17g}" for value in values]
    return [" ".join(texts[k : k + 5]) for k in range(0, len(texts), 5)]


class _Reader:
    """Walk down the lines of a setfl file."""

    def __init__(self, name: str, lines: list[str]) -> None:
        self.name, self.lines, self.at = name, lines, 0

    def tables(self) -> EAMTables:
        comment = "\n".join(self._line("a comment") for _ in range(3))
        elements = self._elements()
        n_rho, rho_step, n_r, r_step, cutoff = self._sizes()
        n = len(elements)
        if n * (n_rho + n_r) + n * (n + 1) // 2 * n_r > sum(map(len, self.lines)):
            raise self._fault(f"{n} elements with tables of {n_rho} and {n_r} knots are more than the file holds")
        embedding, density, pair = np.empty((n, n_rho)), np.empty((n, n_r)), np.empty((n, n, n_r))
        headers = {}
        for k, element in enumerate(elements):
            headers[element] = self._header(element)
            embedding[k] = self._numbers(n_rho, f"embedding energies of {element}")
            density[k] = self._numbers(n_r, f"densities of {element}")
        for a in range(n):
            for b in range(a + 1):
                pair[a, b] = pair[b, a] = self._numbers(n_r, f"pair energies of {elements[a]}-{elements[b]}")
        return EAMTables(
            elements=elements,
            cutoff_A=cutoff,
            r_step_A=r_step,
            rho_step=rho_step,
            embedding_eV=embedding,
            density=density,
            pair_eV_A=pair,
            headers=headers,
            comment=comment,
        )

    def _fault(self, what: str) -> InputError:
        return InputError(f"{self.name}, line {self.at}: {what}; is this a setfl file (eam/alloy)?")

    def _line(self, what: str) -> str:
        if self.at >= len(self.lines):
            raise self._fault(f"the file ends where {what} should stand")
        self.at += 1
        return self.lines[self.at - 1]

    def _elements(self) -> tuple[str, ...]:
        from ase.data import atomic_numbers

        words = self._line("the elements").split()
        elements = tuple(words[1:])
        known = all(element in atomic_numbers for element in elements)
        if (
            not words
            or words[0] != str(len(elements))
            or not elements
            or not known
            or len(set(elements)) < len(elements)
        ):
            raise self._fault(f"got '{' '.join(words)}', wanted the number of elements and their symbols")
        return elements

    def _sizes(self) -> tuple[int, float, int, float, float]:
        line = self._line("the sizes of the tables")
        words = line.split()
        try:
            n_rho, n_r = int(words[0]), int(words[2])
            rho_step, r_step, cutoff = (_number(words[k]) for k in (1, 3, 4))
        except (IndexError, ValueError):
            raise self._fault(f"got '{line.strip()}', wanted n_rho d_rho n_r d_r cutoff") from None
        if not (5 <= n_rho <= 10**6 and 5 <= n_r <= 10**6):
            raise self._fault(f"got tables of {n_rho} and {n_r} knots, wanted 5 to 1e6")
        return n_rho, rho_step, n_r, r_step, cutoff

    def _header(self, element: str) -> ElementHeader:
        line = self._line(f"the header of {element}")
        words = [*line.split(), "0", "unknown"]
        try:
            int(words[0])
            return ElementHeader(mass_u=_number(words[1]), a_A=_number(words[2]), lattice=words[3])
        except ValueError:
            raise self._fault(f"got '{line.strip()[:60]}', wanted Z mass a lattice of {element}") from None

    def _numbers(self, count: int, what: str) -> np.ndarray:
        words: list[str] = []
        while len(words) < count:
            words += self._line(what).split()
        if len(words) > count:
            raise self._fault(f"{len(words)} {what} before the line ends, wanted {count}")
        try:
            return np.array([_number(word) for word in words])
        except ValueError:
            raise self._fault(f"among the {what} above it stands a word that is no number") from None


def _number(word: str) -> float:
    """Read a number, also one with Fortran's D for the power of ten."""
    return float(word.upper().replace("D", "E"))
