"""Local strain from the places of atomic columns.

| symbol | equation | here |
|---|---|---|
| r(h, k) | o + h a1 + k a2, the mean lattice by least squares | `lattice_px` |
| B | the two lattice vectors about one column, least squares over indices within `reach` | in `gradient` |
| F = B A^-1 | deformation gradient against the reference A = (a1 a2) | `gradient` + 1 |
| e = (F + F^T) / 2 - 1 | e_xx, e_yy, e_xy (small strain) | `e_xx`, `e_yy`, `e_xy` |
| omega = (F_yx - F_xy) / 2 | rotation, counter-clockwise | `rotation_deg` |

x runs along the columns of the picture to the right, y upwards, against the rows. Strain is relative to the mean
lattice of the field, so that it sums to about zero, or to a reference that the caller gives. Distortions of the scan
are in it. Peak pairs (10.1016/j.ultramic.2007.01.019) and geometric phase (10.1016/S0304-3991(98)00035-7) measure the
same field.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hea_sim.errors import InputError
from hea_sim.records import Estimate
from hea_vision.measurement.intervals import with_interval

#: A neighbour lies where the lattice says, to this part of the shorter lattice vector.
_TOLERANCE = 0.3
_LEAST_COLUMNS = 9
#: Columns whose neighbours show the lattice vectors.
_SAMPLED = 400


@dataclass(frozen=True, kw_only=True, eq=False)
class ColumnStrain:
    """Hold the strain at n columns; NaN where a column is not on the lattice or has too few neighbours.

    `indices` (n, 2) are h, k (0, 0 also where `indexed` is False); `std` (n, 4) those of e_xx, e_yy, e_xy and
    rotation (deg) by the residual of the local fit. `reference_px` (2, 2) has the vectors a1, a2 as columns (x, y).
    `spread` is the standard deviation of each component over the field.
    """

    e_xx: np.ndarray
    e_yy: np.ndarray
    e_xy: np.ndarray
    rotation_deg: np.ndarray
    std: np.ndarray
    indices: np.ndarray
    indexed: np.ndarray
    reference_px: np.ndarray
    residual_px: float
    spread: dict[str, Estimate]


def column_strain(points: np.ndarray, *, reference_px: np.ndarray | None = None, reach: int = 2) -> ColumnStrain:
    """Measure strain and rotation about each atomic column.

    Parameters
    ----------
    points
        Row and column of each atomic column in px, (n, 2), or (n, 3) with its intensity, which is not used.
    reference_px
        Lattice vectors a1, a2 as columns (x, y) of a 2 x 2 matrix to measure strain against; they must be near the
        vectors found, of which any choice is taken. Without it, the mean lattice of the points.
    reach
        Columns up to this many indices away enter the local fit.

    Examples
    --------
    >>> h, k = np.meshgrid(np.arange(8), np.arange(8))
    >>> found = column_strain(np.column_stack([10.0 * k.ravel(), 10.0 * h.ravel()]))
    >>> bool(np.nanmax(np.abs(found.e_xx)) < 1e-9), found.residual_px < 1e-9
    (True, True)
    """
    places = np.asarray(points, float)
    if places.ndim != 2 or places.shape[1] not in (2, 3) or len(places) < _LEAST_COLUMNS:
        raise InputError(
            f"strain: points of shape {places.shape}; wanted (n, 2) or (n, 3) with at least {_LEAST_COLUMNS} columns"
        )
    if not np.isfinite(places).all() or reach < 1:
        raise InputError(f"strain: points that are not finite, or a reach of {reach}; wanted finite points, reach >= 1")
    xy = np.column_stack([places[:, 1], -places[:, 0]])
    indices, indexed = _index(xy)
    if indexed.sum() < _LEAST_COLUMNS:
        raise InputError(
            f"strain: {int(indexed.sum())} of {len(xy)} columns lie on one lattice; wanted at least {_LEAST_COLUMNS}"
        )
    mean_lattice, residual = _fit_lattice(xy[indexed], indices[indexed])
    reference = mean_lattice if reference_px is None else _matched(np.asarray(reference_px, float), mean_lattice)
    lattice, spread_px, matrix_std = _local_lattices(xy, indices, indexed, reach)
    inverse = np.linalg.inv(reference)
    gradient = lattice @ inverse - np.eye(2)
    exx, eyy = gradient[:, 0, 0], gradient[:, 1, 1]
    exy = (gradient[:, 0, 1] + gradient[:, 1, 0]) / 2.0
    rotation = np.degrees((gradient[:, 1, 0] - gradient[:, 0, 1]) / 2.0)
    std = _propagated(matrix_std, spread_px, inverse)
    return ColumnStrain(
        e_xx=exx,
        e_yy=eyy,
        e_xy=exy,
        rotation_deg=rotation,
        std=std,
        indices=indices,
        indexed=indexed,
        reference_px=reference,
        residual_px=residual,
        spread=_spread({"e_xx": exx, "e_yy": eyy, "e_xy": exy, "rotation": rotation}, (2 * reach + 1) ** 2),
    )


def _index(xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give lattice indices to the columns, neighbour by neighbour, so that strain that adds up makes none slip."""
    from scipy.spatial import cKDTree

    tree = cKDTree(xy)
    a1, a2 = _lattice_vectors(xy, tree)
    vectors = np.stack([a1, a2])
    steps = np.array([(1, 0), (-1, 0), (0, 1), (0, -1)])
    near = _TOLERANCE * float(np.linalg.norm(vectors, axis=1).min())
    moves = steps @ vectors
    found, target = tree.query(xy[:, None, :] + moves[None, :, :], distance_upper_bound=near)
    target = np.where(np.isfinite(found), target, -1)
    best_indices, best = np.zeros((len(xy), 2), int), np.zeros(len(xy), bool)
    left = np.ones(len(xy), bool)
    # A column off the lattice must not be the origin: take the largest connected part of a few tries.
    for _ in range(8):
        candidates = np.flatnonzero(left)
        if candidates.size == 0 or best.sum() >= left.sum():
            break
        middle = np.linalg.norm(xy[candidates] - xy.mean(axis=0), axis=1)
        indices, reached = _walk(int(candidates[np.argmin(middle)]), steps, target)
        left &= ~reached
        if reached.sum() > best.sum():
            best_indices, best = indices, reached
    return best_indices, best


