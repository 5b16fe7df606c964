"""Moment tensor potentials in torch: energies, forces and stresses of a batch, differentiable in every coefficient.

Neighbours are padded to one number an atom; padding lies at the cutoff, where energy and slope are zero. Forces come
from autograd, with `training=True` in a form that can be differentiated again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from hea_sim.potentials.environment import Environment
from hea_sim.potentials.mtp import MtpModel, monomial_table
from hea_sim.potentials.mtp_layers import moment_depths

DTYPES = {"float64": torch.float64, "float32": torch.float32}


class Batch(NamedTuple):
    """Hold systems with padded neighbours: n atoms, up to k neighbours each.

    `vectors` (n, k, 3) in A; `second` (n, k) the neighbour's index; `mine` (n,) and `theirs` (n, k) places in the list
    of elements; `system` (n,); `volumes_A3` (systems,), NaN where a system is not periodic in all directions.
    """

    vectors: torch.Tensor
    second: torch.Tensor
    mine: torch.Tensor
    theirs: torch.Tensor
    system: torch.Tensor
    volumes_A3: torch.Tensor


class Evaluation(NamedTuple):
    """Hold energies (systems,) in eV, forces (n, 3) in eV/A, stress (systems, 3, 3) in eV/A^3 in ASE's sign."""

    energy_eV: torch.Tensor
    forces_eV_per_A: torch.Tensor
    stress_eV_per_A3: torch.Tensor


def padded_batch(
    environment: Environment,
    model: MtpModel,
    *,
    dtype: torch.dtype = torch.float64,
    device: str | torch.device = "cpu",
) -> Batch:
    """Pad the neighbours within the cutoff of the model and move them to a device."""
    vectors, second, _ = _padded(environment, model.cutoff_A, slice(0, len(environment.numbers)))
    mine = environment.indices_of(model.elements)
    return Batch(
        vectors=torch.as_tensor(vectors, dtype=dtype, device=device),
        second=torch.as_tensor(second, device=device),
        mine=torch.as_tensor(mine, device=device),
        theirs=torch.as_tensor(mine[second], device=device),
        system=torch.as_tensor(environment.system, device=device),
        volumes_A3=torch.as_tensor(environment.volumes_A3, dtype=dtype, device=device),
    )


