"""Moment tensor potentials in one Triton kernel: energies and all pair gradients in one launch; twin of `mtp_layers`.

A program takes a block of atoms at a time and walks over the blocks. What is indexed by atom, mu and monomial lies in
registers as one tile while neighbours pass by; moments and the derivatives of the energy in them stand in a scratch of
the program's own, small enough for the cache, since their products need any row at any time.

| step | where |
|---|---|
| f_mu and df_mu/dr of one neighbour of each atom | `_radial` |
| M_mu,abc = sum_j f_mu x^a y^b z^c, as x, y or z times a monomial of lower rank | first loop of `mtp_terms` |
| products up to the scalars and dE/dM back, layer by layer | `_fill_rows` |
| dE/dD = V / r + n (S - n.V / r), V and S as in `mtp_layers` | second loop of `mtp_terms` |

With TRITON_INTERPRET=1, set before this module is imported, the kernel runs in Triton's interpreter on the CPU.
"""

# mypy: allow-untyped-defs
# What a kernel takes has types that only Triton knows.
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from hea_sim.errors import InputError, MissingDependencyError
from hea_sim.potentials.mtp import MtpModel, monomial_table
from hea_sim.potentials.mtp_device import DTYPES, DeviceMtp, checked_place
from hea_sim.potentials.mtp_layers import Layer, layers_of

try:
    import triton
    import triton.language as tl
except ImportError:  # then `on_triton` says so
    triton = tl = None


def _compiled(function: Any) -> Any:
    return function if triton is None else triton.jit(function)


#: Bytes of the tile of a block of atoms: 32 registers a thread, of which three tiles are held at a time.
_TILE = 4096
#: One warp a program: nothing waits for other warps.
WARPS = 1
#: Programs for each multiprocessor of a device.
_PROGRAMS = 16


@_compiled
def _powers(x, exponent, BITS: tl.constexpr):
    """Give x (block,) to exponents (lower,) below 2^BITS, as (lower, block)."""
    found = tl.full([exponent.shape[0], x.shape[0]], 1, x.dtype)
    square = x
    for bit in tl.static_range(BITS):
        found = tl.where((((exponent >> bit) & 1) == 1)[:, None], found * square[None, :], found)
        square = square * square
    return found


@_compiled
def _radial(r, kind, n_kinds, mu, coefficients, limits, MU: tl.constexpr, CHEBYSHEV: tl.constexpr):
    """Give f_mu and df_mu/dr (MU, block) at distances (block,) of pairs of species `kind` (block,)."""
    cutoff, scaling, least = tl.load(limits), tl.load(limits + 1), tl.load(limits + 2)
    turn = 2 / (cutoff - least)
    u = (r - least) * turn - 1
    rest = tl.maximum(cutoff - r, 0)
    before, before_slope = scaling * rest * rest, -2 * scaling * rest
    now, now_slope = u * before, turn * before + u * before_slope
    row = coefficients + mu[:, None] * n_kinds + kind[None, :]
    c = tl.load(row)
    f, slope = c * before[None, :], c * before_slope[None, :]
    for m in tl.static_range(1, CHEBYSHEV):
        c = tl.load(row + m * MU * n_kinds)
        f += c * now[None, :]
        slope += c * now_slope[None, :]
        after = 2 * u * now - before
        after_slope = 2 * turn * now + 2 * u * now_slope - before_slope
        before, before_slope, now, now_slope = now, now_slope, after, after_slope
    return f, slope


