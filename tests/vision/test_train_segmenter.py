"""`hea train segmenter` and `hea train strokes`: from folders to a model that `hea segment` takes."""

import json
from functools import partial

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import torch
from typer.testing import CliRunner

from hea_sim.errors import InputError
from hea_sim.microscopy.precipitates import Population, draw_precipitates
from hea_sim.microscopy.random_fields import draw_field
from hea_sim.records import Micrograph, Segmentation
from hea_sim.registry.cards import DataSource, Score
from hea_vision.cli.app import app
from hea_vision.io import read_micrograph, write_labels
from hea_vision.jobs import TrainSegmenterJob
from hea_vision.segmentation import segment
from hea_vision.segmentation.examples import VirtualSource
from hea_vision.segmentation.finishing import save_segmenter
from hea_vision.segmentation.models import TrainedSegmenter, load_segmenter
from hea_vision.segmentation.network import MicrographNet
from hea_vision.segmentation.own_models import VIRTUAL_CLASSES, train_own
from hea_vision.segmentation.pairs import read_pairs
from hea_vision.segmentation.training import SegmenterTraining, train_segmenter
from hea_vision.segmentation.virtual_finishing import CALIBRATION_SEED, KNOWN_SEED, virtual_pictures

CLASSES = {0: "matrix", 1: "small precipitate", 2: "large precipitate"}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A tiny network that has seen a few virtual micrographs, saved as a model folder."""
    run = tmp_path_factory.mktemp("start")
    widths = (16, 16, 24)
    settings = SegmenterTraining(examples=8, batch=4, size_px=64, held_out=2, report_every=8, workers=0, half=False)
    net = train_segmenter(
        run, [(1.0, VirtualSource(kind="precipitates", n_classes=3))], n_classes=3, settings=settings, widths=widths
    )
    assert isinstance(net, MicrographNet)
    save_segmenter(
        run / "model",
        TrainedSegmenter(name="tiny", task="precipitates", classes=CLASSES, network=net),
        data=[DataSource(name="virtual", source="this test", licence="none")],
        scores={"none": Score(value=0.0, unit="1", how="not measured")},
        seeds={"training": 0},
        remake="this test",
    )
    return run / "model"


@pytest.fixture
def folders(tmp_path):
    """Three pictures with bright particles, and their label images."""
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    for k in range(3):
        rng = np.random.default_rng(k)
        scene = draw_precipitates(rng, (96, 128), large=Population(diameter_px=18, fraction=0.25, contrast=0.3))
        noisy = np.clip(scene.reflectance + 0.02 * rng.standard_normal(scene.reflectance.shape), 0, 1)
        tifffile.imwrite(tmp_path / "images" / f"field{k}.tif", np.round(255 * noisy).astype(np.uint8))
        labels = Segmentation(labels=scene.labels, classes=dict(scene.classes), pixel_size_nm=20.0)
        write_labels(tmp_path / "labels" / f"field{k}_labels.tif", labels)
    return tmp_path


def hea(*words):
    return CliRunner().invoke(app, [str(w) for w in words])


def test_pictures_make_a_model_that_segment_takes(folders, start, tmp_path):
    out = tmp_path / "run"
    done = hea(
        "train", "segmenter", "--images", folders / "images", "--labels", folders / "labels", "--start-from", start,
        "--examples", 8, "--workers", 0, "--device", "cpu", "--name", "mine", "--out", out, "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    row = json.loads(done.stdout)["results"][0]
    assert 0 <= row["held_out_iou"] <= 1 and row["improved"] == (row["held_out_iou"] >= row["held_out_iou_before"])
    made = load_segmenter(out / "model")
    assert dict(made.classes) == CLASSES and made.familiarity is not None
    labels = segment(read_micrograph(folders / "images" / "field0.tif"), str(out / "model"))
    assert labels.labels.shape == (96, 128) and labels.unfamiliarity is not None


@pytest.fixture
def few_pictures(monkeypatch):
    """Finish on few and small virtual micrographs."""
    from hea_vision.segmentation import own_models

    few = partial(own_models.finished_on_virtual, pictures=24, known=12, size_px=64)
    monkeypatch.setattr(own_models, "finished_on_virtual", few)


def test_a_model_from_virtual_micrographs_is_calibrated_and_has_a_flag(few_pictures, tmp_path):
    out, kind = tmp_path / "run", "precipitates"
    (tmp_path / "job.toml").write_text("batch = 4\nsize_px = 64\nhalf = false\n")
    done = hea(
        "train", "segmenter", "--virtual", kind, "--config", tmp_path / "job.toml", "--examples", 8, "--workers", 0,
        "--device", "cpu", "--out", out, "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    made = load_segmenter(out / "model")
    assert dict(made.classes) == VIRTUAL_CLASSES[kind]
    # An interval for every class but the matrix.
    assert made.familiarity is not None and set(made.field_error or {}) == set(made.classes) - {0}
    drawn = draw_field(kind, np.random.default_rng(5), (96, 96))
    labels = segment(Micrograph(image=drawn.image), str(out / "model"))
    assert labels.unfamiliar is not None and labels.unfamiliarity > 0
    assert all(e.std is not None and e.low <= e.value <= e.high for e in labels.fractions.values())
    striped = np.tile(np.where(np.arange(96) % 2, 1.0, 0.0), (96, 1))  # a picture that nobody draws
    assert segment(Micrograph(image=striped), str(out / "model")).unfamiliarity > labels.unfamiliarity


def test_calibration_never_sees_what_a_run_learns_from():
    """Seeds of pictures are their own: the first of each set differs from that of every other, and of seed 0."""
    seeds = (0, CALIBRATION_SEED, KNOWN_SEED)
    first = [next(virtual_pictures("grains", seed, 1, 64)) for seed in seeds]
    assert all(not np.array_equal(first[a].image, first[b].image) for a, b in [(0, 1), (0, 2), (1, 2)])
    again = next(virtual_pictures("grains", CALIBRATION_SEED, 1, 64))
    np.testing.assert_array_equal(again.image, first[1].image)


@pytest.mark.slow
def test_a_stopped_run_goes_on_and_a_finished_one_gives_the_same_weights(folders, start, tmp_path):
    job = TrainSegmenterJob(
        images=str(folders / "images"), labels=str(folders / "labels"), start_from=str(start), examples=8, workers=0,
        device="cpu", half=False,
    )  # fmt: skip
    first = train_own(tmp_path / "a", job, say=lambda _: None)
    again = train_own(tmp_path / "a", job, say=lambda _: None)
    for name, array in first.segmenter.arrays().items():
        np.testing.assert_array_equal(array, again.segmenter.arrays()[name])


def test_a_run_does_not_go_on_with_other_pictures(folders, start, tmp_path):
    job = TrainSegmenterJob(
        images=str(folders / "images"), labels=str(folders / "labels"), start_from=str(start), examples=8, workers=0,
        device="cpu", half=False,
    )  # fmt: skip
    train_own(tmp_path / "a", job, say=lambda _: None)
    other = tifffile.imread(folders / "images" / "field1.tif")
    tifffile.imwrite(folders / "images" / "field0.tif", other)
    with pytest.raises(InputError, match="pictures"):
        train_own(tmp_path / "a", job, say=lambda _: None)


def test_labels_inside_the_folder_of_pictures_are_no_pictures(folders):
    (folders / "labels").rename(folders / "images" / "labels")
    assert set(read_pairs(folders / "images", folders / "images" / "labels")) == {"field0", "field1", "field2"}


def test_masks_of_black_and_white_are_two_classes(folders):
    for path in (folders / "labels").glob("*.tif"):
        tifffile.imwrite(path, np.where(tifffile.imread(path) > 0, 255, 0).astype(np.uint8))
    pairs = read_pairs(folders / "images", folders / "labels", {0: "matrix", 1: "particle"})
    assert set(np.unique(pairs["field0"].labels)) == {0, 1}
    with pytest.raises(InputError, match="255"):
        read_pairs(folders / "images", folders / "labels", {0: "matrix", 1: "a", 2: "b"})


def test_a_worse_model_is_not_kept_and_the_old_card_stands(folders, start, tmp_path, monkeypatch):
    import hea_vision.segmentation.fine_tuning as fine_tuning

    scores = iter([0.9, 0.1])
    monkeypatch.setattr(fine_tuning, "mean_iou", lambda *_: next(scores))
    job = TrainSegmenterJob(
        images=str(folders / "images"), labels=str(folders / "labels"), start_from=str(start), examples=8, workers=0,
        device="cpu", half=False,
    )  # fmt: skip
    made = train_own(tmp_path / "a", job, say=lambda _: None)
    assert not made.improved
    for name in ("card.json", "weights.safetensors"):
        assert (made.folder / name).read_bytes() == (start / name).read_bytes()


def test_strokes_make_a_model_that_tells_what_was_painted(folders, start, tmp_path):
    truth = tifffile.imread(folders / "labels" / "field0_labels.tif")
    painted = np.zeros(truth.shape, np.uint8)
    painted[40:44] = np.where(truth[40:44] > 0, 2, 1)
    painted[70:73] = np.where(truth[70:73] > 0, 2, 1)
    iio.imwrite(tmp_path / "strokes.png", painted)
    done = hea(
        "train", "strokes", "--images", folders / "images" / "field0.tif", "--strokes", tmp_path / "strokes.png",
        "--classes", "matrix,particle", "--features", start, "--device", "cpu", "--out", tmp_path / "painted",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    other = segment(read_micrograph(folders / "images" / "field1.tif"), str(tmp_path / "painted" / "model"))
    wanted = tifffile.imread(folders / "labels" / "field1_labels.tif") > 0
    found = np.asarray(other.labels) == 1
    assert other.classes == {0: "matrix", 1: "particle"}
    assert (found & wanted).sum() / (found | wanted).sum() > 0.7


def test_pairs_need_a_label_image_of_the_same_name_and_shape(folders):
    pairs = read_pairs(folders / "images", folders / "labels")
    assert set(pairs) == {"field0", "field1", "field2"} and dict(pairs["field0"].classes) == {
        0: "matrix",
        2: "precipitate",
    }
    (folders / "labels" / "field2_labels.tif").unlink()
    with pytest.raises(InputError, match="field2"):
        read_pairs(folders / "images", folders / "labels")
    tifffile.imwrite(folders / "labels" / "field2.tif", np.zeros((10, 12), np.uint8))
    with pytest.raises(InputError, match="shape"):
        read_pairs(folders / "images", folders / "labels")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing to learn from"),
        (["--images", "x"], "go together"),
        (["--virtual", "precipitate"], "precipitates"),
        (["--virtual", "grains", "--name", "My Model"], "small letters"),
        (["--images", "x", "--labels", "y"], "start_from"),
    ],
)
def test_a_wrong_call_says_what_is_wanted(words, said, tmp_path):
    done = hea("train", "segmenter", *words, "--out", tmp_path / "run")
    assert done.exception is not None and said in str(done.exception)
