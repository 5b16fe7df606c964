"""Small synthetic patterns with known content, for the tests of labellers and of the loop."""

from __future__ import annotations

import numpy as np

from hea_sim.crystals import build_crystal
from hea_sim.diffraction import powder_lines
from hea_sim.diffraction.powder import broaden
from hea_sim.diffraction.profile import Instrument, bragg_two_theta_deg
from hea_sim.diffraction.radiation import radiation
from hea_sim.records import Pattern


def mixture(
    phases: dict[str, tuple[object, float, float]],
    *,
    tube: str = "CuKa",
    limits: tuple[float, float] = (25.0, 120.0),
    peak: float = 4000.0,
    background: float = 200.0,
    displacement_deg: float = 0.03,
    seed: int = 0,
) -> Pattern:
    """Mix phases {structure: (occupancy, a, volume share)} into a counted pattern."""
    rng = np.random.default_rng(seed)
    source = radiation(tube)
    angles = np.arange(*limits, 0.02)
    instrument = Instrument(w_deg2=0.02, u_deg2=0.02, eta=0.5, displacement_deg=displacement_deg)
    total = np.zeros_like(angles)
    for name, (occupancy, a, share) in phases.items():
        lines = powder_lines(build_crystal(name, occupancy, a_A=a), source, two_theta_range_deg=(8, 160))
        for wavelength, weight in source.lines:
            total += (
                share
                * weight
                * broaden(angles, bragg_two_theta_deg(lines.d_A, wavelength), lines.intensity, instrument)
            )
    counts = rng.poisson(background * (1 + np.exp(-(angles - limits[0]) / 20)) + peak * total / total.max())
    return Pattern(two_theta_deg=angles, intensity=counts.astype(float), radiation=tube, source="mixture")