@_compiled
def _fill_rows(
    own, targets, starts, widths, begins, lefts, rights, factors, n_layers, BLOCK: tl.constexpr, GROUP: tl.constexpr
):
    """Compute rows layer by layer: row[target] = start + sum of factor * row[left] * row[right]."""
    lane = tl.arange(0, BLOCK)[None, :]
    slot = tl.arange(0, GROUP)
    for layer in range(n_layers):
        target = tl.load(targets + layer * GROUP + slot)
        total = tl.broadcast_to(tl.load(starts + layer * GROUP + slot)[:, None], [GROUP, BLOCK])
        begin = tl.load(begins + layer)
        for term in range(tl.load(widths + layer)):
            at = (begin + term) * GROUP + slot
            left, right = tl.load(lefts + at), tl.load(rights + at)
            product = tl.load(own + left[:, None] * BLOCK + lane) * tl.load(own + right[:, None] * BLOCK + lane)
            total += tl.load(factors + at)[:, None] * product
        tl.store(own + target[:, None] * BLOCK + lane, total, mask=(target >= 0)[:, None])
        tl.debug_barrier()  # the next layer reads what other threads wrote


@_compiled
def _places(rows, place, axis, mu, monomial, lane):
    """Give addresses (MU, lower, block) of the moments that an axis times a monomial makes, and whether they exist."""
    number = tl.load(place + (axis * mu.shape[0] + mu[:, None]) * monomial.shape[0] + monomial[None, :])[:, :, None]
    used = tl.broadcast_to(number >= 0, [mu.shape[0], monomial.shape[0], lane.shape[0]])
    return rows + number * lane.shape[0] + lane[None, None, :], used


@_compiled
def _store_moments(own, place, axis, moments, mu, monomial, lane):
    """Write moments (MU, lower, block) to their rows."""
    at, used = _places(own, place, axis, mu, monomial, lane)
    tl.store(at, moments, mask=used)
    tl.debug_barrier()


@_compiled
def _load_moments(back, place, axis, power, mu, monomial, lane):
    """Read dE/dM (MU, lower, block) times the power that the derivative along an axis brings down."""
    at, used = _places(back, place, axis, mu, monomial, lane)
    found = tl.load(at, mask=used, other=0.0)
    return found * (power + 1).to(found.dtype)[None, :, None]


@_compiled
def _pair(vectors, theirs, pair, here):
    """Give unit vector, distance and its inverse, and species of one neighbour of each atom."""
    # Lanes without an atom get a harmless place.
    x = tl.load(vectors + 3 * pair, mask=here, other=1.0)
    y = tl.load(vectors + 3 * pair + 1, mask=here, other=1.0)
    z = tl.load(vectors + 3 * pair + 2, mask=here, other=1.0)
    r = tl.sqrt(x * x + y * y + z * z)
    inverse = 1 / r
    return x * inverse, y * inverse, z * inverse, r, inverse, tl.load(theirs + pair, mask=here, other=0)


