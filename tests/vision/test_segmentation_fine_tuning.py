"""Fine-tuning: what judges is not learnt, and a worse model is not kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hea_sim.errors import InputError
from hea_sim.records import Micrograph
from hea_vision.segmentation import fine_tuning
from hea_vision.segmentation.examples import LabelledImage
from hea_vision.segmentation.fine_tuning import fine_tune, hold_out, mean_iou
from hea_vision.segmentation.labelling import segment_with
from hea_vision.segmentation.partial_labels import IGNORED
from hea_vision.segmentation.training import SegmenterTraining
from tests.vision.tiny_networks import WIDTHS, blobs, cloudy, save_tiny, tiny_segmenter

CLASSES = {0: "matrix", 1: "second phase"}
SETTINGS = SegmenterTraining(
    examples=48,
    batch=4,
    size_px=64,
    held_out=1,
    report_every=24,
    workers=0,
    half=False,
    average=0.8,
    learning_rate=1e-2,
)


QUICK = replace(SETTINGS, examples=8, report_every=8)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def picture(seed=0, shape=(96, 96), classes=CLASSES):
    image, labels = blobs(seed, shape)
    return LabelledImage(image=image, labels=labels, classes=classes)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    return str(save_tiny(tmp_path_factory.mktemp("start") / "tiny", tiny_segmenter(1, classes=CLASSES)))


def test_every_fourth_picture_judges():
    pictures = {name: picture(i, (32, 32)) for i, name in enumerate("hgfedcba")}
    learn, judge = hold_out(pictures)
    assert sorted(judge) == ["d", "h"] and sorted(learn) == list("abcefg")
    assert all(judge[n] is pictures[n] for n in judge) and all(learn[n] is pictures[n] for n in learn)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_of_few_pictures_the_lowest_quarter_judges(n):
    pictures = {str(i): picture(i, (40, 32)) for i in range(n)}
    learn, judge = hold_out(pictures)
    assert set(learn) == set(judge) == set(pictures)
    for name, whole in pictures.items():
        above, below = learn[name].labels, judge[name].labels
        assert ((above == IGNORED) ^ (below == IGNORED)).all()
        assert (below != IGNORED).any(1).sum() == 10 and (below[-10:] != IGNORED).all()
        np.testing.assert_array_equal(np.where(above == IGNORED, below, above), whole.labels)
        assert not (whole.labels == IGNORED).any()  # the picture that was given stays as it is


def test_the_lowest_quarter_is_that_of_what_was_labelled():
    """A picture of which only the upper part is labelled still has something to judge by."""
    labelled = picture(0, (40, 32))
    labels = labelled.labels.copy()
    labels[20:] = IGNORED
    learn, judge = hold_out({"a": LabelledImage(image=labelled.image, labels=labels, classes=CLASSES)})
    assert (judge["a"].labels != IGNORED).any(1).sum() == 5 and (learn["a"].labels != IGNORED).any(1).sum() == 15


def test_pictures_that_teach_nothing_are_refused(start, tmp_path):
    with pytest.raises(InputError, match="no labelled picture"):
        hold_out({})
    blank = LabelledImage(image=blobs(0)[0], labels=np.full((96, 96), IGNORED, np.uint8), classes=CLASSES)
    with pytest.raises(InputError, match="'blank' has no label"):
        hold_out({"blank": blank})
    pore = LabelledImage(image=blobs(0)[0], labels=np.full((96, 96), 2, np.uint8), classes={2: "pore"})
    with pytest.raises(InputError, match=r"label 2 \('pore'\) is no class of the model"):
        fine_tune(tmp_path, {"a": pore}, start=start, name="new", settings=SETTINGS)
    with pytest.raises(InputError, match="numbered from 0"):
        fine_tune(tmp_path, {"a": picture()}, start=start, name="new", classes={0: "a", 2: "b"}, settings=SETTINGS)


def test_a_better_model_is_kept_and_both_are_judged(start, tmp_path):
    pictures, said = {str(i): picture(i) for i in range(4)}, []
    made = fine_tune(tmp_path, pictures, start=start, name="blobs", settings=SETTINGS, say=said.append)
    assert made.improved and made.after >= made.before
    assert made.segmenter.name == "blobs" and dict(made.segmenter.classes) == CLASSES
    assert made.segmenter.network.widths == WIDTHS and said
    judge = hold_out(pictures)[1]
    assert mean_iou(made.segmenter, judge) == pytest.approx(made.after)
    assert made.after > 0.5


def test_a_worse_model_is_not_kept_and_that_is_said(start, tmp_path, monkeypatch):
    said, scores = [], {"tiny": 0.8, "worse": 0.6}
    monkeypatch.setattr(fine_tuning, "mean_iou", lambda segmenter, pictures: scores[segmenter.name])
    made = fine_tune(tmp_path, {"a": picture()}, start=start, name="worse", settings=QUICK, say=said.append)
    assert not made.improved and (made.before, made.after) == (0.8, 0.6)
    assert made.segmenter.name == "tiny"
    assert "worse" in said[-1] and "0.600" in said[-1] and "0.800" in said[-1]


def test_other_classes_get_a_head_of_their_own(start, tmp_path):
    classes = {0: "matrix", 1: "second phase", 2: "crack"}
    made = fine_tune(tmp_path, {"a": picture()}, start=start, name="three", classes=classes, settings=QUICK)
    assert made.before is None and made.improved and made.segmenter.network.n_classes == 3


@pytest.mark.parametrize("names", [("matrix", "pore"), ("matrix", "sigma", "pore")])
def test_own_classes_are_areas_whatever_the_start_was_for(tmp_path, names):
    classes = {0: "matrix", 1: "small precipitate", 2: "large precipitate"}
    start = save_tiny(tmp_path / "start", tiny_segmenter(3, task="precipitates", classes=classes))
    own = dict(enumerate(names))
    shown = picture()
    shown = replace(shown, classes={n: names[n] for n in shown.classes})
    made = fine_tune(tmp_path / "run", {"a": shown}, start=str(start), name="own", classes=own, settings=QUICK)
    found = segment_with(made.segmenter, Micrograph(image=cloudy(7)))
    assert made.segmenter.task == "areas" and dict(found.classes) == own
    assert set(np.unique(found.labels)) <= set(own)


def test_reduction_reduces_what_is_learnt_and_asked(start, tmp_path):
    made = fine_tune(
        tmp_path,
        {"a": picture(0, (160, 160))},
        start=start,
        name="half",
        reduction=2,
        settings=QUICK,
        say=lambda _: None,
    )
    kept = made.segmenter if made.improved else None
    assert made.before is not None and np.isfinite(made.after)
    if kept is not None:
        assert kept.reduction == 2 and kept.probabilities(picture().image).shape == (2, 96, 96)


def test_mean_iou_counts_what_is_judged():
    """Of a segmenter's own labels with one class wrong in known pixels, pixels that nobody judged do not count."""
    segmenter, image = tiny_segmenter(1, classes=CLASSES), blobs(3)[0]
    own = segmenter.probabilities(image).argmax(0).astype(np.uint8)
    right = LabelledImage(image=image, labels=own, classes=CLASSES)
    assert mean_iou(segmenter, {"a": right}) == 1.0
    wrong = own.copy()
    wrong[:48] = 1 - own[:48]
    shared = [(own[48:] == c).sum() for c in (0, 1)]
    either = [(own == c).sum() + (wrong[:48] == c).sum() for c in (0, 1)]
    expected = np.mean([s / e for s, e in zip(shared, either)])
    assert mean_iou(segmenter, {"a": LabelledImage(image=image, labels=wrong, classes=CLASSES)}) == pytest.approx(
        expected
    )
    wrong[:48] = IGNORED
    assert mean_iou(segmenter, {"a": LabelledImage(image=image, labels=wrong, classes=CLASSES)}) == 1.0


def test_a_lone_population_may_be_found_small_or_large():
    classes = {0: "matrix", 1: "small precipitate", 2: "large precipitate"}
    segmenter, image = tiny_segmenter(2, classes=classes), blobs(4)[0]
    p = segmenter.probabilities(image)
    lone = np.where(p[1] + p[2] > p[0], 2, 0).astype(np.uint8)
    judged = LabelledImage(image=image, labels=lone, classes={0: "matrix", 2: "precipitate"})
    assert len(np.unique(lone)) == 2
    assert mean_iou(segmenter, {"a": judged}) == pytest.approx(1.0)
