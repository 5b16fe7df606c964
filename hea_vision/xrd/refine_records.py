"""What goes into a whole-pattern fit and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.crystals import Prototype
from hea_sim.diffraction.families import Cell
from hea_sim.records import Estimate


@dataclass(frozen=True, kw_only=True)
class StartPhase:
    """Hold a phase to fit: structure type, the lattice to start from, the elements of each sublattice."""

    structure: str | Prototype
    cell: Cell
    occupancy: Mapping[str, Composition]

    @property
    def name(self) -> str:
        """Give the name of the structure type."""
        return self.structure if isinstance(self.structure, str) else self.structure.name


@dataclass(frozen=True, kw_only=True)
class Texture:
    """Hold what the line areas say of preferred orientation.

    `line_scatter` is the std of the logarithm of line areas about what the model gives; `march_axis` and `march_r`
    (March-Dollase, below one: the axis along the diffraction vector) are None where no axis describes it better.
    """

    line_scatter: float
    march_axis: tuple[int, int, int] | None = None
    march_r: Estimate | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class RefinedPhase:
    """Hold the numbers of one phase.

    `lattice` has the free parameters ("a", "b", "c" in A, "beta" in degree); `scale` multiplies m |F|^2 LP / V^2;
    `size_nm` and `microstrain` are bounds where the instrument's width is not known (see their `method`); `gain` is the
    logarithm of the likelihood, in nats, that leaving the phase out would cost; `explained` its share of the intensity
    above background; `curve` (n,); `ticks_deg` the angles of its lines; `detected` says whether `gain` exceeds 12.5
    nats (five standard deviations).
    """

    structure: str
    cell: Cell
    lattice: Mapping[str, Estimate]
    scale: Estimate
    weight_fraction: Estimate
    volume_fraction: Estimate
    size_nm: Estimate
    microstrain: Estimate
    b_iso_A2: Estimate
    texture: Texture
    gain: float
    detected: bool
    explained: float
    curve: np.ndarray
    ticks_deg: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Refinement:
    """Hold a fitted pattern: phases in the order given, curves (n,), and how good the fit is.

    `rwp_percent` and `r_exp_percent` weigh points by the noise measured in the scan; their ratio is
    `goodness_of_fit`. `explained` is the share of the intensity above background that the phases reproduce;
    `log_likelihood` in nats under noise and model error; `model_error` the std of the profile's misfit relative to
    the height of the lines.
    """

    phases: tuple[RefinedPhase, ...]
    displacement_deg: Estimate
    zero_deg: Estimate
    two_theta_deg: np.ndarray
    measured: np.ndarray
    background: np.ndarray
    fitted: np.ndarray
    rwp_percent: float
    r_exp_percent: float
    goodness_of_fit: float
    explained: float
    log_likelihood: float
    model_error: float
    n_points: int
    n_parameters: int
    iterations: int
    converged: bool
    notes: tuple[str, ...] = ()

    @property
    def residual(self) -> np.ndarray:
        """Compute measured minus fitted, (n,)."""
        return self.measured - self.fitted