@_compiled
def mtp_terms(
    vectors, mine, theirs, energies, gradients, scratch, limits, constants, coefficients, exponents, place,
    scalars, linear, targets, starts, widths, begins, lefts, rights, factors,
    n_atoms, n_neighbours, n_species, n_moments, n_layers,
    BLOCK: tl.constexpr, MU: tl.constexpr, LOWER: tl.constexpr, CHEBYSHEV: tl.constexpr, BITS: tl.constexpr,
    GROUP: tl.constexpr, SCALARS: tl.constexpr,
):  # fmt: skip
    """Write energies (n,) in double precision and dE_i / dD_ij (n, k, 3)."""
    mu, monomial, lane = tl.arange(0, MU), tl.arange(0, LOWER), tl.arange(0, BLOCK)
    a = tl.load(exponents + monomial)
    b = tl.load(exponents + LOWER + monomial)
    c = tl.load(exponents + 2 * LOWER + monomial)
    n_kinds = n_species * n_species
    own = scratch + tl.program_id(0).to(tl.int64) * (2 * n_moments * BLOCK)
    zeroth = tl.load(place + 3 * MU * LOWER + mu)[:, None]  # the moments of rank zero
    at_0, has_0 = own + zeroth * BLOCK + lane[None, :], tl.broadcast_to(zeroth >= 0, [MU, BLOCK])
    for block in range(tl.program_id(0), tl.cdiv(n_atoms, BLOCK), tl.num_programs(0)):
        atom = block * BLOCK + lane
        here = atom < n_atoms
        kind = tl.load(mine + atom, mask=here, other=0)
        first = atom.to(tl.int64) * n_neighbours
        moments_0 = tl.zeros([MU, BLOCK], vectors.dtype.element_ty)
        moments_x = tl.zeros([MU, LOWER, BLOCK], vectors.dtype.element_ty)
        moments_y = tl.zeros([MU, LOWER, BLOCK], vectors.dtype.element_ty)
        moments_z = tl.zeros([MU, LOWER, BLOCK], vectors.dtype.element_ty)
        for j in range(n_neighbours):
            x, y, z, r, inverse, other = _pair(vectors, theirs, first + j, here)
            f, slope = _radial(r, kind * n_species + other, n_kinds, mu, coefficients, limits, MU, CHEBYSHEV)
            product = (_powers(x, a, BITS) * _powers(y, b, BITS) * _powers(z, c, BITS))[None, :, :]
            moments_0 += f
            moments_x += (f * x[None, :])[:, None, :] * product
            moments_y += (f * y[None, :])[:, None, :] * product
            moments_z += (f * z[None, :])[:, None, :] * product
        # A moment that several axes lead to is written several times, each time with the same sum but for rounding.
        _store_moments(own, place, 2, moments_z, mu, monomial, lane)
        _store_moments(own, place, 1, moments_y, mu, monomial, lane)
        _store_moments(own, place, 0, moments_x, mu, monomial, lane)
        tl.store(at_0, moments_0, mask=has_0)
        tl.debug_barrier()
        _fill_rows(own, targets, starts, widths, begins, lefts, rights, factors, n_layers, BLOCK, GROUP)
        slot = tl.arange(0, SCALARS)
        scalar = tl.load(scalars + slot)
        values = tl.load(own + scalar[:, None] * BLOCK + lane[None, :]).to(tl.float64)
        energy = tl.load(constants + kind) + tl.sum(tl.load(linear + slot)[:, None] * values, axis=0)
        tl.store(energies + atom, energy, mask=here)
        back = own + n_moments * BLOCK
        weights_0 = tl.load(at_0 + n_moments * BLOCK, mask=has_0, other=0.0)
        weights_x = _load_moments(back, place, 0, a, mu, monomial, lane)
        weights_y = _load_moments(back, place, 1, b, mu, monomial, lane)
        weights_z = _load_moments(back, place, 2, c, mu, monomial, lane)
        share = 1 / (a + b + c + 1).to(weights_0.dtype)[:, None]
        for j in range(n_neighbours):
            x, y, z, r, inverse, other = _pair(vectors, theirs, first + j, here)
            f, slope = _radial(r, kind * n_species + other, n_kinds, mu, coefficients, limits, MU, CHEBYSHEV)
            product = _powers(x, a, BITS) * _powers(y, b, BITS) * _powers(z, c, BITS)
            vx = tl.sum(tl.sum(f[:, None, :] * weights_x, axis=0) * product, axis=0) * inverse
            vy = tl.sum(tl.sum(f[:, None, :] * weights_y, axis=0) * product, axis=0) * inverse
            vz = tl.sum(tl.sum(f[:, None, :] * weights_z, axis=0) * product, axis=0) * inverse
            # A form of rank nu is n times its gradient, divided by nu.
            way = x[None, None, :] * weights_x + y[None, None, :] * weights_y + z[None, None, :] * weights_z
            along = tl.sum(tl.sum(slope[:, None, :] * way, axis=0) * product * share, axis=0)
            along += tl.sum(slope * weights_0, axis=0)
            radial = along - (x * vx + y * vy + z * vz)
            tl.store(gradients + 3 * (first + j), vx + x * radial, mask=here)
            tl.store(gradients + 3 * (first + j) + 1, vy + y * radial, mask=here)
            tl.store(gradients + 3 * (first + j) + 2, vz + z * radial, mask=here)
        tl.debug_barrier()  # the next block writes where this one reads


