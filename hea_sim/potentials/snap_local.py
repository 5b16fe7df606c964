"""Local energies of a SNAP: densities kept per atom, trials of other species computed from them."""

from __future__ import annotations

import numpy as np

from hea_sim.errors import InputError
from hea_sim.potentials.mtp_local_kernels import Places
from hea_sim.potentials.snap import SnapModel
from hea_sim.potentials.snap_kernels import LANES, Neighbours, make_scratch
from hea_sim.potentials.snap_local_kernels import Energy, KeptDensities, SnapWork, fill_kept, walk


class SnapLocal:
    """Follow the site energies of atoms at fixed places while their species change.

    Arguments and attributes are those of `MtpLocal`; memory is that of the densities, 2.5 kB an atom at 2J = 8.
    """

    def __init__(
        self, model: SnapModel, starts: np.ndarray, second: np.ndarray, vectors: np.ndarray, kinds: np.ndarray,
        constants_eV: np.ndarray,
    ) -> None:  # fmt: skip
        self.model = model
        tables, n = model._tables, len(kinds)
        beta, alpha = model._slopes
        self._energy = Energy(tables, model._shift, beta, alpha)
        self._density = model._density
        self._places = Places(starts, second, np.ascontiguousarray(vectors, np.float64))
        rows = 2 * tables.matrices.place.size
        own = kinds.astype(np.int64)
        self._kept = KeptDensities(own, np.zeros((n, rows)), np.zeros(n), np.asarray(constants_eV, np.float64))
        most = int(np.diff(starts).max(initial=1))
        centres = max(2 * most + 2, LANES)
        one = Neighbours(np.array([0, 1]), np.zeros(1, np.int64), np.zeros((1, 3)), np.zeros(1, np.int64))
        self._work = SnapWork(
            scratch=make_scratch(one, tables),
            centres=np.zeros(centres, np.int64),
            energies=np.zeros(centres),
            counts=np.zeros(centres, np.int64),
            pairs=np.zeros((centres, 2 * most), np.int64),
            change=np.zeros((centres, 2 * most), np.int64),
            fresh=np.zeros((2, rows)),
            mark=np.full(n, -1),
            stale=np.zeros(n, bool),
        )
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
        """Compute densities and energies of all atoms from the present species."""
        fill_kept(self._energy, self._density, self._work, self._places, self._kept)
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
        """Do trials one after another, see `MtpLocal.walk`."""
        wanted = np.zeros((len(atoms), 0), np.int64) if kinds is None else np.ascontiguousarray(kinds, np.int64)
        accepted, change = np.zeros(len(atoms), bool), np.zeros(len(atoms))
        trials = walk(
            self._energy, self._density, self._work, self._places, self._kept, np.ascontiguousarray(atoms, np.int64),
            wanted, np.asarray(allowance_eV, np.float64), np.asarray(potential_eV, np.float64), accepted, change,
        )  # fmt: skip
        if not np.isfinite(change).all():
            raise InputError("an energy of a trial is not finite; wanted numbers (do atoms overlap?)")
        return int(trials), accepted, change
