"""Segmenters in folders: what is loaded is what was saved, or it is refused."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from hea_sim.errors import InputError, UnknownNameError
from hea_sim.records import Micrograph
from hea_sim.registry.cards import CARD_FILE, WEIGHTS_FILE
from hea_vision.segmentation import known_segmenters, load_segmenter, model_sha256, segment
from hea_vision.segmentation.examples import LabelledImage
from hea_vision.segmentation.finishing import CalibrationImage, calibrated, with_familiarity
from hea_vision.segmentation.labelling import segment_with
from hea_vision.segmentation.models import model_folder
from hea_vision.segmentation.partial_labels import IGNORED
from hea_vision.segmentation.picture_numbers import describe
from hea_vision.segmentation.registry import checked_device, known_model
from tests.vision.tiny_networks import blobs, cloudy, save_tiny, tiny_segmenter


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Save a finished segmenter; give it with its folder."""
    made = with_familiarity(
        tiny_segmenter(1, temperature=1.4, reduction=1, field_error={1: 0.3, 2: 0.7}),
        [cloudy(s) for s in range(6)],
        [cloudy(s) for s in range(6, 10)],
    )
    return made, save_tiny(tmp_path_factory.mktemp("models") / "tiny", made)


def test_what_is_loaded_is_what_was_saved(saved):
    made, folder = saved
    loaded = load_segmenter(folder)
    for name in ("name", "task", "classes", "temperature", "reduction", "field_error"):
        assert getattr(loaded, name) == getattr(made, name)
    image = cloudy(20, (70, 81))
    before, after = made.probabilities(image), loaded.probabilities(image)
    np.testing.assert_allclose(after, before, atol=5e-3)  # half precision
    ranked = np.sort(before, axis=0)
    sure = ranked[-1] - ranked[-2] > 0.01
    assert sure.mean() > 0.8
    np.testing.assert_array_equal(before.argmax(0)[sure], after.argmax(0)[sure])
    far = [s.familiarity.distance(describe(s.network, image)) for s in (made, loaded)]
    assert far[1] == pytest.approx(far[0], rel=0.05)


def test_a_model_saved_again_is_the_same(saved, tmp_path):
    loaded = load_segmenter(saved[1])
    again = save_tiny(tmp_path / "again", loaded)
    assert (again / WEIGHTS_FILE).read_bytes() == (saved[1] / WEIGHTS_FILE).read_bytes()
    image = Micrograph(image=cloudy(21), pixel_size_nm=12.0)
    a, b = segment(image, str(saved[1])), segment(image, str(again))
    np.testing.assert_array_equal(a.labels, b.labels)
    np.testing.assert_array_equal(a.probabilities, b.probabilities)
    assert a.unfamiliarity == b.unfamiliarity and a.fractions == b.fractions


def test_segment_takes_a_folder(saved):
    made, folder = saved
    found = segment(Micrograph(image=cloudy(22), pixel_size_nm=12.0), str(folder), views=2, tile_px=32)
    assert found.model == "tiny" and found.pixel_size_nm == 12.0 and found.unfamiliar is not None
    assert found.metadata["settings"] == {"views": 2, "model_sha256": load_segmenter(folder).sha256}
    assert known_model(str(folder)) == str(folder) and model_folder(folder) == folder
    assert model_sha256(str(folder)) == {str(folder): load_segmenter(folder).sha256}
    assert model_sha256("classical") == {}


def test_a_changed_byte_is_refused(saved, tmp_path):
    folder = shutil.copytree(saved[1], tmp_path / "bent")
    weights = bytearray((folder / WEIGHTS_FILE).read_bytes())
    weights[-1] ^= 1
    (folder / WEIGHTS_FILE).write_bytes(weights)
    with pytest.raises(InputError, match="SHA-256"):
        load_segmenter(folder)


def test_a_new_calibration_of_the_same_weights_is_seen(saved, tmp_path):
    made, _ = saved
    folder = save_tiny(tmp_path / "tiny", made)
    assert load_segmenter(folder).temperature == 1.4
    save_tiny(folder, replace(made, temperature=2.0))
    assert load_segmenter(folder).temperature == 2.0


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    for call in (load_segmenter, known_model, lambda m: segment(Micrograph(image=cloudy()), m)):
        with pytest.raises(UnknownNameError, match="classical") as error:
            call("precipitatez")
        assert all(name in str(error.value) for name in known_segmenters())
    with pytest.raises(UnknownNameError):
        model_folder(tmp_path)


def test_a_model_of_another_kind_is_refused(saved, tmp_path):
    folder = shutil.copytree(saved[1], tmp_path / "other")
    card = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps(card | {"kind": "phase classifier"}))
    with pytest.raises(InputError, match="kind 'phase classifier'; wanted a segmenter"):
        load_segmenter(folder)


