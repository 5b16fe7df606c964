"""Diffraction forward model: scattering tables, structure factors, powder lines, profiles.

| symbol | variable | unit |
|---|---|---|
| wavelength | `wavelength_A` | A |
| scattering angle 2 theta | `two_theta_deg` | degree |
| sin(theta)/lambda | `s_per_A` | 1/A |
| f0 + f' + i f'' | `atomic_scattering_factor` | electrons |
| structure factor F(hkl) | `structure_factors` | electrons |
| Debye-Waller factor B | `b_iso_A2` | A^2 |
"""

from hea_sim._lazy import lazy_names

_NAMES = {
    "Radiation": "radiation",
    "radiation": "radiation",
    "PowderLines": "powder",
    "powder_lines": "powder",
    "powder_pattern": "powder",
    "structure_factors": "structure_factor",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
