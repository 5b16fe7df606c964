"""Learning from strokes of paint: another field of the same kind is labelled."""

import numpy as np
import pytest
import torch

from hea_sim.errors import InputError, UnknownNameError
from hea_sim.records import Micrograph
from hea_vision.segmentation import load_segmenter, segment
from hea_vision.segmentation.labelling import segment_with
from hea_vision.segmentation.paint import learn_from_strokes
from tests.vision.tiny_networks import blobs, save_tiny, tiny_segmenter

CLASSES = {0: "matrix", 1: "second phase"}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """Save a network of random weights, whose features the heads learn on."""
    return str(save_tiny(tmp_path_factory.mktemp("features") / "tiny", tiny_segmenter(5)))


def painted(seed=0, classes=(0, 1), shape=(96, 96)):
    """Paint short strokes inside each class; give the micrograph with its strokes, and the labels."""
    picture, labels = blobs(seed, shape)
    strokes, rng = np.zeros(shape, np.uint8), np.random.default_rng(seed)
    for number in classes:
        rows, columns = np.nonzero(labels == number)
        for pick in rng.choice(len(rows), 6, replace=False):
            part = np.zeros(shape, bool)
            part[rows[pick], columns[pick] : columns[pick] + 10] = True
            strokes[part & (labels == number)] = number + 1
    return Micrograph(image=picture, source=f"{seed}.tif"), strokes, labels


def iou(found, wanted):
    return (found & wanted).sum() / (found | wanted).sum()


@pytest.fixture(scope="module")
def learnt(features):
    micrograph, strokes, _ = painted(0)
    return learn_from_strokes([(micrograph, strokes)], CLASSES, features=features, seed=3)


def test_strokes_on_one_field_label_another(learnt):
    assert learnt.classes == CLASSES and learnt.name == "painted" and learnt.task == "areas"
    for seed in (1, 2):
        picture, labels = blobs(seed)
        found = segment_with(learnt, Micrograph(image=picture)).labels
        for number in CLASSES:
            assert iou(found == number, labels == number) > 0.8


def test_the_same_seed_learns_the_same(features, learnt):
    micrograph, strokes, _ = painted(0)
    state = torch.random.get_rng_state()
    again = learn_from_strokes([(micrograph, strokes)], CLASSES, features=features, seed=3)
    assert torch.equal(torch.random.get_rng_state(), state)
    for (name, a), b in zip(learnt.network.state_dict().items(), again.network.state_dict().values()):
        assert torch.equal(a, b), name
    other = learn_from_strokes([(micrograph, strokes)], CLASSES, features=features, seed=4)
    assert not torch.equal(other.network.first.weight, again.network.first.weight)


def test_the_features_do_not_learn(features, learnt):
    base = load_segmenter(features).network.state_dict()
    assert all(torch.equal(v, base[n]) for n, v in learnt.network.base.state_dict().items())


def test_a_painted_model_survives_its_folder(learnt, tmp_path):
    loaded = load_segmenter(save_tiny(tmp_path / "painted", learnt))
    picture, _ = blobs(6, (90, 101))
    a, b = (segment_with(s, Micrograph(image=picture)) for s in (learnt, loaded))
    np.testing.assert_allclose(a.probabilities, b.probabilities, atol=0.03)  # half precision, sharp heads
    sure = np.abs(a.probabilities[1] - 0.5) > 0.05
    assert sure.mean() > 0.9
    np.testing.assert_array_equal(a.labels[sure], b.labels[sure])
    twice = segment(Micrograph(image=picture), str(save_tiny(tmp_path / "twice", loaded)))
    np.testing.assert_array_equal(twice.labels, b.labels)


def test_strokes_on_several_fields_count_together(features):
    first, second = painted(0, classes=(0,)), painted(1, classes=(1,))
    made = learn_from_strokes([first[:2], second[:2]], CLASSES, features=features)
    picture, labels = blobs(7)
    assert iou(segment_with(made, Micrograph(image=picture)).labels == 1, labels == 1) > 0.7


def test_number_types_of_image_and_strokes_do_not_matter(features):
    micrograph, strokes, _ = painted(0)
    grey = np.round(np.clip(255 * micrograph.image, 0, 255))
    made = [
        learn_from_strokes([(Micrograph(image=grey.astype(t)), strokes.astype(s))], CLASSES, features=features)
        for t, s in (("uint8", "uint8"), ("float32", "int64"))
    ]
    assert torch.equal(made[0].network.first.weight, made[1].network.first.weight)


def test_strokes_that_teach_nothing_are_refused(features):
    micrograph, strokes, _ = painted(0)

    def learn(*pairs, classes=CLASSES):
        return learn_from_strokes(pairs, classes, features=features)

    with pytest.raises(InputError, match="nothing was painted"):
        learn()
    with pytest.raises(InputError, match="'second phase' has no stroke"):
        learn(painted(0, classes=(0,))[:2])
    with pytest.raises(InputError, match="'matrix' has no stroke"):
        learn((micrograph, np.zeros_like(strokes)))
    with pytest.raises(InputError, match=r"0.tif: .*\(50, 96\).*\(96, 96\)"):
        learn((micrograph, strokes[:50]))
    with pytest.raises(InputError, match="float32"):
        learn((micrograph, strokes.astype(np.float32)))
    with pytest.raises(InputError, match="stroke 7 belongs to no class; wanted 1 to 2"):
        learn((micrograph, np.where(strokes == 2, 7, strokes)))
    for classes in ({0: "matrix"}, {0: "matrix", 2: "pore"}, {1: "matrix", 2: "pore"}):
        with pytest.raises(InputError, match="numbered from 0"):
            learn((micrograph, strokes), classes=classes)
    with pytest.raises(InputError, match="one grey value"):
        learn((Micrograph(image=np.ones(strokes.shape)), strokes))


def test_features_must_be_a_trained_network(learnt, tmp_path):
    micrograph, strokes, _ = painted(0)
    folder = save_tiny(tmp_path / "painted", learnt)
    with pytest.raises(InputError, match="painted themselves"):
        learn_from_strokes([(micrograph, strokes)], CLASSES, features=str(folder))
    with pytest.raises(UnknownNameError):
        learn_from_strokes([(micrograph, strokes)], CLASSES, features="no-such-network")
