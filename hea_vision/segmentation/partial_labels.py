"""The loss: labels may name a set of classes instead of one.

A picture with one population of precipitates cannot say whether they are small or large, and one data set tells pores
where another does not. So each example says which classes each of its labels may stand for, and the loss asks for the
summed probability of that set. Where the set is one class this is the cross entropy.

| symbol | here |
|---|---|
| p_c | probability of class c, softmax of the scores |
| A[t, c] | 1 where label t may stand for class c: `allowed` |
| q_t = sum_c A[t, c] p_c | probability of label t |
| loss | mean of -log q_t, plus `overlap_weight` times 1 - mean Jaccard index of q with the labels |
"""

from __future__ import annotations

import torch

#: Label of pixels that nobody judged.
IGNORED = 255
#: Score of a class that a label cannot be: finite, since no label at all would otherwise give no number.
_NEVER = -1e4


def partial_label_loss(
    scores: torch.Tensor, labels: torch.Tensor, allowed: torch.Tensor, *, overlap_weight: float = 0.5
) -> torch.Tensor:
    """Compute the loss of class scores against labels that name sets of classes.

    Parameters
    ----------
    scores
        (batch, classes, rows, columns).
    labels
        (batch, rows, columns) whole numbers, `IGNORED` where nobody judged.
    allowed
        (batch, labels, classes) of zeros and ones; a label that an example does not have has a row of zeros.
    overlap_weight
        How much the overlap of areas counts beside the pixels.
    """
    scores = scores.float()
    judged = labels != IGNORED
    index = torch.where(judged, labels, torch.zeros_like(labels)).long()
    # Of logarithms, so that a label that the network excludes still pulls: (batch, classes, rows, columns).
    batch = torch.arange(len(labels), device=labels.device)[:, None, None]
    may_be = allowed.to(scores.dtype)[batch, index].movedim(-1, 1) > 0
    log_q = torch.logsumexp(scores.masked_fill(~may_be, _NEVER), 1) - torch.logsumexp(scores, 1)
    cross = -(log_q * judged).sum() / judged.sum().clamp(min=1)
    if overlap_weight == 0:
        return cross
    q = torch.einsum("bkc,bchw->bkhw", allowed.to(scores.dtype), torch.softmax(scores, 1))
    wanted = torch.zeros_like(q).scatter_(1, index[:, None], 1.0) * judged[:, None]
    seen = q * judged[:, None]
    shared = (wanted * seen).sum((0, 2, 3))
    either = (wanted + seen - wanted * seen).sum((0, 2, 3))
    there = wanted.sum((0, 2, 3)) > 0
    jaccard = (shared + 1.0) / (either + 1.0)
    overlap = 1 - (jaccard * there).sum() / there.sum().clamp(min=1)
    return cross + overlap_weight * overlap
