"""The line list: what stands out is found, once, and what does not is left to the faint field."""

from __future__ import annotations

import numpy as np
import pytest

from hea_sim.diffraction.radiation import radiation
from hea_sim.records import Pattern
from hea_vision.xrd.faint import BEST_FAINT, WORST_MISS, gain, gain_and_slope
from hea_vision.xrd.line_fit import line_shape
from hea_vision.xrd.lines import find_lines
from hea_vision.xrd.scans import background_between_lines, noise_between_lines, prepare_scan
from hea_vision.xrd.superlattice import superlattice_angles

WAVELENGTH = 1.54
SOURCE = radiation(WAVELENGTH)
ANGLES = np.arange(20.0, 100.0, 0.02)


def scan_of(
    lines: list[tuple[float, float, float]],
    *,
    seed: int = 0,
    level: float | np.ndarray = 200.0,
    skew: float = 0.0,
    angles: np.ndarray = ANGLES,
) -> Pattern:
    """Count photons of lines (angle, area, fwhm) over a background."""
    expected = np.full(len(angles), 0.0) + level
    for angle, area, fwhm in lines:
        expected += area * line_shape(angles, angle, fwhm, 0.4, SOURCE, skew)
    counts = np.random.default_rng(seed).poisson(expected).astype(float)
    return Pattern(two_theta_deg=angles, intensity=counts, wavelength_A=WAVELENGTH)


def found_in(pattern: Pattern) -> np.ndarray:
    return np.array([line.two_theta_deg for line in find_lines(pattern, SOURCE).lines])


def noise_of_area(level: float, fwhm: float) -> float:
    """Compute the error of a Gaussian line's area in white noise, its place and width known."""
    return float(np.sqrt(level * 0.02 * 1.5 * fwhm))


def test_a_shoulder_is_a_line_of_its_own() -> None:
    pattern = scan_of([(40.0, 900.0, 0.25), (40.22, 500.0, 0.25), (58.0, 400.0, 0.25)])
    lines = find_lines(pattern, SOURCE).lines
    assert [round(line.two_theta_deg, 1) for line in lines] == [40.0, 40.2, 58.0]
    for line, area in zip(lines, (900.0, 500.0, 400.0)):
        assert abs(line.area - area) < 5 * line.area_std


@pytest.mark.parametrize("skew", [-0.3, 0.0, 0.3])
def test_a_leaning_line_is_one_line(skew: float) -> None:
    places = [31.0, 44.0, 63.0]
    found = found_in(scan_of([(x, 2000.0, 0.2) for x in places], skew=skew))
    assert len(found) == 3 and np.abs(found - places).max() < 0.05


def test_noise_hardly_ever_makes_a_line() -> None:
    assert sum(len(found_in(scan_of([], seed=seed))) for seed in range(30)) <= 6


def test_a_crowded_scan_loses_no_strong_line() -> None:
    rng = np.random.default_rng(4)
    places = np.arange(24.0, 96.0, 1.6) + rng.uniform(-0.3, 0.3, 45)
    areas = noise_of_area(200.0, 0.3) * np.exp(rng.uniform(np.log(15), np.log(150), 45))
    found = found_in(scan_of([(float(x), float(a), 0.3) for x, a in zip(places, areas)]))
    assert np.mean([np.abs(found - x).min() < 0.1 for x in places]) >= 0.95
    assert np.mean([np.abs(places - x).min() < 0.15 for x in found]) >= 0.95


def test_a_hump_is_background() -> None:
    hump = 200 + 700 * np.exp(-0.5 * ((ANGLES - 60) / 4.5) ** 2)
    found = found_in(scan_of([(35.0, 300.0, 0.25), (61.0, 300.0, 0.25), (80.0, 300.0, 0.25)], level=hump))
    assert len(found) == 3 and np.abs(found - [35.0, 61.0, 80.0]).max() < 0.05


@pytest.mark.parametrize("fwhm", [0.12, 0.4, 1.5])
def test_the_width_of_the_strongest_line_is_measured(fwhm: float) -> None:
    """Noise makes many tops on one broad line; none of them is its width."""
    scan = prepare_scan(scan_of([(45.0, 600 * fwhm, fwhm), (70.0, 200 * fwhm, fwhm)], level=50.0))
    assert scan.typical_fwhm_deg == pytest.approx(fwhm, rel=0.25)


