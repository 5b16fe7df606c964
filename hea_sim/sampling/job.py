"""The settings of `hea sample`: one strict model that Python, the shell and TOML files share."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, FiniteFloat, field_validator, model_validator

from hea_sim.alloy import Composition
from hea_sim.errors import InputError, unknown_name
from hea_sim.settings import StrictSettings, read_settings

ENSEMBLES = {
    "lattice": ("canonical", "semi-grand", "variance-constrained", "replica-exchange", "wang-landau"),
    "atoms": ("canonical", "semi-grand"),
    "dynamics": ("nve", "nvt", "npt"),
    "hybrid": ("canonical", "npt", "semi-grand"),
    "lammps": ("canonical", "nvt", "npt", "hybrid"),
}
#: Ensembles that sample all temperatures in one pass.
AT_ONCE = ("replica-exchange", "wang-landau")
#: What can be read from cells on the way, see `hea_sim.sampling.job_observables`.
OBSERVABLES = ("order", "rdf", "distortion", "structure-types", "precipitates", "composition-map", "diffuse-scattering")
#: Keys that change no result: a run may be taken up again with others.
FREE_KEYS = frozenset({"workers", "scheduler", "checkpoint_s", "figures"})

Temperature = Annotated[float, Field(gt=0, lt=1e6)]


class Ramp(StrictSettings):
    """Temperatures from one to another, evenly spaced or each by the same factor."""

    start_K: Temperature
    stop_K: Temperature
    points: int = Field(ge=2, le=10_000)
    spacing: Literal["linear", "geometric"] = "linear"

    def temperatures_K(self) -> tuple[float, ...]:
        """List them, rounded to a thousandth of a kelvin."""
        space = np.linspace if self.spacing == "linear" else np.geomspace
        return tuple(round(float(t), 3) for t in space(self.start_K, self.stop_K, self.points))


class DynamicsSettings(StrictSettings):
    """Settings of the engines that move atoms.

    `thermostat` and `pressure_GPa` (None: the volume stays) are those of molecular dynamics; `md_steps` time steps and
    `sweeps` sweeps of exchanges make one step of a hybrid run. A step of `engine = "dynamics"` is one time step.
    """

    timestep_fs: float = Field(default=2.0, gt=0, le=20)
    thermostat: Literal["langevin", "bussi"] = "bussi"
    relaxation_fs: float = Field(default=100.0, gt=0)
    pressure_GPa: float = Field(default=0.0, gt=-100, lt=1000)
    md_steps: int = Field(default=10, ge=1)
    sweeps: float = Field(default=0.1, gt=0, le=100)


class WangLandauSettings(StrictSettings):
    """Settings of the ensemble "wang-landau", see `hea_sim.sampling.wang_landau`.

    `bins` of energy lie evenly in `energy_range_eV_per_atom`, which is sought where it is left out. A replica ends
    when ln f, by which the density of states is still being raised, falls below `ln_f`, or after the job's `steps`.
    """

    bins: int = Field(default=200, ge=10, le=100_000)
    energy_range_eV_per_atom: tuple[FiniteFloat, FiniteFloat] | None = None
    ln_f: float = Field(default=1e-6, gt=0, lt=1)

    @field_validator("energy_range_eV_per_atom")
    @classmethod
    def _range_rises(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not value[0] < value[1]:
            raise InputError(f"got {list(value)}, wanted the lower energy first, then the upper")
        return value


class PrecipitateSettings(StrictSettings):
    """What counts as a precipitate, see `hea_sim.observables.precipitates.find_precipitates`."""

    species: tuple[str, ...] = Field(min_length=1)
    threshold: float = Field(gt=0, lt=1)
    radius_A: float = Field(default=5.0, gt=0, le=30)
    least_atoms: int = Field(default=20, ge=1)


class SampleJob(StrictSettings):
    """Settings of `hea sample`.

    `temperatures_K`, or those of `ramp`, are visited one after another, each with `equilibration_steps` and then
    `steps` that are sampled; `heating` goes back up through them afterwards. A step is a sweep of Monte Carlo (as many
    proposals as sites), a time step of molecular dynamics, or a cycle of both. `samples` observations are made at each
    temperature, and `snapshots` of them look at the whole cell for `observables`; every `trajectory_every`-th of them
    is kept as a frame of trajectory.extxyz (0: none). `size` counts conventional cells along three axes.

    Two ensembles of the engine "lattice" sample all temperatures at once. "replica-exchange" walks at each of them,
    and neighbours may trade places every `exchange_every` sweeps. "wang-landau" learns the density of states, from
    which every temperature follows; its errors come from the spread of independent `replicas`.

    `model` is a shipped lattice model or a model folder; without it the one with the fewest species that fits is taken.
    Where a model has sublattices, `sublattices` gives the composition of each, in its order; it may be left out where
    each element can stand on one alone.
    `potential` is a shipped one, a model folder or a published file, with `species` where that file only numbers them.
    `layout` of the engine "lattice" is that of large cells ("classes") or the plain one ("serial"): both sample the
    same distribution. `start` is a structure file to begin with instead of a random arrangement. `replicas` are
    independent runs, each with a seed of its own drawn from `seed`. `cells` says which cells are kept: the last of each
    replica's first branch, those at the end of every temperature too, or none. `workers` are processes (ranks of MPI
    for the engine "lammps") and `scheduler` is the address of a Dask scheduler: they, `checkpoint_s` (seconds between
    checkpoints) and `figures` change no result.
    """

    alloy: str
    temperatures_K: tuple[Temperature, ...] = ()
    ramp: Ramp | None = None
    heating: bool = False
    engine: Literal["lattice", "atoms", "dynamics", "hybrid", "lammps"] = "lattice"
    ensemble: str = ""
    lattice: str | None = None
    model: str | None = None
    potential: str | None = None
    species: tuple[str, ...] = ()
    start: str | None = None
    lattice_parameter_A: float | None = Field(default=None, gt=0, lt=100)
    size: tuple[int, int, int] = (12, 12, 12)
    equilibration_steps: int = Field(default=200, ge=0)
    steps: int = Field(default=400, ge=1)
    samples: int = Field(default=128, ge=1, le=1_000_000)
    snapshots: int = Field(default=4, ge=0)
    trajectory_every: int = Field(default=0, ge=0)
    observables: tuple[str, ...] = ("order",)
    shells: int = Field(default=3, ge=1, le=12)
    near_share: float = Field(default=0.5, ge=0, le=1)
    chemical_potentials_eV: dict[str, FiniteFloat] = Field(default_factory=dict)
    kappa: float = Field(default=200.0, gt=0, lt=1e9)
    exchange_every: int = Field(default=1, ge=1)
    wang_landau: WangLandauSettings = WangLandauSettings()
    sublattices: tuple[str, ...] = ()
    layout: Literal["auto", "serial", "classes"] = "auto"
    precipitates: PrecipitateSettings | None = None
    dynamics: DynamicsSettings = DynamicsSettings()
    measured_at_K: Temperature = 298.0
    replicas: int = Field(default=1, ge=1, le=100_000)
    seed: int = Field(default=0, ge=0)
    cells: Literal["last", "all", "none"] = "last"
    workers: int = Field(default=1, ge=1, le=1024)
    scheduler: str | None = None
    checkpoint_s: float = Field(default=60.0, ge=0)
    figures: bool = True

    @model_validator(mode="before")
    @classmethod
    def _engine_from_what_is_given(cls, data: Any) -> Any:
        """Take the atoms' engine where a potential is named, and the first ensemble of an engine."""
        if not isinstance(data, Mapping):
            return data
        data = dict(data)
        data.setdefault("engine", "atoms" if data.get("potential") else "lattice")
        engine = data["engine"]
        if not data.get("ensemble") and isinstance(engine, str) and engine in ENSEMBLES:
            data["ensemble"] = "nvt" if engine == "dynamics" else ENSEMBLES[engine][0]
        if isinstance(data.get("temperatures_K"), int | float):
            data["temperatures_K"] = (data["temperatures_K"],)
        if data.get("ensemble") == "wang-landau":  # as long as ln f takes, and samples for every energy
            data = {"steps": 1_000_000, "samples": 5000, "equilibration_steps": 0, **data}
        return data

    @field_validator("alloy")
    @classmethod
    def _alloy_is_readable(cls, value: str) -> str:
        Composition.parse(value)
        return value

    @field_validator("sublattices")
    @classmethod
    def _sublattices_are_readable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for part in value:
            Composition.parse(part)
        return value

    @field_validator("size")
    @classmethod
    def _size_is_positive(cls, value: tuple[int, int, int]) -> tuple[int, int, int]:
        if min(value) < 1:
            raise InputError(f"got {list(value)}, wanted three whole numbers of conventional cells from 1")
        return value

    @field_validator("observables")
    @classmethod
    def _observables_are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in OBSERVABLES:
                raise unknown_name("observable", name, OBSERVABLES)
        return value

    @model_validator(mode="after")
    def _keys_fit_together(self) -> SampleJob:
        if bool(self.temperatures_K) == (self.ramp is not None):
            raise InputError(
                "wanted one of temperatures_K = [3000, 1000, 300] and"
                " ramp = {start_K = 3000, stop_K = 300, points = 28}; got "
                + ("both" if self.ramp is not None else "no temperature")
            )
        known = ENSEMBLES[self.engine]
        if self.ensemble not in known:
            raise InputError(f"ensemble '{self.ensemble}' of engine '{self.engine}'; wanted one of {', '.join(known)}")
        if self.ensemble == "nve" and len(self.stages) > 1:
            raise InputError("ensemble 'nve' has no bath to change its temperature; wanted one temperature, or 'nvt'")
        if self.engine == "lattice" and self.potential is not None:
            raise InputError("engine 'lattice' takes a lattice model; wanted model = NAME, or engine = 'atoms'")
        if self.engine != "lattice" and self.model is not None:
            raise InputError(
                f"engine '{self.engine}' takes a potential; wanted potential = NAME, or engine = 'lattice'"
            )
        if self.engine != "lattice" and self.potential is None:
            raise InputError(f"engine '{self.engine}' needs a potential; wanted potential = NAME or a published file")
        if self.potential is not None and Path(self.potential).suffix == ".mtp" and not self.species:
            raise InputError(f"potential {self.potential} numbers its species; add species = ['Nb', ...] in that order")
        if self.scheduler is not None and self.workers > 1:
            raise InputError("workers are processes here, a scheduler has its own; leave one of them out")
        if "precipitates" in self.observables and self.precipitates is None:
            raise InputError("observable 'precipitates' needs precipitates = {species = ['Al'], threshold = 0.5}")
        self._check_at_once()
        self._check_elements()
        return self

    def _check_at_once(self) -> None:
        """Refuse what does not go with an engine, or with ensembles that sample all temperatures at once."""
        if self.sublattices and self.engine != "lattice":
            raise InputError(f"engine '{self.engine}' knows no sublattices; wanted engine = 'lattice', or none of them")
        if self.layout == "classes" and (self.engine, self.ensemble) != ("lattice", "canonical"):
            raise InputError(
                f"layout 'classes' with engine '{self.engine}', ensemble '{self.ensemble}'; wanted engine 'lattice' and"
                " ensemble 'canonical', or no layout"
            )
        if self.trajectory_every and self.engine == "lammps":
            raise InputError("engine 'lammps' keeps its own dumps; leave trajectory_every out")
        if not self.at_once:
            return
        if self.heating:
            raise InputError(f"ensemble '{self.ensemble}' samples all temperatures at once; leave heating out")
        if self.ensemble == "replica-exchange" and len(set(self.ladder_K)) < max(2, len(self.ladder_K)):
            raise InputError(
                f"replica-exchange: got {list(self.ladder_K)} K, wanted two temperatures or more, all different"
            )
        if self.ensemble == "wang-landau" and (self.trajectory_every or set(self.observables) - {"order"}):
            raise InputError("ensemble 'wang-landau' reads order alone; leave trajectory_every and other looks out")

    def _check_elements(self) -> None:
        """Refuse keys that name elements which the alloy does not hold, or leave a chemical potential open."""
        alloy, told = self.composition.elements, self.composition.formula
        strangers = [s for s in self.precipitates.species if s not in alloy] if self.precipitates else []
        if strangers:
            raise InputError(f"precipitates.species names {', '.join(strangers)}, which alloy {told} does not")
        if self.ensemble != "semi-grand":
            return
        if not self.chemical_potentials_eV:
            raise InputError("ensemble 'semi-grand' needs chemical_potentials_eV = {Nb = 0.0, Mo = 0.05, ...}")
        strangers = [s for s in self.chemical_potentials_eV if s not in alloy]
        if strangers:
            raise InputError(
                f"chemical_potentials_eV names {', '.join(strangers)}, which alloy {told} does not: add them to it"
            )
        without = [s for s in alloy if s not in self.chemical_potentials_eV]
        if without and self.engine == "lattice":
            raise InputError(f"chemical_potentials_eV has none for {', '.join(without)}; wanted one for each of {told}")

    @property
    def composition(self) -> Composition:
        """Give the parsed alloy."""
        return Composition.parse(self.alloy)

    @property
    def ladder_K(self) -> tuple[float, ...]:
        """List the temperatures of the first branch in the order in which they are visited."""
        return self.temperatures_K if self.ramp is None else self.ramp.temperatures_K()

    @property
    def stages(self) -> tuple[tuple[float, str], ...]:
        """List temperature and branch of every stage: "cooling", "heating", or "hold" for a single temperature.

        Where all are sampled at once the ensemble is the branch, and the coldest comes last.
        """
        ladder = self.ladder_K
        if self.at_once:
            return tuple((t, self.ensemble) for t in sorted(ladder, reverse=True))
        if len(ladder) == 1:
            return ((ladder[0], "hold"),)
        there, back = ("cooling", "heating") if ladder[0] >= ladder[-1] else ("heating", "cooling")
        first = tuple((t, there) for t in ladder)
        return (*first, *((t, back) for t in ladder[-2::-1])) if self.heating else first

    @property
    def at_once(self) -> bool:
        """Tell whether all temperatures are sampled in one pass."""
        return self.ensemble in AT_ONCE

    @property
    def passes(self) -> int:
        """Count how often equilibration and sampling are gone through."""
        return 1 if self.at_once else len(self.stages)

    @property
    def main_stage(self) -> int:
        """Number the stage that results speak of: the end of the first branch."""
        return len(self.ladder_K) - 1

    @property
    def sample_every(self) -> int:
        """Give the steps from one observation to the next."""
        return max(1, self.steps // self.samples)

    def settings(self) -> dict[str, Any]:
        """Give all settings as plain data, as run.toml holds them."""
        plain: dict[str, Any] = json.loads(self.model_dump_json(exclude_none=True))
        return plain

    def identity(self) -> dict[str, Any]:
        """Give the settings that results depend on."""
        return {key: value for key, value in self.settings().items() if key not in FREE_KEYS}


def job_sha256(job: SampleJob, model_sha256: Mapping[str, str]) -> str:
    """Compute the checksum that a checkpoint carries: of the settings that matter, and of the model's files."""
    text = json.dumps([job.identity(), dict(model_sha256)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def read_sample_job(config: str | os.PathLike[str] | None, flags: Mapping[str, Any] | None = None) -> SampleJob:
    """Build the job from a TOML file and from flags; a flag that was given wins.

    Raises MissingFileError, or InputError that names the key, what was got and the nearest known key.
    """
    return read_settings(SampleJob, config, flags)
