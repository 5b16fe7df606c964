"""Finish a trained network: calibrate its probabilities and intervals, learn what it knows, and save it with a card."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hea_sim.documents import versions
from hea_sim.errors import InputError
from hea_sim.registry.cards import DataSource, ModelCard, Score, save_model
from hea_vision.segmentation.examples import LabelledImage, allowed_of
from hea_vision.segmentation.familiarity import Familiarity, describe
from hea_vision.segmentation.intervals import error_factor
from hea_vision.segmentation.models import CARD_KIND, TrainedSegmenter
from hea_vision.segmentation.partial_labels import IGNORED

_TEMPERATURES = np.exp(np.linspace(np.log(0.6), np.log(2.5), 25))
_PIXELS_AN_IMAGE = 20_000
#: Fewer images than this cannot fix the 90 % quantile of an error.
LEAST_IMAGES = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class CalibrationImage:
    """Hold a labelled picture that the network did not learn from, and the group that it belongs to."""

    picture: LabelledImage
    group: str


def calibrated(
    segmenter: TrainedSegmenter, images: Sequence[CalibrationImage], *, rng: np.random.Generator
) -> TrainedSegmenter:
    """Set the temperature by which labels are likeliest, then the factor of the fractions' intervals.

    Raises InputError where no image is given. With fewer than `LEAST_IMAGES` the intervals stay unknown.
    """
    images = [item for item in images if (item.picture.labels != IGNORED).any()]
    if not images:
        raise InputError("calibration: no labelled picture was given; wanted some that the network did not learn from")
    n = len(segmenter.classes)
    scores, targets, allowed, weights = [], [], [], []
    per_group = {g: sum(i.group == g for i in images) for g in {i.group for i in images}}
    errors: dict[int, list[tuple[float, float, str]]] = {c: [] for c in segmenter.classes if c > 0}
    for item in images:
        p = replace(segmenter, temperature=1.0).probabilities(item.picture.image)
        known = np.flatnonzero(item.picture.labels.ravel() != IGNORED)
        pick = rng.choice(known, min(_PIXELS_AN_IMAGE, known.size), replace=False)
        scores.append(np.log(np.maximum(p.reshape(n, -1)[:, pick], 1e-12)).T)
        targets.append(item.picture.labels.ravel()[pick])
        allowed.append(allowed_of(item.picture.classes, n))
        weights.append(1.0 / (per_group[item.group] * pick.size))
    losses = [
        sum(w * float(_negative_log(s / t, y, a).sum()) for s, y, a, w in zip(scores, targets, allowed, weights))
        for t in _TEMPERATURES
    ]
    temperature = float(_TEMPERATURES[int(np.argmin(losses))])
    segmenter = replace(segmenter, temperature=temperature)
    for item in images:
        for c, row in _field_errors(segmenter, item).items():
            errors[c].append(row)
    factors = {
        c: error_factor(np.array([r[0] for r in rows]), np.array([r[1] for r in rows]), np.array([r[2] for r in rows]))
        for c, rows in errors.items()
        if len(rows) >= LEAST_IMAGES
    }
    return replace(segmenter, field_error=factors or None)


def _negative_log(scores: np.ndarray, labels: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Give -log of the probability of each label; scores (pixels, classes) are logs, not normalised."""
    scores = scores - scores.max(1, keepdims=True)
    p = np.exp(scores)
    p /= p.sum(1, keepdims=True)
    q = np.take_along_axis(p @ allowed.T, labels[:, None].astype(int), 1)[:, 0]
    return -np.log(np.maximum(q, 1e-9))


def _field_errors(segmenter: TrainedSegmenter, item: CalibrationImage) -> dict[int, tuple[float, float, str]]:
    """Give error, ambiguous area and group of the fractions that the truth of a picture fixes."""
    from hea_sim.records import Micrograph
    from hea_vision.segmentation.labelling import segment_with

    picture = item.picture
    made = segment_with(replace(segmenter, familiarity=None), Micrograph(image=picture.image))
    assert made.probabilities is not None
    judged = picture.labels != IGNORED
    rows, order = {}, sorted(made.classes)
    lone = picture.classes.get(2) == "precipitate" and 1 not in picture.classes
    for c in segmenter.classes:
        if c == 0 or (lone and c != 2):
            continue
        p = made.probabilities[1:].sum(0) if lone or c not in order else made.probabilities[order.index(c)]
        found = made.labels > 0 if lone else made.labels == c
        error = float(found[judged].mean() - (picture.labels[judged] == c).mean())
        rows[c] = (error, float(np.minimum(p, 1 - p)[judged].mean()), item.group)
    return rows


def with_familiarity(
    segmenter: TrainedSegmenter, known: Sequence[np.ndarray], judged: Sequence[np.ndarray]
) -> TrainedSegmenter:
    """Learn what the network's own images look like; `judged` are of the same kinds and set the limit."""
    first = np.array([describe(segmenter.network, image) for image in known])
    second = np.array([describe(segmenter.network, image) for image in judged])
    return replace(segmenter, familiarity=Familiarity.fit(first, second))


def save_segmenter(
    folder: str | os.PathLike[str],
    segmenter: TrainedSegmenter,
    *,
    data: Sequence[DataSource],
    scores: Mapping[str, Score],
    seeds: Mapping[str, int],
    remake: str,
    notes: Sequence[str] = (),
) -> ModelCard:
    """Write a segmenter's weights and card into a folder, from which `segment` takes it by the folder's name.

    Weights are kept in half precision.
    """
    card = ModelCard(
        name=segmenter.name,
        kind=CARD_KIND,
        data=tuple(data),
        scores=dict(scores),
        seeds=dict(seeds),
        remake=remake,
        licence="GPL-3.0-or-later",
        citation="this project",
        notes=tuple(notes),
        settings=segmenter.settings(),  # type: ignore[arg-type]
        versions=dict(versions()),
    )
    return save_model(folder, card, segmenter.arrays(), network=True)
