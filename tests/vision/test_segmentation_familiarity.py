"""Whether an image is known: most of the known ones are, far ones are not."""

import numpy as np
import pytest
import torch

from hea_sim.errors import InputError
from hea_sim.records import Micrograph
from hea_vision.segmentation.familiarity import WINDOW_PX, Familiarity, describe
from hea_vision.segmentation.finishing import with_familiarity
from hea_vision.segmentation.labelling import segment_with
from tests.vision.tiny_networks import WIDTHS, cloudy, tiny_network, tiny_segmenter


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def cloud(seed, n, shift=0.0):
    """Draw descriptions of 30 numbers that vary along 5 directions and a little beside them."""
    rng = np.random.default_rng(seed)
    directions = np.random.default_rng(99).standard_normal((5, 30))
    return rng.standard_normal((n, 5)) @ directions + 0.05 * rng.standard_normal((n, 30)) + shift


@pytest.mark.parametrize("share", [0.8, 0.95])
def test_the_asked_share_of_known_images_is_familiar(share):
    known = Familiarity.fit(cloud(0, 200), cloud(1, 400), share=share)
    inside = np.mean([known.distance(x) < 1 for x in cloud(2, 600)])
    # Both the limit and this count are samples of a share; five standard deviations of them together.
    assert inside == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) * (1 / 400 + 1 / 600)))


def test_what_is_far_along_or_beside_the_cloud_is_not_familiar():
    known = Familiarity.fit(cloud(0, 200), cloud(1, 200))
    assert all(known.distance(x) > 1 for x in cloud(2, 20, shift=20.0))
    beside = np.linalg.svd(np.random.default_rng(99).standard_normal((5, 30)))[2][-1]  # no direction of the cloud
    assert known.distance(cloud(3, 1)[0] + 3.0 * beside) > 1
    assert known.distance(cloud(0, 200).mean(0)) < 0.2


def test_distance_grows_with_the_way_from_the_middle():
    known = Familiarity.fit(cloud(0, 100), cloud(1, 100))
    step = np.ones(30)
    found = [known.distance(known.mean + far * step) for far in (0.5, 1, 2, 4)]
    np.testing.assert_allclose(found, np.array([0.5, 1, 2, 4]) * found[1], rtol=1e-6)


def test_numbers_survive_a_file():
    known = Familiarity.fit(cloud(0, 100), cloud(1, 100))
    again = Familiarity.of_arrays(known.arrays())
    for x in cloud(2, 10):
        assert again.distance(x) == pytest.approx(known.distance(x), rel=1e-3)
    assert all(a.dtype.kind == "f" for a in known.arrays().values())


def test_a_description_sums_up_any_image():
    network = tiny_network(1)
    numbers = 2 + 3 + 2 * (WIDTHS[2] + WIDTHS[0] + WIDTHS[0])  # undecided, classes, mean and std of three levels
    small = describe(network, cloudy(0))
    assert small.shape == (numbers,) and np.isfinite(small).all()
    np.testing.assert_allclose(describe(network, 7 * cloudy(0) + 3), small, rtol=1e-2, atol=1e-2)
    large = describe(network, cloudy(1, (WINDOW_PX + 40, 70)))
    assert large.shape == small.shape and np.isfinite(large).all()


def test_an_empty_part_of_an_image_is_passed_over():
    image = np.zeros((WINDOW_PX, 3 * WINDOW_PX), np.float32)
    image[:, :WINDOW_PX] = cloudy(2, (WINDOW_PX, WINDOW_PX))
    np.testing.assert_allclose(
        describe(tiny_network(), image), describe(tiny_network(), image[:, :WINDOW_PX]), rtol=1e-5, atol=1e-6
    )
    with pytest.raises(InputError, match="one grey value only"):
        describe(tiny_network(), np.zeros((64, 64)))


def test_a_segmenter_tells_its_own_kind_from_another():
    segmenter = with_familiarity(tiny_segmenter(2), [cloudy(s) for s in range(30)], [cloudy(s) for s in range(30, 50)])
    own = [segment_with(segmenter, Micrograph(image=cloudy(s))).unfamiliar for s in range(50, 60)]
    assert np.mean(own) <= 0.3
    strange = np.zeros((64, 64), np.float32)
    strange[::9], strange[:, ::2] = 1.0, 0.4
    found = segment_with(segmenter, Micrograph(image=strange))
    assert found.unfamiliar and found.unfamiliarity > 2
