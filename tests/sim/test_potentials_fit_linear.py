"""Linear fits: exact where the data are, equal to the textbook's normal equations, honest about what is not known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.errors import InputError
from hea_sim.potentials.contract import SitePotential
from hea_sim.potentials.environment import find_neighbours
from hea_sim.potentials.fitting import (
    Tolerance,
    Weights,
    build_rows,
    calibrated_variance,
    error_table,
    fit_linear,
    fit_reweighted,
    lasso_path,
    learning_curve,
    leave_group_out,
    predict_structures,
)
from hea_sim.potentials.fitting.linear import Likeness, errors_of
from hea_sim.potentials.fitting.rows import Block, Rows, triangle_of
from hea_sim.potentials.fitting.sparse_kernels import descend
from hea_sim.potentials.zbl import ZBLModel
from tests.pair_functions import cells, known_model, labelled

GROUPS = ("a", "b", "c")


def _set(count=30, noise_eV=0.0, seed=0, groups=GROUPS):
    return labelled(known_model(), cells(count, seed=seed), groups=groups, noise_eV=noise_eV, seed=seed)


def _stacked(model, structures, weights):
    """Build the whole weighted matrix at once, the plain way."""
    rows, labels = [], []
    for s in structures:
        design = model.design(find_neighbours([s.atoms], model.cutoff_A))
        w = [np.sqrt(weights(Block(s.group, kind, 0))) for kind in ("energy", "force", "stress")]
        rows += [w[0] * design.energy / s.n_atoms, w[1] * design.forces, w[2] * design.stress[0]]
        labels += [[w[0] * s.energy_eV / s.n_atoms], w[1] * s.forces_eV_per_A.ravel(), w[2] * s.stress_eV_per_A3]
    return np.concatenate(rows), np.concatenate(labels)


def test_the_double_is_a_potential_with_the_rows_that_it_says():
    model = known_model()
    (atoms,) = cells(1)
    result = SitePotential(name="m", model=model).evaluate(atoms)
    design = model.design(find_neighbours([atoms], model.cutoff_A))
    c = model.coefficients
    assert result.energy_eV == pytest.approx(float(design.energy[0] @ c), abs=1e-11)
    assert np.allclose(result.forces_eV_per_A.ravel(), design.forces @ c, atol=1e-11)
    assert np.allclose(result.stress_eV_per_A3.ravel()[[0, 4, 8, 5, 2, 1]], design.stress[0] @ c, atol=1e-12)
    step = 1e-5
    for k in range(3):
        plus, minus = atoms.copy(), atoms.copy()
        plus.positions[2, k] += step
        minus.positions[2, k] -= step
        energies = [r.energy_eV for r in SitePotential(name="m", model=model).evaluate([plus, minus])]
        assert -(energies[0] - energies[1]) / (2 * step) == pytest.approx(result.forces_eV_per_A[2, k], abs=1e-7)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.1, 1.0, 20.0]))
def test_known_coefficients_come_back_from_clean_data_whatever_the_weights(seed, energy):
    truth = known_model(seed=seed)
    structures = labelled(truth, cells(20, seed=seed % 1000))
    weights = Weights(default=Tolerance(energy_meV_per_atom=energy, stress_GPa=np.inf))
    fit = fit_linear(build_rows(truth, structures), weights, penalty=0.0)
    assert fit.rank == truth.n_features
    assert np.allclose(fit.coefficients, truth.coefficients, atol=1e-8)


def test_the_fit_is_that_of_the_whole_matrix():
    model, structures = known_model(), _set(noise_eV=0.05)
    weights = Weights(groups={"b": Tolerance(energy_meV_per_atom=1.0, force_eV_per_A=0.5)})
    matrix, labels = _stacked(model, structures, weights)
    fit = fit_linear(build_rows(model, structures), weights, penalty=0.0)
    assert np.allclose(fit.coefficients, np.linalg.lstsq(matrix, labels, rcond=None)[0], atol=1e-9)
    assert fit.n_rows == len(labels)
    penalty = 1e-2
    lengths = np.linalg.norm(matrix, axis=0) * (np.arange(model.n_features) >= 2)  # energies of atoms are free
    wanted = np.linalg.solve(matrix.T @ matrix + penalty * np.diag(lengths**2), matrix.T @ labels)
    fit = fit_linear(build_rows(model, structures), weights, penalty=penalty)
    assert np.allclose(fit.coefficients, wanted, atol=1e-9)
    inverse = np.linalg.inv(matrix.T @ matrix + penalty * np.diag(lengths**2))
    assert np.allclose(fit.spread @ fit.spread.T, fit.noise * inverse, rtol=1e-6, atol=1e-12)
    square = float(np.square(matrix @ wanted - labels).sum())
    effective = float(np.trace(inverse @ matrix.T @ matrix))
    assert fit.n_effective == pytest.approx(effective, abs=1e-7)
    assert fit.aic == pytest.approx(len(labels) * np.log(square / len(labels)) + 2 * effective)
    assert fit.bic - fit.aic == pytest.approx((np.log(len(labels)) - 2) * effective)


def test_the_penalty_has_the_largest_marginal_likelihood():
    model, structures = known_model(), _set(12, noise_eV=0.3)
    rows = build_rows(model, structures)
    fit = fit_linear(rows)
    matrix, labels = _stacked(model, structures, Weights())
    free = np.arange(model.n_features) < 2
    q, _ = np.linalg.qr(matrix[:, free], mode="complete")
    scaled = q[:, 2:].T @ (matrix / np.linalg.norm(matrix, axis=0))[:, ~free]
    y = q[:, 2:].T @ labels

    def minus(penalty):
        """-2 log of the likelihood of y ~ N(0, s^2 (1 + A A^T / penalty)), s^2 at its best."""
        covariance = np.eye(len(y)) + scaled @ scaled.T / penalty
        return np.linalg.slogdet(covariance)[1] + len(y) * np.log(y @ np.linalg.solve(covariance, y))

    best = minus(fit.penalty)
    assert best <= min(minus(fit.penalty * f) for f in (0.1, 0.3, 3.0, 10.0)) + 1e-6


def test_errors_without_going_back_are_those_of_the_potential():
    model, structures = known_model(), _set(noise_eV=0.05)
    rows = build_rows(model, structures)
    fitted = model.with_coefficients(fit_linear(rows).coefficients)
    table = {r.group: r for r in error_table(predict_structures(SitePotential(name="m", model=fitted), structures))}
    errors = errors_of(rows, fitted.coefficients)
    for group in ("all", *GROUPS):
        assert 1e3 * errors[group, "energy"] == pytest.approx(table[group].energy_rmse_meV_per_atom)
        assert errors[group, "force"] == pytest.approx(table[group].force_rmse_eV_per_A)
        assert 160.21766208 * errors[group, "stress"] == pytest.approx(table[group].stress_rmse_GPa)


def test_rows_that_were_interrupted_end_with_the_same_bits(tmp_path):
    model, structures = known_model(), _set(60)
    whole = build_rows(model, structures, shards=[k % 3 for k in range(60)])

    def stop(done, of):
        if done > of // 2:
            raise KeyboardInterrupt

    options = {"shards": [k % 3 for k in range(60)], "checkpoint": tmp_path / "rows.npz", "checkpoint_every": 10}
    with pytest.raises(KeyboardInterrupt):
        build_rows(model, structures, progress=stop, **options)
    seen = []
    again = build_rows(model, structures, progress=lambda done, of: seen.append(done), **options)
    assert seen[0] > 20  # it went on
    assert list(again.triangles) == list(whole.triangles) and dict(again.counts) == dict(whole.counts)
    assert all(np.array_equal(again.triangles[b], whole.triangles[b]) for b in whole.triangles)
    assert np.array_equal(again.energies, whole.energies) and again.blocks == whole.blocks
    with pytest.raises(InputError, match="another fit"):
        build_rows(model, structures[::-1], **options)


def test_a_repulsion_is_taken_off_the_labels():
    truth, core = known_model(), ZBLModel(elements=("Ni", "Al"), inner_A=1.5, outer_A=2.8)
    from hea_sim.potentials.contract import SumModel

    both = SumModel(parts=(truth, core))
    structures = labelled(both, cells(20))
    fit = fit_linear(build_rows(truth, structures, fixed=core), penalty=0.0)
    assert np.allclose(fit.coefficients, truth.coefficients, atol=1e-8)


def test_a_lasso_keeps_the_features_that_matter():
    rng = np.random.default_rng(3)
    c = np.concatenate([[4.0], rng.choice([-1.0, 1.0], 6) * rng.uniform(0.5, 2, 6), np.zeros(13)])
    matrix = rng.normal(size=(500, 20))
    y = matrix @ c + 0.05 * rng.normal(size=500)
    block, constant = Block("a", "energy", 0), np.arange(20) == 0
    triangle = triangle_of(np.column_stack([matrix, y]))
    rows = Rows(
        n_features=20,
        triangles={block: triangle},
        counts={block: 500},
        constant=constant,
        energies=np.column_stack([matrix, y]),
        blocks=(block,) * 500,
    )
    best, path = lasso_path(rows, Weights(default=Tolerance(energy_meV_per_atom=50.0)), penalty=0.0)
    assert np.array_equal(np.flatnonzero(best.fit.selected), np.flatnonzero(c))
    assert np.abs(best.fit.coefficients - c).max() < 5 * 0.05 / np.sqrt(500)
    assert path[0].n_features < best.n_features < path[-1].n_features
    assert best.score == min(step.score for step in path)


def test_a_lasso_of_a_potential_is_no_worse_where_it_is_judged():
    rows = build_rows(known_model(), _set(20, noise_eV=0.02))
    held_out = build_rows(known_model(), _set(40, noise_eV=0.02, seed=5))
    best, path = lasso_path(rows, score=lambda fit: errors_of(held_out, fit.coefficients)["all", "force"])
    assert best.score <= errors_of(held_out, fit_linear(rows).coefficients)["all", "force"] + 1e-12
    assert all(step.fit.selected[:2].all() for step in path)  # energies of atoms always stay


def test_coordinate_descent_agrees_with_its_conditions():
    rng = np.random.default_rng(0)
    matrix, y = rng.normal(size=(60, 8)), rng.normal(size=60)
    gram, target = matrix.T @ matrix, matrix.T @ y
    penalties = np.full(8, 6.0)
    c = descend(gram, target, penalties, np.zeros(8), 10000, 1e-14)
    slope = target - gram @ c  # Karush, Kuhn, Tucker
    assert 0 < (c == 0).sum() < 8
    assert np.allclose(slope[c != 0], 6.0 * np.sign(c[c != 0]), atol=1e-9)
    assert (np.abs(slope[c == 0]) <= 6.0 + 1e-9).all()
    sklearn = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    other = sklearn.Lasso(alpha=6.0 / 60, fit_intercept=False, tol=1e-12, max_iter=100000).fit(matrix, y)
    assert np.allclose(c, other.coef_, atol=1e-7)


def test_weights_follow_the_noise_of_the_groups():
    truth = known_model()
    quiet = labelled(truth, cells(40, seed=1), groups=("quiet",), noise_eV=0.002, seed=1)
    loud = labelled(truth, cells(40, seed=2), groups=("loud",), noise_eV=0.01, seed=2)
    rows = build_rows(truth, [*quiet, *loud])
    fit = fit_reweighted(rows, Weights(default=Tolerance(stress_GPa=np.inf)))
    tolerances = fit.weights.groups
    ratio = tolerances["loud"].force_eV_per_A / tolerances["quiet"].force_eV_per_A
    assert ratio == pytest.approx(5.0, rel=0.25)
    assert tolerances["loud"].energy_meV_per_atom == pytest.approx(10.0, rel=0.4)
    assert np.isinf(tolerances["quiet"].stress_GPa)
    plain = fit_linear(rows, Weights(default=Tolerance(stress_GPa=np.inf)))
    error = [np.abs(f.coefficients - truth.coefficients).sum() for f in (fit, plain)]
    assert error[0] < error[1]


def test_a_group_left_out_is_predicted_by_the_others():
    rows = build_rows(known_model(), _set(45, noise_eV=0.02))
    found = leave_group_out(rows, lambda part: fit_linear(part, penalty=0.0))
    assert set(found) == set(GROUPS)
    others = rows.select(lambda b: b.group != "b")
    wanted = errors_of(rows.select(lambda b: b.group == "b"), fit_linear(others, penalty=0.0).coefficients)
    assert found["b"]["force"] == pytest.approx(wanted["b", "force"])


def test_stds_of_energies_cover_what_the_fit_had_not_seen():
    truth = known_model()
    shards = [k % 5 for k in range(60)]
    rows = build_rows(truth, _set(60, noise_eV=0.02), shards=shards)
    weights = Weights(default=Tolerance(energy_meV_per_atom=20.0, force_eV_per_A=0.06, stress_GPa=np.inf))
    variance = calibrated_variance(truth, rows, lambda part: fit_linear(part, weights))
    fresh = labelled(truth, cells(200, seed=77), noise_eV=0.02, seed=77)
    potential = SitePotential(name="m", model=variance.model, variance=variance)
    p = predict_structures(potential, fresh, uncertainty=True)
    z = (p.energies_eV - [s.energy_eV for s in fresh]) / np.array(p.energy_stds_eV)
    assert 0.85 < float(np.sqrt(np.mean(z**2))) < 1.2
    far = cells(1, seed=5)[0]
    far.set_cell(far.cell * 0.7, scale_atoms=True)
    assert potential.evaluate(far, uncertainty=True).energy_std_eV > max(p.energy_stds_eV)
    with pytest.raises(InputError, match="shards"):
        calibrated_variance(truth, rows.select(lambda b: b.shard == 0), lambda part: fit_linear(part, weights))


def test_a_learning_curve_falls_towards_the_noise():
    truth = known_model()
    rows = build_rows(truth, _set(40, noise_eV=0.05), shards=[k // 4 for k in range(40)])
    test = build_rows(truth, _set(60, seed=9))
    curve = learning_curve(rows, test, lambda part: fit_linear(part))
    assert [r["n_structures"] for r in curve] == list(range(4, 44, 4))
    assert curve[-1]["test_force_rmse_eV_per_A"] < 0.5 * curve[0]["test_force_rmse_eV_per_A"]


def test_what_cannot_be_fitted_is_refused():
    rows = build_rows(known_model(), _set(6))
    with pytest.raises(InputError, match="groups are"):
        Weights(groups={"z": Tolerance()}).known_in(rows.groups)
    with pytest.raises(InputError, match="penalty"):
        fit_linear(rows, penalty=-1.0)
    with pytest.raises(InputError, match="no rows"):
        fit_linear(
            rows, Weights(default=Tolerance(energy_meV_per_atom=np.inf, force_eV_per_A=np.inf, stress_GPa=np.inf))
        )
    with pytest.raises(InputError, match="above zero"):
        Tolerance(energy_meV_per_atom=0.0)
    with pytest.raises(InputError, match="no Al"):
        build_rows(known_model(("Ni", "Cu")), _set(3))


def _rows_of_two(noise, seed=0):
    """Make rows of two elements with three features each, the first of which moves no atom."""
    rng = np.random.default_rng(seed)
    truth = np.array([-5.0, 0.7, -0.4, -6.0, 0.9, 0.1])
    x = rng.normal(size=(200, 6))
    y = x @ truth + noise * rng.normal(size=200)
    block = Block("a", "force", 0)
    constant = np.array([True, False, False, True, False, False])
    table = np.column_stack([x, y])
    rows = Rows(
        n_features=6, triangles={block: triangle_of(table)}, counts={block: 200}, constant=constant,
        energies=np.empty((0, 7)), blocks=(),
    )  # fmt: skip
    return rows, truth


def test_likeness_pulls_twins_together_and_leaves_constants_alone():
    rows, truth = _rows_of_two(noise=0.0)
    free = fit_linear(rows, penalty=0.0, likeness=Likeness(elements=2, strength=0.0)).coefficients
    np.testing.assert_allclose(free, truth, atol=1e-10)
    apart = [abs(free[1] - free[4])]
    for strength in (1e-2, 1.0, 1e4):
        c = fit_linear(rows, penalty=0.0, likeness=Likeness(elements=2, strength=strength)).coefficients
        apart.append(abs(c[1] - c[4]))
        np.testing.assert_allclose(c[[0, 3]], [-5.0, -6.0], atol=0.5)
    assert apart == sorted(apart, reverse=True)
    assert apart[-1] < 1e-3


def test_likeness_is_the_ridge_on_distances_from_the_mean():
    rows, _ = _rows_of_two(noise=0.3)
    strength, (triangle,) = 0.05, rows.triangles.values()
    weight = Tolerance().std("force") ** -2
    gram, target = weight * triangle[:, :-1].T @ triangle[:, :-1], weight * triangle[:, :-1].T @ triangle[:, -1]
    prior = np.zeros((6, 6))
    for k in (1, 2):
        size = (gram[k, k] + gram[k + 3, k + 3]) / 2
        prior[np.ix_([k, k + 3], [k, k + 3])] = strength * size * np.array([[0.5, -0.5], [-0.5, 0.5]])
    found = fit_linear(rows, penalty=0.0, likeness=Likeness(elements=2, strength=strength)).coefficients
    np.testing.assert_allclose(found, np.linalg.solve(gram + prior, target), atol=1e-9)
