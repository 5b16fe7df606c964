"""Moment tensor potentials: the model, a plain twin of its kernel, and new ones to fit.

Shapeev, Multiscale Model. Simul. 14, 1153 (2016), doi:10.1137/15M1054183; conventions of mlip-2, Novikov et al., Mach.
Learn.: Sci. Technol. 2, 025002 (2021), doi:10.1088/2632-2153/abc9fe.

| symbol | here | unit |
|---|---|---|
| E_i = e_{z_i} + sum_s xi_s B_s | `species_eV` e, `linear_eV` xi | eV |
| M_{mu,nu} = sum_j f_mu(r, z_i, z_j) n^(x)nu, n = D_ij / r | `basis.basic` | |
| f_mu = sum_k c[mu, z_i, z_j, k] Q_k(r) | `radial` c (mu, z_i, z_j, k) | |
| Q_k = scaling (R - r)^2 T_k(u), T_k Chebyshev's, u from -1 at the least distance to 1 at R | `scaling` | 1/A^2 |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hea_sim.errors import InputError
from hea_sim.potentials.contract import Design
from hea_sim.potentials.mtp_basis import MomentBasis, basis_of_level

if TYPE_CHECKING:
    from hea_sim.potentials.environment import Environment
    from hea_sim.potentials.mtp_gradient_kernels import TrainingWork
    from hea_sim.potentials.mtp_kernels import Tables, Work

PRECISIONS = ("float64", "float32")


@dataclass(frozen=True, kw_only=True, eq=False)
class MtpModel:
    """Hold a moment tensor potential; it is a site model, linear in its last coefficients.

    Distances below `least_distance_A` are allowed: the polynomials go on. `precision` is that of the kernel, "float64"
    or "float32": the published potential of NbMoTaW then moves by up to 1e-5 eV/atom and 1e-4 eV/A on its test frames.
    Energies are summed in double precision in both.
    """

    elements: tuple[str, ...]
    basis: MomentBasis
    least_distance_A: float
    cutoff_A: float
    scaling: float
    radial: np.ndarray
    species_eV: np.ndarray
    linear_eV: np.ndarray
    precision: str = "float64"

    def __post_init__(self) -> None:
        problem = _fault_of(self)
        if problem:
            raise InputError(f"MTP of {', '.join(self.elements) or 'no elements'}: {problem}")

    @property
    def n_chebyshev(self) -> int:
        """Number of Chebyshev polynomials in a radial function."""
        return int(self.radial.shape[3])

    @property
    def n_features(self) -> int:
        """Number of linear coefficients: one a species, then one a scalar."""
        return len(self.elements) + len(self.linear_eV)

    @property
    def coefficients(self) -> np.ndarray:
        """Linear coefficients (features,) in eV: constants of the species, then those of the scalars."""
        return np.concatenate([self.species_eV, self.linear_eV])

    def with_coefficients(self, coefficients: np.ndarray) -> MtpModel:
        """Give the same model with other linear coefficients (features,)."""
        if np.shape(coefficients) != (self.n_features,):
            raise InputError(f"coefficients of shape {np.shape(coefficients)}; wanted ({self.n_features},)")
        n = len(self.elements)
        values = np.array(coefficients, np.float64)
        return replace(self, species_eV=values[:n], linear_eV=values[n:])

    def with_precision(self, precision: str) -> MtpModel:
        """Give the same model with a kernel of another precision."""
        return replace(self, precision=precision)

    def site_terms(self, environment: Environment) -> tuple[np.ndarray, np.ndarray]:
        """Give site energies (n,) in eV and dE_i / dD_ij (pairs, 3) in eV/A, the latter in the model's precision."""
        from hea_sim.potentials.mtp_kernels import site_terms

        species = environment.indices_of(self.elements)
        energies = self.species_eV[species]
        gradients = np.zeros((len(environment.second), 3), self.precision)
        if len(environment.second):
            most = int(np.diff(environment.starts).max())
            work = _work_space(self._tables, most)
            site_terms(
                self._tables, work, environment.starts, environment.second, environment.vectors, species, energies,
                gradients,
            )  # fmt: skip
        return energies, gradients

    def design(self, environment: Environment) -> Design:
        """Give the rows of a linear fit, in double precision."""
        from hea_sim.potentials.mtp_kernels import design_rows

        species = environment.indices_of(self.elements)
        systems, n, features = len(environment.volumes_A3), len(species), self.n_features
        energy, forces = np.zeros((systems, features)), np.zeros((3 * n, features))
        virial = np.zeros((systems, 6, features))
        tables = self.with_precision("float64")._tables
        work = _work_space(tables, int(np.diff(environment.starts).max(initial=1)))
        design_rows(
            tables, work, environment.starts, environment.second, environment.vectors, species,
            environment.system, energy, forces, virial,
        )  # fmt: skip
        return Design(energy, forces, virial / environment.volumes_A3[:, None, None])

    def with_parameters(self, radial: np.ndarray, species_eV: np.ndarray, linear_eV: np.ndarray) -> MtpModel:
        """Give the same model with other numbers, sparing the layout of its kernel: for the steps of a fit."""
        made = replace(self, radial=radial, species_eV=species_eV, linear_eV=linear_eV)
        dtype = np.dtype(self.precision)
        made.__dict__["_tables"] = self._tables._replace(
            coefficients=_in_quads(made), linear=linear_eV.astype(np.float64), linear_lanes=linear_eV.astype(dtype)
        )
        return made

    def coefficient_gradient(
        self, environment: Environment, site_weights: np.ndarray, pair_weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Give the gradient of sum_i w_i E_i + sum_ij l_ij . G_ij in every coefficient, for training.

        `site_weights` w (n,) are the derivatives of a loss in the site energies, `pair_weights` l (pairs, 3) those in
        G_ij = dE_i / dD_ij, see `loss_in_pairs`. The results have the shapes of `radial` and `coefficients`; sums run
        in the model's precision.
        """
        from hea_sim.potentials.mtp_gradient_kernels import coefficient_gradient

        tables, species = self._tables, environment.indices_of(self.elements)
        radial, linear = np.zeros_like(tables.coefficients), np.zeros(len(self.linear_eV))
        most = int(np.diff(environment.starts).max(initial=1))
        coefficient_gradient(
            tables, _work_space(tables, most), _training_space(tables, most), environment.starts, environment.second,
            environment.vectors, species, np.asarray(site_weights, np.float64), np.asarray(pair_weights, np.float64),
            radial, linear,
        )  # fmt: skip
        n_radial, n, _, n_chebyshev = self.radial.shape
        blocks = radial.reshape(n, n, n_chebyshev, -1)[..., :n_radial].transpose(3, 0, 1, 2)
        constants = np.bincount(species, site_weights, minlength=n)
        return blocks.astype(np.float64), np.concatenate([constants, linear])

    @cached_property
    def _tables(self) -> Tables:
        return kernel_tables(self)


def _fault_of(model: MtpModel) -> str:
    """Say what is wrong with the numbers of a model, "" if nothing is."""
    from ase.data import atomic_numbers

    species = len(model.elements)
    unknown = [element for element in model.elements if element not in atomic_numbers]
    if unknown:
        return f"no element '{unknown[0]}'; wanted chemical symbols"
    wanted = (model.basis.radial_functions, species, species)
    if not species or len(set(model.elements)) != species:
        return "wanted at least one element, each once"
    if model.radial.ndim != 4 or model.radial.shape[:3] != wanted or not model.radial.shape[3]:
        return f"radial coefficients of shape {model.radial.shape}; wanted {wanted} and the number of polynomials"
    if model.species_eV.shape != (species,) or model.linear_eV.shape != model.basis.scalars.shape:
        return (
            f"{model.species_eV.size} constants and {model.linear_eV.size} linear coefficients; wanted {species} and"
            f" {model.basis.scalars.size}"
        )
    numbers = (model.radial, model.species_eV, model.linear_eV, [model.scaling])
    if not all(np.isfinite(values).all() for values in numbers):
        return "a coefficient is not finite"
    if not 0 <= model.least_distance_A < model.cutoff_A < np.inf:
        return f"distances from {model.least_distance_A} to {model.cutoff_A} A; wanted 0 <= least < cutoff"
    return "" if model.precision in PRECISIONS else f"precision '{model.precision}'; wanted {' or '.join(PRECISIONS)}"


def loss_in_pairs(environment: Environment, in_forces: np.ndarray, in_stress: np.ndarray | None = None) -> np.ndarray:
    """Give the derivatives (pairs, 3) of a loss in G_ij = dE_i / dD_ij from those in forces and stress.

    `in_forces` (n, 3), `in_stress` (systems, 3, 3), zero where a system has no stress.
    """
    first = environment.first
    out = in_forces[first] - in_forces[environment.second]
    if in_stress is not None:
        volumes = np.where(np.isnan(environment.volumes_A3), np.inf, environment.volumes_A3)
        even = 0.5 * (in_stress + in_stress.transpose(0, 2, 1)) / volumes[:, None, None]
        out += np.einsum("pa,pak->pk", environment.vectors, even[environment.system[first]])
    return np.asarray(out)


def new_mtp(
    elements: Sequence[str],
    level: int,
    cutoff_A: float,
    radial_functions: int = 8,
    *,
    seed: int,
    least_distance_A: float = 2.0,
) -> MtpModel:
    """Make an MTP with random coefficients, to be fitted.

    `radial_functions` is the number of Chebyshev polynomials in each f_mu. The random f_mu are smooth: the spread of
    their coefficients falls with the order of the polynomial; the scaling makes (R - r)^2 one at the least distance.
    All pairs of species begin with the same ones, since what metals share is most of what there is to learn.
    """
    basis = basis_of_level(level)
    rng = np.random.default_rng(seed)
    n = len(elements)
    shape = (basis.radial_functions, n, n, int(radial_functions))
    if min(shape) < 1 or not least_distance_A < cutoff_A:
        raise InputError(
            f"{n} elements, {radial_functions} polynomials, distances {least_distance_A} to {cutoff_A} A; wanted at"
            " least one of each and the cutoff beyond the least distance"
        )
    common = rng.normal(size=(shape[0], 1, 1, shape[3])) / (1 + np.arange(shape[3]))
    return MtpModel(
        elements=tuple(elements),
        basis=basis,
        least_distance_A=float(least_distance_A),
        cutoff_A=float(cutoff_A),
        scaling=1 / (cutoff_A - least_distance_A) ** 2,
        radial=np.broadcast_to(common, shape).copy(),
        species_eV=np.zeros(n),
        linear_eV=1e-3 * rng.normal(size=len(basis.scalars)),
    )


def monomial_table(highest_rank: int) -> tuple[np.ndarray, dict[tuple[int, int, int], int]]:
    """List x^a y^b z^c up to a rank as parent times axis: (n, 2) of both, and the number of each (a, b, c).

    Number 0 is one; a parent stands before its children.
    """
    from hea_sim.potentials.mtp_basis import powers_of_rank

    number = {powers: k for k, powers in enumerate(p for rank in range(highest_rank + 1) for p in powers_of_rank(rank))}
    table = np.zeros((len(number), 2), np.int64)
    for powers, k in number.items():
        if k:
            axis = int(np.argmax(np.array(powers) > 0))
            lower = tuple(power - (axis == other) for other, power in enumerate(powers))
            table[k] = number[lower], axis  # type: ignore[index]
    return table, number


def kernel_tables(model: MtpModel) -> Tables:
    """Lay a model out as its kernel reads it."""
    from hea_sim.potentials.mtp_kernels import Tables

    dtype, basis = np.dtype(model.precision), model.basis
    n_radial, species, _, n_chebyshev = model.radial.shape
    monomials, number = monomial_table(basis.highest_rank)
    place = {tuple(int(v) for v in one): k for k, one in enumerate(basis.basic)}
    lowered, raised, power = _lowered(place, number)
    order = np.argsort(basis.products[:, 3], kind="stable")
    left, right, factor, out = basis.products[order].T
    composites = basis.n_moments - len(basis.basic)
    return Tables(
        coefficients=_in_quads(model),
        species=species,
        n_radial=n_radial,
        n_chebyshev=n_chebyshev,
        range=np.array([model.cutoff_A, model.scaling, model.least_distance_A], dtype),
        monomials=monomials,
        basic=np.array([(mu, number[a, b, c]) for mu, a, b, c in basis.basic], np.int64),
        lowered=lowered,
        raised=raised,
        power=power.astype(dtype),
        products=np.column_stack([left, right]),
        factor=factor.astype(dtype),
        runs=np.searchsorted(out, len(basis.basic) + np.arange(composites + 1)),
        scalars=basis.scalars.astype(np.int64),
        linear=model.linear_eV.astype(np.float64),
        linear_lanes=model.linear_eV.astype(dtype),
    )


def _in_quads(model: MtpModel) -> np.ndarray:
    """Lay the radial coefficients out by pair of species and polynomial, four functions a row."""
    n_radial, species, _, n_chebyshev = model.radial.shape
    quads = -(-n_radial // 4)
    coefficients = np.zeros((species, species, n_chebyshev, 4 * quads), model.precision)
    coefficients[..., :n_radial] = model.radial.transpose(1, 2, 3, 0)
    return coefficients.reshape(-1, 4)


def _lowered(place: dict, number: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """List (mu, monomial) with the basic moments and factors that d/dx, d/dy, d/dz bring there; factor 0 for none."""
    rows: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for (mu, *powers), k in place.items():
        for axis in range(3):
            if powers[axis]:
                lower = tuple(p - (axis == other) for other, p in enumerate(powers))
                rows.setdefault((mu, number[lower]), []).append((axis, k, powers[axis]))
    keys = sorted(rows)
    raised, power = np.zeros((len(keys), 3), np.int64), np.zeros((len(keys), 3))
    for row, key in enumerate(keys):
        for axis, k, factor in rows[key]:
            raised[row, axis], power[row, axis] = k, factor
    return np.array(keys, np.int64).reshape(-1, 2), raised, power


def _rows(number: int, dtype: np.dtype) -> np.ndarray:
    """Make rows of one vector each, whole vectors apart in memory."""
    lanes = 64 // dtype.itemsize
    spare = np.zeros((number + 1) * lanes, dtype)
    skip = (-spare.ctypes.data % 64) // dtype.itemsize
    return spare[skip : skip + number * lanes].reshape(number, lanes)


def _work_space(tables: Tables, most: int) -> Work:
    """Make the memory of one block of atoms with up to `most` neighbours."""
    from hea_sim.potentials.mtp_kernels import Work

    dtype = tables.range.dtype
    lanes = 64 // dtype.itemsize
    quads = -(-tables.n_radial // 4)
    n_moments = len(tables.basic) + len(tables.runs) - 1
    return Work(
        place=_rows(4 * most, dtype),
        basis=_rows(2 * tables.n_chebyshev, dtype),
        radial=_rows(4 * quads * most, dtype),
        slope=_rows(4 * quads * most, dtype),
        moments=_rows(n_moments, dtype),
        adjoint=_rows(n_moments, dtype),
        monomials=_rows(len(tables.monomials), dtype),
        gradients=_rows(max(3 * len(tables.lowered), 1), dtype),
        kind=np.zeros((most, lanes), np.int64),
        pair=np.zeros((most, lanes), np.int64),
        counts=np.zeros(lanes, np.int64),
    )


def _training_space(tables: Tables, most: int) -> TrainingWork:
    """Make the further memory that training needs."""
    from hea_sim.potentials.mtp_gradient_kernels import TrainingWork

    dtype = tables.range.dtype
    n_moments = len(tables.basic) + len(tables.runs) - 1
    return TrainingWork(
        kept=_rows(2 * tables.n_chebyshev * most, dtype),
        way=_rows(4 * most, dtype),
        changes=_rows(n_moments, dtype),
        turned=_rows(n_moments, dtype),
        monomials=_rows(len(tables.monomials), dtype),
        pulls=_rows(8 * -(-tables.n_radial // 4), dtype),
    )


class PlainMoments(NamedTuple):
    """Hold moments (moments, n) and, of each pair, its distance, unit vector, f_mu, their slopes and monomials."""

    values: np.ndarray
    r: np.ndarray
    unit: np.ndarray
    f: np.ndarray
    slope: np.ndarray
    monomials: np.ndarray


def plain_moments(model: MtpModel, environment: Environment) -> PlainMoments:
    """Compute all moments by the formulas alone, in double precision; `values[basis.scalars]` are the B_s."""
    species = environment.indices_of(model.elements)
    first, basis = environment.first, model.basis
    r = np.linalg.norm(environment.vectors, axis=1)
    unit = environment.vectors / r[:, None]
    f, slope = _plain_radial(model, r, species[first], species[environment.second])
    mu, powers = basis.basic[:, 0], basis.basic[:, 1:]
    monomials = np.prod(unit[:, None, :] ** powers, axis=2)  # (pairs, basic)
    values = np.zeros((basis.n_moments, len(species)))
    np.add.at(values.T[:, : len(mu)], first, f[:, mu] * monomials)
    for left, right, factor, out in basis.products:
        values[out] += factor * values[left] * values[right]
    return PlainMoments(values, r, unit, f, slope, monomials)


def plain_site_terms(model: MtpModel, environment: Environment) -> tuple[np.ndarray, np.ndarray]:
    """Give what `MtpModel.site_terms` gives in double precision, by the formulas alone; slow, for tests."""
    moments, r, unit, f, slope, monomials = plain_moments(model, environment)
    first, basis = environment.first, model.basis
    mu, powers = basis.basic[:, 0], basis.basic[:, 1:]
    energies = model.species_eV[environment.indices_of(model.elements)] + model.linear_eV @ moments[basis.scalars]
    adjoint = np.zeros_like(moments)
    np.add.at(adjoint, basis.scalars, model.linear_eV[:, None])
    for left, right, factor, out in basis.products[::-1]:
        adjoint[left] += factor * adjoint[out] * moments[right]
        adjoint[right] += factor * adjoint[out] * moments[left]
    weight = adjoint[: len(mu), first].T  # (pairs, basic)
    gradients = np.einsum("pb,pb,pk->pk", weight * slope[:, mu], monomials, unit)
    for axis in range(3):
        lower = powers - np.eye(3, dtype=np.int64)[axis]
        derivative = powers[:, axis] * np.prod(unit[:, None, :] ** np.maximum(lower, 0), axis=2)
        across = np.einsum("pb,pb->p", weight * f[:, mu], derivative) / r
        gradients[:, axis] += across
        gradients -= (across * unit[:, axis])[:, None] * unit
    return energies, gradients


def _plain_radial(
    model: MtpModel, r: np.ndarray, mine: np.ndarray, theirs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give f_mu and its slope (pairs, mu); zero beyond the cutoff."""
    from numpy.polynomial import chebyshev

    width = model.cutoff_A - model.least_distance_A
    u = 2 * (r - model.least_distance_A) / width - 1
    rest = np.clip(model.cutoff_A - r, 0, None)
    one = np.eye(model.n_chebyshev)
    t = chebyshev.chebval(u, one)  # (k, pairs)
    dt = np.stack([chebyshev.chebval(u, chebyshev.chebder(row)) for row in one]) * 2 / width
    q, dq = model.scaling * rest**2 * t, model.scaling * (rest**2 * dt - 2 * rest * t)
    c = model.radial[:, mine, theirs]  # (mu, pairs, k)
    return np.einsum("mpk,kp->pm", c, q), np.einsum("mpk,kp->pm", c, dq)
