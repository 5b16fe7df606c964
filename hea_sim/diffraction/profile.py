"""Line profiles and the angle factors of powder diffraction.

| symbol | variable | unit |
|---|---|---|
| Caglioti U, V, W; size term P | `u_deg2`, `v_deg2`, `w_deg2`, `p_deg2` | degree^2 |
| Lorentzian X / cos theta, Y tan theta | `x_deg`, `y_deg` | degree |
| crystallite size D | `size_nm` | nm |
| microstrain e = FWHM / (4 tan theta), FWHM in radian | `microstrain` | 1 |
| specimen displacement s, away from the axis | `displacement_mm` | mm |
| goniometer radius R | `goniometer_radius_mm` | mm |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from hea_sim.errors import InputError

#: Scherrer constant for the full width at half maximum of roughly equiaxed crystallites.
SCHERRER_K = 0.9


class LineShape(Protocol):
    """Say what a line profile gives: width, Lorentzian share and shifted components at each angle."""

    def fwhm_deg(self, two_theta_deg: np.ndarray) -> np.ndarray:
        """Compute the full width at half maximum in degrees."""
        ...

    def lorentzian_share(self, two_theta_deg: np.ndarray) -> np.ndarray:
        """Compute eta of the pseudo-Voigt."""
        ...

    def components(self, two_theta_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute shares (k,) that sum to one and shifts (k, ...) in degrees of the parts of a line."""
        ...


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

    (1 + K cos^2 2 theta) / (sin^2 theta cos theta), K = `monochromator`: 1 for a tube without a monochromator,
    `monochromator_factor` with one, `synchrotron_factor` at a storage ring.
    """
    theta = np.radians(np.asarray(two_theta_deg, float)) / 2
    return (1 + monochromator * np.cos(2 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))


def monochromator_factor(monochromator_two_theta_deg: float) -> float:
    """Compute K = cos^2 2 theta_M of a mosaic crystal monochromator in the diffraction plane.

    >>> round(monochromator_factor(26.6), 2)  # graphite 002, Cu K-alpha
    0.8
    """
    if not 0 <= monochromator_two_theta_deg < 180:
        raise InputError(
            f"monochromator angle 2 theta = {monochromator_two_theta_deg}; wanted degrees from 0 (none) to below 180"
        )
    return float(np.cos(np.radians(monochromator_two_theta_deg)) ** 2)


def synchrotron_factor(horizontal_fraction: float) -> float:
    """Compute K = (1 - P) / P for a vertical diffraction plane; P is the share of horizontally polarised photons.

    >>> round(synchrotron_factor(0.95), 4), synchrotron_factor(0.5)
    (0.0526, 1.0)
    """
    if not 0 < horizontal_fraction <= 1:
        raise InputError(
            f"polarised fraction {horizontal_fraction}; wanted more than 0 and at most 1 (0.5: unpolarised)"
        )
    return (1 - horizontal_fraction) / horizontal_fraction


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

    def lorentzian_share(self, two_theta_deg: np.ndarray) -> np.ndarray:
        """Give eta, the same at every angle."""
        return np.full(np.shape(two_theta_deg), self.eta)

    def components(self, two_theta_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give the one shift `displacement_deg` cos theta."""
        theta = np.radians(np.asarray(two_theta_deg, float)) / 2
        return np.ones(1), (self.displacement_deg * np.cos(theta))[None]


