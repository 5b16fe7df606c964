"""The settings of the verbs of micrographs: `hea segment` and `hea measure`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from hea_sim.errors import InputError, unknown_name
from hea_sim.settings import StrictSettings
from hea_vision.devices import DEFAULT_DEVICE
from hea_vision.io.lengths import parse_length
from hea_vision.jobs.keys import Device, PixelSize, Seed, Workers


class SegmentJob(StrictSettings):
    """Settings of `hea segment`.

    `crop_px` is (top, left, height, width); `scale_bar` is the length that the picture writes at its own bar, such as
    "20 um", for pictures whose file holds no pixel size; `all_pages` labels every page of a stack. `tta` averages over
    turned and mirrored copies. `workers` are processes and `scheduler` is the address of a Dask scheduler: they change
    no result.
    """

    model: str = "classical"
    pixel_size_nm: PixelSize | None = None
    scale_bar: str | None = None
    crop_px: tuple[int, int, int, int] | None = None
    all_pages: bool = False
    device: Device = DEFAULT_DEVICE
    tta: bool = False
    workers: Workers = 1
    scheduler: str | None = None

    @field_validator("model")
    @classmethod
    def _model_is_known(cls, value: str) -> str:
        from hea_vision.segmentation import known_model

        return known_model(value)

    @field_validator("scale_bar")
    @classmethod
    def _scale_bar_is_a_length(cls, value: str | None) -> str | None:
        if value is not None:
            parse_length(value)
        return value

    @model_validator(mode="after")
    def _settings_fit_together(self) -> SegmentJob:
        if self.scheduler is not None and self.workers > 1:
            raise InputError("workers are processes here, a scheduler has its own; leave one of them out")
        if self.scale_bar is not None and self.pixel_size_nm is not None:
            raise InputError("scale_bar and pixel_size_nm both say how large a pixel is; leave one of them out")
        if self.model == "classical" and (self.tta or self.device.startswith("cuda")):
            what = "tta" if self.tta else f"device '{self.device}'"
            raise InputError(f"{what}: the segmenter 'classical' is no network; leave it out or choose another model")
        return self


class MeasureJob(StrictSettings):
    """Settings of `hea measure`.

    `kind` says what the numbers of a label image are: `classes`, `grains` (a number a grain, 0 on boundaries) or
    `boundaries` (0 in grains). `pattern` and `spacing_px` are the test lines for grain size; `lamellae` asks for the
    spacing of every class above 0; `seed` is that of the bootstrap; `workers` are processes and change no result.
    """

    kind: Literal["classes", "grains", "boundaries"] = "classes"
    pixel_size_nm: PixelSize | None = None
    pattern: str = "line-grid"
    spacing_px: float | None = Field(default=None, ge=1)
    lamellae: bool = False
    seed: Seed = 0
    workers: Workers = 1

    @field_validator("pattern")
    @classmethod
    def _pattern_is_known(cls, value: str) -> str:
        from hea_vision.measurement.probes import PATTERNS

        if value not in PATTERNS:
            raise unknown_name("test pattern", value, PATTERNS)
        return value
