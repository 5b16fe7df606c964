"""The settings of `hea suggest`, from TOML and flags, and the rows of its results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from hea_sim.errors import InputError
from hea_sim.properties.design.acquisition import STRATEGIES
from hea_sim.properties.design.candidates import Candidate
from hea_sim.properties.design.suggestion import ENGINES
from hea_sim.properties.design.target import DesignTarget
from hea_sim.settings import StrictSettings, check_settings, read_settings
from hea_vision.jobs.keys import Seed
from hea_vision.jobs.predict import prediction_row

#: Columns of results.csv, before those of properties.
CSV_COLUMNS = ("input", "probability", "structure", "cost_USD_per_kg", "density_g_per_cm3", "reason")


class SuggestJob(StrictSettings):
    """Say what is suggested: neighbours of `alloy`, or whatever meets `target`.

    `measured` names a CSV of measured alloys to learn from, `campaign` a file that remembers what was asked and
    measured, `exclude` alloys that the predictor must not have seen.
    """

    alloy: str | None = None
    target: DesignTarget | None = None
    n: int = Field(default=4, ge=1, le=200)
    step_at_percent: float = Field(default=5.0, gt=0, le=50)
    tried: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    measured: str | None = None
    campaign: str | None = None
    engine: str = ENGINES[0]
    strategy: str = STRATEGIES[0]
    seed: Seed = 0


def read_suggest_job(config: Path | None, flags: Mapping[str, Any], target_flags: Mapping[str, Any]) -> SuggestJob:
    """Read the job; a flag that was given wins over the file, and bounds of both are joined.

    A table of elements that the file names is looked for here, then beside the file.
    """
    job = read_settings(SuggestJob, config)
    told = job.model_dump(exclude_unset=True) | {key: value for key, value in flags.items() if value is not None}
    target = dict(told.get("target") or {})
    for key, value in target_flags.items():
        if isinstance(value, Mapping):
            target[key] = {**target.get(key, {}), **value}
        elif value is not None:
            target[key] = value
    if config is not None and (own := target.get("element_table")) and not Path(own).exists():
        target["element_table"] = (config.parent / own).as_posix()
    if target:
        told["target"] = target
    if not target and not told.get("alloy") and not told.get("campaign"):
        raise InputError("nothing is asked for; name an alloy, or say what is wanted (--structure, --maximise, ...)")
    return check_settings(SuggestJob, told, "hea suggest")


def bounds_of(given: list[str] | None, flag: str) -> dict[str, float] | None:
    """Read bounds such as "hardness_HV=400" or "Al=20"; several may be joined by commas.

    >>> bounds_of(["hardness_HV=400,cost_USD_per_kg=50"], "--least")
    {'hardness_HV': 400.0, 'cost_USD_per_kg': 50.0}
    """
    if not given:
        return None
    bounds = {}
    for part in (part.strip() for text in given for part in text.split(",")):
        name, sign, number = part.partition("=")
        try:
            bounds[name.strip()] = float(number)
        except ValueError as error:
            raise InputError(f"{flag} '{part}'; wanted NAME=NUMBER, such as hardness_HV=400") from error
        if not sign:
            raise InputError(f"{flag} '{part}'; wanted NAME=NUMBER, such as hardness_HV=400")
    return bounds


def candidate_row(candidate: Candidate) -> dict[str, Any]:
    """Write a candidate as a row of the results document: what `hea predict` tells of an alloy, and why it is here."""
    return {
        **prediction_row(candidate.prediction),
        "input": candidate.formula,
        "at_percent": dict(candidate.at_percent),
        "probability": candidate.probability,
        **candidate.quantities,
        "apart_at_percent": candidate.apart_at_percent,
        "on_front": candidate.on_front,
        "change": candidate.change,
        "reasons": candidate.reasons,
    }


def csv_row(candidate: Candidate) -> dict[str, Any]:
    """Write a candidate as a row of results.csv."""
    told = candidate.prediction
    shares = {} if told.structure is None else dict(told.structure.probabilities)
    numbers = {
        f"{name}{end}": getattr(value, key)
        for name, value in told.properties.items()
        for end, key in (("", "value"), ("_low", "low"), ("_high", "high"))
    }
    return {
        "input": candidate.formula,
        "probability": candidate.probability,
        "structure": max(shares, key=lambda name: shares[name], default=""),
        **{name: value.value for name, value in candidate.quantities.items()},
        "reason": candidate.reason,
        **numbers,
    }
