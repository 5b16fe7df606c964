"""Moment tensor potentials: the kernel and torch equal the plain formulas, which keep the laws."""

import numpy as np
import pytest
import torch
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.errors import InputError
from hea_sim.potentials.checks import check_potential, raise_if_failed
from hea_sim.potentials.contract import SitePotential
from hea_sim.potentials.environment import find_neighbours
from hea_sim.potentials.mtp import MtpModel, loss_in_pairs, new_mtp, plain_site_terms
from hea_sim.potentials.mtp_torch import MtpModule, TorchMtpModel, padded_batch

from .mtp_systems import alloy, cluster, potential

ELEMENTS = ("Nb", "Mo", "Ta")


@pytest.mark.parametrize("level", [2, 10])
def test_an_mtp_keeps_all_laws(level):
    raise_if_failed(check_potential(SitePotential(name="mtp", model=potential(level))))


@pytest.mark.parametrize("level", [2, 4, 6, 12, 16])
def test_the_kernel_equals_the_formulas(level):
    model = potential(level, cutoff_A=5.0)
    environment = find_neighbours([alloy(seed=1), alloy(size=3, seed=2), cluster(7, 0)], 5.5)
    energies, gradients = model.site_terms(environment)
    plain_energies, plain_gradients = plain_site_terms(model, environment)
    np.testing.assert_allclose(energies, plain_energies, rtol=0, atol=1e-10)
    np.testing.assert_allclose(gradients, plain_gradients, rtol=0, atol=1e-10)
    far = np.linalg.norm(environment.vectors, axis=1) > 5.0
    assert far.any() and not gradients[far].any()


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 37),
    seed=st.integers(0, 10**6),
    level=st.sampled_from([2, 6, 8]),
    polynomials=st.integers(1, 9),
    skin=st.floats(0, 2),
)
def test_the_kernel_equals_the_formulas_for_any_number_of_atoms_and_neighbours(n, seed, level, polynomials, skin):
    model = potential(level, radial_functions=polynomials, seed=seed)
    environment = find_neighbours([cluster(n, seed)], model.cutoff_A + skin)
    energies, gradients = model.site_terms(environment)
    plain_energies, plain_gradients = plain_site_terms(model, environment)
    np.testing.assert_allclose(energies, plain_energies, rtol=0, atol=1e-10)
    np.testing.assert_allclose(gradients, plain_gradients, rtol=0, atol=1e-10)


def test_single_precision_is_a_thousandth_of_a_good_fits_errors():
    model = potential(14, cutoff_A=5.0)
    model = model.with_coefficients(0.05 * model.coefficients)  # forces of about 1 eV/A, as in a metal
    environment = find_neighbours([alloy(size=3)], 5.0)
    energies, gradients = model.with_precision("float32").site_terms(environment)
    exact_energies, exact_gradients = model.site_terms(environment)
    assert (energies.dtype, gradients.dtype) == (np.float64, np.float32)
    assert 0.1 < np.abs(exact_gradients).max() < 10
    np.testing.assert_allclose(energies, exact_energies, rtol=0, atol=1e-5)
    np.testing.assert_allclose(gradients, exact_gradients, rtol=0, atol=1e-4)


def test_an_atom_alone_has_the_constant_of_its_species():
    model = potential()
    result = SitePotential(name="mtp", model=model).evaluate(Atoms("Mo"))
    assert result.energy_eV == model.species_eV[1] == -8.5
    assert not result.forces_eV_per_A.any()


def test_the_energy_of_a_dimer_is_that_of_the_definition():
    """Level 2 has one scalar, M_0,0: E = sum of f_0 over both atoms, T_0 and T_1 by hand."""
    radial = np.zeros((1, 2, 2, 2))
    radial[0, 0, 1], radial[0, 1, 0] = [0.7, -0.2], [0.4, 0.1]
    model = MtpModel(
        elements=("Ni", "Cr"), basis=new_mtp(["H"], 2, 3.0, seed=0).basis, least_distance_A=2.0, cutoff_A=5.0,
        scaling=0.5, radial=radial, species_eV=np.zeros(2), linear_eV=np.array([2.0]),
    )  # fmt: skip
    u = 2 * (2.9 - 2) / 3 - 1
    wanted = 2.0 * 0.5 * (5 - 2.9) ** 2 * (0.7 - 0.2 * u + 0.4 + 0.1 * u)
    dimer = Atoms("NiCr", positions=[[0, 0, 0], [0, 0, 2.9]])
    assert SitePotential(name="mtp", model=model).evaluate(dimer).energy_eV == pytest.approx(wanted, rel=1e-12)