class Sizes(NamedTuple):
    """Hold what the kernel is compiled for; all but `CHEBYSHEV` and `BITS` are powers of two."""

    BLOCK: int
    MU: int
    LOWER: int
    CHEBYSHEV: int
    BITS: int
    GROUP: int
    SCALARS: int


def sizes_of(model: MtpModel, dtype: torch.dtype) -> Sizes:
    """Choose the sizes of the kernel's tiles for a potential."""
    basis = model.basis
    n_mu = _power_of_two(basis.radial_functions)
    n_lower = max(4, _power_of_two(len(_lower_powers(model))))
    return Sizes(
        BLOCK=min(32, max(4, _TILE // (n_mu * n_lower * dtype.itemsize))),
        MU=n_mu,
        LOWER=n_lower,
        CHEBYSHEV=model.n_chebyshev,
        BITS=max(basis.highest_rank - 1, 0).bit_length(),
        GROUP=32,
        SCALARS=_power_of_two(len(basis.scalars)),
    )


def _lower_powers(model: MtpModel) -> np.ndarray:
    """List the powers (lower, 3) of the monomials below the highest rank; one even where there is no other."""
    _, number = monomial_table(max(model.basis.highest_rank - 1, 0))
    return np.array(list(number))


def _power_of_two(number: int) -> int:
    return 1 << (number - 1).bit_length()


class TritonTerms:
    """Compute site energies and gradients of atoms with padded neighbours in one kernel."""

    def __init__(self, model: MtpModel, *, dtype: torch.dtype, device: torch.device) -> None:
        self._sizes = sizes_of(model, dtype)
        self._n_species, self._n_moments = len(model.elements), model.basis.n_moments
        kinds = {np.dtype(np.float64): dtype, np.dtype(np.int64): torch.int32}
        self._tables = [torch.tensor(v, dtype=kinds[v.dtype], device=device) for v in self._model_tables(model)]
        linear = np.zeros(self._sizes.SCALARS)
        linear[: len(model.linear_eV)] = model.linear_eV
        self._constants = torch.tensor(model.species_eV, dtype=torch.float64, device=device)
        self._linear = torch.tensor(linear, dtype=torch.float64, device=device)
        layers = layers_of(model, self._sizes.GROUP)
        self._n_layers = len(layers)
        self._layers = [
            torch.tensor(v, dtype=kinds[v.dtype], device=device) for v in packed_layers(layers, self._sizes.GROUP)
        ]
        self._programs = 2  # enough for the interpreter
        if device.type == "cuda":
            self._programs = _PROGRAMS * torch.cuda.get_device_properties(device).multi_processor_count

    def _model_tables(self, model: MtpModel) -> list[np.ndarray]:
        """Give limits, coefficients (k, mu, z_i * z_j), exponents (3, lower), place (3, mu, lower) and mu, scalars."""
        sizes, basis = self._sizes, model.basis
        n_mu, species, _, n_chebyshev = model.radial.shape
        coefficients = np.zeros((n_chebyshev, sizes.MU, species * species))
        coefficients[:, :n_mu] = model.radial.reshape(n_mu, -1, n_chebyshev).transpose(2, 0, 1)
        lower = _lower_powers(model)
        exponents = np.zeros((3, sizes.LOWER), np.int64)
        exponents[:, : len(lower)] = lower.T
        number = {tuple(one): k for k, one in enumerate(basis.basic.tolist())}
        place = np.full((3, sizes.MU, sizes.LOWER), -1, np.int64)
        zeroth = np.array([number.get((mu, 0, 0, 0), -1) for mu in range(sizes.MU)])
        for axis, mu, k in np.ndindex(3, n_mu, len(lower)):
            place[axis, mu, k] = number.get((mu, *(lower[k] + np.eye(3, dtype=np.int64)[axis]).tolist()), -1)
        scalars = np.zeros(sizes.SCALARS, np.int64)  # what is filled up has no weight
        scalars[: len(basis.scalars)] = basis.scalars
        limits = np.array([model.cutoff_A, model.scaling, model.least_distance_A])
        return [limits, coefficients, exponents, np.concatenate([place.ravel(), zeroth]), scalars]

    def terms(
        self, vectors: torch.Tensor, mine: torch.Tensor, theirs: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Give energies (n,) in eV in double precision and dE_i / dD_ij (n, k, 3) in eV/A."""
        n, width, _ = vectors.shape
        energies = vectors.new_empty(n, dtype=torch.float64)
        gradients = vectors.new_empty(n, width, 3)
        programs = min(self._programs, triton.cdiv(n, self._sizes.BLOCK))
        scratch = vectors.new_empty(programs * 2 * self._n_moments * self._sizes.BLOCK)
        limits, coefficients, exponents, place, scalars = self._tables
        with torch.cuda.device_of(vectors):
            mtp_terms[(programs,)](
                vectors.contiguous(), mine.to(torch.int32), theirs.to(torch.int32).contiguous(), energies, gradients,
                scratch, limits, self._constants, coefficients, exponents, place, scalars, self._linear,
                *self._layers, n, width, self._n_species, self._n_moments, self._n_layers,
                **self._sizes._asdict(), num_warps=WARPS,
            )  # fmt: skip
        return energies, gradients


def packed_layers(layers: list[Layer], group: int) -> tuple[np.ndarray, ...]:
    """Lay layers one after the other: targets and starts (layers * group), widths, begins, and terms (all * group).

    Targets of -1 fill a layer up to `group` rows; terms that fill up have a factor of zero.
    """
    widths = np.array([len(layer.left) for layer in layers], np.int64)
    targets = np.full((len(layers), group), -1, np.int64)
    starts = np.zeros((len(layers), group))
    shape = (int(widths.sum()) or 1, group)
    lefts, rights, factors = np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape)
    begins = np.cumsum(widths) - widths
    for k, layer in enumerate(layers):
        m, terms = len(layer.target), slice(begins[k], begins[k] + widths[k])
        targets[k, :m], starts[k, :m] = layer.target, layer.start
        lefts[terms, :m], rights[terms, :m], factors[terms, :m] = layer.left, layer.right, layer.factor
    return targets.ravel(), starts.ravel(), widths, begins, lefts.ravel(), rights.ravel(), factors.ravel()


def interpreted() -> bool:
    """Tell whether Triton was imported as an interpreter, so that kernels run on tensors of the CPU."""
    return not isinstance(mtp_terms, triton.runtime.JITFunction)


def on_triton(model: MtpModel, device: str = "cuda", dtype: str = "float32", *, chunk: int = 1 << 20) -> DeviceMtp:
    """Put a potential on a device, evaluated by one Triton kernel; see `on_device`.

    `chunk` atoms at most are computed at once; what the kernel needs beside its results does not grow with them.
    Raises MissingDependencyError where Triton is not installed.
    """
    if triton is None:
        raise MissingDependencyError(
            "the package 'triton' is not installed; wanted it for the compiled GPU kernel: pip install triton (Linux),"
            " or take on_device, which needs torch alone"
        )
    place = checked_place(device, dtype)
    if (place.type == "cpu") != interpreted():
        wanted = "'cuda', or TRITON_INTERPRET=1 set before Python starts" if place.type == "cpu" else "'cpu'"
        raise InputError(f"a Triton kernel on '{device}'; wanted device={wanted}")
    engine = TritonTerms(model, dtype=DTYPES[dtype], device=place)
    return DeviceMtp(model=model, engine=engine, device=str(place), dtype=dtype, chunk=chunk)
