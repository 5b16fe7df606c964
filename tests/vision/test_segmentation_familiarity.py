"""Whether an image is known: most of the known ones are, far ones and strange ones are not."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from hea_sim.errors import InputError
from hea_sim.records import Micrograph
from hea_vision.segmentation import strange_pictures
from hea_vision.segmentation.familiarity import Familiarity
from hea_vision.segmentation.finishing import with_familiarity
from hea_vision.segmentation.labelling import segment_with
from hea_vision.segmentation.picture_numbers import NUMBERS, WINDOW_PX, describe
from hea_vision.segmentation.prediction import reduced
from hea_vision.segmentation.strange_pictures import other_kinds, spoilt
from tests.vision.tiny_networks import cloudy, tiny_network, tiny_segmenter


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def small_strange_pictures(monkeypatch):
    monkeypatch.setattr(strange_pictures, "_EDGES_PX", (96,))


def cloud(seed, n, shift=0.0):
    """Draw numbers of n images: 20 numbers that vary along 5 directions and a little beside them."""
    rng = np.random.default_rng(seed)
    directions = np.random.default_rng(99).standard_normal((5, 20))
    return rng.standard_normal((n, 5)) @ directions + 0.05 * rng.standard_normal((n, 20)) + shift


@pytest.mark.parametrize("share", [0.8, 0.95])
def test_the_asked_share_of_known_images_is_familiar(share):
    known = Familiarity.fit(cloud(0, 400), cloud(1, 100, 0.4), share=share)
    inside = np.mean([known.distance(x) <= 1 for x in cloud(2, 600)])
    # Both the limit and this count are samples of a share; five standard deviations of them together.
    assert inside == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) * (1 / 400 + 1 / 600)))


def test_the_share_holds_for_new_pictures_of_which_parts_are_alike():
    """Parts of a picture resemble each other: a limit that took them for independent would be too tight."""

    def parts(seed, pictures, each=4):
        middle = np.repeat(cloud(seed, pictures), each, axis=0)
        return middle + 0.2 * cloud(seed + 1000, pictures * each), np.repeat(np.arange(pictures), each)

    flagged = []
    for seed in range(6):
        known, pictures = parts(seed, 30)
        fitted = Familiarity.fit(known, cloud(seed + 500, 60, 0.6), known_from=pictures)
        flagged.append(np.mean([fitted.distance(x) > 1 for x in parts(seed + 200, 40)[0]]))
    # A share of 0.05 of 40 pictures in 6 trials, three standard deviations, all parts of a picture alike.
    assert np.mean(flagged) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 * (1 / 30 + 1 / 40) / 6)


def test_what_is_far_along_or_beside_the_cloud_is_not_familiar():
    """Also where no strange example lay: the distance counts by itself."""
    everywhere = np.random.default_rng(5).standard_normal((100, 20)) * 8
    known = Familiarity.fit(cloud(0, 200), everywhere)
    assert all(known.distance(x) > 1 for x in cloud(2, 20, shift=20.0))
    beside = np.linalg.svd(np.random.default_rng(99).standard_normal((5, 20)))[2][-1]  # no direction of the cloud
    assert known.distance(cloud(3, 1)[0] + 3.0 * beside) > 1
    assert known.distance(cloud(0, 200).mean(0)) < 0.2


def test_strange_examples_show_what_matters():
    """Known images vary widely in one number and hardly in another; where strange ones lie decides, not the width."""
    rng = np.random.default_rng(0)
    known, strange = rng.standard_normal((300, 6)), rng.standard_normal((150, 6))
    strange[:, 2] += 2.0
    fitted = Familiarity.fit(known, strange)
    there, elsewhere = np.zeros(6), np.zeros(6)
    there[2], elsewhere[4] = 2.2, 2.2  # equally far from the middle
    assert fitted.distance(there) > 1 > fitted.distance(elsewhere)


def test_numbers_survive_a_file():
    known = Familiarity.fit(cloud(0, 100), cloud(1, 50, 1.0))
    again = Familiarity.of_arrays(known.arrays())
    for x in cloud(2, 10, 0.5):
        assert again.distance(x) == pytest.approx(known.distance(x), rel=1e-3, abs=1e-3)
    assert all(a.dtype.kind == "f" for a in known.arrays().values())
    assert Familiarity.of_arrays({"mean": np.zeros(3), "rest_limit": np.zeros(2)}) is None  # an older kind of model


def test_too_little_to_tell_by_is_refused():
    with pytest.raises(InputError, match="1 known and 3 strange images"):
        Familiarity.fit(cloud(0, 1), cloud(1, 3))
    with pytest.raises(InputError, match="0 strange"):
        Familiarity.fit(cloud(0, 4), np.empty((0, 20)))
    one_picture = Familiarity.fit(cloud(0, 6), cloud(1, 3, 1.0), known_from=[4] * 6)
    assert one_picture.limit > one_picture.middle


def named(image, network=None):
    return dict(zip(NUMBERS, describe(network or tiny_network(1), image), strict=True))


def test_numbers_say_what_their_names_say():
    rng = np.random.default_rng(0)
    smooth = cloudy(3, (WINDOW_PX, WINDOW_PX), 6.0)
    for part in (0.1, 0.5):
        image = smooth / smooth.std() + part * rng.standard_normal(smooth.shape)
        # 5 %: the smooth picture itself adds a trace, and 65,000 pixels give the median to 0.5 %.
        assert np.exp(named(image)["noise"]) == pytest.approx(part / image.std(), rel=0.05)
    x = np.arange(WINDOW_PX)
    stripes = np.sin(2 * np.pi * x / 12)[:, None] * np.ones(WINDOW_PX)
    assert np.exp(named(stripes)["octave 3"]) > 0.95  # 12 px: between 1/16 and 1/8
    assert named(stripes)["tails"] == pytest.approx(np.log(1.5), abs=0.05)  # of a sine
    assert named(-smooth)["skewness"] == pytest.approx(-named(smooth)["skewness"], abs=1e-4)


def test_numbers_do_not_depend_on_brightness_and_contrast():
    network = tiny_network(1)
    small = describe(network, cloudy(0))
    assert small.shape == (len(NUMBERS),) and np.isfinite(small).all()
    np.testing.assert_allclose(describe(network, 7 * cloudy(0) + 3), small, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("shape", [(3, 5), (17, 300), (WINDOW_PX + 40, 70), (2 * WINDOW_PX, 3 * WINDOW_PX)])
def test_an_image_of_any_shape_has_numbers(shape):
    image = np.random.default_rng(0).random(shape)
    assert np.isfinite(describe(tiny_network(1), image)).all()


@pytest.mark.parametrize("shape", [(200, 150), (2 * WINDOW_PX * 2 + 7, WINDOW_PX)])
def test_a_reduced_image_is_described_as_the_network_sees_it(shape):
    image, network = cloudy(1, shape), tiny_network(1)
    np.testing.assert_allclose(
        describe(network, image, reduction=2), describe(network, reduced(image, 2)), rtol=1e-4, atol=1e-4
    )


def test_an_empty_part_of_an_image_is_passed_over():
    image = np.zeros((WINDOW_PX, 3 * WINDOW_PX), np.float32)
    image[:, : WINDOW_PX * 3 // 2] = cloudy(2, (WINDOW_PX, WINDOW_PX * 3 // 2))
    window = image[:, WINDOW_PX // 4 : WINDOW_PX // 4 + WINDOW_PX]  # the middle of the left half
    np.testing.assert_allclose(describe(tiny_network(), image), describe(tiny_network(), window), rtol=1e-5, atol=1e-6)
    with pytest.raises(InputError, match="one grey value only"):
        describe(tiny_network(), np.zeros((64, 64)))


def test_strange_pictures_are_pictures_and_the_same_each_time():
    image = cloudy(4, (100, 140))
    ways = [spoilt(image, np.random.default_rng(k)) for k in range(12)]
    assert all(np.isfinite(w).all() and np.ptp(w) > 0 and min(w.shape) >= 64 for w in ways)
    assert any(w.shape != image.shape for w in ways)
    np.testing.assert_array_equal(ways[3], spoilt(image, np.random.default_rng(3)))
    for task, kinds in (("grains", 3), ("none of them", 4)):
        drawn = list(other_kinds(task, 1, 0))
        assert len(drawn) == kinds and all(d.shape == (96, 96) for d in drawn)


def test_a_segmenter_tells_its_own_kind_from_another():
    known, judged = [cloudy(s) for s in range(24)], [cloudy(s) for s in range(24, 40)]
    segmenter = with_familiarity(tiny_segmenter(2), known, judged)
    own = [segment_with(segmenter, Micrograph(image=cloudy(s))).unfamiliar for s in range(50, 70)]
    assert np.mean(own) <= 0.3
    strange = np.zeros((64, 64), np.float32)
    strange[::9], strange[:, ::2] = 1.0, 0.4
    rng = np.random.default_rng(0)
    for image in (
        strange,
        cloudy(60) + 2.0 * cloudy(60).std() * rng.standard_normal((64, 64)),
        ndimage.gaussian_filter(cloudy(61), 5.0),
    ):
        found = segment_with(segmenter, Micrograph(image=image))
        assert found.unfamiliar and found.unfamiliarity > 1


def test_parts_of_few_pictures_know_what_they_are_parts_of():
    parts = [cloudy(s % 4) + 0.01 * cloudy(s) for s in range(16)]
    apart = with_familiarity(tiny_segmenter(2), parts, parts[:4])
    names = ["a", "b", "c", "d"]
    together = with_familiarity(
        tiny_segmenter(2), parts, parts[:4], known_from=[names[k % 4] for k in range(len(parts))], judged_from=names
    )
    np.testing.assert_array_equal(apart.familiarity.weights, together.familiarity.weights)
    assert together.familiarity.limit > apart.familiarity.limit  # a picture of which no part was seen looks stranger


def test_only_pictures_not_learnt_from_set_the_limit():
    rng = np.random.default_rng(0)
    known = rng.standard_normal((40, 4))
    known[:20] *= 0.2  # what a network has learnt from looks calmer
    strange = 4 + rng.standard_normal((40, 4))
    judged = np.arange(40) >= 20
    fits = [Familiarity.fit(known, strange, limit_from=which) for which in (judged, None, ~judged)]
    assert fits[0].limit > fits[2].limit
    new = [fits[0].distance(x) > 1 for x in rng.standard_normal((200, 4))]
    assert np.mean(new) < 0.12
    with pytest.raises(InputError, match="sets the limit"):
        Familiarity.fit(known, strange, limit_from=np.zeros(40, bool))


def test_a_picture_that_is_flat_in_the_middle_is_described_all_the_same():
    image = np.zeros((640, 640), np.float32)
    image[:60, :60] = cloudy(1, (60, 60))
    numbers = describe(tiny_segmenter(2).network, image)
    assert np.isfinite(numbers).all()
    with pytest.raises(InputError, match="one grey value"):
        describe(tiny_segmenter(2).network, np.zeros((640, 640), np.float32))
