"""Keys that several jobs share, each with its check."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from hea_sim.errors import InputError
from hea_vision.devices import checked_device_name


def _plain(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise InputError(f"name '{name}'; wanted small letters, digits and hyphens, such as 'sigma-in-316l'")
    return name


#: auto, cpu, cuda, cuda:1; whether the card is there is asked where and when the work begins.
Device = Annotated[str, AfterValidator(checked_device_name)]
#: What a trained model is called: the name of a folder on every system.
ModelName = Annotated[str, AfterValidator(_plain)]
#: A number of processes; they change no result.
Workers = Annotated[int, Field(ge=1, le=1024)]
PixelSize = Annotated[float, Field(gt=0, lt=1e9)]
Seed = Annotated[int, Field(ge=0)]
