"""Exchanges of whole classes of sites in one Triton kernel a launch, for batches of replicas; twin of `class_torch`.

A lane holds a pair: it counts the neighbours of both sites, packed by species, takes the change of energy from a table
by both species, shell and neighbour, and exchanges the two. Pairs of a launch do not see each other, so lanes neither.

With TRITON_INTERPRET=1, set before this module is imported, the kernel runs in Triton's interpreter on the CPU.
"""

# mypy: allow-untyped-defs
# What a kernel takes has types that only Triton knows.
from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hea_sim.errors import InputError, MissingDependencyError
from hea_sim.sampling.class_torch import Launch
from hea_sim.sampling.class_walk import PackedModel

try:
    import triton
    import triton.language as tl
except ImportError:  # then `TritonExchanges` says so
    triton = tl = None


def _compiled(function: Any) -> Any:
    return function if triton is None else triton.jit(function)


#: Pairs of a program.
BLOCK = 256


@_compiled
def _uniform(key, place):
    """Give number `place` of the stream of a key, both unsigned whole numbers of 64 bits."""
    z = key + (place + 1) * 0x9E3779B97F4A7C15
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB
    return ((z ^ (z >> 31)) >> 11).to(tl.float64) * 1.1102230246251565e-16


@_compiled
def _gain(species, bonds, starts, table, old, new, x, y, z, here, nx, ny, nz, N: tl.constexpr, BITS: tl.constexpr,
          SHELLS: tl.constexpr):  # fmt: skip
    """Give the change of energy of sites (x, y, z) that turn from old into new species, all else as it is."""
    row = (old * N + new) * (SHELLS * (N - 1) + 1)
    total = tl.load(table + row)
    for s in range(SHELLS):
        counts = tl.zeros(x.shape, tl.int64)
        for m in range(tl.load(starts + s), tl.load(starts + s + 1)):
            e, dx = tl.load(bonds + 4 * m), tl.load(bonds + 4 * m + 1)
            dy, dz = tl.load(bonds + 4 * m + 2), tl.load(bonds + 4 * m + 3)
            # Shifts reach at most once around the cell: they come as numbers from 0.
            u, v, w = x + dx, y + dy, z + dz
            u, v, w = tl.where(u >= nx, u - nx, u), tl.where(v >= ny, v - ny, v), tl.where(w >= nz, w - nz, w)
            seen = tl.load(species + ((e.to(tl.int64) * nx + u) * ny + v) * nz + w, mask=here, other=0).to(tl.int64)
            counts += tl.where(seen < N - 1, tl.full(x.shape, 1, tl.int64) << (BITS * seen), 0)
        for k in tl.static_range(N - 1):
            number = ((counts >> (BITS * k)) & ((1 << BITS) - 1)).to(tl.float32)
            total += tl.load(table + row + 1 + s * (N - 1) + k) * number
    return total


