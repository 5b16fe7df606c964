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
from hea_vision.segmentation.familiarity import Familiarity
from hea_vision.segmentation.intervals import error_factor
from hea_vision.segmentation.labelling import populations_of
from hea_vision.segmentation.models import CARD_KIND, TrainedSegmenter
from hea_vision.segmentation.partial_labels import IGNORED
from hea_vision.segmentation.picture_numbers import describe
from hea_vision.segmentation.prediction import reduced
from hea_vision.segmentation.strange_pictures import other_kinds, spoilt

_TEMPERATURES = np.exp(np.linspace(np.log(0.6), np.log(2.5), 25))
_PIXELS_AN_IMAGE = 20_000
#: Fewer images than this cannot fix the 90 % quantile of an error.
LEAST_IMAGES = 10
#: Several views are calibrated as so many.
MANY_VIEWS = 8
_OTHERS_SEED, _SPOILT_SEED = 6_000_011, 7_000_003


@dataclass(frozen=True, kw_only=True, eq=False)
class CalibrationImage:
    """Hold a labelled picture that the network did not learn from, and the group that it belongs to."""

    picture: LabelledImage
    group: str


@dataclass(frozen=True, kw_only=True, eq=False)
class _Seen:
    """Hold what a network, not calibrated yet, makes of a labelled picture.

    `scores` (pixels, classes) are logarithms of probabilities of some pixels, `targets` their labels; `errors` by class
    are those of the area fractions, and `merged` says that all classes but the matrix counted as one.
    """

    scores: np.ndarray
    targets: np.ndarray
    allowed: np.ndarray
    errors: Mapping[int, float]
    merged: bool
    group: str


def calibrated(
    segmenter: TrainedSegmenter, images: Sequence[CalibrationImage], *, rng: np.random.Generator
) -> TrainedSegmenter:
    """Set the temperature by which labels are likeliest, then the factor of the fractions' intervals.

    Both are counted for one view and for the mean of `MANY_VIEWS`, whose probabilities are less sure and whose errors
    are smaller.

    Raises InputError where no image is given. With fewer than `LEAST_IMAGES` the intervals stay unknown.
    """
    images = [item for item in images if (item.picture.labels != IGNORED).any()]
    if not images:
        raise InputError("calibration: no labelled picture was given; wanted some that the network did not learn from")
    plain = replace(segmenter, temperature=1.0)
    both = [_count([_look(plain, item, views, rng) for item in images]) for views in (1, MANY_VIEWS)]
    (one, factors), (several, factors_several) = both
    pairs = {c: (q, factors_several[c]) for c, q in factors.items()}
    return replace(segmenter, temperature=(one, several), field_error=pairs or None)


def _look(segmenter: TrainedSegmenter, item: CalibrationImage, views: int, rng: np.random.Generator) -> _Seen:
    picture, n = item.picture, len(segmenter.classes)
    p = segmenter.probabilities(picture.image, views=views)
    truth = picture.labels.ravel()
    known = np.flatnonzero(truth != IGNORED)
    pick = rng.choice(known, min(_PIXELS_AN_IMAGE, known.size), replace=False)
    labels, classes = p.argmax(0).astype(np.uint8), dict(segmenter.classes)
    if segmenter.task == "precipitates":
        labels, classes, _ = populations_of(labels, p, classes)
    found, lone = labels.ravel()[known], picture.classes.get(2) == "precipitate" and 1 not in picture.classes
    errors = {}
    for c in segmenter.classes:
        if c > 0 and (c == 2 or not lone):
            share = (found > 0).mean() if lone else (found == c).mean()
            errors[c] = float(share - (truth[known] == c).mean())
    return _Seen(
        scores=np.log(np.maximum(p.reshape(n, -1)[:, pick], 1e-12)).T,
        targets=truth[pick],
        allowed=allowed_of(picture.classes, n),
        errors=errors,
        merged=lone or len(classes) < n,
        group=item.group,
    )