def _padded(environment: Environment, cutoff_A: float, atoms: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give vectors (n, k, 3), neighbours (n, k) and numbers of the pairs (n, k) of some atoms; -1 for no pair."""
    starts = environment.starts[atoms.start : atoms.stop + 1]
    vectors = environment.vectors[starts[0] : starts[-1]]
    first = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    near = np.flatnonzero(np.einsum("pk,pk->p", vectors, vectors) < cutoff_A**2)
    first = first[near]
    counts = np.bincount(first, minlength=len(starts) - 1)
    column = np.arange(len(near)) - np.repeat(np.cumsum(counts) - counts, counts)
    width = max(int(counts.max(initial=0)), 1)
    pairs = np.full((len(counts), width), -1)
    pairs[first, column] = near + starts[0]
    out = np.zeros((len(counts), width, 3))
    out[..., 0] = cutoff_A
    out[first, column] = vectors[near]
    second = np.repeat(np.arange(atoms.start, atoms.stop)[:, None], width, axis=1)
    second[first, column] = environment.second[near + starts[0]]
    return out, second, pairs


def distance_from_alike(radial: torch.Tensor) -> torch.Tensor:
    """Give how far pairs of species are from alike: variance over them of each f_mu's coefficients, relative.

    `radial` is (mu, z_i, z_j, k). Binary alloys never show an atom neighbours of two other species at once; what is
    alike can be carried over.
    """
    mean = radial.mean((1, 2), keepdim=True)
    spread = ((radial - mean) ** 2).mean((1, 2)).sum(-1)
    return (spread / (mean**2).sum((1, 2, 3))).sum()


class MtpModule(torch.nn.Module):
    """Hold the coefficients of an MTP as parameters: `radial` (mu, z_i, z_j, k), `species_eV`, `linear_eV`."""

    def __init__(
        self, model: MtpModel, *, dtype: torch.dtype = torch.float64, device: str | torch.device = "cpu"
    ) -> None:
        super().__init__()
        self._start = model

        def parameter(values: np.ndarray) -> torch.nn.Parameter:
            return torch.nn.Parameter(torch.tensor(values, dtype=dtype, device=device))

        self.radial = parameter(model.radial)
        self.species_eV = parameter(model.species_eV)
        self.linear_eV = parameter(model.linear_eV)
        self._layers = _layers(model)
        self._ranks = _ranks(model)
        _, number = monomial_table(model.basis.highest_rank)
        width = len(number)
        self._columns = torch.tensor([mu * width + number[a, b, c] for mu, a, b, c in model.basis.basic.tolist()])
        self._scalars = torch.as_tensor(_renumbered(model)[model.basis.scalars])
        self.to(device)

    def penalty(self) -> torch.Tensor:
        """Give how far pairs of species are from alike, see `distance_from_alike`."""
        return distance_from_alike(self.radial)

    def to_model(self) -> MtpModel:
        """Give the model with the present coefficients."""

        def values(parameter: torch.Tensor) -> np.ndarray:
            return parameter.detach().cpu().double().numpy().copy()

        return replace(
            self._start,
            radial=values(self.radial),
            species_eV=values(self.species_eV),
            linear_eV=values(self.linear_eV),
        )

    def site_energies(self, vectors: torch.Tensor, mine: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
        """Give the energies (n,) of atoms from their padded neighbours (n, k, 3)."""
        device = vectors.device
        r = vectors.norm(dim=-1)
        unit = vectors / r[..., None]
        f = self._radial(r, mine, theirs)  # (n, k, mu)
        monomials = [torch.ones_like(r)[..., None]]
        for parent, axis in self._ranks:
            monomials.append(monomials[-1][..., parent.to(device)] * unit[..., axis.to(device)])
        moments = (f.transpose(1, 2) @ torch.cat(monomials, -1)).flatten(1)
        rows = moments.index_select(1, self._columns.to(device)).T  # (moments, n)
        for layer in self._layers:
            left, right, out = layer.left.to(device), layer.right.to(device), layer.out.to(device)
            terms = layer.factor.to(rows)[:, None] * rows[left] * rows[right]
            made = rows.new_zeros(layer.width, rows.shape[1]).index_add(0, out, terms)
            rows = torch.cat([rows, made])
        return self.species_eV[mine] + self.linear_eV @ rows[self._scalars.to(device)]

    def _radial(self, r: torch.Tensor, mine: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
        model = self._start
        u = 2 * (r - model.least_distance_A) / (model.cutoff_A - model.least_distance_A) - 1
        q = [model.scaling * (model.cutoff_A - r).clamp(min=0) ** 2]
        q.append(u * q[0])
        while len(q) < model.n_chebyshev:
            q.append(2 * u * q[-1] - q[-2])
        functions = torch.stack(q[: model.n_chebyshev], -1)
        of_species = torch.nn.functional.one_hot(theirs, len(model.elements)).to(r)
        spread = (of_species[..., :, None] * functions[..., None, :]).flatten(2)  # (n, k, species * chebyshev)
        coefficients = self.radial.permute(1, 2, 3, 0).flatten(1, 2)  # (z_i, z_j * chebyshev, mu)
        return spread @ coefficients[mine]

    def forward(self, batch: Batch, *, training: bool = True) -> Evaluation:
        """Evaluate a batch; with `training` the results can be differentiated in the coefficients."""
        vectors = batch.vectors.detach().requires_grad_(True)
        energies = self.site_energies(vectors, batch.mine, batch.theirs)
        (gradient,) = torch.autograd.grad(energies.sum(), vectors, create_graph=training)
        if not training:
            energies = energies.detach()
        systems = len(batch.volumes_A3)
        energy = energies.new_zeros(systems).index_add(0, batch.system, energies)
        forces = gradient.sum(1).index_add(0, batch.second.flatten(), -gradient.flatten(0, 1))
        virial = torch.einsum("nka,nkb->nab", batch.vectors, gradient)
        virial = virial.new_zeros(systems, 3, 3).index_add(0, batch.system, virial)
        none = batch.volumes_A3.isnan()[:, None, None]
        volumes = batch.volumes_A3.nan_to_num(1.0)[:, None, None]  # NaN here would reach every gradient of a loss
        stress = (0.5 * (virial + virial.transpose(1, 2)) / volumes).masked_fill(none, torch.nan)
        return Evaluation(energy, forces, stress)


@dataclass(frozen=True, kw_only=True, eq=False)
class TorchMtpModel:
    """Evaluate an MTP by torch behind the contract of all potentials, in chunks of atoms, on any device."""

    model: MtpModel
    device: str = "cpu"
    chunk: int = 512

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols in the order of the coefficients."""
        return self.model.elements

    @property
    def cutoff_A(self) -> float:
        """Distance in A beyond which atoms do not see each other."""
        return self.model.cutoff_A

    def site_terms(self, environment: Environment) -> tuple[np.ndarray, np.ndarray]:
        """Give site energies (n,) in eV and dE_i / dD_ij (pairs, 3) in eV/A, both as double numbers."""
        dtype = DTYPES[self.model.precision]
        module = MtpModule(self.model, dtype=dtype, device=self.device)
        species = environment.indices_of(self.elements)
        energies, gradients = np.zeros(len(species)), np.zeros((len(environment.second), 3))
        for start in range(0, len(species), self.chunk):
            atoms = slice(start, min(start + self.chunk, len(species)))
            padded, second, pairs = _padded(environment, self.cutoff_A, atoms)
            vectors = torch.tensor(padded, dtype=dtype, device=self.device, requires_grad=True)
            mine = torch.as_tensor(species[atoms], device=self.device)
            theirs = torch.as_tensor(species[second], device=self.device)
            site = module.site_energies(vectors, mine, theirs)
            (gradient,) = torch.autograd.grad(site.sum(), vectors)
            energies[atoms] = site.detach().cpu().numpy()
            gradients[pairs[pairs >= 0]] = gradient.cpu().numpy()[pairs >= 0]
        return energies, gradients


class _Layer(NamedTuple):
    """Products whose factors are all known, and where in the layer they go."""

    left: torch.Tensor
    right: torch.Tensor
    factor: torch.Tensor
    out: torch.Tensor
    width: int


def _renumbered(model: MtpModel) -> np.ndarray:
    """Give each moment's row when moments are sorted by depth."""
    depth = moment_depths(model)
    row = np.empty(len(depth), np.int64)
    row[np.argsort(depth, kind="stable")] = np.arange(len(depth))
    return row


def _layers(model: MtpModel) -> list[_Layer]:
    depth, row = moment_depths(model), _renumbered(model)
    layers, products = [], model.basis.products
    for level in range(1, int(depth.max(initial=0)) + 1):
        members = np.flatnonzero(depth == level)
        left, right, factor, out = products[depth[products[:, 3]] == level].T
        layers.append(
            _Layer(
                left=torch.tensor(row[left]),
                right=torch.tensor(row[right]),
                factor=torch.tensor(factor),
                out=torch.tensor(row[out] - row[members].min()),
                width=len(members),
            )
        )
    return layers


def _ranks(model: MtpModel) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Give for each rank the parent within the rank below and the axis of its monomials."""
    table, number = monomial_table(model.basis.highest_rank)
    ranks = np.array([sum(powers) for powers in number])
    found = []
    for rank in range(1, model.basis.highest_rank + 1):
        rows = table[ranks == rank]
        below = np.flatnonzero(ranks == rank - 1)[0]
        found.append((torch.tensor(rows[:, 0] - below), torch.tensor(rows[:, 1])))
    return found
