"""Objects strip by strip and window by window: the same as of the whole field, for any cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.measure import label, regionprops

from hea_sim.errors import InputError
from hea_sim.records import Micrograph, Segmentation
from hea_vision.measurement import area_fraction, correlation_area_px, measure_shapes
from hea_vision.measurement.correlation import class_correlation_area_px
from hea_vision.measurement.shapes import label_objects
from hea_vision.measurement.strips import class_pixels, instance_table, object_table, row_strips
from hea_vision.measurement.windows import class_objects, instance_objects
from hea_vision.segmentation.overlay import draw_outlines, overlay_rgb, show_field

fields = st.builds(
    lambda rows, columns, share, seed: (np.random.default_rng(seed).random((rows, columns)) < share).astype(np.uint8),
    st.integers(1, 40), st.integers(1, 40), st.sampled_from([0.0, 0.2, 0.45, 0.6, 0.9, 1.0]), st.integers(0, 10**6),
)  # fmt: skip


def blobs(shape=(400, 300), seed=0, share=0.3) -> np.ndarray:
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 2.5)
    return (field > np.quantile(field, 1 - share)).astype(np.uint8)


@settings(deadline=None)
@given(field=fields, strip_px=st.integers(1, 300))
def test_strips_give_the_objects_of_the_whole_field(field, strip_px):
    numbered = label(field, connectivity=2)
    whole = regionprops(numbered)
    table = object_table(field, 1, strip_px=strip_px)
    assert table.number.tolist() == [r.label for r in whole]
    assert table.area_px.tolist() == [r.area for r in whole]
    assert list(zip(table.row.tolist(), table.column.tolist())) == [r.centroid for r in whole]
    boxes = (table.top, table.left, table.bottom, table.right)
    assert list(zip(*(b.tolist() for b in boxes))) == [r.bbox for r in whole]
    assert numbered[table.top, table.first_column].tolist() == table.number.tolist()
    assert class_pixels(field, 1) == int(field.sum())


@settings(deadline=None)
@given(field=fields, strip_px=st.integers(1, 300))
def test_numbered_objects_keep_their_numbers_and_class(field, strip_px):
    numbers = 3 * label(field, connectivity=2)  # with gaps
    classes = (numbers % 2 + 1) * (numbers > 0)
    table, kinds = instance_table(numbers, classes, strip_px=strip_px)
    assert table.number.tolist() == sorted(set(numbers.ravel().tolist()) - {0})
    assert table.area_px.tolist() == [int((numbers == n).sum()) for n in table.number]
    assert kinds.tolist() == [n % 2 + 1 for n in table.number.tolist()]


@pytest.mark.parametrize("rows_at_once", [3, 20, 200])
@pytest.mark.parametrize("share", [0.15, 0.3, 0.55])
def test_windows_give_the_shapes_of_the_whole_field(monkeypatch, rows_at_once, share):
    field = blobs(share=share)
    numbered = label_objects(field == 1)
    whole = measure_shapes(numbered, pixel_size_nm=2.0)
    monkeypatch.setattr("hea_vision.measurement.windows.WHOLE_PX", 100)
    monkeypatch.setattr("hea_vision.measurement.windows._WINDOW_PX", rows_at_once * field.shape[1])
    for found in (class_objects(field, 1, 2.0), instance_objects(numbered, field, 2.0)[1]):
        assert len(found) == len(whole) and found.unit == "nm"
        assert np.array_equal(found.boxes, whole.boxes) and found.shape == whole.shape == field.shape
        for name, values in found.columns.items():
            assert values.tolist() == pytest.approx(whole[name].tolist(), rel=1e-6, abs=1e-6), name


def test_an_object_through_the_whole_field_has_an_area_and_no_shape(monkeypatch):
    field = blobs(share=0.1)
    field[:, 150] = 1
    monkeypatch.setattr("hea_vision.measurement.windows.WHOLE_PX", 100)
    monkeypatch.setattr("hea_vision.measurement.windows._WINDOW_PX", 10 * field.shape[1])
    monkeypatch.setattr("hea_vision.measurement.windows._LARGEST_BOX_PX", 5000)
    found = class_objects(field, 1)
    largest = int(np.argmax(found.columns["area_px"]))
    assert np.isnan(found.columns["solidity"]).tolist() == [k == largest for k in range(len(found))]


def test_a_large_field_has_the_fraction_and_correlation_of_its_windows(monkeypatch):
    labels = blobs(shape=(700, 900), share=0.2)
    small = area_fraction(labels, 1)
    assert class_correlation_area_px(labels, 1, small.value) == correlation_area_px(labels == 1)
    monkeypatch.setattr("hea_vision.measurement.strips.LARGE_PX", 1000)
    monkeypatch.setattr("hea_vision.measurement.correlation._WINDOW_PX", 256)
    large = area_fraction(labels, 1)
    assert large.value == small.value == np.mean(labels == 1)
    assert large.std == pytest.approx(small.std, rel=0.25)


def test_rows_are_cut_without_gaps():
    strips = list(row_strips((1000, 7), 100))
    assert np.concatenate([np.arange(1000)[s] for s in strips]).tolist() == list(range(1000))
    with pytest.raises(InputError, match="rows, columns"):
        object_table(np.zeros((4, 4, 4), int), 1)
    with pytest.raises(InputError, match="one field"):
        instance_table(np.zeros((4, 4), int), np.zeros((4, 5), int))


def test_a_large_field_is_shown_smaller():
    labels = blobs(shape=(401, 303))
    image = (100 + 50.0 * labels).astype(np.uint16)
    micrograph, found = Micrograph(image=image), Segmentation(labels=labels, classes={0: "a", 1: "b"})
    same = show_field(micrograph, found, 401)
    assert same.step == 1 and same.image is image
    small = show_field(micrograph, found, 120)
    assert small.step == 4 and small.image.shape == small.labels.shape == (100, 75)
    assert small.image == pytest.approx(image[:400, :300].reshape(100, 4, 75, 4).mean(axis=(1, 3)))
    assert np.array_equal(small.labels, labels[2:400:4, 2:300:4])
    assert overlay_rgb(micrograph, found, most_px=120).shape == (100, 75, 3)
    assert np.array_equal(overlay_rgb(micrograph, found), draw_outlines(same))
    with pytest.raises(InputError, match="too narrow"):
        show_field(Micrograph(image=np.zeros((8, 900))), Segmentation(labels=np.zeros((8, 900), int), classes={}), 90)