def test_the_rows_of_a_fit_give_energies_forces_and_stresses():
    model = potential(10)
    systems = [alloy(seed=1), cluster(9, 1), alloy(size=1, seed=3)]
    design = model.design(find_neighbours(systems, 5.0))
    assert design.energy.shape == (3, model.n_features) == (3, 3 + 16)
    results = SitePotential(name="mtp", model=model).evaluate(systems)
    energies = [r.energy_eV for r in results]
    np.testing.assert_allclose(design.energy @ model.coefficients, energies, rtol=0, atol=1e-10)
    forces = np.concatenate([r.forces_eV_per_A for r in results]).ravel()
    np.testing.assert_allclose(design.forces @ model.coefficients, forces, rtol=0, atol=1e-10)
    for k in (0, 2):
        s = results[k].stress_eV_per_A3
        voigt = [s[0, 0], s[1, 1], s[2, 2], s[1, 2], s[0, 2], s[0, 1]]
        np.testing.assert_allclose(design.stress[k] @ model.coefficients, voigt, rtol=0, atol=1e-10)
    assert np.isnan(design.stress[1]).all() and results[1].stress_eV_per_A3 is None


def test_coefficients_are_found_again_from_energies_and_forces():
    model = potential(8)
    systems = [alloy(seed=seed) for seed in range(6)]
    design = model.design(find_neighbours(systems, model.cutoff_A))
    results = SitePotential(name="mtp", model=model).evaluate(systems)
    wanted = np.concatenate([[r.energy_eV for r in results], *(r.forces_eV_per_A.ravel() for r in results)])
    rows = np.concatenate([design.energy, design.forces])
    found = model.with_coefficients(np.linalg.lstsq(rows, wanted, rcond=None)[0])
    np.testing.assert_allclose(found.coefficients, model.coefficients, rtol=1e-6)


@pytest.mark.parametrize("level", [2, 10, 16])
def test_torch_equals_the_formulas(level):
    model = potential(level, cutoff_A=5.0)
    systems = [alloy(seed=1), alloy(size=1, seed=2), cluster(8, 0)]
    environment = find_neighbours(systems, 5.4)
    module = MtpModule(model)
    found = module(padded_batch(environment, model), training=False)
    for k, result in enumerate(SitePotential(name="mtp", model=model).evaluate(systems)):
        assert found.energy_eV[k].item() == pytest.approx(result.energy_eV, abs=1e-10)
        forces = found.forces_eV_per_A[environment.system == k].numpy()
        np.testing.assert_allclose(forces, result.forces_eV_per_A, rtol=0, atol=1e-10)
        if result.stress_eV_per_A3 is not None:
            np.testing.assert_allclose(found.stress_eV_per_A3[k], result.stress_eV_per_A3, rtol=0, atol=1e-10)
    for got, wanted in zip(
        TorchMtpModel(model=model, chunk=7).site_terms(environment), plain_site_terms(model, environment), strict=True
    ):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("level", "polynomials"), [(2, 8), (8, 3), (14, 8)])
def test_the_kernels_gradient_in_the_coefficients_equals_torch(level, polynomials):
    model = potential(level, radial_functions=polynomials)
    environment = find_neighbours([alloy(seed=1), cluster(11, 2)], model.cutoff_A + 0.4)
    rng = np.random.default_rng(0)
    site_weights = rng.standard_normal(len(environment.numbers))
    pair_weights = rng.standard_normal((len(environment.second), 3))
    radial, linear = model.coefficient_gradient(environment, site_weights, pair_weights)

    module, batch = MtpModule(model), padded_batch(environment, model)
    near = np.linalg.norm(environment.vectors, axis=1) < model.cutoff_A
    padded = torch.zeros_like(batch.vectors)
    column = np.concatenate([np.arange(n) for n in np.bincount(environment.first[near], minlength=len(site_weights))])
    padded[environment.first[near], column] = torch.tensor(pair_weights[near])
    vectors = batch.vectors.clone().requires_grad_(True)
    energies = module.site_energies(vectors, batch.mine, batch.theirs)
    (slopes,) = torch.autograd.grad(energies.sum(), vectors, create_graph=True)
    (torch.tensor(site_weights) @ energies + (slopes * padded).sum()).backward()
    np.testing.assert_allclose(radial, module.radial.grad, rtol=1e-10, atol=1e-10 * np.abs(radial).max())
    wanted = torch.cat([module.species_eV.grad, module.linear_eV.grad])
    np.testing.assert_allclose(linear, wanted, rtol=1e-10, atol=1e-10 * np.abs(linear).max())


