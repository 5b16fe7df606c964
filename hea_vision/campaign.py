"""The campaign file: what the alloy is, how it was made, which file is what.

A folder holds `campaign.toml`; paths in it are relative to the folder. Unknown keys are errors that name the nearest
known one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from hea_sim.alloy import Composition, parse_elements
from hea_sim.diffraction.radiation import radiation as get_radiation
from hea_sim.errors import InputError, MissingFileError
from hea_sim.potentials.choice import RECOMMENDED_ONE, potential_files
from hea_sim.properties.design.target import DesignTarget
from hea_sim.settings import StrictSettings, read_settings
from hea_vision.io._axes import checked_axis
from hea_vision.xrd.classify import DEFAULT_LABELLER

CAMPAIGN_FILE = "campaign.toml"


class PatternEntry(StrictSettings):
    """Name one diffraction pattern; `radiation` is needed where the file does not say.

    `scan` picks one of a file that holds several, `axis` names the abscissa where the file does not, `calibration` is
    the .poni file of a detector image, relative to the campaign's folder.
    """

    file: str
    radiation: str | None = None
    wavelength_A: float | None = Field(default=None, gt=0)
    scan: int | None = Field(default=None, ge=0)
    axis: str | None = None
    calibration: str | None = None

    @field_validator("radiation", mode="before")
    @classmethod
    def _radiation_exists(cls, value: object) -> object:
        return None if value is None else get_radiation(str(value)).name

    @field_validator("axis")
    @classmethod
    def _axis_is_known(cls, value: str | None) -> str | None:
        return checked_axis(value)


class MicrographEntry(StrictSettings):
    """Name one micrograph; `crop_px` is (top, left, height, width).

    `segmenter` labels this one, where it is not the campaign's; a folder is relative to that of the campaign.
    """

    file: str
    pixel_size_nm: float | None = Field(default=None, gt=0)
    crop_px: tuple[int, int, int, int] | None = None
    segmenter: str | None = None


class CompositionEntry(StrictSettings):
    """Name one table of measured compositions."""

    file: str
    unit: Literal["at.%", "wt.%"]


class EdsEntry(StrictSettings):
    """Name one EDS measurement: line scans of one unit (pooled), pictures of element maps, or a spectrum image.

    Line scans need `unit`; `step_um` where no file says. Pictures are named by their element ("map_Ti.jpg").
    A spectrum image is averaged over `block_px` first; with `k_factors` it is quantified.
    """

    lines: tuple[str, ...] = ()
    maps: tuple[str, ...] = ()
    spectrum_image: str | None = None
    unit: Literal["at.%", "wt.%", "counts"] | None = None
    step_um: float | None = Field(default=None, gt=0)
    pixel_size_nm: float | None = Field(default=None, gt=0)
    block_px: int = Field(default=1, ge=1)
    k_factors: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_one_kind(self) -> EdsEntry:
        if sum(map(bool, (self.lines, self.maps, self.spectrum_image))) != 1:
            raise InputError("an [[eds]] entry names one of lines, maps, spectrum_image; got none or several")
        if self.lines and self.unit is None:
            raise InputError("line scans do not say what their numbers are; add unit = 'at.%', 'wt.%' or 'counts'")
        return self

    @property
    def files(self) -> tuple[str, ...]:
        """List the files that are named."""
        return (*self.lines, *self.maps, *([self.spectrum_image] if self.spectrum_image else ()))

    @property
    def file(self) -> str:
        """Give the first file, which names the entry."""
        return self.files[0]


class StructureEntry(StrictSettings):
    """Name one calculated cell; `relative_std_percent` is the error of its lattice parameter against experiment."""

    file: str
    method: str
    relative_std_percent: float = Field(gt=0)


class PropertyEntry(StrictSettings):
    """Name one measured property with the standard deviation of its mean, and the temperature of the test."""

    name: Literal["hardness_HV", "yield_strength_MPa"]
    value: float = Field(gt=0)
    std: float = Field(gt=0)
    temperature_K: float = Field(gt=0)


class Campaign(StrictSettings):
    """Describe one specimen and its evidence.

    `controls` are alloys that the same evidence is held against; `synthetic` marks evidence made by this project's
    own forward models, whose agreement is assumed. `potential` relaxes cells of the alloy: "recommended" takes the
    shipped one that is recommended for its elements, where there is one, "none" leaves it out; else a name, a model
    folder or a published file, relative to that of the campaign. `potential_species` are the elements in the order in
    which an .mtp file numbers them. `target` is what the next alloys shall be; without one, those are suggested whose
    structure is least certain. `thermodynamics` is a TDB file, `grain_size_um` counts in the theory of strength.
    """

    name: str
    alloy: str
    processing: str
    equilibration_temperature_K: float = Field(gt=0)
    measurement_temperature_K: float = Field(gt=0)
    synthetic: bool = False
    controls: tuple[str, ...] = ()
    pattern: tuple[PatternEntry, ...] = ()
    micrograph: tuple[MicrographEntry, ...] = ()
    composition: tuple[CompositionEntry, ...] = ()
    eds: tuple[EdsEntry, ...] = ()
    structure: tuple[StructureEntry, ...] = ()
    measured: tuple[PropertyEntry, ...] = ()
    target: DesignTarget | None = None
    thermodynamics: str | None = None
    grain_size_um: float | None = Field(default=None, gt=0)
    pattern_labeller: str = DEFAULT_LABELLER
    segmenter: str = "classical"
    potential: str = RECOMMENDED_ONE
    potential_species: tuple[str, ...] = ()
    cell_size: int = Field(default=10, ge=4, le=64)
    seed: int = Field(default=0, ge=0)
    suggestions: int = Field(default=4, ge=1, le=50)

    @field_validator("alloy")
    @classmethod
    def _alloy_is_readable(cls, value: str) -> str:
        Composition.parse(value)
        return value

    @field_validator("potential_species")
    @classmethod
    def _species_are_elements(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return parse_elements(" ".join(value)) if value else ()

    @model_validator(mode="after")
    def _numbered_species_are_named(self) -> Campaign:
        if Path(self.potential).suffix == ".mtp" and not self.potential_species:
            raise InputError(
                f"potential {self.potential} numbers its species; add potential_species = ['Nb', ...] in that order"
            )
        return self

    @field_validator("controls")
    @classmethod
    def _controls_are_readable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for alloy in value:
            Composition.parse(alloy)
        return value

    @property
    def files(self) -> tuple[str, ...]:
        """List every file that is named."""
        groups = (
            (e.file for e in group) for group in (self.pattern, self.micrograph, self.composition, self.structure)
        )
        calibrations = dict.fromkeys(e.calibration for e in self.pattern if e.calibration)
        eds = dict.fromkeys(file for e in self.eds for file in e.files)
        potential = (path.as_posix() for path in potential_files(self.potential))
        tdb = [] if self.thermodynamics is None else [self.thermodynamics]
        return (*dict.fromkeys((*(file for group in groups for file in group), *eds)), *calibrations, *potential, *tdb)


def read_campaign(folder: str | os.PathLike[str], config: str | os.PathLike[str] | None = None) -> Campaign:
    """Read the campaign of a folder, or the file given by `config`.

    Raises
    ------
    MissingFileError
        Where the folder or the file does not exist.
    InputError
        Where the file is no TOML, a key is unknown or missing, or nothing is there to label.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingFileError(f"{folder}: no such folder; wanted a folder with the campaign's files")
    path = Path(config) if config is not None else folder / CAMPAIGN_FILE
    if not path.is_file():
        raise MissingFileError(
            f"{path}: no such file; write one that says name, alloy, processing, equilibration_temperature_K,"
            " measurement_temperature_K and lists [[pattern]] and [[micrograph]] files, or name it with --config"
        )
    campaign = read_settings(Campaign, path)
    if not campaign.pattern and not campaign.micrograph and not campaign.measured:
        raise InputError(
            f"{path}: the campaign names neither a pattern nor a micrograph nor a measured property, so there"
            " is nothing to check; add [[pattern]], [[micrograph]] or [[measured]] entries"
        )
    return campaign
