"""The settings of `hea fit potential`: one strict model that Python, the shell and TOML files share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from hea_sim.errors import InputError
from hea_sim.potentials.fitting.weights import Tolerance, Weights
from hea_sim.settings import ModelName, StrictSettings, read_settings


def _positive(value: Any) -> Any:
    for group, numbers in value.items() if isinstance(value, dict) else ():
        if min(numbers) <= 0:
            raise InputError(f"weights of {group}: {list(numbers)}; wanted tolerances above zero (inf leaves out)")
    return value


class SnapSettings(StrictSettings):
    """Settings of a SNAP: `radii` and `weights` of elements are relative; what is left out is 0.5 and 1.

    `alike` pulls the coefficients of different elements together, so that what binary alloys teach is carried over to
    alloys of more elements; 1e-5 is weak, 1e-3 strong.
    """

    twojmax: int = Field(default=6, ge=0, le=16)
    cutoff_A: float = Field(default=4.6, gt=0, le=20)
    quadratic: bool = False
    rfac0: float = Field(default=0.99363, gt=0, le=1)
    rmin0: float = Field(default=0.0, ge=0)
    radii: dict[str, float] = Field(default_factory=dict)
    weights: dict[str, float] = Field(default_factory=dict)
    alike: float = Field(default=0.0, ge=0)


class MtpSettings(StrictSettings):
    """Settings of a moment tensor potential and of how its radial functions follow the gradient.

    `fit_structures` are taken for the gradient, spread over all groups; the linear coefficients see all structures.
    `alike` holds the radial functions of different pairs of elements together, so that what binary alloys teach is
    carried over to alloys of more elements. `weights` replaces tolerances of groups while the gradient is followed:
    very tight ones, which a linear solve meets at once, hold it up.
    """

    level: int = Field(default=12, ge=2, le=28)
    cutoff_A: float = Field(default=5.0, gt=0, le=20)
    radial_functions: int = Field(default=8, ge=1, le=30)
    least_distance_A: float = Field(default=1.9, ge=0)
    epochs: int = Field(default=60, ge=0)
    lbfgs_rounds: int = Field(default=10, ge=0)
    batch: int = Field(default=16, ge=1)
    learning_rate: float = Field(default=5e-3, gt=0, lt=1)
    solve_every: int = Field(default=0, ge=0)
    fit_structures: int | None = Field(default=None, ge=1)
    alike: float = Field(default=10.0, ge=0)
    weights: dict[str, tuple[float, float, float]] = Field(default_factory=dict)
    device: str = "cpu"

    _weights_are_positive = field_validator("weights")(_positive)


class SearchSettings(StrictSettings):
    """Search for what is not fitted, scored on structures held out.

    `energy_meV_per_atom` is the range of the tolerance of energies against that of forces; `model` lists values to try
    of settings of the family, such as `cutoff_A = [4.4, 4.6, 4.8]`: each needs its rows anew.
    """

    method: Literal["grid", "random", "bayesian"] = "bayesian"
    trials: int = Field(default=20, ge=1, le=10000)
    energy_meV_per_atom: tuple[float, float] | None = (0.3, 10.0)
    penalty: tuple[float, float] | None = None
    model: dict[str, tuple[float, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _something_to_search(self) -> SearchSettings:
        if self.energy_meV_per_atom is None and self.penalty is None and not self.model:
            raise InputError("nothing to search for; give energy_meV_per_atom, penalty or model")
        return self


class FitPotentialJob(StrictSettings):
    """Settings of `hea fit potential`.

    `train` and `test` are extended XYZ files. `weights` are tolerances by group, [energy in meV/atom, force in eV/A,
    stress in GPa], and under "default" for the others; "auto" sets them to the errors that are left, in rounds.
    `penalty` is that of the ridge, by marginal likelihood where left out; `lasso` keeps the features that lower the
    BIC. `accept` names checks of the audit whose errors shall not stop the fit. `repulsion_A` adds the ZBL repulsion of
    nuclei, which fades out between these two distances.
    """

    name: ModelName = "own-potential"
    family: Literal["snap", "mtp"] = "snap"
    train: tuple[str, ...] = Field(min_length=1)
    test: tuple[str, ...] = ()
    elements: tuple[str, ...] = ()
    snap: SnapSettings = SnapSettings()
    mtp: MtpSettings = MtpSettings()
    weights: Literal["auto"] | dict[str, tuple[float, float, float]] = Field(default_factory=dict)
    use_stress: bool = True
    penalty: float | None = Field(default=None, ge=0)
    lasso: bool = False
    search: SearchSettings | None = None
    repulsion_A: tuple[float, float] | None = None
    drop_duplicates: bool = True
    drop_leaked: bool = True
    accept: tuple[str, ...] = ()
    shards: int = Field(default=10, ge=2, le=100)
    uncertainty: bool = True
    figures: bool = True
    seed: int = Field(default=0, ge=0)
    data_source: str = "own data"
    data_licence: str = "not stated"
    data_citation: str = ""
    licence: str = "GPL-3.0-or-later"

    @field_validator("train", "test", mode="before")
    @classmethod
    def _one_file_is_a_list(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    _weights_are_positive = field_validator("weights")(_positive)

    @field_validator("repulsion_A")
    @classmethod
    def _repulsion_ends(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not 0 < value[0] < value[1]:
            raise InputError(f"repulsion_A {list(value)}; wanted the inner and the outer end, such as [1.2, 1.9]")
        return value

    @model_validator(mode="after")
    def _one_prior(self) -> FitPotentialJob:
        if self.lasso and self.family == "snap" and self.snap.alike > 0:
            raise InputError("lasso with snap.alike: both choose among features; leave one of them out")
        return self

    def gradient_tolerances(self) -> Weights:
        """Give the weights under which the gradient of an MTP is followed."""
        return self.tolerances(self.mtp.weights)

    def tolerances(self, changes: Mapping[str, tuple[float, float, float]] | None = None) -> Weights:
        """Give the weights to begin with; `changes` replaces those of some groups."""
        table = {**(self.weights if isinstance(self.weights, dict) else {}), **(changes or {})}
        made = {}
        for group, (energy, force, stress) in table.items():
            stress = stress if self.use_stress else float("inf")
            made[group] = Tolerance(energy_meV_per_atom=energy, force_eV_per_A=force, stress_GPa=stress)
        plain = Tolerance() if self.use_stress else Tolerance(stress_GPa=float("inf"))
        return Weights(default=made.pop("default", plain), groups=made)


def read_fit_job(config: str | os.PathLike[str] | None, flags: Mapping[str, Any] | None = None) -> FitPotentialJob:
    """Build the job from a TOML file and from flags; a flag that was given wins.

    Raises MissingFileError, or InputError that names the key, what was got and the nearest known key.
    """
    return read_settings(FitPotentialJob, config, flags)
