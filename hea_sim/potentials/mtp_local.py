"""Local energies of a moment tensor potential: moments kept per atom, trials of other species computed from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hea_sim.errors import InputError
from hea_sim.potentials.mtp import MtpModel, _rows
from hea_sim.potentials.mtp_local_kernels import Kept, LocalWork, Places, fill_kept, walk

if TYPE_CHECKING:
    from hea_sim.potentials.mtp_kernels import Tables


class MtpLocal:
    """Follow the site energies of atoms at fixed places while their species change.

    `starts` (n + 1,), `second` and `vectors` are the pairs within the cutoff; `kinds` (n,) places in the model's
    elements; `constants_eV` (elements,) are added for each atom. `kinds` and `energies_eV` (n,) change with accepted
    trials; memory is that of the basic moments, 2.4 kB an atom at level 20.
    """

    def __init__(
        self, model: MtpModel, starts: np.ndarray, second: np.ndarray, vectors: np.ndarray, kinds: np.ndarray,
        constants_eV: np.ndarray,
    ) -> None:  # fmt: skip
        self.model = model
        self._tables = model._tables
        self._places = Places(starts, second, np.ascontiguousarray(vectors, np.float64))
        n, dtype = len(kinds), self._tables.range.dtype
        self._kept = Kept(
            kinds=kinds.astype(np.int64),
            moments=np.zeros((n, len(model.basis.basic)), dtype),
            energies=np.zeros(n),
            constants=model.species_eV + constants_eV,
        )
        self._work = _work(self._tables, n, int(np.diff(starts).max(initial=1)))
        self.recompute()

    @property
    def kinds(self) -> np.ndarray:
        """Present species (n,), places in the model's elements."""
        return self._kept.kinds

    @property
    def energies_eV(self) -> np.ndarray:
        """Present site energies (n,)."""
        return self._kept.energies

    def recompute(self) -> None:
        """Compute moments and energies of all atoms from the present species."""
        fill_kept(self._tables, self._work, self._places, self._kept)
        if not np.isfinite(self._kept.energies).all():
            raise InputError("a site energy is not finite; wanted numbers (do atoms overlap?)")

    def restore(self, kinds: np.ndarray, energies_eV: np.ndarray) -> None:
        """Go back to other species with the site energies that were followed for them."""
        self._kept.kinds[:] = kinds
        self.recompute()
        self._kept.energies[:] = energies_eV

    def walk(
        self, atoms: np.ndarray, kinds: np.ndarray | None, allowance_eV: np.ndarray, potential_eV: np.ndarray
    ) -> tuple[int, np.ndarray, np.ndarray]:
        """Do trials one after another; give their number, which were accepted (t,) and their changes (t,) in eV.

        Atoms (t, m) take the kinds (t, m), or those of each other where these are None. A trial is accepted where its
        change less that of the chemical potentials `potential_eV` (elements,) is at most its allowance (t,). Trials
        that change nothing are not counted.
        """
        wanted = np.zeros((len(atoms), 0), np.int64) if kinds is None else np.ascontiguousarray(kinds, np.int64)
        accepted, change = np.zeros(len(atoms), bool), np.zeros(len(atoms))
        trials = walk(
            self._tables, self._work, self._places, self._kept, np.ascontiguousarray(atoms, np.int64), wanted,
            np.asarray(allowance_eV, np.float64), np.asarray(potential_eV, np.float64), accepted, change,
        )  # fmt: skip
        if not np.isfinite(change).all():
            raise InputError("an energy of a trial is not finite; wanted numbers (do atoms overlap?)")
        return int(trials), accepted, change


def _work(tables: Tables, n: int, most: int) -> LocalWork:
    """Make the memory of one trial among atoms with up to `most` neighbours."""
    dtype = tables.range.dtype
    lanes = 64 // dtype.itemsize
    centres = max(2 * most + 2, lanes)
    return LocalWork(
        place=_rows(4, dtype),
        basis=_rows(tables.n_chebyshev, dtype),
        radial=_rows(4 * -(-tables.n_radial // 4), dtype),
        monomials=_rows(len(tables.monomials), dtype),
        moments=_rows(len(tables.basic) + len(tables.runs) - 1, dtype),
        new=np.zeros(lanes, np.int64),
        old=np.zeros(lanes, np.int64),
        energy=np.zeros(lanes),
        total=_rows(1, dtype),
        centres=np.zeros(centres, np.int64),
        energies=np.zeros(centres),
        counts=np.zeros(centres, np.int64),
        pairs=np.zeros((centres, 2 * most), np.int64),
        change=np.zeros((centres, 2 * most), np.int64),
        fresh=np.zeros((2, len(tables.basic)), dtype),
        mark=np.full(n, -1),
        stale=np.zeros(n, bool),
    )