def test_a_card_that_is_not_there_is_not_asked_for():
    assert checked_device("cpu") == "cpu" and checked_device("auto") in ("cpu", "cuda")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no CUDA card"):
            checked_device("cuda")


def labelled(seed, shape=(64, 64)):
    picture, labels = blobs(seed, shape)
    return LabelledImage(image=picture, labels=labels, classes={0: "matrix", 1: "second phase"})


@pytest.mark.parametrize("views", [1, 8])
def test_calibration_finds_the_temperature_that_was_spoilt(views):
    """Labels drawn from the network's own probabilities are likeliest at the temperature at which they were drawn."""
    segmenter = tiny_segmenter(2, classes={0: "matrix", 1: "second phase"})
    rng, images = np.random.default_rng(0), []
    for seed in range(10):
        image = cloudy(seed, (96, 96))
        p = replace(segmenter, temperature=2.0).probabilities(image, views=views)
        labels = (rng.random(image.shape) < p[1]).astype(np.uint8)
        labels[:4] = IGNORED
        picture = LabelledImage(image=image, labels=labels, classes={0: "matrix", 1: "second phase"})
        images.append(CalibrationImage(picture=picture, group=str(seed % 2)))
    made = calibrated(segmenter, images, rng=rng)
    assert made.temperature_at(views) == pytest.approx(2.0, rel=0.1)
    assert set(made.field_error_at(views)) == {1} and made.field_error_at(views)[1] > 0
    few = calibrated(segmenter, images[:3], rng=rng)
    assert few.field_error is None
    assert segment_with(few, Micrograph(image=images[0].picture.image)).fractions["second phase"].std is None
    with pytest.raises(InputError, match="no labelled picture"):
        calibrated(segmenter, [], rng=rng)


def test_one_population_calibrates_both_together():
    segmenter = tiny_segmenter(
        3, task="precipitates", classes={0: "matrix", 1: "small precipitate", 2: "large precipitate"}
    )
    images = []
    for seed in range(10):
        picture, labels = blobs(seed, (64, 64))
        lone = LabelledImage(image=picture, labels=2 * labels, classes={0: "matrix", 2: "precipitate"})
        images.append(CalibrationImage(picture=lone, group="one"))
    made = calibrated(segmenter, images, rng=np.random.default_rng(0))
    assert set(made.field_error_at(1)) == {2} and np.isfinite(made.field_error_at(1)[2])


def test_one_view_and_several_are_calibrated_apart(tmp_path):
    """The interval that `segment` gives is that of the views that it looked at."""
    pair = tiny_segmenter(1, temperature=(1.4, 0.8), field_error={1: (0.3, 0.2), 2: (0.7, 0.5)})
    loaded = load_segmenter(save_tiny(tmp_path / "tiny", pair))
    assert loaded.temperature == (1.4, 0.8) and loaded.field_error == pair.field_error
    image = Micrograph(image=cloudy(3), pixel_size_nm=12.0)
    for views, temperature, factor in ((1, 1.4, 0.3), (2, 0.8, 0.2), (8, 0.8, 0.2)):
        found = segment_with(loaded, image, views=views)
        alone = replace(loaded, temperature=temperature).probabilities(image.image, views=views)
        np.testing.assert_array_equal(found.probabilities, alone)
        ambiguous = np.minimum(alone[1], 1 - alone[1]).mean()
        fraction = found.fractions["second phase"]
        assert fraction.std * 1.644854 == pytest.approx(factor * (ambiguous + 1e-4), rel=1e-4)


def test_small_and_large_statistics_survive_the_file(tmp_path):
    """Half precision would make them 0 or infinite, and the loaded network's scores no numbers."""
    made = tiny_segmenter(4)
    norm = next(m for m in made.network.modules() if isinstance(m, torch.nn.BatchNorm2d))
    norm.running_var[:2] = torch.tensor([1e-9, 3e6])
    loaded = load_segmenter(save_tiny(tmp_path / "tiny", made)).network.state_dict()
    for name, value in made.network.state_dict().items():
        if value.ndim == 1:
            np.testing.assert_array_equal(loaded[name].numpy(), value.numpy())


@pytest.mark.parametrize("bad", [1e6, float("nan")])
def test_a_kernel_that_ran_away_is_refused(tmp_path, bad):
    made = tiny_segmenter(5)
    made.network.head.weight.data[0, 0] = bad
    with pytest.raises(InputError, match="wanted numbers below 65504"):
        save_tiny(tmp_path / "tiny", made)
