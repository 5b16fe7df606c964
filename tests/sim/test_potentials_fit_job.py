"""The whole job: files in, a loadable potential with tables and figures out; stopped, resumed, refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from hea_sim.errors import InputError, MissingFileError
from hea_sim.potentials.contract import SitePotential
from hea_sim.potentials.fitting import (
    FitPotentialJob,
    error_table,
    fit_potential,
    predict_structures,
    read_fit_job,
    read_fitted,
)
from hea_sim.potentials.fitting.stages import split_shards
from hea_sim.registry.cards import read_card
from tests.pair_functions import cells, labelled, repulsive_model, write_extxyz


@pytest.fixture
def files(tmp_path):
    truth = repulsive_model()
    write_extxyz(tmp_path / "train.xyz", labelled(truth, cells(40), groups=("a", "b")))
    write_extxyz(tmp_path / "test.xyz", labelled(truth, cells(12, seed=3), groups=("a", "b")))
    return tmp_path


def _job(files, **more):
    settings = {
        "train": str(files / "train.xyz"), "test": str(files / "test.xyz"), "shards": 4, "figures": False,
        "snap": {"twojmax": 3, "cutoff_A": 4.5, "weights": {"Al": 0.5}},
        "weights": {"default": [50.0, 0.05, 2.0]}, **more,
    }  # fmt: skip
    return FitPotentialJob.model_validate(settings)


def test_a_snap_is_fitted_kept_and_loaded_again(files):
    made = fit_potential(_job(files, name="nial", figures=True), files / "out")
    names = {p.relative_to(files / "out").as_posix() for p in (files / "out").rglob("*") if p.is_file()}
    assert names >= {
        "run.toml", "audit.json", "results.json", "errors.csv", "train.csv", "test.csv", "learning_curve.csv",
        "figures/parity.png", "figures/parity.pdf", "figures/groups.png", "figures/learning_curve.png",
        "model/card.json", "model/arrays.npz",
    }  # fmt: skip
    card = read_card(files / "out/model")
    assert (card.kind, card.elements, card.settings["family"]) == ("potential", ("Al", "Ni"), "snap")
    assert set(card.data[0].sha256) == {"train.xyz", "test.xyz"}
    again = read_fitted(files / "out/model")
    atoms = cells(1, seed=8)[0]
    a, b = made.potential.evaluate(atoms), again.evaluate(atoms, uncertainty=True)
    assert a.energy_eV == b.energy_eV and np.array_equal(a.forces_eV_per_A, b.forces_eV_per_A)
    assert b.energy_std_eV is not None and b.energy_std_eV > 0
    results = json.loads((files / "out/results.json").read_text())["results"][0]
    test = results["errors"]["test"][0]
    assert card.scores["force_mae"].value == test["force_mae_eV_per_A"]
    truth = error_table(predict_structures(again, labelled(repulsive_model(), cells(12, seed=3), groups=("a", "b"))))
    assert test["energy_rmse_meV_per_atom"] == pytest.approx(truth[0].energy_rmse_meV_per_atom, rel=1e-6)
    nothing = SitePotential(name="0", model=repulsive_model().with_coefficients(np.zeros(14)))
    blind = error_table(predict_structures(nothing, labelled(repulsive_model(), cells(12, seed=3))))
    assert test["force_rmse_eV_per_A"] < blind[0].force_rmse_eV_per_A


def test_a_job_that_was_stopped_ends_with_the_same_arrays(files):
    job = _job(files, search={"trials": 3, "method": "random"})
    whole = fit_potential(job, files / "whole")

    def stop(text):
        if text.startswith("search: best"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_potential(job, files / "stopped", say=stop)
    again = fit_potential(job, files / "stopped")
    first, second = (read_card(files / name / "model").arrays_sha256 for name in ("whole", "stopped"))
    assert first == second
    calls = []
    finished = fit_potential(job, files / "stopped", say=calls.append)
    assert not calls and finished.errors["test"] == again.errors["test"] == whole.errors["test"]
    with pytest.raises(InputError, match="other settings: seed was 0, is 1"):
        fit_potential(_job(files, seed=1), files / "stopped")


def test_an_mtp_is_fitted_by_gradient_and_solve(files):
    pytest.importorskip("torch")
    mtp = {"level": 6, "cutoff_A": 4.5, "radial_functions": 4, "epochs": 3, "lbfgs_rounds": 1, "solve_every": 2}
    forces = {"default": (1000.0, 0.05, 1000.0)}
    made = fit_potential(_job(files, family="mtp", mtp=mtp, weights=forces), files / "out")
    still = {**mtp, "epochs": 0, "lbfgs_rounds": 0}
    before = fit_potential(_job(files, family="mtp", mtp=still, weights=forces), files / "still")
    assert made.errors["train"][0].force_rmse_eV_per_A < before.errors["train"][0].force_rmse_eV_per_A
    atoms = cells(1, seed=8)[0]
    kept = read_fitted(files / "out/model")
    assert kept.evaluate(atoms).energy_eV == made.potential.evaluate(atoms).energy_eV
    assert read_card(files / "out/model").settings["family"] == "mtp"


def test_a_search_over_the_model_takes_the_better_one(files):
    made = fit_potential(
        _job(files, search={"method": "grid", "energy_meV_per_atom": None, "model": {"twojmax": [0, 3]}}), files / "out"
    )
    assert made.results["results"][0]["search"]["settings"] == {"twojmax": 3}
    assert read_card(files / "out/model").settings["twojmax"] == 3


def test_frames_at_rest_are_counted_apart():
    structures = labelled(repulsive_model(), cells(4))
    structures[0] = replace(structures[0], forces_eV_per_A=np.zeros((8, 3)))
    other = repulsive_model().with_coefficients(1.1 * repulsive_model().coefficients)
    (row,) = error_table(predict_structures(SitePotential(name="m", model=other), structures))
    forces = [r.forces_eV_per_A for r in SitePotential(name="m", model=other).evaluate([s.atoms for s in structures])]
    errors = [np.abs(f - s.forces_eV_per_A) for f, s in zip(forces, structures, strict=True)]
    assert row.n_zero_force == 1
    assert row.force_mae_eV_per_A == pytest.approx(np.mean(errors))
    assert row.force_mae_moving_eV_per_A == pytest.approx(np.mean(errors[1:]))


def test_every_group_is_spread_over_all_shards():
    structures = labelled(repulsive_model(), cells(50), groups=("a", "a", "a", "b", "c"))
    shards = np.array(split_shards(structures, 5, seed=1))
    for group, each in (("a", 6), ("b", 2), ("c", 2)):
        members = [k for k, s in enumerate(structures) if s.group == group]
        assert np.bincount(shards[members], minlength=5).tolist() == [each] * 5
    assert split_shards(structures, 5, seed=1) == shards.tolist() != split_shards(structures, 5, seed=2)


def test_faults_of_the_data_stop_the_fit_until_they_are_accepted(files):
    structures = labelled(repulsive_model(), cells(20))
    wrong = [replace(s, stress_eV_per_A3=-s.stress_eV_per_A3, group=f"g{k % 2}") for k, s in enumerate(structures)]
    wrong += [replace(wrong[0], energy_eV=wrong[0].energy_eV + 1.0)]
    write_extxyz(files / "wrong.xyz", wrong)
    with pytest.raises(InputError, match="contradiction"):
        fit_potential(_job(files, train=str(files / "wrong.xyz"), use_stress=False), files / "out")
    job = _job(files, train=str(files / "wrong.xyz"), use_stress=False, accept=["contradiction"], uncertainty=False)
    made = fit_potential(job, files / "out2")
    assert made.audit is not None and made.audit.worst == "error" and made.potential.variance is None


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"trian": ["a"]}, "did you mean 'train'"),
        ({"train": ["a"], "snap": {"twojmx": 4}}, "did you mean 'twojmax'"),
        ({"train": ["a"], "search": {"trial": 4}}, "did you mean 'trials'"),
        ({}, "'train' is missing"),
        ({"train": ["a"], "name": "Bad Name"}, "small letters"),
        ({"train": ["a"], "weights": {"x": [1, 0, 1]}}, "above zero"),
        ({"train": ["a"], "repulsion_A": [2.0, 1.0]}, "outer"),
        ({"train": ["a"], "family": "gap"}, "family"),
    ],
)
def test_settings_that_are_wrong_name_the_key(settings, says):
    with pytest.raises(InputError) as told:
        read_fit_job(None, settings)
    assert says in str(told.value)


def test_settings_come_from_a_file_and_flags_win(tmp_path):
    (tmp_path / "job.toml").write_text('train = "a.xyz"\nseed = 3\n[snap]\ntwojmax = 4\n')
    job = read_fit_job(tmp_path / "job.toml", {"seed": 5, "name": None})
    assert (job.seed, job.snap.twojmax, job.train, job.name) == (5, 4, ("a.xyz",), "own-potential")
    with pytest.raises(MissingFileError):
        read_fit_job(tmp_path / "none.toml")


def test_the_verbs_print_the_audit_and_the_errors(files, capsys):
    from hea_vision.cli import fit_verbs

    flags = {"train": (str(files / "train.xyz"),), "test": (str(files / "test.xyz"),)}
    (files / "job.toml").write_text(
        "shards = 3\nuncertainty = false\nfigures = false\n[snap]\ntwojmax = 2\ncutoff_A = 4.5\n"
    )
    assert fit_verbs.fit_potential(files / "out", files / "job.toml", flags, True) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["results"][0]["errors"]["test"][0]["n_structures"] == 12
    assert "design rows 40/40" in captured.err
    assert fit_verbs.audit([files / "train.xyz"], [files / "train.xyz"], False) == 1
    assert "leakage" in capsys.readouterr().out
    assert fit_verbs.audit([files / "train.xyz"], [files / "test.xyz"], True) == 0
    assert json.loads(capsys.readouterr().out)["results"][0]["train"]["n_structures"] == 40
