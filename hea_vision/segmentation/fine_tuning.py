"""Teach a trained network labelled pictures of one's own.

A run always begins with the weights of the model that it starts from and takes all pictures, the corrected ones with
the old ones: a model that is corrected again and again forgets. What is held out judges the new model beside the old
one, and the worse of the two is never kept without saying so. A part of the examples stays virtual, so that what
simulation has taught about rare and faint particles is not unlearnt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hea_sim.errors import InputError
from hea_vision.segmentation.examples import (
    Example,
    ExampleSource,
    LabelledImage,
    PictureSource,
    VirtualSource,
    allowed_of,
)
from hea_vision.segmentation.inputs import network_input
from hea_vision.segmentation.models import TrainedSegmenter, load_segmenter
from hea_vision.segmentation.network import MicrographNet
from hea_vision.segmentation.partial_labels import IGNORED
from hea_vision.segmentation.prediction import reduced
from hea_vision.segmentation.training import SegmenterTraining, train_segmenter

#: Examples of a fine-tuning, its learning rate, and how fast the mean of the weights follows.
FINE_TUNING = SegmenterTraining(examples=3200, learning_rate=1e-3, average=0.98, report_every=800, held_out=8)
VIRTUAL_SHARE = 0.4
_HELD_OUT_PART = 4
_FAR_FROM_FIRST, _EXAMPLES_OF_A_RUN = 100_000_000, 100_000


@dataclass(frozen=True, kw_only=True, eq=False)
class FineTuned:
    """Hold what came out: the better segmenter, mean IoU on what was held out before and after, and which was kept.

    `before` is None where the old model has other classes.
    """

    segmenter: TrainedSegmenter
    before: float | None
    after: float
    improved: bool


def fine_tune(
    out: Path,
    pictures: Mapping[str, LabelledImage],
    *,
    start: str,
    name: str,
    classes: Mapping[int, str] | None = None,
    validation: Mapping[str, LabelledImage] | None = None,
    virtual: str | None = None,
    virtual_share: float = VIRTUAL_SHARE,
    inverted_share: float = 0.0,
    reduction: int = 1,
    upright: bool = False,
    balanced_share: float = 0.0,
    settings: SegmenterTraining = FINE_TUNING,
    say: Callable[[str], None] = print,
) -> FineTuned:
    """Train on from a model with labelled pictures.

    Parameters
    ----------
    out
        Folder of the run; a stopped run goes on from there.
    pictures
        All labelled pictures by name, those of earlier corrections included.
    start
        The model to begin with: a name or a folder.
    classes
        Of the new model; None for those of `start`. Others get a head of their own.
    validation
        What judges; None to hold out every fourth picture, or of fewer than four the lowest quarter of each.
    reduction
        The network shall look at means over squares of so many pixels, where objects are large and pictures too.
    upright
        The pictures have a top and a bottom, as sections of a coating have: they are mirrored and tilted a little, but
        not turned.
    balanced_share
        Part of the squares that lie about a pixel of a class drawn with equal chances: cracks are rare.
    virtual, virtual_share
        Kind of virtual micrographs to mix in, and how many of the examples they are; None for none.

    Raises
    ------
    InputError
        Where no picture is given or a label has no class.
    """
    old = load_segmenter(start, settings.device)
    if not isinstance(old.network, MicrographNet):
        raise InputError(f"start '{start}' was painted; begin with a trained network, and paint again instead")
    new_classes = dict(classes or old.classes)
    learn, judge_on = (dict(pictures), dict(validation)) if validation else hold_out(pictures)
    _check_classes([*learn.values(), *judge_on.values()], new_classes)
    learn_from = PictureSource(
        pictures=[_reduced(p, reduction) for p in learn.values()], n_classes=len(new_classes),
        inverted_share=inverted_share, upright=upright, balanced_share=balanced_share,
    )  # fmt: skip
    weights = {n: v.detach().cpu().numpy() for n, v in old.network.state_dict().items()}
    settings = replace(settings, first_number=settings.first_number or number_after(weights))
    network = train_segmenter(
        out,
        _mixed(learn_from, virtual, virtual_share),
        n_classes=len(new_classes),
        settings=settings,
        start=weights,
        widths=old.network.widths,
        held_out=_as_examples({n: _reduced(p, reduction) for n, p in judge_on.items()}, len(new_classes)),
        say=say,
    )
    same = new_classes == dict(old.classes)
    # Other classes are no longer two populations, grains or columns, whatever the old ones were.
    new = replace(
        old, name=name, task=old.task if same else "areas", classes=new_classes, network=network, temperature=1.0,
        reduction=reduction, upright=upright, field_error=None, familiarity=None, sha256="",
    )  # fmt: skip
    return _better_of(old, new, judge_on, say)


def _better_of(
    old: TrainedSegmenter, new: TrainedSegmenter, judge_on: Mapping[str, LabelledImage], say: Callable[[str], None]
) -> FineTuned:
    """Keep the new model where it is no worse on what was held out; one of other classes cannot be compared."""
    before = mean_iou(old, judge_on) if dict(new.classes) == dict(old.classes) else None
    after = mean_iou(new, judge_on)
    improved = before is None or after >= before
    if not improved:
        say(f"the new model is worse on what was held out ({after:.3f}, before {before:.3f}); the old one is kept")
    return FineTuned(segmenter=new if improved else old, before=before, after=after, improved=improved)


def _mixed(learn_from: PictureSource, virtual: str | None, virtual_share: float) -> list[tuple[float, ExampleSource]]:
    """Mix labelled pictures with virtual micrographs."""
    if virtual is None or virtual_share == 0:
        return [(1.0, learn_from)]
    drawn = VirtualSource(kind=virtual, n_classes=learn_from.n_classes)
    return [(1 - virtual_share, learn_from), (virtual_share, drawn)]


def number_after(weights: Mapping[str, np.ndarray]) -> int:
    """Number the first example of a run that goes on from weights, so that each start is shown examples of its own.

    >>> number_after({"a": np.zeros(2)}) == number_after({"a": np.zeros(2)}) != number_after({"a": np.ones(2)})
    True
    """
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(weights[name]).tobytes() for name in sorted(weights)))
    return _FAR_FROM_FIRST + int(digest.hexdigest()[:6], 16) * _EXAMPLES_OF_A_RUN


def hold_out(
    pictures: Mapping[str, LabelledImage],
) -> tuple[dict[str, LabelledImage], dict[str, LabelledImage]]:
    """Split pictures in those to learn from and those that judge.

    Every fourth judges; of fewer than four, the lowest quarter of the labelled rows of each.
    """
    if not pictures:
        raise InputError("fine-tuning: no labelled picture was given; wanted at least one")
    names = sorted(pictures)
    if len(names) >= _HELD_OUT_PART:
        kept = set(names[_HELD_OUT_PART - 1 :: _HELD_OUT_PART])
        return {n: pictures[n] for n in names if n not in kept}, {n: pictures[n] for n in names if n in kept}
    upper, lower = {}, {}
    for name in names:
        picture = pictures[name]
        rows = np.flatnonzero((picture.labels != IGNORED).any(1))
        if not rows.size:
            raise InputError(f"fine-tuning: picture '{name}' has no label; label some of it, or leave it out")
        cut = int(rows[rows.size * (_HELD_OUT_PART - 1) // _HELD_OUT_PART])  # of the rows that are judged
        above, below = picture.labels.copy(), picture.labels.copy()
        above[cut:], below[:cut] = IGNORED, IGNORED
        upper[name], lower[name] = replace(picture, labels=above), replace(picture, labels=below)
    return upper, lower


def _reduced(picture: LabelledImage, k: int) -> LabelledImage:
    """Reduce a picture, and pick the label in the middle of each square."""
    if k == 1:
        return picture
    image = reduced(picture.image, k)
    labels = np.pad(picture.labels, [(0, (-n) % k) for n in picture.labels.shape], mode="edge")
    return replace(picture, image=image, labels=np.ascontiguousarray(labels[k // 2 :: k, k // 2 :: k]))


def _check_classes(pictures: list[LabelledImage], classes: Mapping[int, str]) -> None:
    if sorted(classes) != list(range(len(classes))) or len(classes) < 2:
        raise InputError(f"fine-tuning: classes {dict(classes)}; wanted at least two, numbered from 0")
    for picture in pictures:
        beyond = set(picture.classes) - set(classes)
        if beyond:
            raise InputError(
                f"fine-tuning: label {min(beyond)} ('{picture.classes[min(beyond)]}') is no class of the model;"
                f" its classes are {dict(classes)}: give classes of your own, or relabel"
            )


def _as_examples(pictures: Mapping[str, LabelledImage], n_classes: int) -> list[Example]:
    """Cut a square from the middle of what is judged of each picture, to watch the run."""
    found = []
    for picture in pictures.values():
        rows = np.flatnonzero((picture.labels != IGNORED).any(1))
        size = min(384, picture.image.shape[0] // 16 * 16, picture.image.shape[1] // 16 * 16)
        middle = int(rows.mean()) if rows.size else picture.image.shape[0] // 2
        top = int(np.clip(middle - size // 2, 0, picture.image.shape[0] - size))
        left = (picture.image.shape[1] - size) // 2
        window = (slice(top, top + size), slice(left, left + size))
        found.append(
            Example(
                channels=network_input(np.asarray(picture.image, np.float32))[(slice(None), *window)],
                labels=picture.labels[window],
                allowed=allowed_of(picture.classes, n_classes),
            )
        )
    return found


def mean_iou(segmenter: TrainedSegmenter, pictures: Mapping[str, LabelledImage]) -> float:
    """Give the mean IoU over the classes that the pictures' labels fix, counted over all pictures together."""
    n = len(segmenter.classes)
    shared, either = np.zeros(n), np.zeros(n)
    for picture in pictures.values():
        p = segmenter.probabilities(picture.image)
        allowed = allowed_of(picture.classes, n)
        found = np.einsum("kc,chw->khw", allowed, p).argmax(0)
        judged = picture.labels != IGNORED
        for c in range(n):
            ours, theirs = (found == c) & judged, picture.labels == c
            shared[c] += (ours & theirs).sum()
            either[c] += (ours | theirs).sum()
    there = either > 0
    return float((shared[there] / either[there]).mean())
