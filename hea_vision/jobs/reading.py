"""Settings from a TOML file and from flags."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hea_sim.errors import InputError, MissingFileError
from hea_vision.campaign import Job, load_job


def read_job(kind: type[Job], config: str | os.PathLike[str] | None, flags: Mapping[str, Any]) -> Job:
    """Build a job from a TOML file and from flags; a flag that was given wins.

    Raises InputError naming the nearest known key for an unknown one.
    """
    data: dict[str, Any] = {}
    where = "settings"
    if config is not None:
        path = Path(config)
        where = str(path)
        if not path.is_file():
            raise MissingFileError(f"{path}: no such file; wanted a TOML file of settings")
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: not a TOML file ({error})") from error
    data.update({k: v for k, v in flags.items() if v is not None})
    return load_job(kind, data, where)
