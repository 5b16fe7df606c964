"""Segregation from line scans and maps: unbiased amplitudes, intervals that cover, closure, lengths."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from hea_sim.documents import to_jsonable
from hea_sim.errors import InputError
from hea_sim.records import Segmentation
from hea_vision.io import ElementMaps, LineScan, read_element_pictures, read_line_scan
from hea_vision.measurement import composition_by_class, measure_segregation, quantify, summed_composition
from hea_vision.measurement.closure import closure_correlations
from hea_vision.measurement.noise_separation import pooled, separate_noise

ELEMENTS = ("Ti", "V", "Nb", "Mo", "Ta")
#: Factors by which equal counts are equal atoms, so that simulated counts are contents.
ATOMS = {"Ti": 47.867, "V": 50.9415, "Nb": 92.90637, "Mo": 95.95, "Ta": 180.94788}


def smooth(rng: np.random.Generator, n: int, length: float, k: int = 5) -> np.ndarray:
    """Draw smooth random profiles (n, k) of unit variance."""
    wide = gaussian_filter1d(rng.standard_normal((n + int(20 * length), k)), length, axis=0, mode="wrap")
    return wide[int(10 * length) :][:n] * np.sqrt(2 * np.sqrt(np.pi) * length)


def analysed(rng: np.random.Generator, amounts: np.ndarray, counts: float) -> tuple[np.ndarray, np.ndarray]:
    """Give true contents in at.% and what counting and normalising make of them."""
    truth = 100 * amounts / amounts.sum(axis=-1, keepdims=True)
    found = rng.poisson(counts * truth / 100).astype(float)
    return truth, 100 * found / found.sum(axis=-1, keepdims=True)


def scan(values: np.ndarray, **more: object) -> LineScan:
    return LineScan(elements=ELEMENTS, values=values, unit="at.%", step_um=0.5, **more)  # type: ignore[arg-type]


def test_amplitudes_are_unbiased_and_their_intervals_cover() -> None:
    rng = np.random.default_rng(1)
    here, alloy, difference, scale = [], [], [], []
    for _ in range(120):
        truth, values = analysed(rng, 20 * np.exp(0.15 * smooth(rng, 128, 4)), 1500)
        found = measure_segregation(scan(values))
        for i, element in enumerate(ELEMENTS):
            a, b = found.amplitude[element], found.amplitude_of_alloy[element]
            inner = truth[1:-1, i]  # points at the ends serve for noise alone
            here.append(a.low <= inner.std() <= a.high)
            difference.append(a.value**2 - inner.var())
            scale.append(inner.var())
            assert b is not None
            alloy.append(b.low <= 20 * 0.15 * np.sqrt(0.8) <= b.high)
    assert abs(np.mean(difference)) < 0.02 * np.mean(scale)
    assert np.mean(here) == pytest.approx(0.95, abs=0.035)
    assert np.mean(alloy) >= 0.93  # independent points are counted to the low side


def test_amplitude_is_unbiased_where_noise_changes_along_the_line() -> None:
    rng = np.random.default_rng(2)
    wave = 2 * np.sin(2 * np.pi * np.arange(200) / 40)
    level = np.linspace(0.2, 4, 200)
    found = [separate_noise((wave + level * rng.standard_normal(200))[:, None]) for _ in range(400)]
    variances = np.array([f.signal[0, 0] for f in found])
    assert abs(variances.mean() - 2.0) < 3 * variances.std() / 20
    inside = np.abs(variances - 2.0) < 1.96 * np.array([f.signal_std[0, 0] for f in found])
    assert inside.mean() == pytest.approx(0.95, abs=0.04)


@pytest.mark.parametrize("place", [0, 2, 100, -1])
def test_a_single_wild_point_is_noise_wherever_it_stands(place: int) -> None:
    rng = np.random.default_rng(20)
    values = rng.standard_normal((200, 1))
    values[place] += 30.0
    parted = separate_noise(values)
    assert parted.signal[0, 0] < 1.96 * parted.signal_std[0, 0]


@pytest.mark.parametrize("counts", [300, 3000])
def test_without_segregation_nothing_is_claimed(counts: float) -> None:
    rng = np.random.default_rng(3)
    above, claims = [], 0
    for _ in range(150):
        found = measure_segregation(scan(analysed(rng, np.full((64, 5), 20.0), counts)[1]))
        above += [found.amplitude[e].low > 0 for e in ELEMENTS]
        claims += any(p.finding in ("together", "apart") for p in found.pairs)
    assert np.mean(above) <= 0.04  # one side of a 95 % interval
    assert claims / 150 <= 0.05


def test_closure_alone_is_no_tendency() -> None:
    """Independent amounts anticorrelate once they sum to 100 %; that must not be claimed."""
    rng = np.random.default_rng(4)
    claims, plain = 0, []
    for _ in range(60):
        amounts = 20 * np.exp(np.array([0.3, 0.05, 0.05, 0.05, 0.05]) * smooth(rng, 256, 3))
        truth, values = analysed(rng, amounts, 3000)
        found = measure_segregation(scan(values))
        claims += any(p.finding in ("together", "apart") for p in found.pairs)
        plain.append(np.corrcoef(values.T)[0, 1])
    assert np.mean(plain) < -0.6  # what a plain correlation would call strong segregation against Ti
    assert claims / 60 <= 0.05


def test_closure_correlations_are_those_of_independent_amounts() -> None:
    rng = np.random.default_rng(5)
    mean = np.array([40.0, 25.0, 15.0, 12.0, 8.0])
    amounts = mean * (1 + np.array([0.02, 0.01, 0.03, 0.005, 0.02]) * rng.standard_normal((200_000, 5)))
    contents = 100 * amounts / amounts.sum(axis=1, keepdims=True)
    expected = closure_correlations(np.cov(contents.T), contents.mean(axis=0))
    np.testing.assert_allclose(expected, np.corrcoef(contents.T), atol=0.02)


def test_a_true_tendency_is_found_with_its_sign() -> None:
    rng = np.random.default_rng(6)
    axis = np.array([0.15, 0.12, 0.0, 0.0, -0.2])
    truth, values = analysed(rng, 20 * np.exp(smooth(rng, 512, 4, 1) * axis), 1500)
    found = measure_segregation(scan(values))
    assert found.pair("Ta", "Ti").finding == "apart" and found.pair("Ti", "V").finding == "together"
    pair = found.pair("Ti", "Ta")
    assert pair.measured is not None and pair.measured.low <= np.corrcoef(truth.T)[0, 4] <= pair.measured.high
    assert pair.alloy is not None and pair.alloy.high < pair.closure


def test_correlation_here_has_an_interval_that_covers() -> None:
    rng = np.random.default_rng(7)
    inside = []
    for _ in range(80):
        truth, values = analysed(rng, 20 * np.exp(0.12 * smooth(rng, 128, 4)), 1500)
        found = measure_segregation(scan(values))
        r = np.corrcoef(truth[1:-1].T)
        for p in found.pairs:
            if p.measured is not None:
                inside.append(p.measured.low <= r[ELEMENTS.index(p.first), ELEMENTS.index(p.second)] <= p.measured.high)
    assert np.mean(inside) == pytest.approx(0.95, abs=0.04)


def test_a_smooth_ramp_says_nothing_of_the_alloy() -> None:
    """Two smooth profiles of one period correlate perfectly and prove nothing."""
    rng = np.random.default_rng(8)
    wave = np.cos(np.pi * np.arange(64) / 64)[:, None]
    _, values = analysed(rng, 20 * np.exp(wave * np.array([0.2, 0.2, 0, 0, -0.2])), 1500)
    found = measure_segregation(scan(values))
    pair = found.pair("Ti", "Ta")
    assert pair.measured is not None and pair.measured.high < -0.9
    assert pair.finding == "undecided" and found.n_independent < 5


def test_two_elements_are_never_apart() -> None:
    rng = np.random.default_rng(9)
    a = 50 + 5 * smooth(rng, 512, 3, 1)[:, 0] + rng.standard_normal(512)
    found = measure_segregation(LineScan(elements=("Ni", "Al"), values=np.c_[a, 100 - a], unit="at.%"))
    assert found.pair("Ni", "Al").finding == "undecided"
    assert any("-1 whatever" in note for note in found.notes)


@pytest.mark.parametrize("period", [12, 25])
def test_arm_spacing(period: int) -> None:
    rng = np.random.default_rng(10)
    n, values = 200, []
    for _ in range(20):
        wave = 0.2 * np.cos(2 * np.pi * (np.arange(n) / period + rng.random()))[:, None]
        spacing = measure_segregation(scan(analysed(rng, 20 * np.exp(wave * [1, 1, 0, 0, -1]), 1000)[1])).spacing_um
        assert spacing is not None and spacing.unit == "um"
        values.append(spacing.value)
    assert np.mean(values) == pytest.approx(0.5 * period, rel=0.02)


def test_no_spacing_where_none_repeats() -> None:
    rng = np.random.default_rng(11)
    found = [
        measure_segregation(scan(analysed(rng, 20 * np.exp(0.2 * smooth(rng, 128, 4)), 1000)[1])) for _ in range(40)
    ]
    assert sum(f.spacing_um is not None for f in found) <= 4
    assert any("no repeat distance" in n for f in found for n in f.notes)


def test_gaps_and_pooling() -> None:
    rng = np.random.default_rng(12)
    _, values = analysed(rng, 20 * np.exp(0.2 * smooth(rng, 256, 4)), 1500)
    whole = measure_segregation(scan(values))
    holes = values.copy()
    holes[40:46] = np.nan
    holed = measure_segregation(scan(holes, n_dropped=6))
    assert holed.n_points == 246  # less the ends and both sides of the gap
    assert holed.amplitude["Ti"].value == pytest.approx(whole.amplitude["Ti"].value, rel=0.1)
    twice = measure_segregation(scan(values), scan(values))
    assert twice.amplitude["Ti"].value == pytest.approx(whole.amplitude["Ti"].value)
    assert twice.n_independent == pytest.approx(2 * whole.n_independent)
    assert twice.amplitude["Ti"].std == pytest.approx(whole.amplitude["Ti"].std / np.sqrt(2), rel=0.01)
    with pytest.raises(InputError, match="cannot be pooled"):
        measure_segregation(scan(values), LineScan(elements=("Ti", "Ta"), values=values[:, :2], unit="at.%"))


def test_a_map_says_what_its_lines_say() -> None:
    """A field that varies along x alone: the map's amplitude is that of every row."""
    rng = np.random.default_rng(13)
    profile = 20 * np.exp(0.2 * smooth(rng, 200, 5))
    truth, values = analysed(rng, np.broadcast_to(profile, (40, 200, 5)), 1000)
    found = measure_segregation(ElementMaps(elements=ELEMENTS, values=values, unit="at.%", pixel_size_nm=500.0))
    rows = pooled([separate_noise(row) for row in values])
    for i, element in enumerate(ELEMENTS):
        a = found.amplitude[element]
        assert a.low <= truth[..., i].std() <= a.high
        assert np.sqrt(rows.signal[i, i]) == pytest.approx(a.value, rel=0.03)


