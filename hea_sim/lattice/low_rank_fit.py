"""Fit low-rank potentials by alternating regression: one core of the train after the other, the rest held.

| symbol | here |
|---|---|
| E / N of a cell = sum_u n_u V(u), n_u the share of sites with neighbourhood u | `Patterns.shares` |
| V(u) = mean over images of L(sigma) A_k(sigma_k) R(sigma), linear in A_k | `_Train._solve` |
| gauge: cores left of k times 1 / sqrt(species) are orthonormal rows, those right of it columns | `_Train` |

In this gauge sum A_k^2 / species is the mean square of V over all neighbourhoods, so that a penalty on A_k is one on
the energies themselves. Its strength is found by cross-validation, with the rank: evidence, which sees one core at a
time, takes it too weak. Alternating minimisation finds local minima: several starts may be tried. Holtz, Rohwedder,
Schneider, SIAM J. Sci. Comput. 34 (2012) A683, doi:10.1137/100818893.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_sim.lattice.cluster_fit import check_labels, fractions_of_cell
from hea_sim.lattice.clusters import neighbour_sites
from hea_sim.lattice.fit import FitCell, arrangement_errors, fold_of_rows
from hea_sim.lattice.low_rank import LowRankModel, Neighbourhood, codes_of, compiled, neighbourhood
from hea_sim.lattice.parents import ParentLattice

_SETTLED = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class LowRankFitReport:
    """Hold how ranks and penalties compare, and the predictions out of fold at the chosen ones, in the order of cells.

    `tried` gives (rank, penalty, cross-validated error in eV); `n_neighbourhoods` counts the different ones, up to
    symmetry, in the cells.
    """

    n_cells: int
    n_parameters: int
    n_neighbourhoods: int
    rank: int
    penalty: float
    tried: tuple[tuple[int, float, float], ...]
    residual_eV: float
    energy_cv_eV: np.ndarray
    energy_cv_rmse_eV: float
    arrangement_cv_rmse_eV: float
    arrangement_spread_eV: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Patterns:
    """Hold the neighbourhoods of some cells, each once for all that symmetry makes of it.

    `images` (patterns, g, n) are its species in every order of the point group; `shares` (cells, patterns, sparse)
    says which part of a cell's sites it surrounds; `fractions` (cells, species) is the composition.
    """

    images: np.ndarray
    shares: Any
    fractions: np.ndarray


def fit_low_rank_model(
    cells: Sequence[FitCell],
    species: Sequence[str],
    parent: ParentLattice,
    *,
    name: str,
    n_shells: int = 1,
    ranks: Sequence[int] = (2, 3, 4),
    penalties: Sequence[float] = (0.003, 0.01, 0.03),
    starts: int = 1,
    sweeps: int = 10,
    folds: int = 5,
    seed: int = 0,
) -> tuple[LowRankModel, LowRankFitReport]:
    """Fit a low-rank potential; the rank and the penalty with the smallest cross-validated error are taken.

    Parameters
    ----------
    cells
        Labelled cells; their sizes count cells of the parent.
    n_shells
        Shells of neighbours around a site; the first of A2 makes 9 sites, which also sees pairs of shells 2, 3 and 5.
    ranks
        Ranks to compare; a train of rank `len(species) + 1` can hold any pair Hamiltonian of these neighbours.
    penalties
        Strengths of the ridge to compare, relative to the mean square of what a core is multiplied by.
    starts
        Random starts of each fit; the one with the smallest error on its own cells is kept.
    sweeps
        Most passes over the train, there and back.
    """
    check_labels(cells, folds, name)
    if not ranks or min(ranks) < 1 or starts < 1 or sweeps < 1 or not penalties or min(penalties) <= 0:
        raise InputError(
            f"ranks {list(ranks)}, penalties {list(penalties)}, {starts} starts, {sweeps} sweeps; wanted penalties"
            " above 0 and the others at least 1"
        )
    around = neighbourhood(parent, n_shells)
    patterns = find_patterns(cells, len(species), parent, around)
    energy = np.array([cell.energy_eV for cell in cells])
    weights = np.array([cell.weight for cell in cells], float)
    assignment = fold_of_rows(np.asarray(patterns.shares.todense()), folds, seed)
    choices = [
        _Settings(rank=rank, penalty=penalty, starts=starts, sweeps=sweeps, seed=seed)
        for rank, penalty in product(sorted(set(ranks)), sorted(set(penalties)))
    ]
    results = {settings: _cross_validate(patterns, energy, weights, assignment, settings) for settings in choices}
    best = min(results, key=lambda settings: results[settings][0])
    error, predicted = results[best]
    train = _best_start(patterns, energy, weights, best)
    arrangement, spread = arrangement_errors(energy, predicted, patterns.fractions)
    report = LowRankFitReport(
        n_cells=len(cells),
        n_parameters=sum(core.size for core in train.cores) + len(species),
        n_neighbourhoods=len(patterns.images),
        rank=best.rank,
        penalty=best.penalty,
        tried=tuple((settings.rank, settings.penalty, found[0]) for settings, found in results.items()),
        residual_eV=train.residual,
        energy_cv_eV=predicted,
        energy_cv_rmse_eV=error,
        arrangement_cv_rmse_eV=arrangement,
        arrangement_spread_eV=spread,
    )
    model = LowRankModel(
        name=name,
        species=tuple(species),
        parent=parent,
        n_shells=n_shells,
        cores=train.padded(),
        site_energy_eV=train.site_energy,
        energy_std_eV=error,
    )
    return model, report


def _cross_validate(
    patterns: Patterns, energy: np.ndarray, weights: np.ndarray, assignment: np.ndarray, settings: _Settings
) -> tuple[float, np.ndarray]:
    """Predict every cell from a fit to the other folds; give the error and the predictions."""
    predicted = np.empty(len(energy))
    for fold in np.unique(assignment):
        out = assignment == fold
        train = _best_start(_part(patterns, ~out), energy[~out], weights[~out], settings)
        predicted[out] = train.predict(_part(patterns, out))
    return float(np.sqrt((weights * (energy - predicted) ** 2).sum() / weights.sum())), predicted


def find_patterns(cells: Sequence[FitCell], n_species: int, parent: ParentLattice, around: Neighbourhood) -> Patterns:
    """Collect the neighbourhoods of all sites of the cells."""
    from scipy.sparse import csr_matrix

    found, owner = [], []
    for k, cell in enumerate(cells):
        sites = neighbour_sites(parent, around.columns, cell.size)
        if len(sites) != len(cell.occupation):
            raise InputError(
                f"cell {k}: {len(cell.occupation)} sites for {tuple(cell.size)} cells of {parent.name}; wanted"
                f" {len(sites)}"
            )
        found.append(np.asarray(cell.occupation)[sites])
        owner.append(np.full(len(sites), k))
    species, rows = np.concatenate(found).astype(np.int64), np.concatenate(owner)
    smallest = codes_of(species, n_species)
    for turn in around.turns:
        np.minimum(smallest, codes_of(species[:, turn], n_species), out=smallest)
    _, first, which = np.unique(smallest, return_index=True, return_inverse=True)
    size = np.array([len(cell.occupation) for cell in cells])
    shares = csr_matrix((1.0 / size[rows], (rows, which.reshape(-1))), shape=(len(cells), len(first)))
    return Patterns(
        images=species[first][:, around.turns].astype(np.int8),
        shares=shares,
        fractions=np.array([fractions_of_cell(cell, n_species) for cell in cells]),
    )


def _part(patterns: Patterns, cells: np.ndarray) -> Patterns:
    """Keep some cells, and the neighbourhoods that they hold."""
    shares = patterns.shares[np.flatnonzero(cells)]
    used = np.unique(shares.indices)
    return Patterns(images=patterns.images[used], shares=shares[:, used], fractions=patterns.fractions[cells])


@dataclass(frozen=True, kw_only=True)
class _Settings:
    rank: int
    penalty: float
    starts: int
    sweeps: int
    seed: int


def _best_start(patterns: Patterns, energy: np.ndarray, weights: np.ndarray, settings: _Settings) -> _Train:
    trains = []
    for start in range(settings.starts):
        train = _Train(patterns, settings, np.random.default_rng((settings.seed, settings.rank, start)))
        train.fit(energy, weights)
        trains.append(train)
    return min(trains, key=lambda train: train.residual)


class _Train:
    """Hold a train in training: `cores` of (species, r, s), a list over the sites of the neighbourhood."""

    def __init__(self, patterns: Patterns, settings: _Settings, rng: np.random.Generator) -> None:
        rank = settings.rank
        n, self.n_species = patterns.images.shape[2], patterns.fractions.shape[1]
        ranks = [min(rank, self.n_species**k, self.n_species ** (n - k)) for k in range(n + 1)]
        self.patterns, self.settings = patterns, settings
        self.cores = [rng.normal(size=(self.n_species, ranks[k], ranks[k + 1])) for k in range(n)]
        self.site_energy = np.zeros(self.n_species)
        self.residual = np.inf
        self.species = [np.ascontiguousarray(patterns.images[:, :, k]).reshape(-1) for k in range(n)]
        for k in range(n - 1, 0, -1):
            self._pass_left(k)

    def fit(self, energy: np.ndarray, weights: np.ndarray) -> None:
        """Go over the train there and back until the error that is left settles."""
        n, rows = len(self.cores), len(self.species[0])
        left: list[Any] = [np.ones((rows, 1)), *[None] * n]
        right: list[Any] = [*[None] * n, np.ones((rows, 1))]
        for k in range(n - 1, 0, -1):
            right[k] = self._carried(right[k + 1], k, backwards=True)
        for _ in range(self.settings.sweeps):
            before = self.residual
            for k in range(n - 1):
                self._solve(k, left[k], right[k + 1], energy, weights)
                self._pass_right(k)
                left[k + 1] = self._carried(left[k], k)
            for k in range(n - 1, 0, -1):
                self._solve(k, left[k], right[k + 1], energy, weights)
                self._pass_left(k)
                right[k] = self._carried(right[k + 1], k, backwards=True)
            if abs(before - self.residual) < _SETTLED * self.residual:
                break
        self._solve(0, left[0], right[1], energy, weights)

    def predict(self, patterns: Patterns) -> np.ndarray:
        """Give the energies per atom of other cells."""
        row = np.ones((patterns.images.shape[0] * patterns.images.shape[1], 1))
        for k in range(len(self.cores)):
            species = np.ascontiguousarray(patterns.images[:, :, k]).reshape(-1)
            row = self._carried(row, k, species=species)
        values = row.reshape(patterns.images.shape[:2]).mean(axis=1)
        return patterns.fractions @ self.site_energy + patterns.shares @ values

    def padded(self) -> np.ndarray:
        """Give the cores (sites, species, r, r), padded with zeros."""
        rank = self.settings.rank
        cores = np.zeros((len(self.cores), self.n_species, rank, rank))
        for k, core in enumerate(self.cores):
            cores[k, :, : core.shape[1], : core.shape[2]] = core
        return cores

    def _solve(self, k: int, left: np.ndarray, right: np.ndarray, energy: np.ndarray, weights: np.ndarray) -> None:
        """Fit one core, and the energies outside the train, to the cells."""
        n_patterns, images, _ = self.patterns.images.shape
        shape = self.cores[k].shape
        features = np.zeros((n_patterns, *shape))
        compiled("add_outer")(left, right, self.species[k], images, features)
        matrix = np.hstack([self.patterns.fractions, self.patterns.shares @ features.reshape(n_patterns, -1)])
        gram = matrix.T @ (matrix * weights[:, None])
        scale = max(float(np.diag(gram)[self.n_species :].mean()), 1e-300)
        penalty = np.full(len(gram), self.settings.penalty * scale)
        penalty[: self.n_species] = 1e-9 * scale  # the composition is free
        found = np.linalg.solve(gram + np.diag(penalty), matrix.T @ (weights * energy))
        self.site_energy = found[: self.n_species]
        self.cores[k] = np.ascontiguousarray(found[self.n_species :].reshape(shape))
        left_over = energy - matrix @ found
        self.residual = float(np.sqrt((weights * left_over**2).sum() / weights.sum()))

    def _pass_right(self, k: int) -> None:
        """Make core k orthonormal and let the next one take what it was multiplied by."""
        core = self.cores[k]
        q, r = np.linalg.qr(core.reshape(-1, core.shape[2]))
        q, r = q * np.sqrt(self.n_species), r / np.sqrt(self.n_species)
        self.cores[k] = np.ascontiguousarray(q.reshape(self.n_species, core.shape[1], -1))
        self.cores[k + 1] = np.einsum("ab,sbc->sac", r, self.cores[k + 1])

    def _pass_left(self, k: int) -> None:
        """Make core k orthonormal and let the one before it take what it was multiplied by."""
        core = self.cores[k].transpose(0, 2, 1)
        q, r = np.linalg.qr(core.reshape(-1, core.shape[2]))
        q, r = q * np.sqrt(self.n_species), r / np.sqrt(self.n_species)
        self.cores[k] = np.ascontiguousarray(q.reshape(self.n_species, core.shape[1], -1).transpose(0, 2, 1))
        self.cores[k - 1] = np.einsum("sab,cb->sac", self.cores[k - 1], r)

    def _carried(
        self, row: np.ndarray, k: int, *, backwards: bool = False, species: np.ndarray | None = None
    ) -> np.ndarray:
        core = np.ascontiguousarray(self.cores[k])
        out = np.empty((len(row), core.shape[1] if backwards else core.shape[2]))
        compiled("carry")(row, core, self.species[k] if species is None else species, out, backwards)
        return out
