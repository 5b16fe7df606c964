"""Fits of cluster expansions find planted models, say what cells cannot decide, and know how wrong they are."""

from __future__ import annotations

import numpy as np
import pytest

from hea_sim.errors import InputError
from hea_sim.lattice.cluster_fit import aliased_functions, choose_next, design_rows, fit_cluster_model
from hea_sim.lattice.cluster_functions import ClusterSpace, cluster_space
from hea_sim.lattice.fit import FitCell
from hea_sim.lattice.regression import bayesian, lasso, least_squares
from tests.sim.lattice_systems import SPECIES, parent

SIZE = (3, 3, 3)


@pytest.fixture(scope="module")
def space() -> ClusterSpace:
    return cluster_space(parent("A2"), SPECIES[:3], {2: 1.42, 3: 1.01})


def planted(space: ClusterSpace, rng: np.random.Generator, n_real: int = 8) -> np.ndarray:
    """Draw coefficients in natural lengths, eV per atom: a constant, the points, and a few others."""
    c = np.zeros(len(space))
    c[:3] = rng.normal(size=3) * 0.05
    real = 3 + rng.choice(len(space) - 3, n_real, replace=False)
    c[real] = rng.choice([-1, 1], n_real) * rng.uniform(0.01, 0.03, n_real)
    return c


def cells_of(space: ClusterSpace, c: np.ndarray, rng: np.random.Generator, n: int, noise: float, size=SIZE):
    sites = space.parent.n_sites * int(np.prod(size))
    cells = [FitCell(occupation=rng.choice(3, sites, p=rng.dirichlet(np.ones(3))), size=size) for _ in range(n)]
    energies = design_rows(cells, space) @ c + noise * rng.normal(size=n)
    return [FitCell(occupation=k.occupation, size=size, energy_eV=e) for k, e in zip(cells, energies, strict=True)]


@pytest.mark.parametrize("method", ["least-squares", "lasso", "bayes", "ard"])
def test_a_model_without_noise_is_found_again(space, method):
    rng = np.random.default_rng(0)
    c = planted(space, rng)
    model, report = fit_cluster_model(cells_of(space, c, rng, 90, 0.0), space, name="x", method=method, folds=5)
    assert report.rank == report.n_functions == len(space)
    assert report.aliased == ()
    assert np.allclose(model.coefficients_eV * space.spread, c, atol=1e-4)
    assert report.energy_cv_rmse_eV < 1e-4


@pytest.mark.parametrize("method", ["lasso", "ard"])
def test_sparse_methods_find_which_functions_count(method):
    rng, wide = np.random.default_rng(1), cluster_space(parent("A2"), SPECIES[:3], {2: 1.74, 3: 1.42})
    c, noise = planted(wide, rng), 2e-4
    cells = cells_of(wide, c, rng, 80, noise)
    model, report = fit_cluster_model(cells, wide, name="x", method=method, folds=5)
    found = model.coefficients_eV * wide.spread
    assert set(np.flatnonzero(c)) <= set(np.flatnonzero(found))
    plain = least_squares(design_rows(cells, wide), np.array([k.energy_eV for k in cells]), np.ones(80))
    # 11 of some 50 are real: choosing them takes most of the variance of the others away
    assert np.square(found - c).sum() < 0.5 * np.square(plain.coefficients - c).sum()
    assert report.n_selected < len(wide) / 2


def test_predictive_std_is_calibrated_on_planted_models(space):
    # Over many planted models: errors on new cells over their predicted std have unit variance, 68 % lie below one.
    z = []
    for seed in range(6):
        rng = np.random.default_rng(10 + seed)
        c = planted(space, rng, n_real=len(space) - 3)
        model, report = fit_cluster_model(cells_of(space, c, rng, 70, 1e-3), space, name="x", method="bayes", folds=5)
        new = cells_of(space, c, rng, 60, 1e-3)
        for cell in new:
            energy, std = model.energy_with_std(cell.occupation, cell.size)
            z.append((energy - cell.energy_eV) / std)
        assert 0.6 < report.noise_eV / 1e-3 < 1.4
    z = np.array(z)
    # 360 errors, but only six draws of the training noise: the std of their root mean square is about 0.06.
    assert 0.8 < np.sqrt(np.mean(z**2)) < 1.25
    assert 0.58 < np.mean(np.abs(z) < 1) < 0.78


def test_small_cells_cannot_tell_shells_apart_and_it_is_said(space):
    # In 2x2x2 cells of A2 the pairs of shells 1 and 4 join the same sites.
    far = cluster_space(parent("A2"), SPECIES[:2], {2: 1.67})
    rng = np.random.default_rng(2)
    cells = [FitCell(occupation=rng.integers(2, size=16), size=(2, 2, 2), energy_eV=rng.normal()) for _ in range(40)]
    groups = aliased_functions(design_rows(cells, far), far)
    assert len(groups) == 1 and [name.split()[2] for name in groups[0]] == ["0.866", "1.658"]
    with pytest.raises(
        InputError, match=r"40 cells decide 5 of 6 functions, such as 2 sites 0.866 a .* and 2 sites 1.6"
    ):
        fit_cluster_model(cells, far, name="x", method="least-squares")
    _, report = fit_cluster_model(cells, far, name="x", method="bayes")
    assert report.rank == 5 and report.aliased == groups


