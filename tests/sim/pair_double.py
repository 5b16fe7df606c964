"""A site model simple enough to be known in closed form: pair energies and an embedding of their sum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hea_sim.potentials.environment import Environment


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddedPairs:
    """E_i = s_i^2 + s_i, s_i = sum_j a_i a_j (1 - r/rc)^3 within rc."""

    elements: tuple[str, ...] = ("Nb", "Mo", "Ta")
    strengths: tuple[float, ...] = (1.0, 0.7, -0.4)
    cutoff_A: float = 4.1
    curved: float = 1.0
    power: int = 3

    def site_terms(self, environment: Environment) -> tuple[np.ndarray, np.ndarray]:
        a = np.array(self.strengths)[environment.indices_of(self.elements)]
        first, d = environment.first, environment.vectors
        r = np.linalg.norm(d, axis=1)
        inside = r < self.cutoff_A
        x = np.where(inside, 1 - r / self.cutoff_A, 0.0)
        pair = a[first] * a[environment.second] * np.where(inside, x**self.power, 0.0)
        s = np.bincount(first, pair, minlength=len(a))
        slope = -a[first] * a[environment.second] * self.power * x ** max(self.power - 1, 0) / self.cutoff_A
        ds = (2 * self.curved * s + 1)[first] * np.where(inside, slope, 0.0)
        return self.curved * s**2 + s, (ds / np.maximum(r, 1e-12))[:, None] * d
