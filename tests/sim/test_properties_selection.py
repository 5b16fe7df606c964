"""Choice of descriptors: what carries the target is found, what repeats it is not; scores are of left-out groups."""

import numpy as np
import pytest

from hea_sim.errors import InputError, UnknownNameError
from hea_sim.properties.selection import choose_descriptors

NAMES = tuple("abcdefgh")


def table(n=150, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, len(NAMES)))
    x[:, 7] = x[:, 0] + 0.01 * rng.normal(size=n)  # h repeats a
    return x, rng.integers(30, size=n)


@pytest.mark.parametrize("method", ["lasso", "mutual information", "genetic"])
@pytest.mark.parametrize("numeric", [True, False])
def test_the_two_that_matter_are_found(method, numeric):
    x, groups = table()
    signal = 2 * x[:, 0] - 2 * x[:, 1]
    y = signal if numeric else np.where(signal > 0, "BCC", "FCC")
    everything, chosen = choose_descriptors(x, y, NAMES, groups, methods=[method], most=3, seed=1)
    assert {"b"} < set(chosen.names) and {"a", "h"} & set(chosen.names)
    assert len(chosen.names) <= 3 and everything.names == NAMES
    assert chosen.score > everything.score and chosen.score > 0.8
    assert 0.3 < chosen.stability <= 1 and chosen.score_name == ("R2" if numeric else "balanced accuracy")
    if method == "mutual information":
        assert len({"a", "h"} & set(chosen.names)) == 1  # the second says nothing new


def test_noise_scores_as_chance():
    x, groups = table()
    y = np.random.default_rng(9).choice(["BCC", "FCC"], len(x))
    for choice in choose_descriptors(x, y, NAMES, groups, methods=["lasso", "genetic"], most=3):
        assert abs(choice.score - 0.5) < 0.15, choice  # the choice was made without the rows that score it


def test_rows_without_descriptors_and_constants_are_left_out():
    x, groups = table()
    x[:3, 2] = np.nan
    x[:, 4] = 1.0
    everything, _ = choose_descriptors(x, x[:, 0], NAMES, groups, methods=["lasso"])
    assert "e" not in everything.names and "c" in everything.names


def test_what_is_refused():
    x, groups = table()
    with pytest.raises(UnknownNameError, match="did you mean 'lasso'"):
        choose_descriptors(x, x[:, 0], NAMES, groups, methods=["laso"])
    with pytest.raises(InputError, match="one value only"):
        choose_descriptors(x, np.zeros(len(x)), NAMES, groups)
    with pytest.raises(InputError, match="no descriptor varies"):
        choose_descriptors(np.ones_like(x), x[:, 0], NAMES, groups)