def _count(seen: Sequence[_Seen]) -> tuple[float, dict[int, float]]:
    """Give the likeliest temperature, each group counting alike, and at that temperature the factors by class."""
    group_size = {g: sum(s.group == g for s in seen) for g in {s.group for s in seen}}
    losses = [
        sum(float(_negative_log(s.scores / t, s.targets, s.allowed).mean()) / group_size[s.group] for s in seen)
        for t in _TEMPERATURES
    ]
    temperature = float(_TEMPERATURES[int(np.argmin(losses))])
    ambiguous = [_ambiguous(s, temperature) for s in seen]
    factors = {}
    for c in sorted({c for s in seen for c in s.errors}):
        rows = [(s.errors[c], a[c], s.group) for s, a in zip(seen, ambiguous) if c in s.errors]
        if len(rows) >= LEAST_IMAGES:
            errors, areas, groups = (np.array(column) for column in zip(*rows))
            factors[c] = error_factor(errors, areas, groups)
    return temperature, factors


def _ambiguous(seen: _Seen, temperature: float) -> np.ndarray:
    """Give the ambiguous part of the area (classes,)."""
    p = _probabilities(seen.scores / temperature)
    if seen.merged:
        p[:, 1:] = 1 - p[:, :1]
    return np.asarray(np.minimum(p, 1 - p).mean(0))


def _probabilities(scores: np.ndarray) -> np.ndarray:
    p = np.exp(scores - scores.max(1, keepdims=True))
    return np.asarray(p / p.sum(1, keepdims=True))


def _negative_log(scores: np.ndarray, labels: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Give -log of the probability of each label; scores (pixels, classes) are logs, not normalised."""
    q = np.take_along_axis(_probabilities(scores) @ allowed.T, labels[:, None].astype(int), 1)[:, 0]
    return -np.log(np.maximum(q, 1e-9))


def with_familiarity(
    segmenter: TrainedSegmenter,
    known: Sequence[np.ndarray],
    judged: Sequence[np.ndarray],
    *,
    known_from: Sequence[str] | None = None,
    judged_from: Sequence[str] | None = None,
    learnt: bool = True,
) -> TrainedSegmenter:
    """Learn what tells a network's own kind of images from others, which are drawn and spoilt here.

    Parameters
    ----------
    known, judged
        Images (rows, columns) of what the network is made for, and of the same kinds; it has learnt from none of the
        latter.
    known_from, judged_from
        Names of the pictures that they are parts of: all parts of one stand and fall together where the limit is
        counted. Without them each is a picture by itself.
    learnt
        The network has learnt from the known ones, to which it is kinder than to new ones: the limit is counted on the
        judged alone.
    """
    k, network, rng = segmenter.reduction, segmenter.network, np.random.default_rng(_SPOILT_SEED)
    names = [*(known_from or [f"known {n}" for n in range(len(known))])]
    names += judged_from or [f"judged {n}" for n in range(len(judged))]
    images = [*known, *judged]
    if len(names) != len(images):
        raise InputError(f"familiarity: {len(names)} names of pictures for {len(images)} images; wanted one each")
    number_of = {name: n for n, name in enumerate(dict.fromkeys(names))}
    pictures = [number_of[name] for name in names]
    numbers = [describe(network, image, reduction=k) for image in images]
    strange = [describe(network, spoilt(reduced(image, k), rng)) for image in images]
    others = other_kinds(segmenter.task, -(-len(images) // 6), _OTHERS_SEED)
    strange += [describe(network, image) for image in others]
    of_none = range(len(number_of), len(number_of) + len(strange) - len(images))
    found = Familiarity.fit(
        np.array(numbers),
        np.array(strange),
        known_from=pictures,
        strange_from=[*pictures, *of_none],
        limit_from=np.arange(len(images)) >= (len(known) if learnt else 0),
    )
    return replace(segmenter, familiarity=found)


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

    Kernels are kept in half precision.
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
