"""Fit pair Hamiltonians to labelled cells: weighted ridge least squares, cross-validated, with its rank reported.

| symbol | here |
|---|---|
| X, one row a cell: c_i, then z_s p^s_ij (i < j) of each fitted shell, then c_i c_j (c_i - c_j) | `design_matrix` |
| minimise sum_k w_k (y_k - X_k theta)^2 + lambda sum_(pairs) (theta_p sqrt(z_s))^2 | `ridge` |
| K-fold error: each cell is predicted by a fit that saw no cell with the same row | `cross_validate` |

The penalty spares the c_i; sqrt(z_s) makes a far shell with many neighbours pay for its sum, not for one bond.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from hea_sim.errors import InputError
from hea_sim.lattice.pairs import PairModel, pair_fractions
from hea_sim.lattice.shells import neighbour_shells

#: Ridge strengths tried, relative to the mean weighted square of the pair columns.
RIDGES = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)


@dataclass(frozen=True, kw_only=True, eq=False)
class FitCell:
    """Hold one cell: species indices on `size` cells, energy per atom relative to the elements, volume per atom.

    Energy and volume are NaN until the cell is labelled.
    """

    occupation: np.ndarray
    size: tuple[int, int, int]
    energy_eV: float = float("nan")
    volume_A3: float = float("nan")
    weight: float = 1.0
    group: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class FitReport:
    """Hold what the data could and could not decide.

    `rank` of `n_parameters`; predictions are out of fold, in the order of the cells. `arrangement_rank` counts the
    combinations of pair energies that arrangements decide, once a free term c_i c_j of the composition is allowed;
    where it falls short of `n_pair_parameters`, the rest follow from how the energy depends on composition alone.
    """

    n_cells: int
    n_parameters: int
    rank: int
    condition: float
    arrangement_rank: int
    n_pair_parameters: int
    ridge_energy: float
    ridge_volume: float
    energy_cv_eV: np.ndarray
    volume_cv_A3: np.ndarray
    energy_cv_rmse_eV: float
    volume_cv_rmse_A3: float
    arrangement_cv_rmse_eV: float
    arrangement_spread_eV: float


def fit_pair_model(
    cells: Sequence[FitCell],
    species: Sequence[str],
    *,
    name: str,
    lattice: str = "A2",
    shells: Sequence[int] = (1, 2, 3),
    folds: int = 10,
    seed: int = 0,
    relaxed: bool = False,
) -> tuple[PairModel, FitReport]:
    """Fit energies and volumes of cells to a pair model, choosing the ridges by cross-validation.

    `shells` are numbered from one. Cells of one species must be among the cells: their volumes are the reference.

    Raises InputError where two shells cannot be told apart in any of the cells.
    """
    if len(cells) < 2 * folds:
        raise InputError(f"fit of {name}: got {len(cells)} cells, wanted at least {2 * folds} for {folds} folds")
    unlabelled = sum(not np.isfinite([cell.energy_eV, cell.volume_A3]).all() for cell in cells)
    if unlabelled:
        raise InputError(f"fit of {name}: {unlabelled} cells have no energy or volume; label them first (label_cells)")
    shells, n = tuple(shells), len(species)
    matrix = design_matrix(cells, lattice, shells, n)
    aliased = aliased_shells(matrix, n, shells)
    if aliased:
        raise InputError(
            f"fit of {name}: shells {aliased[0][0]} and {aliased[0][1]} cannot be told apart in these cells;"
            f" wanted larger cells, or shells without {aliased[0][1]}"
        )
    weights = np.array([cell.weight for cell in cells])
    penalty = _penalty(lattice, shells, n)
    energy, volume = np.array([(cell.energy_eV, cell.volume_A3) for cell in cells]).T
    assignment = fold_of_rows(matrix, folds, seed)
    ridge_e, energy_cv = _best_ridge(matrix, energy, weights, penalty, assignment)
    ridge_v, volume_cv = _best_ridge(matrix, volume, weights, penalty, assignment)
    error, spread = arrangement_errors(energy, energy_cv, matrix[:, :n])
    rank, condition = _rank(matrix, weights)
    report = FitReport(
        n_cells=len(cells),
        n_parameters=matrix.shape[1],
        rank=rank,
        condition=condition,
        arrangement_rank=arrangement_rank(matrix, n, shells),
        n_pair_parameters=len(shells) * n * (n - 1) // 2,
        ridge_energy=ridge_e,
        ridge_volume=ridge_v,
        energy_cv_eV=energy_cv,
        volume_cv_A3=volume_cv,
        energy_cv_rmse_eV=_rms(energy - energy_cv, weights),
        volume_cv_rmse_A3=_rms(volume - volume_cv, weights),
        arrangement_cv_rmse_eV=error,
        arrangement_spread_eV=spread,
    )
    site_e, pair_e, asym_e = _unpack(ridge(matrix, energy, weights, penalty, ridge_e), shells, n)
    site_v, pair_v, asym_v = _unpack(ridge(matrix, volume, weights, penalty, ridge_v), shells, n)
    model = PairModel(
        name=name,
        species=tuple(species),
        lattice=lattice,
        site_energy_eV=site_e,
        pair_energy_eV=pair_e,
        asymmetry_eV=asym_e,
        element_volume_A3=site_v,
        pair_volume_A3=pair_v,
        asymmetry_A3=asym_v,
        reference_volume_A3=_reference_volumes(matrix[:, :n], volume, species),
        energy_std_eV=report.energy_cv_rmse_eV,
        volume_std_A3=report.volume_cv_rmse_A3,
        relaxed=relaxed,
    )
    return model, report


def _rank(matrix: np.ndarray, weights: np.ndarray) -> tuple[int, float]:
    """Compute rank and condition number of the weighted matrix with columns of equal length."""
    weighted = matrix * np.sqrt(weights)[:, None]
    singular = np.linalg.svd(weighted / np.linalg.norm(weighted, axis=0).clip(1e-12), compute_uv=False)
    return int((singular > 1e-9 * singular[0]).sum()), float(singular[0] / max(singular[-1], 1e-300))


def _reference_volumes(fractions: np.ndarray, volume: np.ndarray, species: Sequence[str]) -> np.ndarray:
    missing = [e for k, e in enumerate(species) if not (fractions[:, k] > 1 - 1e-9).any()]
    if missing:
        raise InputError(f"no cell of pure {', '.join(missing)}; wanted at least one for each species")
    return np.array([volume[fractions[:, k] > 1 - 1e-9].mean() for k in range(len(species))])


def design_matrix(cells: Sequence[FitCell], lattice: str, shells: Sequence[int], n_species: int) -> np.ndarray:
    """Build the rows c_i, z_s p^s_ij (i < j), c_i c_j (c_i - c_j) of all cells; shells are numbered from one."""
    known = neighbour_shells(lattice, max(shells))
    i, j = np.triu_indices(n_species, 1)
    rows = []
    for cell in cells:
        pairs = pair_fractions(cell.occupation, lattice, cell.size, max(shells), n_species)
        bonds = [known[s - 1].multiplicity * pairs[s - 1][i, j] for s in shells]
        c = pairs[0].sum(axis=1)
        rows.append(np.concatenate([c, *bonds, c[i] * c[j] * (c[i] - c[j])]))
    return np.array(rows)


def ridge(
    matrix: np.ndarray, target: np.ndarray, weights: np.ndarray, penalty: np.ndarray, strength: float
) -> np.ndarray:
    """Solve the weighted ridge problem by its normal equations: the condition numbers met here stay below 1e4."""
    root = np.sqrt(weights)[:, None]
    scaled = matrix * root
    strength *= float((scaled**2).sum() / matrix.shape[1])
    return np.linalg.solve(scaled.T @ scaled + np.diag(strength * penalty**2), scaled.T @ (target * root[:, 0]))


def fold_of_rows(matrix: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Assign cells to folds at random, cells with the same row together: they would otherwise predict each other."""
    _, same = np.unique(matrix.round(9), axis=0, return_inverse=True)
    rng = np.random.default_rng(seed)
    of_row = rng.permutation(np.arange(same.max() + 1) % folds)
    return of_row[same.reshape(-1)]


