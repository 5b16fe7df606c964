"""The network of micrographs, what it sees, and what it stands on."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.errors import InputError
from hea_vision.segmentation.inputs import LOCAL_REACH_PX, GreyScale, network_input
from hea_vision.segmentation.network import CHANNELS_IN, MicrographNet
from hea_vision.segmentation.painted_network import PaintedNet
from hea_vision.segmentation.vision_ops import keep_apart, torchvision_module
from tests.vision.tiny_networks import cloudy, tiny_network


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def painted(n_classes=2):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return PaintedNet(n_classes, tiny_network()).eval()


@pytest.mark.parametrize("make", [tiny_network, painted])
def test_scores_reach_no_further_than_the_margin(make):
    network, generator = make(), torch.Generator().manual_seed(0)
    n = 2 * network.margin_px + 4 * network.stride
    x = torch.randn(1, CHANNELS_IN, n, n, generator=generator)
    furthest = 0
    for at in (n // 2, n // 2 + 1, n // 2 + 3):
        other = x.clone()
        other[0, :, at, at] += 50.0
        with torch.inference_mode():
            changed = (network(other) != network(x)).any(1)[0].numpy()
        reached = max(np.abs(np.nonzero(changed)[axis] - at).max() for axis in (0, 1))
        furthest = max(furthest, reached)
    assert 0 < furthest <= network.margin_px


@pytest.mark.parametrize("widths", [(16, 24), (16, 24, 32), (16, 24, 32, 32)])
def test_scores_have_the_shape_of_the_image(widths):
    network = MicrographNet(3, widths).eval()
    assert network.stride == 2 ** (len(widths) - 1) and network.margin_px % network.stride == 0
    with torch.inference_mode():
        x = torch.zeros(2, CHANNELS_IN, 4 * network.stride, 3 * network.stride)
        assert network(x).shape == (2, 3, *x.shape[2:])
        assert [level.shape[1] for level in network.features(x)] == list(widths[::-1])


def test_the_base_of_a_painted_network_does_not_learn():
    net = painted().train()
    assert not net.base.training and not any(p.requires_grad for p in net.base.parameters())
    net(torch.randn(1, CHANNELS_IN, 16, 16)).sum().backward()
    assert all(p.grad is not None for p in (*net.first.parameters(), *net.second.parameters()))
    assert all(p.grad is None for p in net.base.parameters())


def test_a_painted_network_gives_logs_of_probabilities():
    with torch.inference_mode():
        scores = painted(3)(torch.randn(1, CHANNELS_IN, 16, 20))
    np.testing.assert_allclose(scores.exp().sum(1), 1.0, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(factor=st.floats(0.01, 1e4), shift=st.floats(-1e3, 1e3))
def test_brightness_and_contrast_do_not_matter(factor, shift):
    image = cloudy().astype(float)
    np.testing.assert_allclose(
        network_input(factor * image + shift), network_input(image), atol=2e-3 * max(1.0, abs(shift) / factor / 50)
    )


def test_the_first_channel_has_mean_0_and_std_1_and_the_second_finds_faint_things_beside_strong_contrast():
    image = 0.5 + 0.01 * (cloudy(length_px=1.0, shape=(128, 256)) - 0.5)
    image[:, 128:] += 0.5
    first, second = network_input(image)
    assert abs(first.mean()) < 1e-4 and first.std() == pytest.approx(1.0, abs=1e-3)
    assert second[:, :64].std() > 3 * first[:, :64].std()


def test_a_tile_with_margin_sees_what_the_whole_image_shows():
    """Surroundings are averaged twice, so the margin is two times their reach."""
    rng = np.random.default_rng(0)
    image = rng.standard_normal((64, 300)).astype(np.float32)
    image[:, :100] += 6 * (np.arange(64) // 16 % 2)[:, None]
    scale = GreyScale.of(image)
    whole, part = network_input(image, scale), network_input(image[:, 100:], scale)
    margin = 2 * LOCAL_REACH_PX
    np.testing.assert_allclose(part[..., margin:], whole[..., 100 + margin :], atol=1e-5)


def test_an_image_of_one_grey_value_is_refused():
    with pytest.raises(InputError, match=r"one grey value only \(7\)"):
        network_input(np.full((32, 32), 7.0))


def test_statistics_of_a_large_image_come_from_spread_rows():
    image = np.add.outer(np.arange(5000.0), np.zeros(8))
    scale = GreyScale.of(image)
    assert scale.mean == pytest.approx(2499.5, rel=1e-3) and scale.std == pytest.approx(image.std(), rel=1e-3)


def brute_force(boxes, scores, threshold):
    """Keep a box unless a better kept one overlaps it by more than the threshold."""
    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        for j in kept:
            width = min(boxes[i][2], boxes[j][2]) - max(boxes[i][0], boxes[j][0])
            height = min(boxes[i][3], boxes[j][3]) - max(boxes[i][1], boxes[j][1])
            shared = max(width, 0) * max(height, 0)
            both = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (boxes[i], boxes[j])) - shared
            if both > 0 and shared / both > threshold:
                break
        else:
            kept.append(i)
    return kept


boxes = st.lists(st.tuples(*[st.integers(0, 12)] * 4, st.integers(0, 20)), max_size=12)


@settings(max_examples=60, deadline=None)
@given(drawn=boxes, threshold=st.sampled_from([0.0, 0.25, 0.3, 0.7]))
def test_boxes_are_kept_apart_as_by_brute_force(drawn, threshold):
    corners = [(float(a), float(b), float(a + w), float(b + h)) for a, b, w, h, _ in drawn]
    scores = [score / 20 for *_, score in drawn]
    found = keep_apart(torch.tensor(corners).reshape(-1, 4), torch.tensor(scores), threshold)
    assert found.tolist() == brute_force(corners, scores, threshold)


def test_boxes_are_kept_apart_as_torchvision_does():
    nms = torchvision_module("ops").nms
    if not torchvision_module("extension")._has_ops():
        pytest.skip("this torchvision came without its compiled operators")
    generator = torch.Generator().manual_seed(0)
    corner, size = torch.rand(60, 2, generator=generator), torch.rand(60, 2, generator=generator)
    boxes, scores = torch.cat([corner, corner + size], 1), torch.rand(60, generator=generator)
    assert keep_apart(boxes, scores, 0.3).tolist() == nms(boxes, scores, 0.3).tolist()


def test_an_unknown_module_of_torchvision_is_an_import_error():
    with pytest.raises(ImportError):
        torchvision_module("no_such_module")
