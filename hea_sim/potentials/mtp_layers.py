"""Moment tensor potentials in plain torch operations with a hand-written adjoint: the twin of `mtp_triton`.

Every operation has a shape that follows from the shapes of its inputs alone and none waits for the host, so the whole
can be recorded in a CUDA graph. One quantity is a tensor over atoms n and neighbours k, the last two dimensions.

| step | where |
|---|---|
| Q_k = s (R - r)^2 T_k(u), f_mu = sum_k c_mu,k Q_k and their slopes | `LayerTerms._radial` |
| x^a y^b z^c of the unit vectors, rank by rank | `LayerTerms._monomials` |
| M_mu,abc = sum_j f_mu x^a y^b z^c | `LayerTerms.terms` |
| products up to the scalars, then dE/dM back down to the basic moments | `Layer`, `layers_of` |
| dE/dD = V / r + n (S - n.V / r), V = sum f_mu grad P_mu, S = sum f'_mu P_mu | `LayerTerms._gradients` |

P_mu(n) = sum_abc (dE/dM_mu,abc) x^a y^b z^c.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from hea_sim.potentials.mtp import MtpModel, monomial_table


class Layer(NamedTuple):
    """Hold rows that can be computed side by side: row[target] = start + sum_w factor * row[left] * row[right].

    `target`, `start` (m,); `left`, `right`, `factor` (width, m). Rows 0 .. n_moments - 1 are the moments, as many more
    the derivatives of the energy in them. The way up and the way back are layers of the same kind.
    """

    target: np.ndarray
    start: np.ndarray
    left: np.ndarray
    right: np.ndarray
    factor: np.ndarray


def layers_of(model: MtpModel, size: int = 32) -> list[Layer]:
    """List all layers of a potential in the order in which they are computed, each of up to `size` rows."""
    n = model.basis.n_moments
    left, right, factor, out = model.basis.products.T
    depth = moment_depths(model)
    deepest = int(depth.max())
    terms = np.concatenate(
        [
            np.column_stack([out, left, right, factor]),
            np.column_stack([n + left, n + out, right, factor]),
            np.column_stack([n + right, n + out, left, factor]),
        ]
    )
    terms = terms[np.argsort(terms[:, 0], kind="stable")]
    begins = np.searchsorted(terms[:, 0], np.arange(2 * n + 1))
    start = np.zeros(2 * n)
    np.add.at(start, n + model.basis.scalars, model.linear_eV)
    # The way up needs what lies below, the way back what lies above.
    stage = np.concatenate([depth, 2 * deepest + 1 - depth])
    layers = []
    for level in range(1, 2 * deepest + 2):
        members = np.flatnonzero(stage == level)
        # Rows with about as many terms stand together, so that little is filled up.
        members = members[np.argsort(-np.diff(begins)[members], kind="stable")]
        for first in range(0, len(members), size):
            layers.append(_layer(members[first : first + size], start, begins, terms))
    return layers


def _layer(target: np.ndarray, start: np.ndarray, begins: np.ndarray, terms: np.ndarray) -> Layer:
    """Lay the terms of some rows side by side, filled up with terms of factor zero."""
    counts = begins[target + 1] - begins[target]
    step = np.arange(counts.max())[:, None]
    inside = step < counts
    chosen = terms[np.where(inside, begins[target] + step, 0)] if len(terms) else np.zeros((*inside.shape, 4), np.int64)
    _, left, right, factor = np.where(inside[..., None], chosen, 0).transpose(2, 0, 1)
    return Layer(target, start[target], left, right, factor.astype(np.float64))


def moment_depths(model: MtpModel) -> np.ndarray:
    """Give each moment's number of multiplications after which it is known (moments,)."""
    depth = (np.arange(model.basis.n_moments) >= len(model.basis.basic)).astype(np.int64)
    products = model.basis.products
    for left, right, _, out in products[np.argsort(products[:, 3], kind="stable")]:
        depth[out] = max(depth[out], depth[left] + 1, depth[right] + 1)
    return depth