@pytest.mark.parametrize("points", [1, 5, 9])
def test_noise_of_a_smoothed_scan_is_known_to_be_correlated(points: int) -> None:
    """The mean over a long stretch has the same error whether the scan was smoothed or not."""
    rng = np.random.default_rng(7)
    raw = 400 + rng.normal(0, 20, len(ANGLES) + points - 1)
    pattern = Pattern(
        two_theta_deg=ANGLES, intensity=np.convolve(raw, np.ones(points) / points, "valid"), wavelength_A=WAVELENGTH
    )
    scan = prepare_scan(pattern)
    noise, correlation = noise_between_lines(scan, scan.intensity - 400, np.zeros(len(scan.angles)))
    of_mean = float(np.median(noise)) * np.sqrt(2 * correlation.sum() - 1)
    assert of_mean == pytest.approx(20.0, rel=0.2)


def test_a_straight_background_is_followed_to_the_ends() -> None:
    pattern = scan_of([], level=300 - 2 * (ANGLES - 20))
    scan = prepare_scan(pattern)
    course = background_between_lines(scan, np.zeros(len(scan.angles)), np.sqrt(scan.intensity))
    assert np.abs(course - (300 - 2 * (scan.angles - 20))).max() < 8


def test_faint_evidence_is_a_likelihood_ratio() -> None:
    """Where nothing is there, the ratio of likelihoods has mean one, whatever line is asked for."""
    s = np.linspace(-6, 7.9, 6001)
    chance = np.exp(-0.5 * s**2) / np.sqrt(2 * np.pi) * (s[1] - s[0])
    for log_expected in (-3.0, -2.0, -1.0):  # where neither bound is near
        told, _ = gain_and_slope(s, np.full_like(s, log_expected))
        assert float(np.exp(told) @ chance) == pytest.approx(1.0, abs=0.01)


def test_faint_evidence_knows_its_bounds_and_its_slope() -> None:
    s, x = (v.ravel() for v in np.meshgrid(np.linspace(-5, 7, 25), np.linspace(-3.9, 9.8, 29)))
    told, slope = gain_and_slope(s, x)
    assert told.min() >= -WORST_MISS and told.max() <= BEST_FAINT
    step = 1e-4
    ahead, _ = gain_and_slope(s, x + step)
    inside = np.abs(np.mod((x + 4) / 0.1, 1) - 0.5) < 0.49  # between the knots of the table
    np.testing.assert_allclose(((ahead - told) / step)[inside], slope[inside], atol=1e-6)
    assert np.abs(gain(s, x) - told).mean() < 0.05  # the quick look-up takes the nearest knot
    nothing = gain_and_slope(np.zeros(50), np.linspace(-3, 8, 50))[0]
    assert (np.diff(nothing) <= 1e-12).all() and nothing[-1] < -3


def test_the_faint_field_measures_lines_too_weak_to_list() -> None:
    noise = noise_of_area(200.0, 0.3)
    scores, expected = [], []
    for seed in range(40):
        lines = find_lines(scan_of([(40.0, 800.0, 0.3), (63.3, 3 * noise, 0.3)], seed=seed), SOURCE)
        score, log_noise = lines.faint.look(np.array([63.3]), 0.3)
        scores.append(score[0])
        expected.append(3 * noise / np.exp(log_noise[0]))
    assert np.mean(scores) == pytest.approx(np.mean(expected), abs=3 / np.sqrt(40) + 0.1 * np.mean(expected))
    assert 1.8 < np.mean(expected) < 3.3


def test_order_adds_the_lines_that_the_lattice_lacks() -> None:
    a = 3.0
    bcc = superlattice_angles("A2", a, WAVELENGTH, 0.0)
    fcc = superlattice_angles("A1", a, WAVELENGTH, 0.0)
    for hkl, angles in (((1, 0, 0), bcc), ((1, 1, 1), bcc), ((1, 0, 0), fcc), ((1, 1, 0), fcc)):
        d = a / np.sqrt(np.dot(hkl, hkl))
        assert np.abs(angles - 2 * np.degrees(np.arcsin(WAVELENGTH / 2 / d))).min() < 1e-9
    for hkl, angles in (((1, 1, 0), bcc), ((2, 0, 0), bcc), ((1, 1, 1), fcc), ((2, 0, 0), fcc)):
        d = a / np.sqrt(np.dot(hkl, hkl))
        assert np.abs(angles - 2 * np.degrees(np.arcsin(WAVELENGTH / 2 / d))).min() > 0.5
    assert superlattice_angles("sigma", a, WAVELENGTH, 0.0).size == 0
