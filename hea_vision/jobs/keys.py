"""Keys that several jobs share, each with its check."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from hea_vision.devices import checked_device_name

#: auto, cpu, cuda, cuda:1; whether the card is there is asked where and when the work begins.
Device = Annotated[str, AfterValidator(checked_device_name)]
#: A number of processes; they change no result.
Workers = Annotated[int, Field(ge=1, le=1024)]
PixelSize = Annotated[float, Field(gt=0, lt=1e9)]
Seed = Annotated[int, Field(ge=0)]