@_compiled
def exchange_pairs(
    all_species, planes, partners, bonds_c, bonds_d, starts, table, betas, keys, found,
    c, d, n_planes, sign, ry, rz, nx, ny, nz, n_sites, place,
    N: tl.constexpr, BITS: tl.constexpr, SHELLS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Try the pairs of a launch of replica `program_id(1)`, in place; add trials and accepted ones to `found`."""
    replica = tl.program_id(1)
    species = all_species + replica.to(tl.int64) * n_sites
    lane = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    here = lane < n_planes * ny * nz
    t, y, z = lane // (ny * nz), lane // nz % ny, lane % nz
    x, u = tl.load(planes + t, mask=here, other=0), tl.load(partners + t, mask=here, other=0)
    # numbers from 0 below twice the size, so that no remainder of a negative number is asked for
    v, w = (ry + sign * y + ny) % ny, (rz + sign * z + nz) % nz
    site, other = (x * ny + y) * nz + z, (u * ny + v) * nz + w
    size = nx * ny * nz
    at, there = species + c.to(tl.int64) * size + site, species + d.to(tl.int64) * size + other
    own, theirs = tl.load(at, mask=here, other=0).to(tl.int32), tl.load(there, mask=here, other=0).to(tl.int32)
    here = here & (own != theirs) & ((c != d) | (site < other))
    change = _gain(species, bonds_c, starts, table, own, theirs, x, y, z, here, nx, ny, nz, N, BITS, SHELLS)
    change += _gain(species, bonds_d, starts, table, theirs, own, u, v, w, here, nx, ny, nz, N, BITS, SHELLS)
    drawn = _uniform(tl.load(keys + replica), (place + site).to(tl.uint64))
    rise = change.to(tl.float64)
    taken = here & ((rise <= 0) | (drawn < tl.exp(-tl.load(betas + replica) * rise)))
    tl.store(at, theirs.to(tl.uint8), mask=taken)
    tl.store(there, own.to(tl.uint8), mask=taken)
    tl.atomic_add(found + 2 * replica, tl.sum(here.to(tl.int64), axis=0))
    tl.atomic_add(found + 2 * replica + 1, tl.sum(taken.to(tl.int64), axis=0))


class TritonExchanges:
    """Make launches on species (replicas, classes, X, Y, Z) of a device."""

    def __init__(self, packed: PackedModel, shape: tuple[int, int, int], device: torch.device) -> None:
        if triton is None:
            raise MissingDependencyError(
                "the package 'triton' is not installed; wanted it for the compiled GPU kernel: pip install triton"
                " (Linux), or take engine='torch'"
            )
        if (device.type == "cpu") != interpreted():
            wanted = "'cuda', or TRITON_INTERPRET=1 set before Python starts" if device.type == "cpu" else "'cpu'"
            raise InputError(f"a Triton kernel on '{device}'; wanted device={wanted}")
        n = len(packed.code_of)
        self._n, self._bits, self._shells, self._shape = n, packed.bits, len(packed.weights), shape
        weights = np.zeros((len(packed.weights), n, n - 1), np.float32)
        weights[:, :-1] = packed.weights
        constants = np.append(packed.constants, 0).astype(np.float32)
        rises = (weights[:, None] - weights[:, :, None]).transpose(1, 2, 0, 3).reshape(n, n, -1)
        table = np.concatenate([(constants[None] - constants[:, None])[..., None], rises], axis=2)
        self._table = torch.tensor(np.ascontiguousarray(table, np.float32), device=device)
        bonds = packed.bonds.copy()
        bonds[:, :, 1:] %= shape
        self._bonds = torch.tensor(bonds.astype(np.int32), device=device)
        self._starts = torch.tensor(packed.starts.astype(np.int32), device=device)
        self._device = device

    def exchange(
        self, species: torch.Tensor, launch: Launch, betas: torch.Tensor, keys: torch.Tensor, place: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Make a launch in place; give trials and accepted ones (replicas,)."""
        nx, ny, nz = self._shape
        planes, partners = (
            torch.tensor(p, dtype=torch.int32, device=self._device) for p in (launch.planes, launch.partners)
        )
        found = torch.zeros(len(species), 2, dtype=torch.int64, device=self._device)
        pairs = len(launch.planes) * ny * nz
        exchange_pairs[(triton.cdiv(pairs, BLOCK), len(species))](
            species, planes, partners, self._bonds[launch.c], self._bonds[launch.d], self._starts, self._table, betas,
            keys.view(torch.uint64), found, launch.c, launch.d, len(launch.planes), launch.sign, launch.ry, launch.rz,
            nx, ny, nz, species[0].numel(), place,
            N=self._n, BITS=self._bits, SHELLS=self._shells, BLOCK=BLOCK,
        )  # fmt: skip
        return found[:, 0], found[:, 1]


def interpreted() -> bool:
    """Say whether Triton runs as an interpreter in this process."""
    return triton is not None and not isinstance(exchange_pairs, triton.runtime.JITFunction)
