"""Grey values of any unit: a gain or an offset changes neither the unit values nor what a network makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hea_vision as hv
from hea_sim.errors import InputError
from hea_sim.microscopy.random_fields import draw_field
from hea_sim.records import Micrograph
from hea_vision.segmentation.grey_range import GreyRange, in_single_precision
from hea_vision.segmentation.pairs import read_strokes

from .tiny_networks import cloudy, save_tiny, tiny_segmenter

COUNTS = np.round(4095 * cloudy(3, (96, 128), 3.0)).astype(np.float64)
GAINS = st.floats(-290, 290).map(lambda exponent: 10.0**exponent)


@settings(deadline=None)
@given(gain=GAINS, offset=st.floats(-50, 50))
def test_unit_values_forget_gain_and_offset_bit_by_bit(gain: float, offset: float) -> None:
    changed = gain * (COUNTS + offset * 4095)
    found = GreyRange.of(changed)
    np.testing.assert_array_equal(found.unit(changed), GreyRange.of(COUNTS).unit(COUNTS))
    assert found.length(1.0) == pytest.approx(gain * 4095, rel=1e-9)
    assert found.grey(found.level(changed[5, 7])) == pytest.approx(changed[5, 7], rel=1e-9, abs=1e-9 * gain)


def test_the_ends_of_double_precision_are_taken() -> None:
    largest, least = np.finfo(float).max, np.nextafter(0, 1)
    ends = np.array([[-largest, largest], [0.0, largest / 2]])
    assert GreyRange.of(ends).unit(ends).tolist() == [[0.0, 1.0], [0.5, 0.75]]
    tiny = least * np.array([[0.0, 4.0], [1.0, 2.0]])
    assert GreyRange.of(tiny).unit(tiny).tolist() == [[0.0, 1.0], [0.25, 0.5]]
    assert GreyRange.of(tiny).level(largest) > 1e6 and GreyRange.of(tiny).level(-largest) < -1e6
    with pytest.raises(InputError, match="all pixels are equal"):
        GreyRange.of(np.full((4, 4), 1e300))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.float64, np.int32])
def test_ordinary_images_are_left_alone(kind: type) -> None:
    image = (COUNTS / 16).astype(kind)
    same, grey = in_single_precision(image)
    assert same is image and grey == 1.0


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny(tmp_path_factory.mktemp("models") / "tiny", tiny_segmenter(1)))


@settings(max_examples=20, deadline=None)
@given(gain=GAINS, offset=st.sampled_from([0.0, 1.0, -3.0, 1e4]))
def test_labels_of_a_network_do_not_depend_on_a_positive_affine_change(
    network: str, gain: float, offset: float
) -> None:
    plain = hv.segment(Micrograph(image=COUNTS), network)
    changed = hv.segment(Micrograph(image=gain * (COUNTS + offset * 4095)), network)
    assert plain.probabilities is not None and changed.probabilities is not None
    np.testing.assert_allclose(changed.probabilities, plain.probabilities, atol=1e-4)
    two = np.sort(plain.probabilities, axis=0)[-2:]
    undecided = two[1] - two[0] < 2e-4
    np.testing.assert_array_equal(changed.labels[~undecided], plain.labels[~undecided])
    assert undecided.mean() < 0.01 and len(np.unique(plain.labels)) > 1


def test_intensities_of_columns_keep_the_unit_of_the_file(tmp_path: Path) -> None:
    # This network knows nothing of columns but finds some 30 spots; not all of them can be fitted well.
    finder = tiny_segmenter(2, task="columns", classes={0: "background", 1: "column"})
    model = str(save_tiny(tmp_path / "finder", finder))
    image = draw_field("columns", np.random.default_rng(0), (96, 96)).image.astype(float)
    plain, changed = (hv.segment(Micrograph(image=gain * image), model).points for gain in (1.0, 1e200))
    assert plain is not None and changed is not None and len(plain) > 3
    assert np.median(np.abs(changed[:, :2] - plain[:, :2])) < 1e-4
    assert np.median(np.abs(changed[:, 2] / plain[:, 2] / 1e200 - 1)) < 1e-4


def test_painted_pictures_come_in_single_precision(tmp_path: Path) -> None:
    import tifffile

    tifffile.imwrite(tmp_path / "a.tif", 1e300 * COUNTS)
    tifffile.imwrite(tmp_path / "strokes.tif", (COUNTS > 2000).astype(np.uint8))
    ((micrograph, _),) = read_strokes(tmp_path / "a.tif", tmp_path / "strokes.tif")
    assert micrograph.image.dtype == np.float32 and np.isfinite(micrograph.image).all()
