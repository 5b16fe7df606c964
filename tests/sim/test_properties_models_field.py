"""Models of the field: every one learns what is there to be learnt, and groups are never on both sides."""

import numpy as np
import pytest

from hea_sim.errors import InputError, UnknownNameError
from hea_sim.properties.models.field import CHOICES, field_model, score_field_model


def _groups(n_groups: int = 15, each: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(n_groups), each)
    x = rng.normal(size=(len(group), 4))
    return x, group, group % 3


@pytest.mark.parametrize("name", list(CHOICES))
def test_every_model_beats_the_majority_on_held_out_groups(name: str) -> None:
    x, _, folds = _groups(30)
    classes = score_field_model(name, x, (x[:, 0] > 0).astype(int), folds, numeric=False)
    assert classes.score > 0.75 and classes.measure == "balanced accuracy"
    y = 100 * x[:, 0]
    numbers = score_field_model(name, x, y, folds, numeric=True)
    assert numbers.score < 0.7 * abs(y - np.median(y)).mean()


def test_what_belongs_to_a_group_alone_cannot_be_learnt() -> None:
    x, group, folds = _groups(30)
    x = np.hstack([x, np.eye(30)[group] * 5])  # tells the group, as an element set does
    labels = np.random.default_rng(1).integers(0, 2, 30)[group]
    held_out = score_field_model("extra trees", x, labels, folds, numeric=False)
    mixed = score_field_model("extra trees", x, labels, np.arange(len(group)) % 3, numeric=False)
    assert mixed.score > 0.9 > 0.75 > held_out.score


@pytest.mark.parametrize("search", ["grid", "random"])
def test_choices_are_made_for_every_fold(search: str) -> None:
    x, _, folds = _groups()
    found = score_field_model("nearest neighbours", x, (x[:, 0] > 0).astype(int), folds, numeric=False, search=search)
    assert len(found.chosen) == 3
    assert all(one["model__n_neighbors"] in CHOICES["nearest neighbours"]["model__n_neighbors"] for one in found.chosen)


def test_rows_without_a_fold_stay_out() -> None:
    x, _, folds = _groups()
    folds = np.where(np.arange(len(folds)) < 5, -1, folds)
    found = score_field_model("nearest neighbours", x, x[:, 0], folds, numeric=True)
    assert np.isnan(found.predicted[:5]).all() and np.isfinite(found.predicted[5:]).all()


def test_wrong_names_and_too_few_folds() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'random forest'"):
        field_model("random forests", numeric=True)
    x, _, folds = _groups()
    with pytest.raises(InputError, match="three or more"):
        score_field_model("extra trees", x, x[:, 0], folds % 2, numeric=True)
