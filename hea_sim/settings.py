"""Settings of jobs: strict models, read from a TOML file and from flags, with errors that name the key and its mend."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
import typing
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from hea_sim.documents import write_atomic
from hea_sim.errors import HEAError, InputError, MissingFileError


def _plain_name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise InputError(f"name '{name}'; wanted small letters, digits and hyphens, such as 'sigma-in-316l'")
    return name


#: What a model is called: the name of a folder on every system.
ModelName = Annotated[str, AfterValidator(_plain_name)]
#: Name of the file in which a run keeps its settings.
RUN_FILE = "run.toml"


class StrictSettings(BaseModel):
    """Refuse keys that are not known; what is made stays as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Settings = TypeVar("Settings", bound=BaseModel)


def read_settings(
    kind: type[Settings], config: str | os.PathLike[str] | None, flags: Mapping[str, Any] | None = None
) -> Settings:
    """Build settings from a TOML file and from flags; a flag that was given (not None) wins.

    Raises MissingFileError, or InputError that names the file, the key, what was got and the nearest known key.
    """
    data: dict[str, Any] = {}
    where = "settings"
    if config is not None:
        path, where = Path(config), str(config)
        if not path.is_file():
            raise MissingFileError(f"{path}: no such file; wanted a TOML file of settings")
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: not a TOML file ({error})") from error
    data.update({key: value for key, value in (flags or {}).items() if value is not None})
    return check_settings(kind, data, where)


def check_settings(kind: type[Settings], data: Mapping[str, Any], where: str = "settings") -> Settings:
    """Validate settings that are at hand; `where` opens the error's line."""
    try:
        return kind.model_validate(dict(data))
    except ValidationError as error:
        raise InputError(f"{where}: {_problem_of(kind, error)}") from error


def _problem_of(kind: type[BaseModel], error: ValidationError) -> str:
    """Describe the first problem; a missing key is told together with the unknown one that may be meant for it."""
    problems = error.errors()
    problem = problems[0]
    place = _place(problem["loc"])
    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, HEAError):
        return f"{place}: {cause}" if problem["loc"] else str(cause)
    unknown = next((p for p in problems if p["type"] == "extra_forbidden"), None)
    stranger = "" if unknown is None else _unknown_key(kind, unknown["loc"])
    if problem["type"] == "extra_forbidden":
        return stranger
    if problem["type"] == "missing" and isinstance(problem["loc"][-1], int):
        return f"{place}: too few values (got {list(problem['input'])!r})"
    if problem["type"] == "missing":
        return f"key '{place}' is missing" + (f"; {stranger}" if stranger else "")
    return f"{place}: {problem['msg']} (got {problem['input']!r})"


def _place(where: tuple[int | str, ...]) -> str:
    """Name a key by its path; the kinds of a choice (`tuple[float,...]`, `Ramp`) are no part of it."""
    parts = [str(part) for part in where]
    return ".".join(part for part in parts if part.isidentifier() and not part[0].isupper()) or "settings"


def _unknown_key(kind: type[BaseModel], where: tuple[int | str, ...]) -> str:
    known = _keys_at(kind, where[:-1])
    near = difflib.get_close_matches(str(where[-1]), known, n=1, cutoff=0.4)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"unknown key '{_place(where)}'{hint} Known: {', '.join(known)}"


def _keys_at(kind: type[BaseModel], where: tuple[int | str, ...]) -> list[str]:
    for part in where:
        choices = _models_in(kind.model_fields[str(part)].annotation) if str(part) in kind.model_fields else []
        kind = next(iter(choices), kind)
    return list(kind.model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """List the models that an annotation names, inside optional and list types too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models_in(part)]


def settings_text(settings: BaseModel) -> str:
    """Write settings as TOML, what is None left out."""
    import tomli_w

    return tomli_w.dumps(_for_toml(settings.model_dump(exclude_none=True)))


def _for_toml(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _for_toml(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_for_toml(part) for part in value]
    return value.item() if hasattr(value, "item") else value


def claim_folder(settings: BaseModel, folder: Path, *, free: Collection[str] = ()) -> None:
    """Write the settings of a run into its folder, or refuse a folder that holds a run with others.

    Keys that are `free` change no result and may differ. The error names the first setting that does.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is no folder; name another with --out")
    text, path = settings_text(settings), folder / RUN_FILE
    before = kept_settings(folder)
    if before is not None:
        was, now = (_flat(_without(free, kept)) for kept in (before, tomllib.loads(text)))
        changed = [key for key in (*now, *was) if was.get(key) != now.get(key)]
        if changed:
            key = changed[0]
            raise InputError(
                f"{folder} holds a run with other settings: {key} was {was.get(key, 'left out')!r}, is"
                f" {now.get(key, 'left out')!r}; name another --out folder, or remove it"
            )
        if path.read_text(encoding="utf-8") == text:
            return
    write_atomic(path, text)


def kept_settings(folder: Path) -> dict[str, Any] | None:
    """Read the settings that a run has left in its folder; None where there are none."""
    path = folder / RUN_FILE
    if not path.is_file():
        return None
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not the settings of a run ({error}); name another --out folder") from error


def _without(free: Collection[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in free}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Name nested settings by their path."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found
