"""Tiles: cores cover an image once, and a tile says what the whole image says."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.errors import InputError
from hea_vision.segmentation.painted_network import PaintedNet
from hea_vision.segmentation.prediction import predict_probabilities, predict_tiles, reduced
from hea_vision.segmentation.tiles import padded, tiles_of
from tests.vision.tiny_networks import cloudy, tiny_network


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@settings(max_examples=80, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    stride=st.sampled_from([1, 4, 16]),
    tile=st.integers(1, 6),
    margin=st.integers(0, 3),
)
def test_cores_cover_an_image_once(shape, stride, tile, margin):
    covered = np.zeros(shape, int)
    place = np.arange(covered.size).reshape(shape)
    for t in tiles_of(shape, tile * stride, margin * stride, stride):
        covered[t.core] += 1
        np.testing.assert_array_equal(place[t.window][t.inside], place[t.core])
        for core, window, n in zip(t.core, t.window, shape):
            assert window.start % stride == 0 and 0 <= window.start and window.stop <= n
            assert window.start == max(0, core.start - margin * stride)
            assert window.stop >= min(n, core.stop + margin * stride)
    assert (covered == 1).all()


@pytest.mark.parametrize(("tile_px", "margin_px"), [(0, 16), (24, 16), (32, 8)])
def test_tiles_that_do_not_fit_the_grid_are_refused(tile_px, margin_px):
    with pytest.raises(InputError, match="multiples of 16"):
        list(tiles_of((64, 64), tile_px, margin_px, 16))


@given(shape=st.tuples(st.integers(1, 40), st.integers(1, 40)), stride=st.sampled_from([1, 4, 16]))
def test_padding_keeps_the_image_and_mirrors_its_end(shape, stride):
    channels = np.arange(2 * shape[0] * shape[1]).reshape(2, *shape)
    large = padded(channels, stride)
    assert all(n % stride == 0 for n in large.shape[1:])
    np.testing.assert_array_equal(large[:, : shape[0], : shape[1]], channels)
    if large.shape[1] > shape[0]:
        np.testing.assert_array_equal(large[:, shape[0], : shape[1]], channels[:, -1])


@pytest.mark.parametrize("reduction", [1, 2])
@pytest.mark.parametrize("shape", [(66, 330), (131, 90)])
def test_tiles_say_what_the_whole_image_says(shape, reduction):
    network, image = tiny_network(2), cloudy(3, shape)
    image[:, : shape[1] // 3] += 3 * (np.arange(shape[0]) // 20 % 2)[:, None]  # strong contrast, seen from afar
    whole = predict_probabilities(network, image, tile_px=512, reduction=reduction)
    assert whole.shape == (3, *shape) and whole.std(axis=(1, 2)).min() > 0.005
    np.testing.assert_allclose(whole.sum(0), 1.0, atol=1e-5)
    for tile_px in (32, 84):
        tiled = predict_probabilities(network, image, tile_px=tile_px, reduction=reduction)
        np.testing.assert_allclose(tiled, whole, atol=1e-5)


def test_tiles_of_a_painted_network_say_what_the_whole_image_says():
    network, image = PaintedNet(2, tiny_network()).eval(), cloudy(4, (65, 130))
    whole = predict_probabilities(network, image, tile_px=256)
    np.testing.assert_allclose(predict_probabilities(network, image, tile_px=32), whole, atol=1e-5)


def test_each_tile_gives_its_core():
    image, seen = cloudy(5, (70, 90)), np.zeros((70, 90), int)
    for tile, p in predict_tiles(tiny_network(), image, tile_px=32, reduction=2):
        assert p.shape == (3, *(s.stop - s.start for s in tile.core)) and p.dtype == np.float32
        seen[tile.core] += 1
    assert (seen == 1).all()


def test_eight_views_turn_with_the_image():
    network, image = tiny_network(6), cloudy(6, (64, 64))
    upright = predict_probabilities(network, image, views=8)
    for turn in (lambda a: np.rot90(a, 1, (-2, -1)), lambda a: a[..., ::-1], lambda a: np.swapaxes(a, -1, -2)):
        turned = predict_probabilities(network, np.ascontiguousarray(turn(image)), views=8)
        np.testing.assert_allclose(turned, turn(upright), atol=1e-5)
    single = predict_probabilities(network, image)
    assert np.abs(np.rot90(single, 1, (1, 2)) - predict_probabilities(network, np.rot90(image).copy())).max() > 1e-3


def test_views_of_a_long_image_fall_on_their_pixels():
    network, image = tiny_network(7), cloudy(7, (64, 100))
    mean = predict_probabilities(network, image, views=8)
    flipped = predict_probabilities(network, image[::-1].copy(), views=8)
    assert mean.shape == (3, 64, 100)
    np.testing.assert_allclose(flipped[:, ::-1], mean, atol=1e-5)


def test_a_higher_temperature_makes_probabilities_more_alike():
    network, image = tiny_network(8), cloudy(8)
    cold, warm = (predict_probabilities(network, image, temperature=t) for t in (1.0, 3.0))
    np.testing.assert_array_equal(cold.argmax(0), warm.argmax(0))
    assert (warm.max(0) <= cold.max(0) + 1e-6).all()
    np.testing.assert_allclose(np.log(cold[0] / cold[1]), 3 * np.log(warm[0] / warm[1]), atol=1e-3)


@settings(deadline=None, max_examples=30)
@given(shape=st.tuples(st.integers(1, 20), st.integers(1, 20)), k=st.integers(1, 4))
def test_reducing_takes_means_of_squares(shape, k):
    image = np.random.default_rng(0).random(shape)
    small = reduced(image, k)
    assert small.shape == tuple(-(-n // k) for n in shape)
    np.testing.assert_allclose(small[0, 0], np.pad(image, [(0, k), (0, k)], mode="edge")[:k, :k].mean(), rtol=1e-5)


def test_an_upright_network_is_shown_the_mirror_image_alone():
    network, image = tiny_network(2, n_classes=3), cloudy(7, (64, 96))

    def seen(picture, views):
        return predict_probabilities(network, picture, views=views, upright=True)

    both = seen(image, 2)
    np.testing.assert_array_equal(both, seen(image, 8))
    np.testing.assert_allclose(seen(image[:, ::-1], 2)[..., ::-1], both, atol=1e-6)
    assert np.abs(seen(image[::-1], 2)[:, ::-1] - both).max() > 1e-3
