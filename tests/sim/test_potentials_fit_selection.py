"""The search for settings: every way finds the best, goes on after a stop, and Bayes beats chance."""

import json

import numpy as np
import pytest

from hea_sim.errors import InputError, UnknownNameError
from hea_sim.potentials.fitting import Choice, Range, search_settings
from hea_sim.potentials.fitting.selection import expected_improvement, gaussian_process

SPACE = {"cutoff": Range(low=3.0, high=7.0), "penalty": Range(low=1e-9, high=1e-1, log=True)}


def _bowl(settings):
    """Smallest, 0.1, at a cutoff of 4.7 and a penalty of 1e-6."""
    return 0.1 + (settings["cutoff"] - 4.7) ** 2 / 4 + (np.log10(settings["penalty"]) + 6) ** 2 / 20


def test_a_grid_tries_every_combination():
    space = {"level": Choice(values=(4, 8, 12)), "x": Range(low=0.0, high=1.0, steps=3)}
    found = search_settings(space, lambda s: abs(s["level"] - 8) + s["x"], method="grid")
    assert {(t.settings["level"], t.settings["x"]) for t in found.trials} == {
        (level, x) for level in (4, 8, 12) for x in (0.0, 0.5, 1.0)
    }
    assert dict(found.best.settings) == {"level": 8, "x": 0.0}


def test_bayes_needs_fewer_trials_than_chance():
    best = {
        method: [search_settings(SPACE, _bowl, method=method, trials=20, seed=s).best.score for s in range(3)]
        for method in ("random", "bayesian")
    }
    assert np.median(best["bayesian"]) < 0.12 < np.median(best["random"])


def test_a_search_goes_on_where_it_was_stopped(tmp_path):
    whole = search_settings(SPACE, _bowl, trials=12, seed=4)
    calls = []

    def stops(settings):
        if len(calls) == 8:
            raise KeyboardInterrupt
        calls.append(settings)
        return _bowl(settings)

    path = tmp_path / "search.json"
    with pytest.raises(KeyboardInterrupt):
        search_settings(SPACE, stops, trials=12, seed=4, journal=path)
    assert len(json.loads(path.read_text())["trials"]) == 8
    again = search_settings(SPACE, _bowl, trials=12, seed=4, journal=path)
    assert [dict(t.settings) for t in again.trials] == [dict(t.settings) for t in whole.trials]
    with pytest.raises(InputError, match="another search"):
        search_settings(SPACE, _bowl, trials=12, seed=5, journal=path)


def test_failed_trials_are_told_and_passed_over():
    def score(settings):
        if settings["level"] == 4:
            raise InputError("too small")
        return float(settings["level"])

    found = search_settings({"level": Choice(values=(4, 8))}, score, method="grid")
    assert found.trials[0].error == "too small" and found.best.settings["level"] == 8
    with pytest.raises(InputError, match="too small"):
        search_settings({"level": Choice(values=(4,))}, score, method="grid")


def test_the_process_goes_through_its_points_and_is_unsure_between():
    x = np.array([[0.1], [0.4], [0.5], [0.9]])
    y = np.sin(6 * x[:, 0])
    mean, std = gaussian_process(x, y, np.array([*x, [0.7]]))
    assert np.allclose(mean[:4], y, atol=0.05) and std[4] > 2 * std[:4].max()
    gain = expected_improvement(x, y, x)
    assert (gain >= 0).all() and gain.max() < 0.05


def test_a_process_of_the_same_lengths_agrees_with_another_code():
    kernels = pytest.importorskip("sklearn.gaussian_process.kernels", reason="scikit-learn is not installed")
    from hea_sim.potentials.fitting.selection import _matern

    a, b = np.random.default_rng(0).random((2, 5, 3))
    assert np.allclose(_matern(a, b, np.full(3, 0.4)), kernels.Matern(length_scale=0.4, nu=2.5)(a, b))


def test_what_makes_no_sense_is_refused():
    with pytest.raises(InputError, match="low < high"):
        Range(low=2.0, high=1.0)
    with pytest.raises(UnknownNameError, match="bayesian"):
        search_settings(SPACE, _bowl, method="baysian")
    with pytest.raises(InputError, match="at least one"):
        search_settings({}, _bowl)
