"""The loss of labels that name sets of classes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from hea_vision.segmentation.partial_labels import IGNORED, partial_label_loss

ONE_EACH = torch.eye(3)[None]
#: Label 0 is class 0, label 2 may be class 1 or 2.
MERGED = torch.tensor([[[1.0, 0, 0], [0, 0, 0], [0, 1, 1]]])


def drawn(seed=0, shape=(2, 6, 7)):
    generator = torch.Generator().manual_seed(seed)
    scores = 2 * torch.randn(shape[0], 3, *shape[1:], generator=generator)
    return scores, torch.randint(0, 3, shape, generator=generator, dtype=torch.uint8)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), ignored=st.booleans())
def test_labels_of_one_class_each_give_the_cross_entropy(seed, ignored):
    scores, labels = drawn(seed)
    if ignored:
        labels[:, 2:4] = IGNORED
    found = partial_label_loss(scores, labels, ONE_EACH.expand(2, -1, -1), overlap_weight=0)
    assert float(found) == pytest.approx(
        float(functional.cross_entropy(scores, labels.long(), ignore_index=IGNORED)), abs=1e-5
    )


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_how_probability_is_shared_within_a_set_does_not_matter(weight):
    _, labels = drawn(1)
    labels[labels == 1] = 2
    p = torch.rand(2, 6, 7, generator=torch.Generator().manual_seed(2)) * 0.98 + 0.01
    found = []
    for share in (0.001, 0.3, 0.999):
        scores = torch.log(torch.stack([1 - p, share * p, (1 - share) * p], 1))
        found.append(float(partial_label_loss(scores, labels, MERGED.expand(2, -1, -1), overlap_weight=weight)))
    assert found == pytest.approx([found[0]] * 3, abs=1e-5)


def test_pixels_that_nobody_judged_give_no_gradient():
    scores, labels = drawn(3)
    labels[0, :3], labels[1, :, 2] = IGNORED, IGNORED
    scores.requires_grad_()
    partial_label_loss(scores, labels, ONE_EACH.expand(2, -1, -1)).backward()
    quiet = (labels == IGNORED)[:, None].expand_as(scores)
    assert (scores.grad[quiet] == 0).all() and (scores.grad[~quiet] != 0).any(0)


def test_nothing_judged_is_no_loss():
    scores, labels = drawn(4)
    scores.requires_grad_()
    loss = partial_label_loss(scores, torch.full_like(labels, IGNORED), ONE_EACH.expand(2, -1, -1), overlap_weight=0)
    loss.backward()
    assert loss.item() == 0 and not scores.grad.any()


def test_the_gradient_is_that_of_finite_differences():
    scores, labels = drawn(5, (1, 3, 4))
    labels[labels == 1], labels[0, 0, 0] = 2, IGNORED
    scores.requires_grad_()
    partial_label_loss(scores, labels, MERGED).backward()
    step = 1e-2
    for place in ((0, 0, 1, 1), (0, 1, 2, 3), (0, 2, 0, 2), (0, 1, 0, 0)):
        with torch.no_grad():
            up, down = scores.clone(), scores.clone()
            up[place] += step
            down[place] -= step
            slope = (partial_label_loss(up, labels, MERGED) - partial_label_loss(down, labels, MERGED)) / (2 * step)
        assert float(scores.grad[place]) == pytest.approx(float(slope), abs=2e-4)


def test_perfect_scores_have_nearly_no_loss_and_wrong_ones_much():
    _, labels = drawn(6)
    right = 30 * functional.one_hot(labels.long(), 3).movedim(-1, 1).float()
    assert float(partial_label_loss(right, labels, ONE_EACH.expand(2, -1, -1))) < 1e-4
    assert float(partial_label_loss(-right, labels, ONE_EACH.expand(2, -1, -1))) > 5


def test_each_example_of_a_batch_has_its_own_sets():
    scores, labels = drawn(7)
    labels[labels == 1] = 2
    both = torch.cat([MERGED, ONE_EACH])
    parts = [
        partial_label_loss(scores[i : i + 1], labels[i : i + 1], both[i : i + 1], overlap_weight=0) for i in (0, 1)
    ]
    together = partial_label_loss(scores, labels, both, overlap_weight=0)
    assert float(together) == pytest.approx(np.mean([float(part) for part in parts]), abs=1e-5)
    assert float(parts[0]) < float(partial_label_loss(scores[:1], labels[:1], ONE_EACH, overlap_weight=0))


def test_a_label_that_the_network_excludes_still_pulls():
    scores = torch.zeros(1, 3, 4, 4)
    scores[:, 0] = 60.0  # certain that all is class 0: probabilities of the others are 0 in single precision
    scores.requires_grad_()
    allowed = torch.tensor([[[1.0, 0, 0], [0, 0, 0], [0, 1.0, 1.0]]])
    loss = partial_label_loss(scores, torch.full((1, 4, 4), 2), allowed, overlap_weight=0)
    loss.backward()
    assert loss.item() == pytest.approx(60.0 - np.log(2), abs=1e-4)
    assert (scores.grad[:, 0] > 0.05).all() and (scores.grad[:, 1:] < -0.02).all()
