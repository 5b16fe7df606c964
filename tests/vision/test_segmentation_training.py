"""Training: the same run for any stop and any number of workers, and nothing of the past is mixed up."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from hea_sim.errors import InputError
from hea_sim.microscopy.random_fields import draw_field
from hea_vision.segmentation.examples import (
    Example,
    LabelledImage,
    MixedExamples,
    PictureSource,
    VirtualSource,
    allowed_of,
)
from hea_vision.segmentation.inputs import network_input
from hea_vision.segmentation.network import MicrographNet
from hea_vision.segmentation.own_models import VIRTUAL_CLASSES
from hea_vision.segmentation.partial_labels import IGNORED
from hea_vision.segmentation.training import SegmenterTraining, learning_rate, load_weights, train_segmenter
from tests.vision.tiny_networks import PRECIPITATES, WIDTHS, blobs, tiny_network

SETTINGS = SegmenterTraining(
    examples=16, batch=4, size_px=64, held_out=2, report_every=8, workers=0, half=False, seed=3
)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class Blobs:
    """Draw bright blobs; stop the run where `left` says so."""

    stop_at: int | None = None

    def fingerprint(self):
        return "blobs"

    def draw(self, rng, size):
        picture, labels = blobs(int(rng.integers(2**31)), (size, size))
        if self.stop_at is not None:
            self.calls.append(1)
            if len(self.calls) > self.stop_at:
                raise KeyboardInterrupt
        return Example(channels=network_input(picture), labels=labels, allowed=np.eye(2, dtype=np.float32))

    def __post_init__(self):
        object.__setattr__(self, "calls", [])


def quiet(_):
    return None


def train(out, settings=SETTINGS, source=None, **options):
    sources = [(1.0, source or Blobs())]
    return train_segmenter(out, sources, n_classes=2, settings=settings, widths=WIDTHS, say=quiet, **options)


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(tmp_path):
    whole = train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", source=Blobs(stop_at=SETTINGS.held_out + 10))
    assert (tmp_path / "stopped" / "checkpoint.pt").exists()
    resumed = train(tmp_path / "stopped")
    for (name, a), (_, b) in zip(whole.state_dict().items(), resumed.state_dict().items()):
        assert torch.equal(a, b), name
    files = [tmp_path / n / "weights.safetensors" for n in ("whole", "stopped")]
    assert files[0].read_bytes() == files[1].read_bytes()
    logs = [(f.parent / "log.csv").read_text().splitlines() for f in files]
    drop_seconds = [[",".join(c for i, c in enumerate(row.split(",")) if i != 1) for row in log] for log in logs]
    assert drop_seconds[0] == drop_seconds[1] and len(logs[0]) == 3
    weights = load_file(files[0])
    assert all(np.isfinite(w).all() for w in weights.values())
    assert set(weights) == set(whole.state_dict())


def test_a_finished_run_is_not_run_again(tmp_path):
    first, again = train(tmp_path), train(tmp_path, source=Blobs(stop_at=SETTINGS.held_out))
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values()))


def test_a_run_learns_and_leaves_the_global_generator_alone(tmp_path):
    torch.manual_seed(11)
    wanted = torch.rand(3)
    torch.manual_seed(11)
    train(tmp_path, replace(SETTINGS, examples=64, report_every=32))
    assert torch.equal(torch.rand(3), wanted)
    rows = [row.split(",") for row in (tmp_path / "log.csv").read_text().splitlines()]
    loss = [float(row[rows[0].index("training_loss")]) for row in rows[1:]]
    assert len(loss) == 2 and loss[1] < loss[0]


def test_other_settings_do_not_go_on_from_a_checkpoint(tmp_path):
    train(tmp_path)
    train(tmp_path, replace(SETTINGS, workers=0, device="cpu"))
    with pytest.raises(InputError, match=r"other settings \(learning_rate\)"):
        train(tmp_path, replace(SETTINGS, learning_rate=1e-4))
    with pytest.raises(InputError, match="other classes or widths"):
        train_segmenter(tmp_path, [(1.0, Blobs())], n_classes=2, settings=SETTINGS, widths=(16, 32, 32), say=quiet)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_example_does_not_depend_on_the_number_of_workers(workers):
    picture = LabelledImage(image=blobs(1)[0], labels=blobs(1)[1], classes={0: "matrix", 1: "second phase"})
    sources = [(0.5, Blobs()), (0.5, PictureSource(pictures=[picture], n_classes=2))]

    def drawn(n):
        examples = MixedExamples(sources, size=64, seed=5, first=7, count=6)
        loader = torch.utils.data.DataLoader(examples, batch_size=2, num_workers=n)
        return [torch.cat(parts) for parts in zip(*loader)]

    for alone, together in zip(drawn(0), drawn(workers)):
        assert torch.equal(alone, together)


def test_an_example_is_known_by_its_number():
    whole = MixedExamples([(1.0, VirtualSource(kind="precipitates", n_classes=3))], size=64, seed=1, first=0, count=4)
    later = MixedExamples(whole.sources, size=64, seed=1, first=3, count=1)
    other = MixedExamples(whole.sources, size=64, seed=2, first=3, count=1)
    np.testing.assert_array_equal(whole[3][0], later[0][0])
    np.testing.assert_array_equal(whole[3][1], later[0][1])
    assert not np.array_equal(other[0][0], later[0][0])


@pytest.mark.parametrize("scales", [(0.6, 0.61), (0.999, 1.001), (1.5, 1.51)])
def test_a_crop_shows_its_picture_and_judges_nothing_beside_it(scales):
    """All of the picture is class 1, so that any 0 among the labels was made up."""
    image = np.random.default_rng(0).uniform(1, 2, (220, 220)).astype(np.float32)
    picture = LabelledImage(image=image, labels=np.ones(image.shape, np.uint8), classes={1: "second phase"})
    source = PictureSource(pictures=[picture], n_classes=2, scales=scales, strength=0.0)
    for seed in range(8):
        example = source.draw(np.random.default_rng(seed), 64)
        assert example.channels.shape == (2, 64, 64) and example.labels.shape == (64, 64)
        assert set(np.unique(example.labels)) == {1}


def test_what_lies_beside_a_small_picture_is_judged_by_nobody():
    picture = LabelledImage(
        image=np.random.default_rng(0).random((40, 50)), labels=np.ones((40, 50), np.uint8), classes={1: "second phase"}
    )
    source = PictureSource(pictures=[picture], n_classes=2, scales=(0.999, 1.001))
    for seed in range(4):
        labels = source.draw(np.random.default_rng(seed), 96).labels
        assert set(np.unique(labels)) == {1, IGNORED}
        assert 0.5 * 2000 < (labels == 1).sum() < 1.1 * 2000


def test_labels_move_with_their_picture():
    picture, labels = blobs(3, (160, 160), noise=0.0)
    source = PictureSource(
        pictures=[LabelledImage(image=picture, labels=labels, classes={0: "matrix", 1: "second phase"})],
        n_classes=2, strength=0.0,
    )  # fmt: skip
    for seed in range(6):
        example = source.draw(np.random.default_rng(seed), 64)
        seen, judged = example.channels[0], example.labels != IGNORED
        bright = seen > np.median([seen[example.labels == n].mean() for n in (0, 1)])
        assert (bright == (example.labels == 1))[judged].mean() > 0.93


def test_upright_pictures_are_never_turned():
    """The upper half of the picture is class 1: so is the upper half of what there is of it in every crop."""
    labels = np.repeat(np.array([1, 0], np.uint8), 80)[:, None] * np.ones((1, 160), np.uint8)
    image = labels + 0.1 * np.random.default_rng(0).random(labels.shape)
    picture = LabelledImage(image=image, labels=labels, classes={0: "substrate", 1: "coating"})
    source = PictureSource(pictures=[picture], n_classes=2, scales=(0.5, 0.6), upright=True)
    for seed in range(12):
        drawn = source.draw(np.random.default_rng(seed), 64).labels
        rows = [np.nonzero(drawn == c)[0].mean() for c in (1, 0)]
        assert rows[0] < rows[1] - 10


@pytest.mark.parametrize("upright", [False, True])
def test_a_balanced_crop_shows_a_rare_class_as_often_as_a_common_one(upright):
    labels = np.zeros((400, 400), np.uint8)
    labels[90:93, 310:313] = 1
    image = np.random.default_rng(0).random(labels.shape)
    picture = LabelledImage(image=image, labels=labels, classes={0: "matrix", 1: "crack"})
    seen = {}
    for share in (0.0, 1.0):
        source = PictureSource(
            pictures=[picture], n_classes=2, scales=(0.9, 1.1), upright=upright, balanced_share=share
        )
        seen[share] = np.mean([(source.draw(np.random.default_rng(s), 64).labels == 1).any() for s in range(120)])
    # A crop covers some 3 % of the picture; half of the balanced ones lie about a pixel of the crack.
    assert seen[0.0] < 0.15
    assert 0.38 < seen[1.0] < 0.65


@pytest.mark.parametrize(
    ("classes", "n_classes", "row", "may_be"),
    [
        ({0: "matrix", 2: "precipitate"}, 3, 2, [0, 1, 1]),
        ({0: "matrix", 1: "precipitate"}, 2, 1, [0, 1]),
        ({0: "matrix", 1: "precipitate", 2: "pore"}, 3, 1, [0, 1, 0]),
        (PRECIPITATES, 3, 2, [0, 0, 1]),
    ],
)
def test_a_lone_population_may_be_small_or_large(classes, n_classes, row, may_be):
    assert allowed_of(classes, n_classes)[row].tolist() == may_be


def test_pictures_and_shares_that_cannot_be_are_refused():
    with pytest.raises(InputError, match=r"\(4, 5\).*\(4, 4\)"):
        LabelledImage(image=np.zeros((4, 5)), labels=np.zeros((4, 4), np.uint8), classes={0: "matrix"})
    with pytest.raises(InputError, match="label 3 has no name"):
        LabelledImage(image=np.zeros((4, 4)), labels=np.full((4, 4), 3, np.uint8), classes={0: "matrix"})
    with pytest.raises(InputError, match="no labelled picture"):
        PictureSource(pictures=[], n_classes=2)
    with pytest.raises(InputError, match="shares"):
        MixedExamples([(0.0, Blobs())], size=64, seed=0, first=0, count=1)
    with pytest.raises(InputError, match="size_px is 70"):
        SegmenterTraining(size_px=70)


def test_weights_for_other_classes_keep_their_own_head():
    old, new = tiny_network(1, n_classes=3), MicrographNet(5, WIDTHS)
    head = new.head.weight.detach().clone()
    load_weights(new, {n: v.numpy() for n, v in old.state_dict().items()})
    assert torch.equal(new.head.weight, head)
    assert torch.equal(new.stem[0].weight, old.stem[0].weight)


def test_weights_of_other_widths_are_refused():
    given = {n: v.numpy() for n, v in tiny_network().state_dict().items()}
    with pytest.raises(InputError, match="do not fit the network"):
        load_weights(MicrographNet(3, (16, 32, 32)), given)
    given.pop("stem.0.weight")
    with pytest.raises(InputError, match="do not fit the network"):
        load_weights(MicrographNet(3, WIDTHS), given)


def test_a_run_can_begin_with_weights(tmp_path):
    start = {n: v.numpy() for n, v in tiny_network(4, n_classes=2).state_dict().items()}
    still = train(tmp_path, replace(SETTINGS, learning_rate=0.0, weight_decay=0.0, average=0.0), start=start)
    assert all(torch.equal(v, torch.from_numpy(start[n])) for n, v in still.named_parameters())


def test_the_learning_rate_warms_up_and_falls():
    rates = [learning_rate(1.0, share) for share in np.linspace(0, 1, 101)]
    assert max(rates) <= 1.0 and np.argmax(rates) in (3, 4) and rates[0] < 0.1
    assert rates[4:] == sorted(rates[4:], reverse=True) and rates[-1] == pytest.approx(0.02, abs=1e-6)


@pytest.mark.parametrize("kind", sorted(VIRTUAL_CLASSES))
def test_networks_know_the_classes_of_the_fields_that_they_learn_from(kind):
    drawn = draw_field(kind, np.random.default_rng(2), (96, 96))
    known = VIRTUAL_CLASSES[kind]
    # A lone population of precipitates is either of two classes, see `allowed_of`.
    names = {n: known[n] if name == "precipitate" else name for n, name in drawn.classes.items()}
    assert names.items() <= known.items()
    if kind == "phases":
        assert dict(drawn.classes) == known