def test_aliased_coefficients_share_what_is_known_of_their_sum():
    # Two equal columns: a prior gives each half; their difference stays as open as the prior leaves it.
    rng = np.random.default_rng(3)
    x = rng.normal(size=(50, 1))
    found = bayesian(np.hstack([x, x]), 2.0 * x[:, 0] + 1e-3 * rng.normal(size=50), np.ones(50), np.zeros(2, int))
    assert np.allclose(found.coefficients, 1.0, atol=1e-3)
    together, apart = (np.sqrt(v @ found.covariance @ v) for v in (np.array([1, 1]), np.array([1, -1])))
    assert together < 1e-3 < 0.5 < apart


def test_lasso_lets_go_of_all_but_free_coefficients_at_its_largest_penalty():
    rng = np.random.default_rng(4)
    matrix, free = rng.normal(size=(60, 10)), np.arange(10) < 2
    steps = lasso(matrix, matrix @ np.arange(10.0), np.ones(60), free)
    assert steps[0].selected.sum() == 2
    assert np.allclose(steps[-1].coefficients, np.arange(10.0))
    assert all(a.noise >= b.noise - 1e-12 for a, b in zip(steps, steps[3:], strict=False))


def test_weights_decide_between_contradicting_labels():
    matrix, target = np.ones((2, 1)), np.array([0.0, 1.0])
    found = least_squares(matrix, target, np.array([1.0, 3.0]))
    assert found.coefficients[0] == pytest.approx(0.75)


def test_next_cells_raise_the_determinant_most_and_are_no_twins():
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(40, 6))
    rows[1] = rows[0] = 9.0 * np.array([1, 0, 0, 0, 0, 0])  # the two most uncertain cells are the same
    prior = np.eye(6)
    by_variance = choose_next(rows, prior, 2, noise=0.1, by="variance")
    chosen = choose_next(rows, prior, 6, noise=0.1)
    assert sorted(by_variance) == [0, 1]
    assert not {0, 1} <= set(chosen.tolist())

    def information(which) -> float:
        return np.linalg.slogdet(np.eye(6) + rows[which].T @ rows[which] / 0.01)[1]

    assert information(chosen) > information(choose_next(rows, prior, 6, noise=0.1, by="variance"))
    assert all(information(chosen) > information(rng.choice(40, 6, replace=False)) for _ in range(50))


def test_a_chosen_cell_lowers_the_spread_where_it_was_largest(space):
    rng = np.random.default_rng(6)
    c = planted(space, rng, n_real=len(space) - 3)
    cells, pool = cells_of(space, c, rng, 30, 1e-3), cells_of(space, c, rng, 200, 1e-3)
    model, _ = fit_cluster_model(cells, space, name="x", folds=5)
    rows = np.vstack([model.rows(cell.occupation, cell.size) for cell in pool])
    best = choose_next(rows, model.covariance_eV2, 15, noise=model.noise_eV)
    plain = rng.choice(200, 15, replace=False)
    errors = []
    for picked in (best, plain):
        again, _ = fit_cluster_model([*cells, *(pool[k] for k in picked)], space, name="x", folds=5)
        errors.append(np.sqrt(np.mean(np.einsum("np,pq,nq->n", rows, again.covariance_eV2, rows)) / again.noise_eV**2))
    assert errors[0] < errors[1]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda cells: cells[:9], "wanted at least 10 for 5 folds"),
        (lambda cells: [*cells, FitCell(occupation=np.zeros(54, int), size=SIZE)], "1 cells have no energy"),
        (
            lambda cells: [*cells, FitCell(occupation=np.zeros(54, int), size=SIZE, energy_eV=0.0, weight=0.0)],
            "a weight",
        ),
        (lambda cells: [*cells, FitCell(occupation=np.zeros(5, int), size=SIZE, energy_eV=0.0)], "got shape"),
    ],
)
def test_errors_say_what_is_wanted(space, change, text):
    rng = np.random.default_rng(7)
    cells = cells_of(space, planted(space, rng), rng, 20, 0.0)
    with pytest.raises((InputError, ValueError), match=text):
        fit_cluster_model(change(cells), space, name="x", folds=5)
    with pytest.raises(InputError, match="wanted least-squares, lasso"):
        fit_cluster_model(cells, space, name="x", method="forest")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="choose 3 of 2"):
        choose_next(np.ones((2, 2)), np.eye(2), 3, noise=1.0)
