"""Known alloys: probabilities are those of the next report, near by less so, far off not at all."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hea_sim.alloy import Composition
from hea_sim.properties.contract import STRUCTURES, AlloyBatch, MeasuredAlloy
from hea_sim.properties.lessons import all_lessons
from hea_sim.properties.predictor import load_predictor
from hea_sim.properties.reported_shares import ReportedShares


@pytest.fixture(scope="module")
def shares() -> ReportedShares:
    lesson = all_lessons()["structure"]
    return ReportedShares.of(lesson, np.full((len(lesson.table), 4), 0.25))


def test_shares_are_votes_with_one_more_that_is_the_held_out_opinion(shares: ReportedShares) -> None:
    table = all_lessons()["structure"].table
    np.testing.assert_allclose(shares.shares.sum(1), 1, atol=1e-12)
    alone = np.flatnonzero((table.votes == 1) & (table.share == 1))
    # One vote and an even opinion: (1 + 1/4) / 2 for the voted class.
    np.testing.assert_allclose(shares.shares[alone, table.codes[alone]], 0.625)
    assert (
        shares.shares[np.arange(len(table)), table.codes] <= (table.votes * table.share + 1) / (table.votes + 1)
    ).all()


def test_the_weight_of_reports_falls_with_distance(shares: ReportedShares) -> None:
    even = np.full((1, 4), 0.25)
    moved = []
    for step in (0.0, 0.01, 0.02, 0.2):
        batch = AlloyBatch.of(
            [Composition.parse({"Nb": 0.25 + step / 2, "Mo": 0.25, "Ta": 0.25, "W": 0.25 - step / 2})]
        )
        moved.append(abs(shares.mixed(even, batch) - even).sum())
    assert moved[0] > 0.3 and all(a >= b for a, b in itertools.pairwise(moved))
    unheard = AlloyBatch.of(["NbMoTaWRe4"])
    np.testing.assert_array_equal(shares.mixed(even, unheard), even)


def test_an_alloy_whose_reports_differ_is_not_sure_and_one_that_is_learnt_follows_the_measurement() -> None:
    predictor = load_predictor()
    (split,) = predictor.predict(["AlCoCrFeNi"])
    assert max(split.structure.probabilities.values()) < 0.75 and len(split.structure.prediction_set) > 1
    alloy = Composition.parse("AlCoCrFeNi")
    taught = predictor.learn([MeasuredAlloy(composition=alloy, structure="multi")])
    (after,) = taught.predict([alloy])
    assert after.structure.probabilities["multi"] > split.structure.probabilities["multi"] + 0.2
    assert tuple(after.structure.probabilities) == STRUCTURES
