"""Line profiles and the angle factors of powder diffraction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def pseudo_voigt(x: np.ndarray, fwhm: np.ndarray | float, eta: np.ndarray | float) -> np.ndarray:
    """Compute a pseudo-Voigt of unit area at distance x from its centre; eta is the Lorentzian share.

    >>> float(np.round(np.trapezoid(pseudo_voigt(np.linspace(-50, 50, 20001), 0.2, 0.0), dx=0.005), 6))
    1.0
    """
    gauss = 2 * np.sqrt(np.log(2) / np.pi) / fwhm * np.exp(-4 * np.log(2) * (x / fwhm) ** 2)
    lorentz = 2 / (np.pi * fwhm) / (1 + 4 * (x / fwhm) ** 2)
    return eta * lorentz + (1 - eta) * gauss


def lorentz_polarisation(two_theta_deg: np.ndarray, monochromator: float = 1.0) -> np.ndarray:
    """Compute the Lorentz-polarisation factor of Bragg-Brentano geometry.

    (1 + K cos^2 2 theta) / (sin^2 theta cos theta), K = `monochromator`, 1 without one.
    """
    theta = np.radians(np.asarray(two_theta_deg, float)) / 2
    return (1 + monochromator * np.cos(2 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))


@dataclass(frozen=True, kw_only=True)
class Instrument:
    """Hold the line width of an instrument and specimen.

    FWHM^2 = U tan^2 theta + V tan theta + W in degree^2 (Caglioti, Paoletti & Ricci, Nucl. Instrum. 3, 223 (1958),
    10.1016/0369-643X(58)90029-X), plus (strain tan theta)^2 and (size / cos theta)^2.
    """

    u_deg2: float = 0.0
    v_deg2: float = 0.0
    w_deg2: float = 0.01
    eta: float = 0.5
    strain_deg: float = 0.0
    size_deg: float = 0.0
    displacement_deg: float = 0.0

    def fwhm_deg(self, two_theta_deg: np.ndarray | float) -> np.ndarray:
        """Compute the full width at half maximum in degrees."""
        theta = np.radians(np.asarray(two_theta_deg, float)) / 2
        tangent = np.tan(theta)
        squared = self.u_deg2 * tangent**2 + self.v_deg2 * tangent + self.w_deg2
        squared = squared + (self.strain_deg * tangent) ** 2 + (self.size_deg / np.cos(theta)) ** 2
        return np.sqrt(np.maximum(squared, 1e-6))


def bragg_two_theta_deg(d_A: np.ndarray | float, wavelength_A: float) -> np.ndarray:
    """Compute 2 theta in degrees from lattice spacings; NaN where the line does not exist."""
    sine = wavelength_A / (2 * np.asarray(d_A, float))
    with np.errstate(invalid="ignore"):
        return 2 * np.degrees(np.arcsin(np.where(sine <= 1, sine, np.nan)))


def spacing_A(two_theta_deg: np.ndarray | float, wavelength_A: float) -> np.ndarray:
    """Compute lattice spacings d in Angstrom from 2 theta in degrees."""
    return wavelength_A / (2 * np.sin(np.radians(np.asarray(two_theta_deg, float)) / 2))
