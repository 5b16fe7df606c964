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
    "ScatteringTable": "scattering",
    "WithoutDispersion": "scattering",
    "Instrument": "profile",
    "ThompsonCoxHastings": "profile",
    "debye_pattern": "debye",
    "LatticeOccupation": "on_lattice",
    "lattice_structure_factors": "on_lattice",
    "on_lattice_pattern": "on_lattice",
    "box_structure_factors": "torch_engine",
    "torch_powder_pattern": "torch_engine",
    "TorchPowder": "torch_powder",
    "differentiable_pattern": "torch_powder",
    "march_dollase": "texture",
    "texture_factors": "texture",
    "linear_absorption_per_cm": "absorption",
    "microabsorption_factors": "absorption",
    "electron_form_factor": "electron",
    "electron_wavelength_A": "electron",
    "ring_pattern": "electron",
    "zone_axis_spots": "electron",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