def test_maps_cover_and_claim_nothing_without_cause() -> None:
    rng = np.random.default_rng(14)
    here, claims = [], 0
    for _ in range(40):
        fields = gaussian_filter(rng.standard_normal((72, 88, 5)), (4, 4, 0))[12:60, 12:76] * 2 * np.sqrt(np.pi) * 4
        truth, values = analysed(rng, 20 * np.exp(0.1 * fields), 500)
        found = measure_segregation(ElementMaps(elements=ELEMENTS, values=values, unit="at.%"))
        here += [
            found.amplitude[e].low <= truth[..., i].std() <= found.amplitude[e].high for i, e in enumerate(ELEMENTS)
        ]
        claims += any(p.finding in ("together", "apart") for p in found.pairs)
    assert np.mean(here) == pytest.approx(0.95, abs=0.04) and claims <= 2


def test_refusals_and_json() -> None:
    rng = np.random.default_rng(15)
    with pytest.raises(InputError, match="in a row"):
        measure_segregation(scan(np.full((6, 5), 20.0)))
    with pytest.raises(InputError, match="nothing given"):
        measure_segregation()
    constant = measure_segregation(scan(np.full((64, 5), 20.0)))
    assert all(a.value == 0 for a in constant.amplitude.values())
    found = measure_segregation(scan(analysed(rng, np.full((64, 5), 20.0), 500)[1]))
    with pytest.raises(InputError, match="no pair"):
        found.pair("Ti", "Cr")
    document = json.loads(json.dumps(to_jsonable(found)))
    assert "curves" not in document and document["amplitude"]["Ti"]["unit"] == "at.%"


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(16, 80), k=st.integers(1, 6), scale=st.floats(1e-6, 1e6))
def test_amplitudes_scale_with_the_unit(seed: int, n: int, k: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    field = rng.random((n, k)) + np.cumsum(rng.standard_normal((n, k)), axis=0) * 0.3
    one, other = separate_noise(field), separate_noise(scale * field)
    np.testing.assert_allclose(other.signal, scale**2 * one.signal, rtol=1e-6, atol=1e-9 * scale**2)
    assert other.n_independent == pytest.approx(one.n_independent, rel=1e-6)
    assert 1.0 <= one.n_independent <= n


def _particles(rng: np.random.Generator, counts: float) -> tuple[ElementMaps, Segmentation, np.ndarray]:
    """Make maps of round particles rich in Al in a matrix rich in Cr, with Poisson counts."""
    rows, columns = np.mgrid[:128, :128]
    labels = np.zeros((128, 128), np.uint8)
    for _ in range(40):
        y, x = rng.uniform(0, 128, 2)
        labels[(rows - y) ** 2 + (columns - x) ** 2 < 36] = 1
    true = np.array([[20.0, 80.0], [60.0, 40.0]])
    values = rng.poisson(counts * true[labels] / 100).astype(float)
    maps = ElementMaps(elements=("Al", "Cr"), values=values, unit="counts", variance=values)
    return maps, Segmentation(labels=labels, classes={0: "matrix", 1: "precipitate"}), true


def test_composition_by_class_covers_the_truth() -> None:
    rng = np.random.default_rng(16)
    mean, ratio = [], []
    for _ in range(40):
        maps, labels, true = _particles(rng, 200)
        found = composition_by_class(quantify(maps, {"Al": 26.9815385, "Cr": 51.9961}), labels)
        for number, name in labels.classes.items():
            mean += [e.low <= t <= e.high for e, t in zip(found.mean[name].values(), true[number])]
        k = found.partition["precipitate"]
        ratio += [k["Al"].low <= 3.0 <= k["Al"].high, k["Cr"].low <= 0.5 <= k["Cr"].high]
        assert "matrix" not in found.partition and k["Al"].unit == "1"
    assert np.mean(mean) >= 0.9 and np.mean(ratio) >= 0.9


def test_the_error_of_a_partition_ratio_holds_that_of_both_classes() -> None:
    # Particles in one corner, and a matrix that differs from tile to tile everywhere else.
    rng = np.random.default_rng(21)
    labels = np.zeros((128, 128), np.uint8)
    labels[4:44:8, 4:44:8] = labels[5:45:8, 4:44:8] = labels[4:44:8, 5:45:8] = 1
    values = np.full((128, 128, 1), 20.0) + np.kron(rng.standard_normal((8, 8)), np.ones((16, 16)))[..., None]
    values[labels == 1] = 60.0 + 0.2 * rng.standard_normal((int(labels.sum()), 1))
    maps = ElementMaps(elements=("Al",), values=values, unit="at.%")
    found = composition_by_class(maps, Segmentation(labels=labels, classes={0: "matrix", 1: "precipitate"}), edge_px=0)
    matrix, particle = (found.mean[name]["Al"] for name in ("matrix", "precipitate"))
    ratio = found.partition["precipitate"]["Al"]
    assert matrix.std / matrix.value > 3 * particle.std / particle.value
    expected = np.hypot(matrix.std / matrix.value, particle.std / particle.value)
    assert ratio.std / ratio.value == pytest.approx(expected, rel=0.05)


def test_the_mean_of_the_alloy_has_an_interval_that_covers_however_short_the_scan() -> None:
    rng = np.random.default_rng(22)
    inside = []
    for _ in range(150):
        values = 20 + 3 * smooth(rng, 64, 3) + 0.3 * rng.standard_normal((64, 5))
        found = measure_segregation(LineScan(elements=ELEMENTS, values=values, unit="counts", step_um=0.5))
        inside.append(np.mean([e.low <= 20 <= e.high for e in found.mean.values()]))
    # Six points are independent here, and even their number is guessed: a normal interval would hold 0.87.
    assert np.mean(inside) >= 0.9 and "Student's t" in found.mean["Ti"].method


def test_composition_by_class_wants_one_grid_and_says_what_it_cannot() -> None:
    rng = np.random.default_rng(17)
    maps, labels, _ = _particles(rng, 50)
    found = composition_by_class(maps, labels)
    assert any("not quantified" in note for note in found.notes)
    with pytest.raises(InputError, match="one grid"):
        composition_by_class(maps, Segmentation(labels=labels.labels[1:], classes=labels.classes))
    few = np.zeros((128, 128), np.uint8)
    few[60:64, 60:64] = 1
    one = composition_by_class(maps, Segmentation(labels=few, classes=labels.classes)).mean["precipitate"]["Al"]
    assert one.low is None and "too few" in one.method


def test_summed_composition_covers_with_the_error_of_counting() -> None:
    rng = np.random.default_rng(18)
    inside = []
    for _ in range(200):
        values = rng.poisson(np.array([30.0, 10.0, 4.0]) * np.ones((8, 8, 3))).astype(float)
        maps = ElementMaps(elements=("Ti", "V", "Ta"), values=values, unit="counts", variance=values)
        found = summed_composition(maps, ATOMS)
        inside += [e.low <= 100 * t / 44 <= e.high for e, t in zip(found.values(), (30, 10, 4))]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.03)
    with pytest.raises(InputError, match="no k-factor"):
        quantify(maps, {"Ti": 1.0})


