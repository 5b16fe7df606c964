"""X-ray tubes and single wavelengths.

Wavelengths: International Tables for Crystallography C (2004), table 4.2.2.4, and Hoelzer et al., Phys. Rev. A 56,
4554 (1997), 10.1103/PhysRevA.56.4554 for Cr to Cu.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hea_sim.errors import InputError, unknown_name

#: h c in eV A.
HC_EV_A = 12398.41984


@dataclass(frozen=True, kw_only=True)
class Radiation:
    """Hold the lines of one radiation: (wavelength in A, relative weight), strongest first.

    `parasitic_A` names lines that a tube sends besides the wanted ones: K-beta, and W L-alpha from an aged tube.
    """

    name: str
    lines: tuple[tuple[float, float], ...]
    parasitic_A: tuple[tuple[str, float], ...] = ()

    @property
    def is_tube(self) -> bool:
        """Say whether this is a named line of a tube, not a single wavelength given by its number."""
        return not self.name.endswith(" A")

    @property
    def wavelength_A(self) -> float:
        """Give the wavelength of the strongest line."""
        return self.lines[0][0]

    @property
    def energy_eV(self) -> float:
        """Give the photon energy of the strongest line."""
        return HC_EV_A / self.wavelength_A


_W_L_ALPHA_A = 1.476399
_K_LINES_A = {  # anode: K-alpha1, K-alpha2, K-beta1
    "Cr": (2.289726, 2.293651, 2.084920),
    "Fe": (1.936041, 1.939973, 1.756604),
    "Co": (1.788996, 1.792835, 1.620826),
    "Cu": (1.5405929, 1.5444274, 1.3922340),
    "Mo": (0.70931715, 0.713607, 0.632303),
    "Ag": (0.559422, 0.563813, 0.497082),
}


def _tubes() -> dict[str, Radiation]:
    tubes = {}
    for anode, (first, second, beta) in _K_LINES_A.items():
        parasitic = (("K-beta", beta), ("W L-alpha", _W_L_ALPHA_A))
        tubes[f"{anode}Ka"] = Radiation(name=f"{anode}Ka", lines=((first, 1.0), (second, 0.5)), parasitic_A=parasitic)
        tubes[f"{anode}Ka1"] = Radiation(name=f"{anode}Ka1", lines=((first, 1.0),))
    return tubes


_TUBES = _tubes()


def known_tubes() -> tuple[Radiation, ...]:
    """List the tubes: K-alpha doublets and single K-alpha1 lines."""
    return tuple(_TUBES.values())


def radiation(name: str | float | None) -> Radiation:
    """Get a radiation by name ("CuKa", "CoKa1", "Mo") or by wavelength in Angstrom.

    >>> radiation("Co").lines[0][0]
    1.788996
    >>> radiation(0.4137).name
    '0.4137 A'

    Raises
    ------
    InputError
        Where nothing was given, or the wavelength is not between 0.05 and 5 A.
    UnknownNameError
        For an unknown tube.
    """
    if name is None:
        raise InputError(
            'no radiation is known for this pattern; name the tube (radiation = "CuKa", --radiation CuKa) or give the'
            f" wavelength in Angstrom. Tubes: {', '.join(t for t in _TUBES if t.endswith('a'))}"
        )
    wavelength = _as_number(name)
    if wavelength is not None:
        if not 0.05 <= wavelength <= 5:
            raise InputError(f"wavelength {wavelength} A; wanted a number between 0.05 and 5 Angstrom")
        return Radiation(name=f"{wavelength:g} A", lines=((wavelength, 1.0),))
    key = re.sub(r"[\s_-]", "", str(name)).replace("α", "a").replace("alpha", "a").replace("Alpha", "a")
    for tube in (key, f"{key}Ka"):
        for known in _TUBES:
            if tube.lower() == known.lower():
                return _TUBES[known]
    raise unknown_name("radiation", str(name), _TUBES)


def _as_number(value: str | float) -> float | None:
    try:
        return float(str(value).removesuffix("A").strip())
    except ValueError:
        return None
