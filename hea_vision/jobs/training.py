"""The settings of `hea train`: what labels patterns, and what labels micrographs."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from hea_sim.errors import InputError, unknown_name
from hea_sim.settings import ModelName, StrictSettings
from hea_vision.devices import DEFAULT_DEVICE
from hea_vision.jobs.keys import Device, Seed


class TrainXrdJob(StrictSettings):
    """Settings of `hea train xrd`; what is left out stands in `hea_vision.xrd.training.TrainingSettings`."""

    patterns: int | None = Field(default=None, ge=1)
    batch: int | None = Field(default=None, ge=2, le=65536)
    learning_rate: float | None = Field(default=None, gt=0, lt=1)
    weight_decay: float | None = Field(default=None, ge=0, lt=1)
    average: float | None = Field(default=None, ge=0, lt=1)
    held_out: int | None = Field(default=None, ge=1)
    report_every: int | None = Field(default=None, ge=1)
    seed: Seed | None = None
    start_from: str | None = None
    first_number: int | None = Field(default=None, ge=0)
    workers: int | None = Field(default=None, ge=0, le=1024)
    device: Device = DEFAULT_DEVICE


class TrainSegmenterJob(StrictSettings):
    """Settings of `hea train segmenter`.

    `images` and `labels` are folders of pictures and of label images with the same names; `virtual` is a kind of
    virtual micrographs; at least one of the two is needed. `classes` names the classes from number 0 where the label
    images do not. `start_from` is the model whose weights the run begins with. `upright` pictures have a top and a
    bottom; `balanced_share` of the squares lie about a pixel of a class drawn with equal chances.
    """

    name: ModelName = "own"
    images: str | None = None
    labels: str | None = None
    validation_images: str | None = None
    validation_labels: str | None = None
    classes: tuple[str, ...] | None = None
    virtual: str | None = None
    virtual_share: float = Field(default=0.4, ge=0, lt=1)
    start_from: str | None = None
    reduction: int = Field(default=1, ge=1, le=16)
    upright: bool = False
    balanced_share: float = Field(default=0.0, ge=0, le=1)
    examples: int | None = Field(default=None, ge=1)
    batch: int | None = Field(default=None, ge=1, le=4096)
    size_px: int | None = Field(default=None, ge=64, le=4096, multiple_of=16)
    learning_rate: float | None = Field(default=None, gt=0, lt=1)
    seed: Seed = 0
    workers: int = Field(default=1, ge=0, le=1024)
    half: bool | None = None
    device: Device = DEFAULT_DEVICE

    @field_validator("virtual")
    @classmethod
    def _kind_is_known(cls, value: str | None) -> str | None:
        from hea_sim.microscopy.random_fields import KINDS

        if value is not None and value not in KINDS:
            raise unknown_name("kind of virtual micrographs", value, KINDS)
        return value

    @model_validator(mode="after")
    def _something_to_learn_from(self) -> TrainSegmenterJob:
        if (self.images is None) != (self.labels is None):
            raise InputError("images and labels go together; give the folder of the other as well")
        if (self.validation_images is None) != (self.validation_labels is None):
            raise InputError(
                "validation_images and validation_labels go together; give the folder of the other as well"
            )
        if self.images is None and self.virtual is None:
            raise InputError("nothing to learn from; give images with labels, a kind of virtual micrographs, or both")
        if self.images is not None and self.start_from is None:
            raise InputError("pictures are learnt by a model that was trained before; name one with start_from")
        return self


class TrainStrokesJob(StrictSettings):
    """Settings of `hea train strokes`.

    `images` are painted pictures and `strokes` their label images of the same names, 0 where nothing was painted;
    `classes` names the paints 1, 2, ... in this order, the matrix first.
    """

    name: ModelName = "painted"
    images: str
    strokes: str
    classes: tuple[str, ...] = Field(min_length=2)
    features: str | None = None
    seed: Seed = 0
    device: Device = DEFAULT_DEVICE
