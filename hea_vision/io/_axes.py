"""Abscissae of powder patterns: 2-theta, q and d, turned into 2-theta."""

from __future__ import annotations

import numpy as np

from hea_sim.diffraction.radiation import radiation as get_radiation
from hea_sim.errors import InputError, unknown_name
from hea_vision.io.radiation import Source

#: Abscissae that are read.
AXES = ("two_theta_deg", "q_per_A", "q_per_nm", "d_A")

_NAMED = {
    "q_per_A": "q in 1/angstrom",
    "q_per_nm": "q in 1/nm",
    "d_A": "d in angstrom",
}


def checked_axis(axis: str | None) -> str | None:
    """Check an axis that the user names."""
    if axis is not None and axis not in AXES:
        raise unknown_name("axis", str(axis), AXES)
    return axis


def two_theta_from(where: str, x: np.ndarray, axis: str, source: Source) -> tuple[np.ndarray, dict[str, str]]:
    """Turn q or d (n,) into 2-theta in degrees by Bragg's law, sin(theta) = q lambda / (4 pi) = lambda / (2 d).

    The wavelength is that of the file or the user, K-alpha1 for a tube; a note says which.
    """
    if axis == "two_theta_deg":
        return x, {}
    if source.wavelength_A is None and source.radiation is None:
        raise InputError(
            f"{where}: the abscissa is {_NAMED[axis]} and nobody says the wavelength, wanted one to find 2-theta;"
            " give wavelength_A=... or radiation=..."
        )
    if source.wavelength_A is not None:
        wavelength = source.wavelength_A
    else:
        wavelength = get_radiation(source.radiation).lines[0][0]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        q = 2 * np.pi / x if axis == "d_A" else x / (10.0 if axis == "q_per_nm" else 1.0)
    sine = q * wavelength / (4 * np.pi)
    finite = np.isfinite(x)
    if (bad := finite & ~((sine >= 0) & (sine <= 1))).any():
        raise InputError(
            f"{where}: {_NAMED[axis]} of {x[bad][0]:g} cannot be reached with {wavelength:g} A;"
            " check the wavelength and the axis (q_per_A, q_per_nm or d_A)"
        )
    note = f"2-theta from {_NAMED[axis]} with {wavelength:g} A"
    return np.degrees(2 * np.arcsin(sine)), {"axis": axis, "axis_note": note}
