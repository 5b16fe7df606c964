"""Line shapes: the Thompson-Cox-Hastings polynomial, specimen widths, shifts, asymmetry, polarisation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import voigt_profile

from hea_sim.diffraction.profile import (
    Instrument,
    ThompsonCoxHastings,
    axial_shifts_deg,
    lorentz_polarisation,
    microstrain_to_width_deg,
    mix_widths,
    monochromator_factor,
    pseudo_voigt,
    size_to_width_deg,
    synchrotron_factor,
    width_to_microstrain,
    width_to_size_nm,
)
from hea_sim.errors import InputError


@settings(max_examples=50, deadline=None)
@given(st.floats(0.02, 1.0), st.floats(0.0, 1.0))
def test_the_mixed_width_is_that_of_a_voigt_line(gaussian: float, lorentzian: float) -> None:
    sigma, gamma = gaussian / np.sqrt(8 * np.log(2)), lorentzian / 2
    peak = voigt_profile(0.0, sigma, gamma)
    half = brentq(lambda x: voigt_profile(x, sigma, gamma) - peak / 2, 0, 3 * (gaussian + lorentzian))
    fwhm, eta = mix_widths(gaussian, lorentzian)
    assert fwhm == pytest.approx(2 * half, rel=0.01)  # the polynomials are stated to hold within 1 %
    x = np.linspace(-5 * fwhm, 5 * fwhm, 201)
    # The sum of a Gaussian and a Lorentzian is not their convolution: about 1 % of the height is left.
    assert np.abs(pseudo_voigt(x, fwhm, eta) - voigt_profile(x, sigma, gamma)).max() < 0.02 * peak
    assert -1e-9 <= eta <= 1 + 1e-9


@settings(max_examples=50, deadline=None)
@given(st.floats(1.0, 500.0), st.floats(0.4, 2.3), st.floats(1e-5, 1e-2))
def test_specimen_widths_go_there_and_back(size_nm: float, wavelength_A: float, strain: float) -> None:
    assert width_to_size_nm(size_to_width_deg(size_nm, wavelength_A), wavelength_A) == pytest.approx(size_nm)
    assert width_to_microstrain(microstrain_to_width_deg(strain)) == pytest.approx(strain)


def test_size_and_strain_follow_their_laws_of_angle() -> None:
    angles = np.array([40.0, 80.0, 120.0])
    theta = np.radians(angles) / 2
    size = ThompsonCoxHastings(w_deg2=0.0, x_deg=size_to_width_deg(10.0, 1.5406))
    # The Gaussian part is never below 0.0001 degrees.
    assert np.allclose(np.radians(size.fwhm_deg(angles)), 0.9 * 1.5406 / (100 * np.cos(theta)), rtol=1e-4)
    strain = ThompsonCoxHastings(w_deg2=0.0, y_deg=microstrain_to_width_deg(0.004))
    assert np.allclose(np.radians(strain.fwhm_deg(angles)), 4 * 0.004 * np.tan(theta), rtol=1e-4)
    assert np.allclose(size.lorentzian_share(angles), 1.0, atol=1e-3)


def test_no_size_and_no_strain_leave_the_instrument() -> None:
    assert width_to_size_nm(0.0, 1.54) == float("inf") and microstrain_to_width_deg(0.0) == 0.0
    bare = ThompsonCoxHastings(u_deg2=0.03, v_deg2=-0.01, w_deg2=0.02)
    assert bare.fwhm_deg(90.0) == pytest.approx(np.sqrt(0.03 - 0.01 + 0.02))
    assert bare.lorentzian_share(np.array([90.0])) == pytest.approx(0.0)


def test_a_displaced_specimen_moves_lines_as_cosine() -> None:
    shape = ThompsonCoxHastings(zero_deg=0.02, displacement_mm=0.1, goniometer_radius_mm=200.0)
    shares, shifts = shape.components(np.array([0.0, 90.0, 180.0]))
    moved = np.degrees(2 * 0.1 / 200)
    assert shares.tolist() == [1.0]
    assert np.allclose(shifts[0], [0.02 - moved, 0.02 - moved * np.cos(np.pi / 4), 0.02])


def test_axial_divergence_smears_towards_the_beam_and_away_beyond_90_degrees() -> None:
    shares, shifts = axial_shifts_deg(np.array([20.0, 90.0, 160.0]), 2.5)
    assert shares.sum() == pytest.approx(1.0)
    assert np.all(shifts[:, 0] < 0) and np.allclose(shifts[:, 1], 0) and np.allclose(shifts[:, 2], -shifts[:, 0])
    phi = np.radians(2.5)  # the mean of phi^2 over a uniform phi is a third of the largest
    wanted = -np.degrees(phi**2 / 3 / 2 / np.tan(np.radians(20.0)))
    assert shares @ shifts[:, 0] == pytest.approx(wanted, rel=0.02)


def test_polarisation_of_tube_monochromator_and_storage_ring() -> None:
    assert synchrotron_factor(0.5) == 1.0 and synchrotron_factor(1.0) == 0.0
    assert monochromator_factor(0.0) == 1.0 and monochromator_factor(90.0) == pytest.approx(0.0, abs=1e-12)
    right = lorentz_polarisation(np.array([90.0]), monochromator_factor(30.0))
    assert right == pytest.approx(1 / (np.sin(np.pi / 4) ** 2 * np.cos(np.pi / 4)))  # cos 2 theta = 0 whatever K


@pytest.mark.parametrize(
    "make",
    [
        lambda: ThompsonCoxHastings(displacement_mm=0.1),
        lambda: ThompsonCoxHastings(x_deg=-0.1),
        lambda: ThompsonCoxHastings(axial_half_angle_deg=45),
        lambda: synchrotron_factor(0.0),
        lambda: monochromator_factor(-5.0),
        lambda: size_to_width_deg(0.0, 1.54),
    ],
)
def test_senseless_settings_are_refused(make: object) -> None:
    with pytest.raises(InputError, match=r"wanted|give goniometer"):
        make()  # type: ignore[operator]


def test_the_plain_instrument_is_a_line_shape() -> None:
    shape = Instrument(eta=0.3, displacement_deg=0.1)
    shares, shifts = shape.components(np.array([60.0]))
    assert shares.tolist() == [1.0] and shifts[0, 0] == pytest.approx(0.1 * np.cos(np.pi / 6))
    assert shape.lorentzian_share(np.array([20.0, 60.0])).tolist() == [0.3, 0.3]
