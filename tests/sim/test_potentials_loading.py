"""Potentials by name, folder and published file."""

import os
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

import hea_sim as hs
from hea_sim.errors import HEAError, InputError, MissingFileError, UnknownNameError
from hea_sim.potentials.checks import check_potential, raise_if_failed
from hea_sim.potentials.contract import SitePotential
from hea_sim.potentials.loading import load_potential, recommended_potential, shipped_potentials
from hea_sim.potentials.mtp_files import write_mtp

from .mtp_systems import saved


def crystal():
    atoms = bulk("Nb", "bcc", a=3.2, cubic=True)
    atoms.symbols = ["Nb", "Mo"]
    atoms.positions[0] += 0.1
    return atoms


def test_a_folder_and_a_file_give_the_model_that_was_written(tmp_path):
    model = saved(tmp_path / "toy")
    write_mtp(model, tmp_path / "toy.mtp")
    wanted = SitePotential(name="toy", model=model).evaluate(crystal())
    for found in (load_potential(tmp_path / "toy"), load_potential(tmp_path / "toy.mtp", species=["Nb", "Mo"])):
        result = found.evaluate(crystal())
        assert found.name == "toy" and found.elements == ("Nb", "Mo")
        assert result.energy_eV == pytest.approx(wanted.energy_eV, rel=1e-12)
        np.testing.assert_allclose(result.forces_eV_per_A, wanted.forces_eV_per_A, atol=1e-12)


def test_energies_against_the_elements(tmp_path):
    saved(tmp_path / "toy", element_energies_eV={"Nb": -10.0, "Mo": -11.0})
    data, formation = (load_potential(tmp_path / "toy", reference=r).evaluate(crystal()) for r in ("data", "elements"))
    assert formation.energy_eV == pytest.approx(data.energy_eV + 21.0, rel=1e-12)
    saved(tmp_path / "plain")
    with pytest.raises(InputError, match="no energies of the elements"):
        load_potential(tmp_path / "plain", reference="elements")


@pytest.mark.parametrize(
    ("name", "options", "kind", "says"),
    [
        ("nbmotaw-mpt", {}, UnknownNameError, "unknown potential 'nbmotaw-mpt'"),
        ("nowhere/model", {}, MissingFileError, "no such potential"),
        ("nowhere.mtp", {"species": ["Nb"]}, MissingFileError, "nowhere.mtp"),
        ("nowhere.mtp", {}, InputError, "species"),
        ("zhou-eam", {}, InputError, "species"),
        ("weights.pt", {}, MissingFileError, "no such potential"),
        ("chgnet", {"reference": "vacuum"}, UnknownNameError, "data, elements"),
        ("a.snapcoeff", {"reference": "elements"}, InputError, "no energies of the elements"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(name, options, kind, says):
    with pytest.raises(kind, match=says) as error:
        load_potential(name, **options)
    assert isinstance(error.value, HEAError) and "\n" not in str(error.value)


def test_a_set_of_elements_names_the_potential_that_was_taken(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("hea_sim.registry.cards.MODELS", tmp_path)
    assert recommended_potential("nbmotaw") is None
    for name in ("nbmotaw-mtp", "nbmotaw-snap"):  # what is there is taken, the better one where both are
        saved(tmp_path / name, name=name)
        assert recommended_potential("NbMoTaW") == name
        with caplog.at_level("INFO", logger="hea_sim"):
            potential = hs.load_potential("nbmotaw")
        assert potential.name == name and potential.notes[0] == "recommended for 'nbmotaw'"
        assert caplog.messages[-1] == f"'nbmotaw': taking {name}, the recommended potential"
    assert load_potential("nbmotaw-mtp").notes == ()
    with pytest.raises(UnknownNameError, match="nbmotaw-mtp, nbmotaw-snap, nbmotaw, chgnet"):
        load_potential("cu")


def test_a_published_eam_comes_by_name():
    potential = load_potential("zhou-eam", species=["Ta", "W"])
    assert potential.elements == ("Ta", "W")


def test_changed_arrays_are_refused(tmp_path):
    saved(tmp_path / "toy")
    arrays = tmp_path / "toy/arrays.npz"
    arrays.write_bytes(arrays.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="SHA-256"):
        load_potential(tmp_path / "toy")


@pytest.mark.parametrize("name", [card.name for card in shipped_potentials()])
def test_shipped_potentials_keep_all_laws(name):
    potential = load_potential(name)
    raise_if_failed(check_potential(potential))
    assert potential.evaluate(bulk(potential.elements[0], "bcc", a=3.2)).energy_eV < 0


@pytest.mark.data
@pytest.mark.skipif("HEA_DATA" not in os.environ, reason="HEA_DATA names no folder of real data")
def test_published_files_load_from_either_of_a_pair():
    folder = Path(os.environ["HEA_DATA"]) / "potentials/nbmotaw"
    energies = [
        load_potential(folder / f"Ta-W-Nb-Mo.{kind}").evaluate(crystal()).energy_eV
        for kind in ("snapcoeff", "snapparam")
    ]
    assert energies[0] == energies[1]
    mtp = load_potential(folder / "quaternary.mtp", species=["Nb", "Mo", "Ta", "W"])
    assert mtp.evaluate(crystal()).energy_eV < -15  # total energies of VASP, about -10.5 eV an atom
