"""Which potential is taken for an alloy, and what is said of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from hea_sim.errors import InputError, MissingFileError, UnknownNameError
from hea_sim.potentials.choice import choose_potential, potential_files, potential_for
from hea_sim.potentials.eam_files import write_setfl
from hea_sim.potentials.zhou import zhou_eam, zhou_tables
from hea_sim.registry.cards import DataSource, ModelCard, Score


def card(name: str, *elements: str, kind: str = "potential") -> ModelCard:
    return ModelCard(
        name=name, kind=kind, elements=elements, data=(DataSource(name="d", source="s", licence="MIT"),),
        scores={"energy_rmse": Score(value=4.0, unit="meV/atom", how="test set")}, seeds={"all": 0}, remake="run it",
        licence="MIT", citation="none",
    )  # fmt: skip


SHIPPED = [
    card("nbmotaw-snap", "Mo", "Nb", "Ta", "W"),
    card("nbmotaw-mtp", "Mo", "Nb", "Ta", "W"),
    card("mo-mtp", "Mo"),
    card("other", "Mo", "Ta"),
]


@pytest.mark.parametrize(
    ("elements", "wanted"),
    [("Nb Mo Ta W", "nbmotaw-snap"), ("Ta Mo", "nbmotaw-snap"), ("Mo", "mo-mtp"), ("Nb Ti", None), ("Ni", None)],
)
def test_the_recommended_potential_with_the_fewest_elements_is_named(elements: str, wanted: str | None) -> None:
    assert potential_for(elements.split(), SHIPPED) == wanted
    assert potential_for(elements.split(), SHIPPED[::-1]) == wanted
    assert potential_for(elements.split(), []) is None


def test_the_second_best_stands_in_where_the_best_is_not_shipped() -> None:
    assert potential_for(["Nb", "W"], SHIPPED[1:]) == "nbmotaw-mtp"


def test_none_is_none() -> None:
    assert choose_potential(None, ["Nb"]) is None
    assert choose_potential("none", ["Nb"]) is None
    assert choose_potential("recommended", ["Nb", "Og"]) is None


def test_a_missing_element_names_itself_and_the_potential() -> None:
    with pytest.raises(InputError, match=r"zhou.* has no Nb, Ti; it knows Mo, Ta.*'none'"):
        choose_potential(zhou_eam(["Mo", "Ta"]), ["Nb", "Mo", "Ti"])
    with pytest.raises(UnknownNameError, match="Nb"):
        choose_potential("zhou-eam", ["Nb", "Mo"])
    with pytest.raises(UnknownNameError, match="nothing-like-it"):
        choose_potential("nothing-like-it", ["Nb"])


def test_what_was_chosen_is_taken_again_and_checked_again() -> None:
    chosen = choose_potential("zhou-eam", ["W", "Mo"])
    assert chosen is not None
    assert choose_potential(chosen, ["Mo"]) is chosen
    assert chosen.record.elements == ("Mo", "W") and "zhou-eam" in chosen.record.why
    with pytest.raises(InputError, match="has no Ta"):
        choose_potential(chosen, ["Ta", "Mo"])


def test_a_published_file_is_named_by_its_sha(tmp_path: Path) -> None:
    path = tmp_path / "MoTa.eam.alloy"
    write_setfl(zhou_tables(["Mo", "Ta"]), path)
    chosen = choose_potential(str(path), ["Ta"])
    assert chosen is not None
    assert chosen.record.sha256 == {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}
    assert chosen.record.energy_error_eV_per_atom is None
    assert set(chosen.record.elements) == {"Mo", "Ta"} and str(path) in chosen.record.why
    with pytest.raises(MissingFileError):
        choose_potential(tmp_path / "absent.mtp", ["Ta"], species=["Ta"])


def test_files_of_a_pair_are_both_named() -> None:
    assert [p.name for p in potential_files("a/b.snapparam")] == ["b.snapcoeff", "b.snapparam"]
    assert potential_files("nbmotaw") == () and [p.name for p in potential_files("x.mtp")] == ["x.mtp"]


def test_the_error_of_energies_is_that_of_the_card() -> None:
    from hea_sim.potentials.choice import PotentialRecord

    scores = {k: s.model_dump() for k, s in SHIPPED[0].scores.items()}
    record = PotentialRecord(name="x", why="test", scores=scores)
    assert record.energy_error_eV_per_atom == pytest.approx(0.004)
