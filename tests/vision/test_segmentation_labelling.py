"""Labelling a micrograph: what the record says holds together."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from hea_sim.errors import InputError
from hea_sim.records import Micrograph
from hea_vision.segmentation import labelling
from hea_vision.segmentation.labelling import segment_with, uncertainty_of
from hea_vision.segmentation.objects import one_class_an_object
from tests.vision.tiny_networks import PRECIPITATES, cloudy, tiny_segmenter


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def given_probabilities(monkeypatch, p):
    """Make the labelling see these probabilities (classes, rows, columns) as one tile."""

    def tiles(network, image, **_):
        from hea_vision.segmentation.tiles import tiles_of

        for tile in tiles_of(image.shape, 1024, 0, 16):
            yield tile, np.asarray(p, np.float32)

    monkeypatch.setattr(labelling, "predict_tiles", tiles)


def certain(labels, n_classes=3, sure=0.98):
    """Give probabilities of labels, of which each pixel is sure."""
    p = np.full((n_classes, *labels.shape), (1 - sure) / (n_classes - 1), np.float32)
    np.put_along_axis(p, labels[None].astype(int), sure, 0)
    return p


def test_the_record_holds_together():
    segmenter, image = tiny_segmenter(1, field_error={1: 0.5}), cloudy(1, (60, 75))
    found = segment_with(segmenter, Micrograph(image=image, pixel_size_nm=7.5, source="a.tif"), tile_px=32)
    p = found.probabilities
    assert p.shape == (3, 60, 75) and found.labels.dtype == np.uint8
    np.testing.assert_allclose(p.sum(0), 1.0, atol=1e-5)
    np.testing.assert_array_equal(found.labels, p.argmax(0))
    assert 0 <= found.uncertainty.min() and found.uncertainty.max() <= 1 + 1e-6
    assert found.pixel_size_nm == 7.5 and found.source == "a.tif" and found.model == "tiny"
    assert set(found.fractions) == {"second phase", "pore"} == set(found.objects)
    for number, name in ((1, "second phase"), (2, "pore")):
        assert found.fractions[name].value == pytest.approx((found.labels == number).mean(), abs=1e-12)
    known, unknown = found.fractions["second phase"], found.fractions["pore"]
    ambiguous = np.minimum(p[1], 1 - p[1]).mean()
    assert known.high - known.value == pytest.approx(0.5 * (ambiguous + 1e-4), rel=1e-4) and known.level == 0.9
    assert unknown.low is None and unknown.std is None  # nobody has counted its error
    assert found.unfamiliar is None and found.unfamiliarity is None


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float64", ">u2"])
def test_the_number_type_of_the_image_does_not_matter(dtype):
    segmenter, grey = tiny_segmenter(2), np.round(255 * cloudy(2))
    found = [segment_with(segmenter, Micrograph(image=grey.astype(t))) for t in (dtype, "float32")]
    np.testing.assert_array_equal(found[0].labels, found[1].labels)
    np.testing.assert_allclose(found[0].probabilities, found[1].probabilities, atol=1e-6)


def test_what_cannot_be_labelled_is_refused():
    segmenter = tiny_segmenter(3)
    with pytest.raises(InputError, match="one grey value only"):
        segment_with(segmenter, Micrograph(image=np.full((40, 40), 3, np.uint8)))
    for views in (0, 9):
        with pytest.raises(InputError, match=f"views is {views}; wanted 1 to 8"):
            segment_with(segmenter, Micrograph(image=cloudy()), views=views)
    with pytest.raises(InputError, match="multiples of 4"):
        segment_with(segmenter, Micrograph(image=cloudy()), tile_px=30)


def test_a_large_image_gets_labels_and_fractions_but_no_maps(monkeypatch):
    segmenter, micrograph = tiny_segmenter(4, field_error={1: 0.2}), Micrograph(image=cloudy(4))
    whole = segment_with(segmenter, micrograph)
    monkeypatch.setattr(labelling, "LARGE_PX", 1000)
    large = segment_with(segmenter, micrograph, tile_px=16)
    np.testing.assert_array_equal(large.labels, whole.labels)
    assert large.probabilities is None and large.uncertainty is None
    for name, fraction in whole.fractions.items():
        assert large.fractions[name].value == pytest.approx(fraction.value, abs=1e-12)
    assert large.fractions["second phase"].high == pytest.approx(whole.fractions["second phase"].high, abs=1e-6)


@pytest.mark.parametrize(
    ("p", "wanted"), [([1.0, 0, 0], 0.0), ([1 / 3] * 3, 1.0), ([0.5, 0.5, 0], np.log(2) / np.log(3))]
)
def test_uncertainty_is_the_entropy(p, wanted):
    assert uncertainty_of(np.array(p).reshape(3, 1, 1))[0, 0] == pytest.approx(wanted, abs=1e-6)


def particle(*numbers):
    """Lay out one particle as a row of pixels between matrix."""
    return np.pad(np.array([numbers], np.uint8), 1)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (particle(2, 2, 2, 2, 1), particle(2, 2, 2, 2, 2)),  # a crumb at the edge of a large one
        (particle(1, 1, 1, 1, 1, 2), particle(1, 1, 1, 1, 1, 1)),  # and of a small one
        (particle(1, 1, 2, 2, 2), particle(2, 2, 2, 2, 2)),  # a bar has no neck: one particle, of the larger part
        (particle(1, 1, 0, 2), particle(1, 1, 0, 2)),
        (np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)),
    ],
)
def test_a_particle_has_one_class(before, after):
    np.testing.assert_array_equal(one_class_an_object(before, certain(before)), after)


def test_a_corner_joins_a_particle_and_its_surest_pixels_decide():
    labels = np.zeros((5, 5), np.uint8)
    labels[1, 1:4], labels[2, 4] = 1, 2  # joined by a corner
    p = certain(labels, sure=0.6)
    np.testing.assert_array_equal(one_class_an_object(labels, p), labels > 0)
    p[:, 2, 4] = 0.0005, 0.0005, 0.999
    np.testing.assert_array_equal(one_class_an_object(labels, p), 2 * (labels > 0))


def discs(*circles):
    """Draw discs (row, column, radius) of class 1, 2, 1, ..., later ones over earlier ones."""
    y, x = np.mgrid[:60, :60]
    labels = np.zeros((60, 60), np.uint8)
    for k, (row, column, radius) in enumerate(circles):
        labels[(y - row) ** 2 + (x - column) ** 2 <= radius**2] = 1 + k % 2
    return labels


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("radius", [6, 9, 12])
def test_a_small_particle_that_touches_a_large_one_keeps_its_class(turn, radius):
    labels = np.rot90(discs((30, 40 - 15 - radius + 1, radius), (30, 40, 15)), turn)
    assert ndimage.label(labels > 0)[1] == 1
    found = one_class_an_object(labels, certain(labels))
    assert (found != labels).sum() <= 7  # a line of pixels along the neck, 2 (2 r R / (r + R))^0.5 px long


@pytest.mark.parametrize("share", [0.3, 0.45, 0.55, 0.7])
def test_a_particle_without_a_neck_is_one_whatever_its_labels_say(share):
    """A disc that is called small on one side and large on the other would count as two."""
    disc = discs((30, 30, 12)) > 0
    labels = np.where(disc, np.where(np.cumsum(disc.sum(0)) < share * disc.sum(), 1, 2), 0).astype(np.uint8)
    found = one_class_an_object(labels, certain(labels))
    np.testing.assert_array_equal(found, np.where(disc, 1 if share > 0.5 else 2, 0))


def drawn_particles(small, large):
    """Draw `small` pixels-wide squares of class 1 and `large` ones of class 2 on a grid."""
    labels = np.zeros((96, 96), np.uint8)
    for k in range(small):
        labels[4 + 8 * (k // 12) : 7 + 8 * (k // 12), 8 * (k % 12) + 1 : 8 * (k % 12) + 4] = 1
    for k in range(large):
        labels[50:62, 14 * k + 1 : 14 * k + 11] = 2
    return labels


def test_two_populations_keep_their_names(monkeypatch):
    labels = drawn_particles(20, 4)
    given_probabilities(monkeypatch, certain(labels))
    found = segment_with(
        tiny_segmenter(task="precipitates", classes=PRECIPITATES), Micrograph(image=cloudy(0, (96, 96)))
    )
    np.testing.assert_array_equal(found.labels, labels)
    assert dict(found.classes) == PRECIPITATES
    assert found.objects == {"small precipitate": 20, "large precipitate": 4}


def test_one_population_is_named_precipitate(monkeypatch):
    """Its probabilities stand in the order of its classes, and its ambiguous area is that of the outline alone."""
    labels, error = drawn_particles(30, 0), {1: 0.5, 2: 0.8}
    p = certain(labels, sure=0.8)
    given_probabilities(monkeypatch, p)
    segmenter = tiny_segmenter(task="precipitates", classes=PRECIPITATES, field_error=error)
    found = segment_with(segmenter, Micrograph(image=cloudy(0, (96, 96))))
    assert dict(found.classes) == {0: "matrix", 2: "precipitate"} and found.objects == {"precipitate": 30}
    np.testing.assert_array_equal(found.labels, 2 * (labels > 0))
    assert found.probabilities.shape == (2, 96, 96)
    np.testing.assert_allclose(found.probabilities[1], p[1] + p[2], atol=1e-6)
    np.testing.assert_allclose(found.uncertainty, uncertainty_of(found.probabilities))
    fraction = found.fractions["precipitate"]
    assert fraction.value == pytest.approx((labels > 0).mean())
    assert fraction.high - fraction.value == pytest.approx(0.8 * (np.minimum(p[0], 1 - p[0]).mean() + 1e-4), rel=1e-3)
    assert found.metadata["notes"]


def test_grains_have_instances_and_columns_points(monkeypatch):
    boundary = np.zeros((64, 64), np.uint8)
    boundary[31:33], boundary[:, 31:33] = 1, 1
    given_probabilities(monkeypatch, certain(boundary, 2))
    grains = segment_with(
        tiny_segmenter(task="grains", classes={0: "grain", 1: "grain boundary"}), Micrograph(image=cloudy())
    )
    assert grains.objects == {"grain": 4} and grains.instances.min() == 1 and grains.instances.max() == 4

    y, x = np.mgrid[:64, :64]
    picture = np.exp(-((y - 20.3) ** 2 + (x - 40.6) ** 2) / 18)
    given_probabilities(monkeypatch, certain((picture > 0.4).astype(np.uint8), 2))
    columns = segment_with(
        tiny_segmenter(task="columns", classes={0: "background", 1: "column"}), Micrograph(image=picture)
    )
    assert columns.objects == {"column": 1}
    np.testing.assert_allclose(columns.points, [[20.3, 40.6, 18 * np.pi]], rtol=1e-4)
