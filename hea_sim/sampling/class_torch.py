"""Exchanges of whole classes of sites in torch, for batches of replicas; twin of `class_kernels`, launch by launch.

The neighbours of all sites of a class by one bond are another class, rolled: so counts of neighbours are sums of rolled
arrays of packed species. Random numbers are those of the same streams as on the CPU, in 64-bit whole numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from hea_sim.sampling.class_walk import PackedModel
from hea_sim.sampling.random_streams import FIRST, GOLDEN, SECOND


class Launch(NamedTuple):
    """Hold what a launch exchanges: site (x, y, z) of class c, x of `planes`, with one of class d.

    Its partner is in plane `partners`, row `ry + sign y`, place `rz + sign z`; within a class the sign is -1.
    """

    c: int
    d: int
    planes: np.ndarray
    partners: np.ndarray
    sign: int
    ry: int
    rz: int


def _signed(number: np.uint64) -> int:
    return int(np.array(number, np.uint64).view(np.int64))


def uniforms(keys: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Give the numbers (..., n) of streams `keys` (..., 1) at `places` (n,), both whole numbers of 64 bits."""

    def shifted(z: torch.Tensor, by: int) -> torch.Tensor:
        return (z >> by) & ((1 << (64 - by)) - 1)

    z = keys + (places + 1) * _signed(GOLDEN)
    z = (z ^ shifted(z, 30)) * _signed(FIRST)
    z = (z ^ shifted(z, 27)) * _signed(SECOND)
    return shifted(z ^ shifted(z, 31), 11).double() * 2.0**-53


class TorchExchanges:
    """Make launches on species (replicas, classes, X, Y, Z) of a device."""

    def __init__(self, packed: PackedModel, shape: tuple[int, int, int], device: torch.device) -> None:
        self._packed, self._shape = packed, shape
        n = len(packed.code_of)
        width = packed.bits * (n - 1)
        kind = torch.int16 if width < 16 else torch.int32 if width < 32 else torch.int64
        self._code_of = torch.tensor(packed.code_of.astype(np.int64), dtype=kind, device=device)
        weights = np.zeros((len(packed.weights), n, n - 1), np.float32)
        weights[:, :-1] = packed.weights
        self._weights = torch.tensor(weights, device=device)
        self._constants = torch.tensor(np.append(packed.constants, 0).astype(np.float32), device=device)
        self._device = device

    def _fields(self, species: torch.Tensor, c: int, planes: torch.Tensor) -> torch.Tensor:
        """Give the energies (replicas, n, planes, Y, Z) of sites with each species, less those with the last."""
        packed, (nx, _, _) = self._packed, self._shape
        n = len(packed.code_of)
        fields = self._constants.view(1, n, 1, 1, 1).expand(len(species), n, len(planes), *self._shape[1:]).clone()
        for s in range(len(packed.starts) - 1):
            counts: torch.Tensor | None = None
            for e, dx, dy, dz in packed.bonds[c, packed.starts[s] : packed.starts[s + 1]].tolist():
                seen = torch.roll(self._code_of[species[:, e, (planes + dx) % nx].int()], (-dy, -dz), (2, 3))
                counts = seen if counts is None else counts.add_(seen)
            assert counts is not None
            for y in range(n - 1):
                number = ((counts >> (packed.bits * y)) & ((1 << packed.bits) - 1)).float()
                fields += self._weights[s, :, y].view(1, n, 1, 1, 1) * number[:, None]
        return fields

    def exchange(
        self, species: torch.Tensor, launch: Launch, betas: torch.Tensor, keys: torch.Tensor, place: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Make a launch in place; give trials and accepted ones (replicas,)."""
        nx, ny, nz = self._shape
        device, r = self._device, len(species)
        planes, partners = (torch.tensor(p, device=device) for p in (launch.planes, launch.partners))
        rows = (launch.ry + launch.sign * torch.arange(ny, device=device)) % ny
        cells = (launch.rz + launch.sign * torch.arange(nz, device=device)) % nz
        site = (planes[:, None, None] * ny + torch.arange(ny, device=device)[:, None]) * nz
        site = site + torch.arange(nz, device=device)
        own = species[:, launch.c, planes]
        theirs = species[:, launch.d, partners][:, :, rows][..., cells]
        change = self._gain(self._fields(species, launch.c, planes), own, theirs)
        there = self._fields(species, launch.d, partners)[:, :, :, rows][..., cells]
        change = (change + self._gain(there, theirs, own)).double()
        pairs = own != theirs
        if launch.c == launch.d:
            other = (partners[:, None, None] * ny + rows[:, None]) * nz + cells
            pairs &= site < other
        drawn = uniforms(keys.view(r, 1), place + site.ravel()).view(r, *site.shape)
        taken = pairs & ((change <= 0) | (drawn < torch.exp(-betas.view(r, 1, 1, 1) * change)))
        flat = species.view(r, species.shape[1], -1)
        home, away = launch.c, launch.d
        k, at = torch.nonzero(taken.view(r, -1), as_tuple=True)
        there_site = ((partners[:, None, None] * ny + rows[:, None]) * nz + cells).ravel()
        here_site = site.ravel()
        flat[k, home, here_site[at]] = theirs.reshape(r, -1)[k, at]
        flat[k, away, there_site[at]] = own.reshape(r, -1)[k, at]
        return pairs.sum((1, 2, 3)), taken.sum((1, 2, 3))

    @staticmethod
    def _gain(fields: torch.Tensor, old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
        """Give the change of energy of sites that turn from old into new species (replicas, planes, Y, Z)."""
        at = torch.stack([new, old], dim=1).long()
        found = torch.gather(fields, 1, at)
        return found[:, 0] - found[:, 1]
