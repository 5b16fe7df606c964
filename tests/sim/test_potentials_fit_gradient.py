"""Fits by gradient: they end where the linear solve ends, go on after a stop with the same bits, refuse nonsense."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hea_sim.errors import InputError
from hea_sim.potentials.environment import find_neighbours
from hea_sim.potentials.fitting import GradientSettings, Tolerance, Weights, build_rows, fit_gradient, fit_linear
from hea_sim.potentials.mtp import new_mtp
from hea_sim.potentials.mtp_torch import MtpModule, padded_batch
from hea_sim.potentials.mtp_training import KernelMtp
from tests.pair_functions import cells, known_model, labelled

from .mtp_systems import alloy, cluster, potential

WEIGHTS = Weights(default=Tolerance(energy_meV_per_atom=20.0, force_eV_per_A=0.1, stress_GPa=2.0))


class Design(torch.nn.Module):
    """A linear model from its rows, and one number that is not linear: the coefficients are all scaled by it."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        generator = torch.Generator().manual_seed(0)
        start = 0.1 * torch.randn(model.n_features, generator=generator, dtype=torch.float64)
        self.coefficients = torch.nn.Parameter(start)
        self.scale = torch.nn.Parameter(torch.tensor(0.5, dtype=torch.float64))

    def batch(self, environment):
        energy, forces, stress = (torch.as_tensor(part) for part in self.model.design(environment))
        return energy, forces, stress

    def forward(self, batch, *, training=True):
        c = self.coefficients * self.scale
        energy, forces, stress = batch
        voigt = stress @ c
        full = voigt[:, [0, 5, 4, 5, 1, 3, 4, 3, 2]].reshape(-1, 3, 3)
        return energy @ c, (forces @ c).reshape(-1, 3), full


def _run(structures, settings, **more):
    module = Design(known_model())
    history = fit_gradient(module, module.batch, 4.5, structures, WEIGHTS, settings, **more)
    return module, history


def test_the_minimum_is_that_of_the_linear_fit():
    structures = labelled(known_model(), cells(20), noise_eV=0.02)
    settings = GradientSettings(epochs=20, batch=5, learning_rate=0.05, lbfgs_rounds=60)
    module, history = _run(structures, settings)
    wanted = fit_linear(build_rows(known_model(), structures), WEIGHTS, penalty=0.0)
    found = (module.coefficients * module.scale).detach().numpy()
    assert np.allclose(found, wanted.coefficients, atol=1e-4)
    assert [h.phase for h in history] == ["adam"] * 20 + ["l-bfgs"] * 60
    assert history[-1].loss < history[19].loss < history[0].loss


@pytest.mark.parametrize("stop_after", [3, 8])
def test_a_run_that_was_stopped_ends_with_the_same_bits(tmp_path, stop_after):
    structures, held_out = labelled(known_model(), cells(12)), labelled(known_model(), cells(4, seed=2))
    settings = GradientSettings(epochs=6, batch=4, lbfgs_rounds=4, seed=3)
    whole, history = _run(structures, settings, validation=held_out)

    def stop(step):
        if step.number + (6 if step.phase == "l-bfgs" else 0) > stop_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _run(structures, settings, validation=held_out, checkpoint=tmp_path / "state.pt", progress=stop)
    told = []
    again, second = _run(
        structures, settings, validation=held_out, checkpoint=tmp_path / "state.pt", progress=told.append
    )
    assert len(told) == 10 - stop_after and second == history
    assert torch.equal(again.coefficients, whole.coefficients) and torch.equal(again.scale, whole.scale)
    with pytest.raises(InputError, match="another fit"):
        _run(structures[:-1], settings, validation=held_out, checkpoint=tmp_path / "state.pt")