@dataclass(frozen=True, kw_only=True)
class ThompsonCoxHastings:
    """Hold a pseudo-Voigt whose Gaussian and Lorentzian parts have widths of their own.

    Gaussian FWHM^2 = U tan^2 theta + V tan theta + W + P / cos^2 theta; Lorentzian FWHM = X / cos theta + Y tan theta
    (X: size, Y: strain). Their convolution is a pseudo-Voigt of the width and share that `mix_widths` gives:
    Thompson, Cox & Hastings, J. Appl. Cryst. 20, 79 (1987), 10.1107/S0021889887087090.

    A line stands at 2 theta + `zero_deg` - 2 s cos theta / R. `axial_half_angle_deg` is the largest angle of a ray to
    the diffraction plane; the line is smeared to where rays of all angles up to it meet the detector (0: symmetric).
    """

    u_deg2: float = 0.0
    v_deg2: float = 0.0
    w_deg2: float = 0.01
    p_deg2: float = 0.0
    x_deg: float = 0.0
    y_deg: float = 0.0
    zero_deg: float = 0.0
    displacement_mm: float = 0.0
    goniometer_radius_mm: float = 0.0
    axial_half_angle_deg: float = 0.0

    def __post_init__(self) -> None:
        if self.displacement_mm and not self.goniometer_radius_mm > 0:
            raise InputError(
                f"displacement {self.displacement_mm} mm with goniometer radius {self.goniometer_radius_mm} mm; a"
                " displacement moves lines by 2 s cos(theta) / R, so give goniometer_radius_mm above zero"
            )
        if min(self.x_deg, self.y_deg) < 0 or not 0 <= self.axial_half_angle_deg < 20:
            raise InputError(
                f"x_deg {self.x_deg}, y_deg {self.y_deg}, axial_half_angle_deg {self.axial_half_angle_deg}; wanted"
                " widths >= 0 and an axial angle from 0 to below 20 degrees"
            )

    def gaussian_fwhm_deg(self, two_theta_deg: np.ndarray | float) -> np.ndarray:
        """Compute the Gaussian width in degrees."""
        theta = np.radians(np.asarray(two_theta_deg, float)) / 2
        squared = gaussian_fwhm_squared(np.tan(theta), self.u_deg2, self.v_deg2, self.w_deg2, self.p_deg2)
        return np.sqrt(np.maximum(squared, 1e-8))

    def lorentzian_fwhm_deg(self, two_theta_deg: np.ndarray | float) -> np.ndarray:
        """Compute the Lorentzian width in degrees."""
        theta = np.radians(np.asarray(two_theta_deg, float)) / 2
        return self.x_deg / np.cos(theta) + self.y_deg * np.tan(theta)

    def fwhm_deg(self, two_theta_deg: np.ndarray | float) -> np.ndarray:
        """Compute the full width at half maximum of the pseudo-Voigt in degrees."""
        return mix_widths(self.gaussian_fwhm_deg(two_theta_deg), self.lorentzian_fwhm_deg(two_theta_deg))[0]

    def lorentzian_share(self, two_theta_deg: np.ndarray) -> np.ndarray:
        """Compute eta of the pseudo-Voigt."""
        return mix_widths(self.gaussian_fwhm_deg(two_theta_deg), self.lorentzian_fwhm_deg(two_theta_deg))[1]

    def components(self, two_theta_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute the shifts by zero, displacement and axial divergence, and their shares."""
        angles = np.asarray(two_theta_deg, float)
        radius = self.goniometer_radius_mm or 1.0
        shift = self.zero_deg - np.degrees(2 * self.displacement_mm * np.cos(np.radians(angles) / 2) / radius)
        if self.axial_half_angle_deg == 0:
            return np.ones(1), shift[None]
        shares, axial = axial_shifts_deg(angles, self.axial_half_angle_deg)
        return shares, shift + axial


def gaussian_fwhm_squared(tangent: Any, u_deg2: Any, v_deg2: Any, w_deg2: Any, p_deg2: Any = 0.0) -> Any:
    """Compute U tan^2 + V tan + W + P / cos^2; arithmetic only, so arrays and tensors both pass."""
    return u_deg2 * tangent**2 + v_deg2 * tangent + w_deg2 + p_deg2 * (1 + tangent**2)


def mix_widths(gaussian: Any, lorentzian: Any) -> tuple[Any, Any]:
    """Compute (FWHM, eta) of the convolution of a Gaussian with a Lorentzian of these widths.

    Polynomials of Thompson, Cox & Hastings (1987); arithmetic only, so arrays and tensors both pass.

    >>> [round(x, 4) for x in (*mix_widths(0.1, 0.0), *mix_widths(0.0, 0.1), *mix_widths(0.1, 0.1))]
    [0.1, 0.0, 0.1, 1.0, 0.1635, 0.6825]
    """
    g, ell = gaussian, lorentzian
    fifth = (
        g**5 + 2.69269 * g**4 * ell + 2.42843 * g**3 * ell**2 + 4.47163 * g**2 * ell**3 + 0.07842 * g * ell**4 + ell**5
    )
    fwhm = fifth**0.2
    ratio = ell / fwhm
    return fwhm, 1.36603 * ratio - 0.47719 * ratio**2 + 0.11116 * ratio**3


def axial_shifts_deg(two_theta_deg: np.ndarray, half_angle_deg: float, n: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Compute where rays at an angle phi to the diffraction plane meet a detector in it, and their shares.

    The cone of 2 theta is met at an apparent angle with cos(apparent) = cos(2 theta) / cos(phi): below 2 theta for
    forward, above it for backward scattering. phi is uniform from 0 to `half_angle_deg`, taken at Gauss-Legendre nodes;
    this is the limit of a narrow specimen of Finger, Cox & Jephcoat, J. Appl. Cryst. 27, 892 (1994),
    10.1107/S0021889894004218.

    Returns
    -------
    Shares (n,) that sum to one and shifts (n, ...) in degrees.
    """
    nodes, weights = np.polynomial.legendre.leggauss(n)
    phi = np.radians(half_angle_deg) * (nodes + 1) / 2
    angles = np.asarray(two_theta_deg, float)
    spread = np.cos(phi).reshape(-1, *[1] * angles.ndim)
    apparent = np.degrees(np.arccos(np.clip(np.cos(np.radians(angles)) / spread, -1, 1)))
    return weights / 2, apparent - angles


def size_to_width_deg(size_nm: float, wavelength_A: float, scherrer_k: float = SCHERRER_K) -> float:
    """Compute the Lorentzian X in degrees of crystallites: FWHM = K lambda / (D cos theta).

    >>> round(size_to_width_deg(20.0, 1.5406), 4)
    0.3972
    """
    if not size_nm > 0:
        raise InputError(f"crystallite size {size_nm} nm; wanted a number above zero")
    return float(np.degrees(scherrer_k * wavelength_A / (10 * size_nm)))


def width_to_size_nm(x_deg: float, wavelength_A: float, scherrer_k: float = SCHERRER_K) -> float:
    """Compute the crystallite size in nm of a Lorentzian X in degrees; infinite where X is 0."""
    return scherrer_k * wavelength_A / (10 * float(np.radians(x_deg))) if x_deg > 0 else float("inf")


def microstrain_to_width_deg(microstrain: float) -> float:
    """Compute the Lorentzian Y in degrees: FWHM = 4 e tan theta (Stokes & Wilson, 10.1088/0959-5309/56/3/303).

    >>> round(microstrain_to_width_deg(0.001), 4)
    0.2292
    """
    return float(np.degrees(4 * microstrain))


def width_to_microstrain(y_deg: float) -> float:
    """Compute the microstrain e of a Lorentzian Y in degrees."""
    return float(np.radians(y_deg)) / 4


def bragg_two_theta_deg(d_A: np.ndarray | float, wavelength_A: float) -> np.ndarray:
    """Compute 2 theta in degrees from lattice spacings; NaN where the line does not exist."""
    sine = wavelength_A / (2 * np.asarray(d_A, float))
    with np.errstate(invalid="ignore"):
        return 2 * np.degrees(np.arcsin(np.where(sine <= 1, sine, np.nan)))


def spacing_A(two_theta_deg: np.ndarray | float, wavelength_A: float) -> np.ndarray:
    """Compute lattice spacings d in Angstrom from 2 theta in degrees."""
    return wavelength_A / (2 * np.sin(np.radians(np.asarray(two_theta_deg, float)) / 2))