def test_torch_gives_the_gradient_of_a_loss_in_every_coefficient():
    """A loss of energies and forces, differentiated through the forces, against central differences of the kernel."""
    model = potential(8)
    systems = [alloy(seed=1, size=1), cluster(6, 2)]
    environment = find_neighbours(systems, model.cutoff_A)
    module = MtpModule(model)
    found = module(padded_batch(environment, model))
    (found.energy_eV.square().sum() + found.forces_eV_per_A.square().sum()).backward()

    def loss(radial, coefficients):
        changed = MtpModel(**{**vars(model), "radial": radial}).with_coefficients(coefficients)
        results = SitePotential(name="mtp", model=changed).evaluate_in(environment)
        return sum(r.energy_eV**2 + (r.forces_eV_per_A**2).sum() for r in results)

    rng = np.random.default_rng(0)
    radial_way, linear_way = rng.standard_normal(model.radial.shape), rng.standard_normal(model.n_features)
    step = 1e-5
    slope = (
        loss(model.radial + step * radial_way, model.coefficients + step * linear_way)
        - loss(model.radial - step * radial_way, model.coefficients - step * linear_way)
    ) / (2 * step)
    linear = torch.cat([module.species_eV.grad, module.linear_eV.grad])
    by_torch = (module.radial.grad * torch.tensor(radial_way)).sum() + linear @ torch.tensor(linear_way)
    assert by_torch.item() == pytest.approx(slope, rel=1e-6)
    same = module.to_model()
    assert np.array_equal(same.radial, model.radial) and np.array_equal(same.coefficients, model.coefficients)


def test_the_gradient_of_a_loss_by_the_kernel_equals_torch():
    """Energies, forces and stresses together, through `loss_in_pairs`; one of the systems has no stress."""
    model = potential(8)
    environment = find_neighbours([alloy(seed=1, size=1), cluster(6, 2), alloy(seed=4)], model.cutoff_A)
    module = MtpModule(model)
    found = module(padded_batch(environment, model))
    stress = found.stress_eV_per_A3[[0, 2]]
    (found.energy_eV.square().sum() + found.forces_eV_per_A.square().sum() + 1e3 * stress.square().sum()).backward()

    results = SitePotential(name="mtp", model=model).evaluate_in(environment)
    in_energy = 2 * np.array([r.energy_eV for r in results])
    in_forces = 2 * np.concatenate([r.forces_eV_per_A for r in results])
    in_stress = np.stack([np.zeros((3, 3)) if (s := r.stress_eV_per_A3) is None else 2e3 * s for r in results])
    pair_weights = loss_in_pairs(environment, in_forces, in_stress)
    radial, linear = model.coefficient_gradient(environment, in_energy[environment.system], pair_weights)
    np.testing.assert_allclose(radial, module.radial.grad, rtol=1e-9, atol=1e-10 * np.abs(radial).max())
    wanted = torch.cat([module.species_eV.grad, module.linear_eV.grad])
    np.testing.assert_allclose(linear, wanted, rtol=1e-9, atol=1e-10 * np.abs(linear).max())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"elements": ("Nb", "Mo")}, "radial coefficients of shape"),
        ({"elements": ("Nb", "Nb", "Mo")}, "each once"),
        ({"elements": ("Nb", "Xx", "Mo")}, "no element 'Xx'"),
        ({"species_eV": np.zeros(2)}, "2 constants"),
        ({"linear_eV": np.full(9, np.nan)}, "not finite"),
        ({"cutoff_A": 1.0}, "wanted 0 <= least < cutoff"),
        ({"precision": "float16"}, "wanted float64 or float32"),
    ],
)
def test_inconsistent_potentials_are_refused(change, says):
    model = potential(8)
    fields = {name: getattr(model, name) for name in MtpModel.__dataclass_fields__}
    with pytest.raises(InputError, match=says) as caught:
        MtpModel(**{**fields, **change})
    assert "\n" not in str(caught.value)


def test_wrong_coefficients_and_missing_elements_are_refused():
    model = potential(8)
    with pytest.raises(InputError, match=r"wanted \(12,\)"):
        model.with_coefficients(np.zeros(9))
    with pytest.raises(InputError, match="no W in this potential"):
        model.site_terms(find_neighbours([Atoms("W2", positions=[[0, 0, 0], [0, 0, 2.5]])], 5.0))
    with pytest.raises(InputError, match="cutoff beyond the least distance"):
        new_mtp(ELEMENTS, 8, 1.5, seed=0)