def test_solving_in_between_gets_there_at_once():
    structures = labelled(known_model(), cells(12))
    rows = build_rows(known_model(), structures)

    def solve(module):
        c = fit_linear(rows, WEIGHTS, penalty=0.0).coefficients
        with torch.no_grad():
            module.coefficients.copy_(torch.as_tensor(c) / module.scale)

    settings = GradientSettings(epochs=2, batch=4, learning_rate=1e-4, lbfgs_rounds=0, solve_every=1)
    module, history = _run(structures, settings, solve=solve)
    assert history[-1].loss < 1e-3
    found = (module.coefficients * module.scale).detach().numpy()
    assert np.allclose(found, known_model().coefficients, atol=1e-6)


def test_an_mtp_follows_the_gradient_to_smaller_errors_on_what_it_had_not_seen():
    from hea_sim.potentials.mtp import new_mtp
    from hea_sim.potentials.mtp_torch import MtpModule, padded_batch

    truth = known_model()
    structures, held_out = labelled(truth, cells(16)), labelled(truth, cells(6, seed=4))
    model = new_mtp(("Ni", "Al"), 6, 4.5, 4, seed=0, least_distance_A=1.8)
    module = MtpModule(model)

    def solve(module):
        present = module.to_model()
        c = fit_linear(build_rows(present, structures), WEIGHTS).coefficients
        with torch.no_grad():
            module.species_eV.copy_(torch.as_tensor(c[:2]))
            module.linear_eV.copy_(torch.as_tensor(c[2:]))

    history = fit_gradient(
        module,
        lambda environment: padded_batch(environment, model),
        model.cutoff_A,
        structures,
        WEIGHTS,
        GradientSettings(epochs=10, batch=4, learning_rate=5e-3, lbfgs_rounds=6, solve_every=5),
        validation=held_out,
        solve=solve,
    )
    assert history[-1].validation < 0.2 * history[0].validation


def test_what_makes_no_sense_is_refused():
    with pytest.raises(InputError, match="no structures"):
        _run([], GradientSettings())
    structures = labelled(known_model(), cells(4))
    with pytest.raises(InputError, match="learning_rate"):
        module = Design(known_model())
        module.scale.data.fill_(float("nan"))
        fit_gradient(module, module.batch, 4.5, structures, WEIGHTS, GradientSettings(epochs=1))


def _in_torch(module, batch):
    energy, forces, stress = module(batch, training=True)
    loss = energy.square().sum() + forces.square().sum() + 50.0 * stress.square().sum()
    return energy, forces, stress, torch.autograd.grad(loss, list(module.parameters()))


def test_compiled_kernels_train_as_automatic_differentiation_does():
    model = potential(8)
    environment = find_neighbours([alloy(size=2), cluster(5, seed=1)], model.cutoff_A)
    fast = _in_torch(KernelMtp(model), environment)
    slow = _in_torch(MtpModule(model), padded_batch(environment, model))
    periodic = torch.tensor([True, False])
    assert torch.allclose(fast[0], slow[0], atol=1e-9) and torch.allclose(fast[1], slow[1], atol=1e-9)
    assert torch.allclose(fast[2][periodic], slow[2][periodic], atol=1e-11)
    fast_gradients = _in_torch(KernelMtp(model), only := find_neighbours([alloy(size=2)], model.cutoff_A))[3]
    slow_gradients = _in_torch(MtpModule(model), padded_batch(only, model))[3]
    for one, other in zip(fast_gradients, slow_gradients, strict=True):
        assert torch.allclose(one, other, rtol=1e-8, atol=1e-8 * float(other.abs().max()))


def test_what_is_alike_costs_nothing_and_scale_does_not_count():
    model = new_mtp(["Nb", "Mo"], 8, 4.5, seed=0)
    assert KernelMtp(model).penalty().item() < 1e-24
    apart = potential(8)
    larger = replace(apart, radial=7.0 * apart.radial)
    assert KernelMtp(larger).penalty().item() == pytest.approx(float(KernelMtp(apart).penalty()), rel=1e-12)
    assert KernelMtp(apart).penalty().item() > 0
