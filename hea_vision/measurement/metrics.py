"""Score labels against a truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hea_sim.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Hold the scores of labels against a truth.

    `iou` by class number, NaN where a class is in neither; `macro_iou` its mean over classes that are in either;
    `micro_iou` is accuracy / (2 - accuracy), the published flattened figure, which hides rare classes;
    `fraction_error` by class: labelled minus true area fraction.
    """

    iou: Mapping[int, float]
    macro_iou: float
    micro_iou: float
    fraction_error: Mapping[int, float]


def score_labels(labels: np.ndarray, truth: np.ndarray, classes: tuple[int, ...]) -> Scores:
    """Score labels against the truth for the given class numbers.

    >>> s = score_labels(np.array([[0, 1], [1, 1]]), np.array([[0, 0], [1, 1]]), (0, 1))
    >>> round(s.iou[1], 3), round(s.micro_iou, 3), s.fraction_error[1]
    (0.667, 0.6, 0.25)
    """
    labels, truth = np.asarray(labels), np.asarray(truth)
    if labels.shape != truth.shape or labels.size == 0:
        raise InputError(f"scores: labels {labels.shape} against truth {truth.shape}; wanted one shape, not empty")
    iou, error = {}, {}
    for number in classes:
        ours, theirs = labels == number, truth == number
        either = int((ours | theirs).sum())
        iou[number] = float((ours & theirs).sum() / either) if either else float("nan")
        error[number] = float(ours.mean() - theirs.mean())
    accuracy = float((labels == truth).mean())
    present = [v for v in iou.values() if np.isfinite(v)]
    return Scores(
        iou=iou,
        macro_iou=float(np.mean(present)) if present else float("nan"),
        micro_iou=accuracy / (2.0 - accuracy),
        fraction_error=error,
    )