def cross_validate(
    matrix: np.ndarray,
    target: np.ndarray,
    weights: np.ndarray,
    penalty: np.ndarray,
    strength: float,
    assignment: np.ndarray,
) -> np.ndarray:
    """Predict every cell from a fit to the other folds."""
    predicted = np.empty(len(target))
    for fold in np.unique(assignment):
        out = assignment == fold
        predicted[out] = matrix[out] @ ridge(matrix[~out], target[~out], weights[~out], penalty, strength)
    return predicted


def aliased_shells(matrix: np.ndarray, n_species: int, shells: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Name the pairs of shells whose columns are parallel in every cell."""
    n_pairs = n_species * (n_species - 1) // 2
    blocks = matrix[:, n_species : n_species + n_pairs * len(shells)].reshape(len(matrix), len(shells), n_pairs)
    found = []
    for s, t in combinations(range(len(shells)), 2):
        a, b = blocks[:, s].ravel(), blocks[:, t].ravel()
        ratio = (a @ b) / max(a @ a, 1e-300)
        if np.allclose(b, ratio * a, atol=1e-9):
            found.append((shells[s], shells[t]))
    return tuple(found)


def arrangement_rank(matrix: np.ndarray, n_species: int, shells: Sequence[int]) -> int:
    """Count the combinations of pair energies that remain decided when the composition may act freely by c_i c_j.

    In 2x2x2 cells of A2 every pair of sites is of class 1 (shells 1, 4, ...), 2, 3 or 5, so that
    8 p1 + 3 p2 + 3 p3 + p5 = 16 c_i c_j: shell 5 holds nothing of an arrangement that shells 1 to 3 do not.
    """
    i, j = np.triu_indices(n_species, 1)
    fractions, n_pairs = matrix[:, :n_species], len(i) * len(shells)
    pairs = matrix[:, n_species : n_species + n_pairs]
    composition = np.hstack([fractions, matrix[:, n_species + n_pairs :], fractions[:, i] * fractions[:, j]])
    basis, singular, _ = np.linalg.svd(composition, full_matrices=False)
    basis = basis[:, singular > 1e-9 * singular[0]]
    lengths = np.linalg.norm(pairs, axis=0).clip(1e-12)
    left = np.linalg.svd((pairs - basis @ (basis.T @ pairs)) / lengths, compute_uv=False)
    return int((left > 1e-9).sum())


def arrangement_errors(
    true: np.ndarray, predicted: np.ndarray, fractions: np.ndarray, *, min_cells: int = 2
) -> tuple[float, float]:
    """Compute the root mean square error of differences between arrangements at one composition.

    Truth and prediction are taken relative to their means over the cells of the same composition (with the factor
    n/(n-1) for the mean that was taken out). Returns the error and, to compare it with, the true spread.
    """
    _, same = np.unique(fractions.round(6), axis=0, return_inverse=True)
    same = same.reshape(-1)
    error, spread, freedom = 0.0, 0.0, 0
    for k in np.unique(same):
        here = same == k
        if here.sum() >= min_cells:
            difference, centred = predicted[here] - true[here], true[here] - true[here].mean()
            error += float(((difference - difference.mean()) ** 2).sum())
            spread += float((centred**2).sum())
            freedom += int(here.sum()) - 1
    if freedom == 0:
        return float("nan"), float("nan")
    return float(np.sqrt(error / freedom)), float(np.sqrt(spread / freedom))


def _best_ridge(
    matrix: np.ndarray, target: np.ndarray, weights: np.ndarray, penalty: np.ndarray, assignment: np.ndarray
) -> tuple[float, np.ndarray]:
    tried = [(s, cross_validate(matrix, target, weights, penalty, s, assignment)) for s in RIDGES]
    return min(tried, key=lambda item: _rms(target - item[1], weights))


def _penalty(lattice: str, shells: Sequence[int], n_species: int) -> np.ndarray:
    n_pairs = n_species * (n_species - 1) // 2
    known = neighbour_shells(lattice, max(shells))
    roots = [np.full(n_pairs, np.sqrt(known[s - 1].multiplicity)) for s in shells]
    return np.concatenate([np.zeros(n_species), *roots, np.full(n_pairs, 0.1)])


def _unpack(theta: np.ndarray, shells: Sequence[int], n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn a vector of coefficients into site, pair and asymmetry arrays."""
    upper = np.triu_indices(n, 1)
    blocks = theta[n:].reshape(len(shells) + 1, -1)
    pairs, asymmetry = np.zeros((max(shells), n, n)), np.zeros((n, n))
    for s, row in zip(shells, blocks[:-1], strict=True):
        pairs[s - 1][upper] = row
        pairs[s - 1] += pairs[s - 1].T
    asymmetry[upper] = blocks[-1]
    return theta[:n], pairs, asymmetry - asymmetry.T


def _rms(error: np.ndarray, weights: np.ndarray) -> float:
    return float(np.sqrt((weights * error**2).sum() / weights.sum()))
