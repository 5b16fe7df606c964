"""The scores and the renderer of the classifier benchmark: laws that its figures stand on."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from hea_sim.crystals import build_crystal
from hea_sim.diffraction.profile import ThompsonCoxHastings
from hea_sim.diffraction.radiation import radiation
from hea_sim.errors import InputError, MissingFileError

_NAMES = ("xrd_scores", "xrd_rendering", "xrd_specimens", "xrd_order_list", "xrd_real", "xrd_classifier")


@pytest.fixture(scope="module")
def bench(root: Path) -> dict[str, ModuleType]:
    """Load the modules of the benchmark by their paths, in the order in which they import each other."""
    pytest.importorskip("torch", reason="the list of structures stands beside the network")
    loaded = {}
    for name in _NAMES:
        spec = importlib.util.spec_from_file_location(name, root / "tests" / "benchmarks" / f"{name}.py")
        assert spec is not None and spec.loader is not None
        loaded[name] = importlib.util.module_from_spec(spec)
        sys.modules[name] = loaded[name]
        spec.loader.exec_module(loaded[name])
    return loaded


@pytest.fixture
def scores(bench: dict[str, ModuleType]) -> ModuleType:
    return bench["xrd_scores"]


@pytest.fixture
def rendering(bench: dict[str, ModuleType]) -> ModuleType:
    return bench["xrd_rendering"]


def test_calibrated_probabilities_have_a_small_error_and_shifted_ones_their_shift(scores: ModuleType) -> None:
    rng = np.random.default_rng(1)
    p = rng.uniform(0, 1, 40_000)
    right = rng.random(40_000) < p
    # The expected gap of a bin of 4,000 is sqrt(2 / pi) of a standard deviation of at most 0.5 / sqrt(4000).
    assert scores.calibration_error(p, right) < 0.013
    assert scores.calibration_error(np.full(1000, 0.9), np.arange(1000) < 600) == pytest.approx(0.3)
    assert np.isnan(scores.calibration_error([], []))


def test_auroc_of_known_scores(scores: ModuleType) -> None:
    rng = np.random.default_rng(2)
    assert scores.auroc([2, 3], [0, 1]) == 1
    assert scores.auroc([0, 1], [2, 3]) == 0
    assert scores.auroc([1, 1], [1, 1]) == 0.5
    # Two normal distributions d apart: Phi(d / sqrt 2), 0.8556 of d = 1.5.
    assert scores.auroc(rng.normal(1.5, 1, 3000), rng.normal(0, 1, 3000)) == pytest.approx(0.8556, abs=0.02)


def test_refusals_rank_above_every_accepted_pattern(scores: ModuleType) -> None:
    accepted = [scores.refusal_score(True, p) for p in (0.0, 0.5, 1.0)]
    refused = [scores.refusal_score(False, p) for p in (1.0, 0.5, 0.0)]
    assert max(accepted) <= min(refused)
    assert sorted(refused) == refused and sorted(accepted, reverse=True) == accepted


def test_accuracy_at_coverage_leaves_out_the_least_sure(scores: ModuleType) -> None:
    p = [0.99, 0.95, 0.9, 0.8, 0.1]
    assert scores.accuracy_at_coverage(p, [True] * 4 + [False]) == 1
    assert scores.accuracy_at_coverage(p, [False] + [True] * 4) == 0.75
    # Ties do not depend on the order of rows.
    assert scores.accuracy_at_coverage([1.0] * 5, [True] * 4 + [False]) == pytest.approx(0.8)


def test_what_is_visible_must_be_named_and_what_is_absent_must_not(scores: ModuleType) -> None:
    assert scores.is_right(["A1", "A2"], ["A1"], ["A2", "A1"])
    assert scores.is_right(["A1"], ["A1"], ["A2", "A1"])
    assert not scores.is_right(["A2"], ["A1"], ["A2", "A1"])
    assert not scores.is_right(["A1", "sigma"], ["A1"], ["A2", "A1"])
    assert not scores.is_right(["A1", "A1"], ["A1"], ["A1"])


def test_undetectable_order_counts_as_one_set(scores: ModuleType) -> None:
    assert scores.fundamental_sets([["A2"], ["B2"], ["L1_2", "B2"], ["A2", "A1"], ["AM"]]) == [
        ["A2"],
        ["A1", "A2"],
        ["AM"],
    ]


def test_recall_counts_visible_minor_phases_and_their_multiplicity(scores: ModuleType) -> None:
    row = {"present": ["A1", "A1", "sigma", "C14"], "significance": [90.0, 20.0, 7.0, 3.0], "limit_sigma": 5.0}
    assert scores.minor_recall(row | {"found": ["A1", "sigma"], "in_scope": True}) == [False, True]
    assert scores.minor_recall(row | {"found": ["A1", "A1"], "in_scope": True}) == [True, False]
    assert scores.minor_recall(row | {"found": ["A1", "A1", "sigma"], "in_scope": False}) == [False, False]


def test_bootstrap_interval_of_a_mean_is_that_of_its_standard_error(scores: ModuleType) -> None:
    rows = [{"x": float(i < 80)} for i in range(100)]
    low, high = scores.interval(rows, lambda some: float(np.mean([r["x"] for r in some])))
    # 1.96 sqrt(0.8 0.2 / 100) = 0.078
    assert 0.8 - low == pytest.approx(0.078, abs=0.015) and high - 0.8 == pytest.approx(0.078, abs=0.015)


def test_a_refused_alloy_is_not_covered_and_counts_as_wrong(scores: ModuleType) -> None:
    alloy = {
        "part": "alloy",
        "kind": "alloy",
        "visible": ["A1"],
        "present": ["A1"],
        "found": ["A1"],
        "significance": [50.0],
        "limit_sigma": 5.0,
        "elements": True,
        "metallic": 0.9,
        "probability": 0.95,
        "top_right": True,
        "covered": True,
        "in_scope": True,
        "right": True,
        "sets": [["A1"]],
    }
    refused = alloy | {"in_scope": False, "right": False, "sets": [["A1"], ["A2"], ["A3"]]}
    nothing = refused | {"probability": 0.0, "top_right": False, "covered": False, "sets": []}
    rows = [alloy, alloy | {"sets": [["A1"], ["A2"]]}, refused, nothing]
    found = {f.name: f for f in scores.simulated_figures(rows)}
    assert found["99 % sets: coverage"].value == 0.5 and found["99 % sets: coverage"].n == 4
    assert found["99 % sets: mean size"].value == 1.5 and found["99 % sets: mean size"].n == 2
    # Three alloys at 0.95, two of them right; the one without an assemblage claims nothing.
    assert found["calibration error (10 bins)"].value == pytest.approx(0.95 - 2 / 3)
    assert found["calibration error (10 bins)"].n == 3


def test_the_rows_of_the_order_list_name_its_limits(bench: dict[str, ModuleType]) -> None:
    low, high = bench["xrd_order_list"].UNDECIDED_SIGMA
    names = [f.name for f in bench["xrd_scores"].order_figures([])]
    assert f"order line below {low:g} sigma: alternatives" in names
    assert f"order line above {high:g} sigma: ordered alone" in names
    assert f"order line {low:g} to {high:g} sigma: left out" in names


def _scan(rendering: ModuleType, peak_counts: float = 300.0) -> object:
    return rendering.Scan(
        source=radiation("CuKa"),
        two_theta_deg=np.arange(30.0, 100.0, 0.02),
        shape=ThompsonCoxHastings(w_deg2=0.01, x_deg=0.02, axial_half_angle_deg=2.0),
        background=rendering.Background(constant=0.1, inverse=2.0, step=0.05, humps=((0.1, 50.0, 12.0),)),
        peak_counts=peak_counts,
    )


def _phase(rendering: ModuleType, lattice: str, element: str, a: float, share: float) -> object:
    return rendering.RenderedPhase(
        lattice=lattice, crystal=build_crystal(lattice, element, a_A=a), volume_fraction=share, size_nm=80.0
    )


def test_significance_is_that_of_repeated_measurements(rendering: ModuleType) -> None:
    rng = np.random.default_rng(3)
    phases = [_phase(rendering, "A1", "Ni", 3.6, 0.9), _phase(rendering, "A2", "Fe", 2.87, 0.1)]
    drawn = rendering.render(phases, _scan(rendering), rng, name="test")
    sticks = drawn.sticks[1]
    best = 0.0
    for k in range(len(sticks.area)):
        others = drawn.sticks[0].two_theta_deg
        if np.min(np.abs(others - sticks.two_theta_deg[k])) < 1.0:
            continue  # 110 stands beside 111 of A1, but free of it; keep to lines that stand alone
        shape = sticks.curve(drawn.scan, np.array([k])) / sticks.area[k]
        weight = shape / drawn.expected
        rest = drawn.expected - sticks.area[k] * shape
        counts = rng.poisson(drawn.expected, (1500, len(shape)))
        estimates = (counts - rest) @ weight / (shape @ weight)
        assert estimates.mean() == pytest.approx(sticks.area[k], abs=4 * estimates.std() / np.sqrt(1500))
        measured = sticks.area[k] / estimates.std()
        assert rendering.area_significance(sticks.area[k], shape, drawn.expected) == pytest.approx(measured, rel=0.08)
        best = max(best, measured)
    assert best > 1
    assert drawn.significance(1) >= 0.9 * best


def test_four_times_the_counts_double_the_significance(rendering: ModuleType) -> None:
    phases = [_phase(rendering, "A1", "Ni", 3.6, 1.0)]
    one, four = (
        rendering.render(phases, _scan(rendering, peak), np.random.default_rng(0), name="test").significance(0)
        for peak in (500.0, 2000.0)
    )
    assert four == pytest.approx(2 * one, rel=1e-6)


def test_a_phase_under_another_has_no_free_line(rendering: ModuleType) -> None:
    rng = np.random.default_rng(4)
    hidden = [_phase(rendering, "A1", "Ni", 3.6, 0.9), _phase(rendering, "A1", "Ni", 3.6005, 0.1)]
    assert rendering.render(hidden, _scan(rendering), rng, name="test").significance(1) == 0
    apart = [_phase(rendering, "A1", "Ni", 3.6, 0.9), _phase(rendering, "A1", "Ni", 3.7, 0.1)]
    assert rendering.render(apart, _scan(rendering, 3000.0), rng, name="test").significance(1) > 5


def test_the_strongest_line_rises_by_the_peak_counts(rendering: ModuleType) -> None:
    scan = _scan(rendering, 1234.0)
    drawn = rendering.render([_phase(rendering, "A2", "W", 3.165, 1.0)], scan, np.random.default_rng(0), name="test")
    above = drawn.expected - 1234.0 * scan.background(scan.two_theta_deg)
    assert above.max() == pytest.approx(1234.0)


def test_specimens_are_seeded_and_their_truth_is_visible(bench: dict[str, ModuleType]) -> None:
    specimens = bench["xrd_specimens"]
    for i in range(6):
        one, again = specimens.draw_alloy((5, i)), specimens.draw_alloy((5, i))
        assert np.array_equal(one.rendered.pattern.intensity, again.rendered.pattern.intensity)
        assert one.significance[0] > 5 and one.visible
        assert set(one.visible) <= set(one.lattices)
        assert sum(one.fractions) == pytest.approx(1) and min(one.fractions) >= 0.02


def test_superlattice_lines_are_those_that_vanish_without_order(bench: dict[str, ModuleType]) -> None:
    from hea_sim.diffraction import powder_lines

    order_list = bench["xrd_order_list"]
    for ordered, lattice, occupancy in (("B2", "A2", {"A": "Ni", "B": "Al"}), ("L1_2", "A1", {"A": "Al", "B": "Ni"})):
        full, none = (
            powder_lines(build_crystal(ordered, occupancy, a_A=3.2, order_parameter=s), "CuKa") for s in (1, 0)
        )
        kept = full.two_theta_deg[~order_list.is_superlattice(ordered, full.hkl)]
        assert np.allclose(kept, none.two_theta_deg)
        assert len(kept) < len(full.two_theta_deg), lattice


def test_only_the_frozen_real_patterns_are_read(bench: dict[str, ModuleType], tmp_path: Path) -> None:
    listed = bench["xrd_real"].REAL_PATTERNS
    assert sum(bool(p.lattices) for p in listed) == 6 and len(listed) == 25
    assert len({p.sha256 for p in listed}) == len({p.path for p in listed}) == 25
    with pytest.raises(MissingFileError, match="frozen list"):
        listed[0].read(tmp_path)
    file = tmp_path / listed[0].path
    file.parent.mkdir(parents=True)
    file.write_text("20 1\n21 2\n")
    with pytest.raises(InputError, match="SHA-256"):
        listed[0].read(tmp_path)


def test_a_journal_keeps_rows_of_these_specimens_and_weights(bench: dict[str, ModuleType], tmp_path: Path) -> None:
    runner = bench["xrd_classifier"]
    mine = {"labeller": "network", "model_sha256": {"w": "1"}, "i": 0}
    mine |= {"specimens": runner.specimens_sha256(), "code": runner.code_sha256()}
    others = [
        mine | {"specimens": "other"},
        mine | {"code": "other"},
        {k: v for k, v in mine.items() if k != "code"},
        mine | {"model_sha256": {"w": "2"}},
        mine | {"labeller": "unknown"},
    ]
    text = "\n".join(json.dumps(row) for row in [mine, *others, mine | {"i": 1, "model_sha256": {}}])
    journal = tmp_path / "rows.jsonl"
    journal.write_text(text + "\n" + json.dumps(mine)[:30])  # a line cut short by a kill
    kept = runner.read_journal(journal, {"network": {"w": "1"}})
    assert [row["i"] for row in kept] == [0, 1]
    assert runner.read_journal(None, {}) == []


@pytest.mark.parametrize("package", ["hea_vision.xrd", "hea_sim.diffraction"])
def test_rows_of_other_code_have_another_key(
    bench: dict[str, ModuleType], package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hash_now = bench["xrd_classifier"].code_sha256.__wrapped__  # without its memory
    keys = [hash_now()]
    monkeypatch.setattr(sys.modules[package], "__file__", str(tmp_path / "__init__.py"))
    for text in ("", "one = 1\n", "one = 2\n"):
        (tmp_path / "module.py").write_text(text)
        keys.append(hash_now())
    assert len(set(keys)) == 4 and hash_now() == keys[-1]