class LayerTerms:
    """Compute site energies and their gradients of atoms with padded neighbours, by torch on any device.

    Products of matrices run in the precision of torch's settings: with TF32 switched on, single precision is not kept.
    """

    def __init__(self, model: MtpModel, *, dtype: torch.dtype, device: str | torch.device) -> None:
        def numbers(values: np.ndarray, kind: torch.dtype = dtype) -> torch.Tensor:
            return torch.tensor(values, dtype=kind, device=device)

        def indices(values: np.ndarray) -> torch.Tensor:
            return torch.tensor(values, dtype=torch.int64, device=device)

        basis = model.basis
        self._model, self._n_rows = model, 2 * basis.n_moments
        table, number = monomial_table(basis.highest_rank)
        self._segments = _segments(table)
        self._n_monomials, self._n_lower = len(number), sum(sum(p) < basis.highest_rank for p in number)
        column = np.array([mu * len(number) + number[a, b, c] for mu, a, b, c in basis.basic.tolist()])
        place = np.full((basis.radial_functions, len(number)), self._n_rows)  # one row beyond: zeros
        place.reshape(-1)[column] = basis.n_moments + np.arange(len(column))
        raised, power = _raised(place, number, self._n_lower, self._n_rows)
        self._column, self._place, self._raised = indices(column), indices(place.ravel()), indices(raised.ravel())
        self._power = numbers(power.ravel())[:, None]
        n_mu, species, _, n_chebyshev = model.radial.shape
        self._coefficients = numbers(
            model.radial.transpose(1, 0, 2, 3).reshape(species, n_mu, species * n_chebyshev)
        )  # (z_i, mu, z_j * k)
        self._kinds = indices(np.arange(species))[:, None, None]
        self._species_eV = numbers(model.species_eV, torch.float64)
        self._linear_eV = numbers(model.linear_eV, torch.float64)
        self._scalars = indices(basis.scalars)
        self._layers = [
            (
                indices(layer.target),
                numbers(layer.start)[:, None],
                indices(layer.left.ravel()),
                indices(layer.right.ravel()),
                numbers(layer.factor)[..., None],
            )
            for layer in layers_of(model, 64)
        ]

    def terms(
        self, vectors: torch.Tensor, mine: torch.Tensor, theirs: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Give energies (n,) in eV in double precision and dE_i / dD_ij (n, k, 3) in eV/A.

        `vectors` (n, k, 3) in A; `mine` (n,), `theirs` (n, k) places in the list of elements. Neighbours at or beyond
        the cutoff, which padding is, have gradients of zero.
        """
        n = len(vectors)
        places = vectors.permute(2, 0, 1)
        r = places.square().sum(0).sqrt()
        inverse = r.reciprocal()
        unit = places * inverse
        f, slope = self._radial(r, mine, theirs)
        monomials = self._monomials(unit)
        rows = vectors.new_zeros(self._n_rows + 1, n)
        moments = torch.bmm(f, monomials.permute(1, 2, 0)).flatten(1)  # (n, mu * monomials)
        rows[: len(self._column)] = moments.T.index_select(0, self._column)
        for target, start, left, right, factor in self._layers:
            products = rows.index_select(0, left).mul_(rows.index_select(0, right))
            total = products.view(*factor.shape[:2], n).mul_(factor).sum(0).add_(start)
            rows.index_copy_(0, target, total)
        scalars = rows.index_select(0, self._scalars).to(torch.float64)
        energies = self._species_eV[mine] + (self._linear_eV[:, None] * scalars).sum(0)
        return energies, self._gradients(rows, monomials, unit, inverse, f, slope)

    def _radial(self, r: torch.Tensor, mine: torch.Tensor, theirs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Give f_mu and df_mu/dr (n, mu, k)."""
        model = self._model
        turn = 2 / (model.cutoff_A - model.least_distance_A)
        u = (r - model.least_distance_A) * turn - 1
        rest = (model.cutoff_A - r).clamp(min=0)
        values, slopes = [model.scaling * rest.square()], [-2 * model.scaling * rest]
        if model.n_chebyshev > 1:
            values.append(u * values[0])
            slopes.append(turn * values[0] + u * slopes[0])
        u2, turn2 = 2 * u, 2 * turn
        while len(values) < model.n_chebyshev:
            slopes.append(turn2 * values[-1] + u2 * slopes[-1] - slopes[-2])
            values.append(u2 * values[-1] - values[-2])
        of_kind = (theirs == self._kinds).to(r)  # (species, n, k)
        mine_c = self._coefficients.index_select(0, mine)
        f, slope = (self._combined(mine_c, of_kind, functions) for functions in (values, slopes))
        return f, slope

    @staticmethod
    def _combined(coefficients: torch.Tensor, of_kind: torch.Tensor, functions: list[torch.Tensor]) -> torch.Tensor:
        """Sum coefficients (n, mu, species * chebyshev) times functions of the neighbours of each species."""
        q = torch.stack(functions)
        if len(of_kind) > 1:
            q = (of_kind[:, None] * q).flatten(0, 1)
        return torch.bmm(coefficients, q.permute(1, 0, 2))

    def _monomials(self, unit: torch.Tensor) -> torch.Tensor:
        """Give the monomials (monomials, n, k) of unit vectors (3, n, k)."""
        found = unit.new_empty(self._n_monomials, *unit.shape[1:])
        found[0].fill_(1)  # to set it would bring the number from the host
        for axis, parent, child, length in self._segments:
            torch.mul(found[parent : parent + length], unit[axis], out=found[child : child + length])
        return found

    def _gradients(
        self,
        rows: torch.Tensor,
        monomials: torch.Tensor,
        unit: torch.Tensor,
        inverse: torch.Tensor,
        f: torch.Tensor,
        slope: torch.Tensor,
    ) -> torch.Tensor:
        """Give the gradients (n, k, 3) from the derivatives of the energy in the moments."""
        n, n_mu, k = f.shape
        weights = rows.index_select(0, self._place).T.reshape(n, n_mu, -1)
        along = (torch.bmm(weights, monomials.permute(1, 0, 2)) * slope).sum(1)
        lower = (rows.index_select(0, self._raised).mul_(self._power)).T.reshape(n, 3 * n_mu, -1)
        across = torch.bmm(lower, monomials[: self._n_lower].permute(1, 0, 2)).view(n, 3, n_mu, k)
        across = (across * f[:, None]).sum(2).mul_(inverse[:, None])  # V / r
        ways = unit.permute(1, 0, 2)
        radial = along - (ways * across).sum(1)
        return (across + ways * radial[:, None]).transpose(1, 2)


def _segments(table: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Join neighbouring monomials that come from neighbouring parents by one axis: (axis, parent, child, length)."""
    found: list[tuple[int, int, int, int]] = []
    rank_begins = 1
    ends = {1}
    while rank_begins < len(table):  # a parent must be known before its child: no segment crosses a rank
        rank_begins += sum(1 for parent, _ in table[rank_begins:] if parent < rank_begins)
        ends.add(rank_begins)
    for child in range(1, len(table)):
        parent, axis = (int(v) for v in table[child])
        if found and child not in ends:
            last_axis, first_parent, first_child, length = found[-1]
            if axis == last_axis and parent == first_parent + length:
                found[-1] = (axis, first_parent, first_child, length + 1)
                continue
        found.append((axis, parent, child, 1))
    return found


def _raised(
    place: np.ndarray, number: dict[tuple[int, int, int], int], n_lower: int, nowhere: int
) -> tuple[np.ndarray, np.ndarray]:
    """Give for (axis, mu, monomial) the row that x, y or z times the monomial has, and the power that it brings down.

    The power is zero where there is no such basic moment.
    """
    raised = np.full((3, len(place), n_lower), nowhere)
    power = np.zeros(raised.shape)
    for powers, k in number.items():
        for axis in range(3):
            if powers[axis]:
                below = number[tuple(p - (axis == other) for other, p in enumerate(powers))]  # type: ignore[index]
                raised[axis, :, below], power[axis, :, below] = place[:, k], powers[axis]
    return raised, power
