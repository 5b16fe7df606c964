"""Scores: known answers and the metric trap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hea_sim.errors import InputError
from hea_vision.measurement import score_labels

FIELDS = hnp.arrays(np.int8, (7, 9), elements=st.integers(0, 2))


@given(FIELDS)
def test_truth_scores_one(truth):
    s = score_labels(truth, truth, (0, 1, 2))
    assert s.macro_iou == 1.0 and s.micro_iou == 1.0
    assert set(s.fraction_error.values()) == {0.0}


@given(FIELDS, FIELDS)
def test_iou_is_symmetric_and_micro_is_the_flattened_one(a, b):
    ours, theirs = score_labels(a, b, (0, 1, 2)), score_labels(b, a, (0, 1, 2))
    assert ours.micro_iou == theirs.micro_iou
    for c in (0, 1, 2):
        assert ours.iou[c] == pytest.approx(theirs.iou[c], nan_ok=True)
        assert ours.fraction_error[c] == -theirs.fraction_error[c]
    one_hot = [np.stack([x == c for c in (0, 1, 2)]) for x in (a, b)]
    flat = (one_hot[0] & one_hot[1]).sum() / (one_hot[0] | one_hot[1]).sum()
    assert ours.micro_iou == pytest.approx(flat)


def test_micro_hides_a_rare_class_and_macro_shows_it():
    truth = np.zeros((100, 100), int)
    truth[:1, :] = 1
    s = score_labels(np.zeros_like(truth), truth, (0, 1))
    assert s.micro_iou > 0.98 and s.macro_iou < 0.5 and s.iou[1] == 0.0


def test_absent_class_is_nan_and_left_out():
    s = score_labels(np.zeros((4, 4), int), np.zeros((4, 4), int), (0, 1))
    assert np.isnan(s.iou[1]) and s.macro_iou == 1.0


def test_shapes_must_fit():
    with pytest.raises(InputError, match=r"\(3, 4\).*\(4, 3\)"):
        score_labels(np.zeros((3, 4)), np.zeros((4, 3)), (0,))
