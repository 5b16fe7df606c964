"""The width of an instrument's lines from a parameter file of GSAS-II.

Its U, V, W are variances in (0.01 degree)^2, X and Y full widths at half maximum in 0.01 degree: Toby & Von Dreele,
J. Appl. Cryst. 46, 544 (2013), 10.1107/S0021889813003531, and the program's own description of constant-wavelength
profiles.
"""

from __future__ import annotations

import math

from hea_sim.diffraction.profile import ThompsonCoxHastings
from hea_sim.errors import InputError

_NEEDED = ("U", "V", "W", "X", "Y")


def instrument_from_gsas(text: str) -> ThompsonCoxHastings:
    """Read the text of a GSAS-II instrument parameter file (.instprm) of a constant-wavelength instrument.

    >>> instrument_from_gsas("U:2.0\\nV:-2.0\\nW:5.0\\nX:0.0\\nY:0.0").w_deg2.__round__(6)
    0.002773

    Raises
    ------
    InputError
        Where a term is missing or not a number.
    """
    values: dict[str, float] = {}
    for row in text.replace(";", "\n").splitlines():
        name, _, value = row.partition(":")
        if name.strip() in _NEEDED:
            try:
                values[name.strip()] = float(value)
            except ValueError as error:
                raise InputError(f"instrument parameter {name.strip()} is '{value}'; wanted a number") from error
    missing = [name for name in _NEEDED if name not in values or not math.isfinite(values[name])]
    if missing:
        raise InputError(
            f"no {', '.join(missing)} in the instrument parameters; wanted a GSAS-II .instprm file of a"
            " constant-wavelength instrument"
        )
    squared = 8 * math.log(2) * 1e-4
    return ThompsonCoxHastings(
        u_deg2=values["U"] * squared,
        v_deg2=values["V"] * squared,
        w_deg2=values["W"] * squared,
        x_deg=max(values["X"], 0.0) / 100,
        y_deg=max(values["Y"], 0.0) / 100,
    )