def _walk(start: int, steps: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    indices = np.zeros((len(target), 2), int)
    reached = np.zeros(len(target), bool)
    taken = {(0, 0)}
    reached[start] = True
    front = [start]
    while front:
        following = []
        for here in front:
            for step, there in zip(steps, target[here]):
                place = (int(indices[here, 0] + step[0]), int(indices[here, 1] + step[1]))
                if there >= 0 and not reached[there] and place not in taken:
                    reached[there] = True
                    taken.add(place)
                    indices[there] = place
                    following.append(int(there))
        front = following
    return indices, reached


def _lattice_vectors(xy: np.ndarray, tree: object) -> tuple[np.ndarray, np.ndarray]:
    """Find the two shortest lattice vectors as the densest places among differences of near columns."""
    from scipy.spatial import cKDTree

    some = xy[:: max(1, len(xy) // _SAMPLED)]
    distance, beside = tree.query(some, k=min(9, len(xy)))  # type: ignore[attr-defined]
    nearest = float(np.median(distance[:, 1]))
    if not nearest > 0:
        raise InputError("strain: columns lie on one another; wanted one point a column")
    steps = (xy[beside[:, 1:]] - some[:, None, :]).reshape(-1, 2)
    steps = np.concatenate([steps, -steps])
    around = cKDTree(steps)
    crowd = around.query_ball_point(steps, 0.15 * nearest, return_length=True)
    modes: list[np.ndarray] = []
    for i in np.argsort(-crowd, kind="stable"):
        if crowd[i] < 0.25 * crowd.max():
            break
        if all(np.linalg.norm(steps[i] - m) > 0.4 * nearest for m in modes):
            modes.append(steps[around.query_ball_point(steps[i], 0.15 * nearest)].mean(axis=0))
    modes.sort(key=lambda m: (round(float(np.linalg.norm(m)) / nearest, 1), -m[0], -m[1]))
    if not modes:
        raise InputError("strain: the columns repeat in no direction; wanted a lattice of columns")
    a1 = modes[0]
    for mode in modes[1:]:
        cross = a1[0] * mode[1] - a1[1] * mode[0]
        if abs(cross) > 0.3 * np.linalg.norm(a1) * np.linalg.norm(mode):
            return (a1, mode) if cross > 0 else (a1, -mode)
    raise InputError("strain: the columns repeat in one direction only; wanted a lattice of columns")


def _fit_lattice(xy: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, float]:
    """Fit one lattice to all columns: its vectors as columns of a matrix, and the root mean square residual."""
    design = np.column_stack([np.ones(len(xy)), indices])
    fitted, *_ = np.linalg.lstsq(design, xy, rcond=None)
    residual = xy - design @ fitted
    return fitted[1:].T, float(np.sqrt(np.mean(np.sum(residual**2, axis=1))))


def _matched(reference: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    """Choose the vectors of the reference lattice that correspond to the ones found."""
    if reference.shape != (2, 2) or not abs(np.linalg.det(reference)) > 0:
        raise InputError(
            f"strain: reference of shape {reference.shape}; wanted two lattice vectors, 2 x 2, not parallel"
        )
    whole = np.rint(np.linalg.solve(reference, lattice))
    if abs(round(float(np.linalg.det(whole)))) != 1:
        raise InputError("strain: the reference lattice does not fit the columns found; is it in px, with x before y?")
    return reference @ whole


def _local_lattices(
    xy: np.ndarray, indices: np.ndarray, indexed: np.ndarray, reach: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit lattice vectors about each column: (n, 2, 2) vectors, (n,) residual std in px, (n, 2, 2) unit covariance."""
    n = len(xy)
    low = indices[indexed].min(axis=0) - reach
    size = indices[indexed].max(axis=0) + reach + 1 - low
    table = np.full(size, -1)
    at = indices - low
    table[at[indexed, 0], at[indexed, 1]] = np.flatnonzero(indexed)
    span = np.arange(-reach, reach + 1)
    hk = np.array([(h, k) for h in span for k in span], float)
    normal, right, square, count = np.zeros((n, 3, 3)), np.zeros((n, 3, 2)), np.zeros(n), np.zeros(n)
    rows = np.flatnonzero(indexed)
    for h, k in hk.astype(int):
        beside = table[at[rows, 0] + h, at[rows, 1] + k]
        mine, other = rows[beside >= 0], beside[beside >= 0]
        term = np.array([1.0, h, k])
        moved = xy[other] - xy[mine]
        normal[mine] += np.outer(term, term)
        right[mine] += term[None, :, None] * moved[:, None, :]
        square[mine] += np.sum(moved**2, axis=1)
        count[mine] += 1
    good = (count >= 5) & (np.linalg.det(normal) > 0.5)
    lattice, spread, cover = np.full((n, 2, 2), np.nan), np.full(n, np.nan), np.full((n, 2, 2), np.nan)
    inverse = np.linalg.inv(normal[good])
    fitted = inverse @ right[good]
    left_over = np.maximum(square[good] - np.sum(right[good] * fitted, axis=(1, 2)), 0.0)
    lattice[good] = np.swapaxes(fitted[:, 1:, :], 1, 2)
    spread[good] = np.sqrt(left_over / (2.0 * (count[good] - 3.0)))
    cover[good] = inverse[:, 1:, 1:]
    return lattice, spread, cover


def _propagated(cover: np.ndarray, spread: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Carry the residual of the local fits over to e_xx, e_yy, e_xy and the rotation in degrees."""
    # Both rows of F have this covariance, because x and y of a column are measured equally well.
    of_row = np.einsum("ji,njk,kl->nil", inverse, cover, inverse) * (spread**2)[:, None, None]
    xx, yy = of_row[:, 0, 0], of_row[:, 1, 1]
    both = (xx + yy) / 4.0
    return np.sqrt(np.column_stack([xx, yy, both, np.degrees(np.degrees(both))]))


def _spread(values: dict[str, np.ndarray], shared: int) -> dict[str, Estimate]:
    """Estimate the standard deviation of each component over the field; local fits that share columns count as one."""
    found = {}
    for name, of in values.items():
        finite = of[np.isfinite(of)]
        independent = finite.size / shared
        if independent > 2:
            std = float(finite.std(ddof=1))
            found[name] = with_interval(
                std,
                std / np.sqrt(2.0 * (independent - 1.0)),
                independent - 1.0,
                unit="deg" if name == "rotation" else "1",
                n=int(finite.size),
                method=f"standard deviation over {finite.size} columns, noise of the places and strain together",
            )
    return found
