"""Model cards: one folder a model, `card.json` beside its arrays, whose SHA-256 the card holds.

Arrays are a plain npz file read with `allow_pickle=False`, or safetensors for networks: loading a model never runs code
from its file.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from hea_sim.documents import read_json, sha256_of, write_atomic, write_json
from hea_sim.errors import InputError, MissingFileError, unknown_name

#: Where the models that come with the package stand.
MODELS = Path(__file__).parent / "models"
CARD_FILE = "card.json"
ARRAYS_FILE = "arrays.npz"
WEIGHTS_FILE = "weights.safetensors"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DataSource(_Strict):
    """Name one data set or teacher that a model was made from."""

    name: str = Field(min_length=1)
    source: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    citation: str = ""
    used: str = ""
    sha256: dict[str, str] = {}


class Score(_Strict):
    """Hold one number by which the model is judged, with its unit and how it was measured."""

    value: float
    unit: str
    n: int | None = None
    how: str = Field(min_length=1)


class ModelCard(_Strict):
    """Describe a shipped model: enough to judge it, to cite it and to make it again.

    `settings` are numbers and names that the model needs beside its arrays, such as the classes of a segmenter.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    kind: str = Field(min_length=1)
    elements: tuple[str, ...] = ()
    lattice: str | None = None
    data: tuple[DataSource, ...] = Field(min_length=1)
    scores: dict[str, Score] = Field(min_length=1)
    seeds: dict[str, int]
    arrays_sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    remake: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    citation: str = Field(min_length=1)
    notes: tuple[str, ...] = ()
    settings: dict[str, JsonValue] = {}
    versions: dict[str, str] = {}


def list_models() -> list[ModelCard]:
    """List the cards of all shipped models, by name."""
    folders = sorted(p.parent for p in MODELS.glob(f"*/{CARD_FILE}"))
    return [read_card(folder) for folder in folders]


def load_card(name: str) -> ModelCard:
    """Read the card of a shipped model."""
    return read_card(_folder(name))


def load_arrays(name: str) -> dict[str, np.ndarray]:
    """Load the arrays of a shipped model, after comparing their SHA-256 with the card's."""
    return read_arrays(_folder(name))


def read_card(folder: str | os.PathLike[str]) -> ModelCard:
    """Read the card in a model folder; raise InputError naming the file where it does not fit."""
    path = Path(folder) / CARD_FILE
    if not path.exists():
        raise MissingFileError(f"{path} does not exist; wanted a model folder with {CARD_FILE} and {ARRAYS_FILE}")
    read_json(path)  # says plainly where the file is no JSON at all
    try:
        return ModelCard.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: field '{where}': {first['msg']}; mend the card or make the model again") from error


def read_arrays(folder: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Load the arrays in a model folder, after comparing their SHA-256 with the card's."""
    card, path = read_card(folder), arrays_path(folder)
    if not path.exists():
        raise MissingFileError(f"{path} does not exist; install the package again or remake it: {card.remake}")
    found = sha256_of(path)
    if found != card.arrays_sha256:
        raise InputError(
            f"{path} is not the file that its card describes: SHA-256 {found[:12]}..., wanted"
            f" {card.arrays_sha256[:12] or 'none'}...; install the package again or remake it: {card.remake}"
        )
    if path.name == WEIGHTS_FILE:
        from safetensors.numpy import load_file

        return dict(load_file(path))
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (ValueError, EOFError, zipfile.BadZipFile, MemoryError) as error:
        cause = "it holds pickled objects, which are never opened" if "pickle" in str(error) else error
        raise InputError(f"{path}: no plain arrays ({cause}); make the model again: {card.remake}") from error


def arrays_path(folder: str | os.PathLike[str]) -> Path:
    """Tell where the arrays of a model folder stand: weights of a network, else an npz file."""
    weights = Path(folder) / WEIGHTS_FILE
    return weights if weights.exists() else Path(folder) / ARRAYS_FILE


def save_model(
    folder: str | os.PathLike[str], card: ModelCard, arrays: Mapping[str, np.ndarray], *, network: bool = False
) -> ModelCard:
    """Write arrays and card into a folder, arrays first; return the card with their SHA-256.

    The same arrays give the same bytes, hence the same SHA-256. `network` writes safetensors.
    """
    for name, array in arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise InputError(f"array '{name}' of model {card.name} holds Python objects; wanted numbers or text")
    ordered = {name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}
    if network:
        from safetensors.numpy import save

        path = write_atomic(Path(folder) / WEIGHTS_FILE, save(ordered))
    else:
        stream = io.BytesIO()
        np.savez_compressed(stream, allow_pickle=False, **ordered)
        path = write_atomic(Path(folder) / ARRAYS_FILE, stream.getvalue())
    card = card.model_copy(update={"arrays_sha256": sha256_of(path)})
    write_json(Path(folder) / CARD_FILE, card.model_dump())
    return card


def _folder(name: str) -> Path:
    known = sorted(p.parent.name for p in MODELS.glob(f"*/{CARD_FILE}"))
    if name not in known:
        raise unknown_name("model", name, known)
    return MODELS / name