@pytest.mark.data
def test_real_specimen_has_tantalum_against_titanium_and_vanadium(data: Path) -> None:
    folder = data / "specimens/nbmotativ/eds"
    field = read_element_pictures([folder / f"map1_-_{e}.jpg" for e in ELEMENTS], pixel_size_nm=232.0)
    assert field.unit == "brightness" and field.block_px % 8 == 0
    maps = measure_segregation(field)
    assert not maps.quantified and maps.pair("Ti", "V").finding == "together"
    assert maps.pair("Ta", "Ti").finding == maps.pair("Ta", "V").finding == "apart"
    lines = [read_line_scan(folder / n, unit="wt.%") for n in ("linescan1.txt", "linescan2-wt.txt")]
    assert [s.step_um for s in lines] == [0.511, 0.401]
    second = measure_segregation(lines[1])
    for element in ("Ti", "V"):
        here = second.pair("Ta", element).measured
        assert here is not None and here.high is not None and here.high < -0.8
    assert second.pair("Ta", "Ti").finding == "undecided"  # one slope is no sample of the alloy
    # Counts of the same line, not quantified, say the same, and their noise is that of counting.
    counts = measure_segregation(read_line_scan(folder / "linescan2-intensity.txt", unit="counts"))
    assert counts.pair("Ta", "Ti").measured.high < -0.8  # type: ignore[union-attr,operator]
    for element, mean in counts.mean.items():
        assert counts.noise[element] == pytest.approx(mean.value**-0.5, rel=0.25)
