"""Fit a moment tensor potential by gradient with the compiled kernels: what torch's optimizers see is one function.

The forward pass gives energies, forces and stresses; the backward pass turns the derivatives of a loss in them into
those in the coefficients with the hand-written second adjoint of `MtpModel.coefficient_gradient`. On a CPU this is
some ten times faster than differentiating twice through `MtpModule`, and takes memory for one atom, not for a batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hea_sim.potentials.environment import Environment
from hea_sim.potentials.mtp import MtpModel, loss_in_pairs
from hea_sim.potentials.mtp_torch import distance_from_alike
from hea_sim.potentials.pair_kernels import gather_forces


class KernelMtp(torch.nn.Module):
    """Hold the coefficients of an MTP as parameters, as `MtpModule` does; batches are environments."""

    def __init__(self, model: MtpModel) -> None:
        super().__init__()
        self._start = model
        self.radial, self.species_eV, self.linear_eV = (
            torch.nn.Parameter(torch.tensor(values, dtype=torch.float64))
            for values in (model.radial, model.species_eV, model.linear_eV)
        )

    def penalty(self) -> torch.Tensor:
        """Give how far pairs of species are from alike, see `distance_from_alike`."""
        return distance_from_alike(self.radial)

    def to_model(self) -> MtpModel:
        """Give the model with the present coefficients."""
        return self._start.with_parameters(
            *(values.detach().numpy().copy() for values in (self.radial, self.species_eV, self.linear_eV))
        )

    def forward(self, batch: Environment, *, training: bool = True) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Give energies (systems,) in eV, forces (n, 3) in eV/A and stress (systems, 3, 3) in eV/A^3, ASE's sign."""
        return _Terms.apply(self.radial, self.species_eV, self.linear_eV, self._start, batch)


class _Terms(torch.autograd.Function):
    """Energies, forces and stresses of an environment as a function of the coefficients."""

    @staticmethod
    def forward(
        ctx: Any, radial: torch.Tensor, species_eV: torch.Tensor, linear_eV: torch.Tensor, start: MtpModel,
        environment: Environment,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
        """Evaluate; stress is zero where a system has none."""
        model = start.with_parameters(radial.numpy(), species_eV.numpy(), linear_eV.numpy())
        ctx.model, ctx.environment = model, environment
        sites, gradients = model.site_terms(environment)
        systems = len(environment.volumes_A3)
        forces, virials = gather_forces(
            environment.starts, environment.second, environment.vectors, gradients, environment.system, systems
        )
        volumes = np.where(np.isnan(environment.volumes_A3), np.inf, environment.volumes_A3)
        stress = 0.5 * (virials + virials.transpose(0, 2, 1)) / volumes[:, None, None]
        energy = np.bincount(environment.system, sites, minlength=systems)
        return torch.from_numpy(energy), torch.from_numpy(forces), torch.from_numpy(stress)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Carry derivatives of a loss over to the coefficients."""
        in_energy, in_forces, in_stress = (g.numpy() for g in gradients)
        environment, model = ctx.environment, ctx.model
        pairs = loss_in_pairs(environment, in_forces, in_stress)
        radial, coefficients = model.coefficient_gradient(environment, in_energy[environment.system], pairs)
        n = len(model.elements)
        made = (torch.from_numpy(np.ascontiguousarray(a)) for a in (radial, coefficients[:n], coefficients[n:]))
        return (*made, None, None)
