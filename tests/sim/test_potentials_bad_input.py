"""Bad input to potentials: each fault is one line of an error of ours, and nothing of a file is ever run."""

from __future__ import annotations

import json
import pickle
import re
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from hea_sim.documents import sha256_of
from hea_sim.errors import HEAError, InputError, MissingFileError, UnknownNameError
from hea_sim.potentials.contract import SitePotential
from hea_sim.potentials.fitting import FitPotentialJob, fit_potential
from hea_sim.potentials.fitting.audit import audit_structures
from hea_sim.potentials.loading import load_potential
from hea_sim.potentials.mtp import new_mtp
from hea_sim.potentials.mtp_files import write_mtp
from hea_sim.potentials.snap import SnapModel, features_of_element
from hea_sim.potentials.snap_files import write_snap
from tests.pair_functions import cells, labelled, repulsive_model, write_extxyz

from .mtp_systems import saved

ELEMENTS = ("Nb", "Mo")


class Bomb:
    """Leave a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "this ran")


def mtp():
    return new_mtp(ELEMENTS, 6, 4.5, 4, seed=1)


def crystal() -> Atoms:
    atoms = bulk("Nb", "bcc", a=3.2, cubic=True)
    atoms.symbols = list(ELEMENTS)
    return atoms


def one_line(call, kind=InputError, says="") -> str:
    """Call, and give the one line of its error."""
    with pytest.raises(kind) as caught:
        call()
    text = str(caught.value)
    assert isinstance(caught.value, HEAError) and "\n" not in text and says in text, text
    return text


# Atoms


def test_atoms_that_no_potential_can_judge():
    potential = SitePotential(name="toy", model=mtp())

    def judge(change):
        atoms = crystal().repeat(2)
        change(atoms)
        return lambda: potential.evaluate(atoms)

    def put(k, value):
        return lambda atoms: atoms.positions.__setitem__(k, value)

    one_line(judge(put(3, crystal().positions[0])), says="0 and 3 lie 0.000 A apart")
    for value in (np.nan, np.inf):
        one_line(judge(put(1, value)), says="not finite")
    one_line(judge(lambda atoms: atoms.set_cell([np.nan, 3, 3])), says="not finite")
    one_line(judge(lambda atoms: atoms.set_cell([6.4, 6.4, 0.0])), says="no extent")
    one_line(judge(lambda atoms: setattr(atoms, "symbols", ["W"] * len(atoms))), says="no W in this potential")
    one_line(lambda: potential.evaluate(Atoms()), says="no atoms")
    one_line(lambda: potential.evaluate([crystal(), Atoms("Ta")]), says="no Ta")
    assert potential.evaluate([]) == []


def test_a_simulation_that_explodes_is_stopped_by_name():
    atoms = crystal().repeat(2)
    atoms.calc = SitePotential(name="toy", model=mtp()).calculator()
    atoms.get_potential_energy()
    atoms.positions[1] = np.nan
    one_line(atoms.get_potential_energy, says="not finite")
    atoms.positions[1] = atoms.positions[0] + [0.01, 0, 0]
    one_line(atoms.get_potential_energy, says="apart")


# Training sets


def test_training_sets_that_are_empty_or_not_labelled(tmp_path):
    one_line(lambda: audit_structures([]), says="at least one labelled frame")
    (tmp_path / "empty.xyz").write_text("")
    (tmp_path / "bare.xyz").write_text('1\nLattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3\nNb 0 0 0\n')
    for file, says in (("empty.xyz", "no frames"), ("bare.xyz", "no energy")):
        job = FitPotentialJob.model_validate({"train": str(tmp_path / file), "snap": {"twojmax": 2}})
        text = one_line(lambda job=job, file=file: fit_potential(job, tmp_path / f"out {file}"), says=file)
        assert says in text


def relabelled(structures, change):
    return [replace(s, **change(s)) for s in structures]


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("references", "another reference"),
        ("contradiction", "energies that differ"),
        ("stress", "sign"),
    ],
)
def test_the_audit_names_what_does_not_fit_together(tmp_path, fault, says):
    """A fit stops before anything is computed, and says which check found what."""
    train = labelled(repulsive_model(), cells(40), groups=("one", "two", "two"))
    if fault == "references":
        train = relabelled(train, lambda s: {"energy_eV": s.energy_eV + 4.0 * s.n_atoms * (s.group == "one")})
    elif fault == "contradiction":
        train.append(replace(train[0], energy_eV=train[0].energy_eV + 1.0))
    else:
        train = [
            replace(train[0], atoms=strained, stress_eV_per_A3=np.array([-1, -1, -1, 0, 0, 0]) * 3 * strain, index=k)
            for k, strain in enumerate(np.linspace(-0.03, 0.03, 20))
            for strained in [train[0].atoms.copy()]
            if strained.set_cell(strained.cell * (1 + strain), scale_atoms=True) is None
        ]
    found = [f for f in audit_structures(train).findings if f.check == fault]
    assert [f.severity for f in found] == ["error"] and says in f"{found[0].text} {found[0].mend}"
    write_extxyz(tmp_path / "train.xyz", train)
    job = FitPotentialJob.model_validate({"train": str(tmp_path / "train.xyz"), "snap": {"twojmax": 2}})
    assert f"name '{fault}' under accept" in one_line(lambda: fit_potential(job, tmp_path / "out"), says="audit")


# Model folders


def folder_of(path: Path) -> Path:
    """Keep an untrained potential in a folder."""
    saved(path)
    return path


def change_card(folder: Path, settings=None, **fields) -> None:
    card = json.loads((folder / "card.json").read_text())
    card["settings"] |= settings or {}
    (folder / "card.json").write_text(json.dumps(card | fields))


def vouch_for(folder: Path) -> None:
    """Write the SHA-256 of the arrays into the card, as whoever forges both would."""
    change_card(folder, arrays_sha256=sha256_of(folder / "arrays.npz"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def with_array(path: Path, name: str, value) -> None:
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays.pop(name)
    np.savez(path, **arrays, **({} if value is None else {name: value}))


def with_a_header_of_terabytes(path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
    header += b" " * (117 - len(header)) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("radial.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)


@pytest.mark.parametrize("change", [cut, lambda path: path.write_bytes(b"")], ids=["cut", "empty"])
def test_arrays_that_are_not_those_of_the_card(tmp_path, change):
    folder = folder_of(tmp_path / "toy")
    change(folder / "arrays.npz")
    one_line(lambda: load_potential(folder), says="SHA-256")
    vouch_for(folder)
    one_line(lambda: load_potential(folder), says="no plain arrays")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("radial", None, "'radial' is missing"),
        ("radial", np.zeros((2, 1, 2, 4)), "wanted (2, 2, 2)"),
        ("radial", np.full((2, 2, 2, 4), np.nan), "not finite"),
        ("radial", np.array(["a"]), "wanted"),
        ("linear_eV", np.zeros(3), "3 linear coefficients; wanted"),
        ("basis_products", np.full((5, 4), 10**6), "moments"),
    ],
)
def test_arrays_that_make_no_potential(tmp_path, name, value, says):
    folder = folder_of(tmp_path / "toy")
    with_array(folder / "arrays.npz", name, value)
    vouch_for(folder)
    one_line(lambda: load_potential(folder), says=says)


def test_a_header_that_asks_for_terabytes_is_refused(tmp_path):
    folder = folder_of(tmp_path / "toy")
    with_a_header_of_terabytes(folder / "arrays.npz")
    vouch_for(folder)
    one_line(lambda: load_potential(folder), says="no plain arrays")


@pytest.mark.parametrize(
    ("settings", "kind", "says"),
    [
        ({"family": "gap"}, UnknownNameError, "unknown family of potentials 'gap'"),
        ({"n_moments": "many"}, InputError, "cannot be read as a potential"),
        ({"n_moments": 2}, InputError, "moments"),
        ({"cutoff_A": None}, InputError, "cannot be read as a potential"),
        ({"cutoff_A": 1e9}, InputError, "cutoff of 1e+09 A"),
        ({"cutoff_A": -1.0}, InputError, "cutoff"),
        ({"repulsion_A": [1.0]}, InputError, "cannot be read as a potential"),
        ({"repulsion_A": [1e3, 1e6]}, InputError, "cutoff of 1e+06 A"),
    ],
)
def test_settings_of_a_card_that_make_no_potential(tmp_path, settings, kind, says):
    folder = folder_of(tmp_path / "toy")
    change_card(folder, settings)
    one_line(lambda: load_potential(folder), kind, says)


def test_energies_of_the_elements_that_are_no_numbers(tmp_path):
    folder = folder_of(tmp_path / "toy")
    for energies, says in (({"Nb": -10.0}, "no energy of Mo"), ({"Nb": "low", "Mo": -10.0}, "low")):
        change_card(folder, {"element_energies_eV": energies})
        one_line(lambda: load_potential(folder, reference="elements"), says=says)


def test_no_pickle_is_ever_opened(tmp_path):
    """Whatever a pickle is called: it is refused, and its code does not run."""
    trace = tmp_path / "trace"
    folder = folder_of(tmp_path / "toy")
    bomb = pickle.dumps(Bomb(trace))
    for name in ("w.pt", "w.pth", "w.pkl", "w.npz", "w.safetensors", "weights", "w.mtp", "w.snapcoeff", "w.alloy"):
        (tmp_path / name).write_bytes(bomb)
        (tmp_path / "w.snapparam").write_text("twojmax 2\nrcutfac 4.6\n")
        one_line(lambda name=name: load_potential(tmp_path / name, species=ELEMENTS), HEAError, says=Path(name).name)
    for content in ("pickle", "objects"):
        if content == "pickle":
            (folder / "arrays.npz").write_bytes(bomb)
        else:
            np.savez(folder / "arrays.npz", radial=np.array([Bomb(trace)], dtype=object))
        vouch_for(folder)
        one_line(lambda: load_potential(folder), says="no plain arrays")
    assert not trace.exists()
    pickle.loads(bomb)  # here, on purpose, and nowhere else: the test's own bytes, to show that they would have run
    assert trace.exists()


def test_a_folder_without_a_card_and_names_that_mislead(tmp_path):
    (tmp_path / "bare").mkdir()
    one_line(lambda: load_potential(tmp_path / "bare"), MissingFileError, "a folder without card.json")
    folder = folder_of(tmp_path / "toy")
    for file in ("card.json", "arrays.npz"):
        one_line(lambda file=file: load_potential(folder / file), says="wanted a model folder")
    (folder / "card.json").write_text('{"name": ')
    one_line(lambda: load_potential(folder), says="card.json")


# Published files


@pytest.fixture(scope="module")
def mtp_text(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("mtp") / "a.mtp"
    write_mtp(mtp(), path)
    return path.read_text()


def load_text(path: Path, text: str):
    path.write_text(text)
    return lambda: load_potential(path, species=ELEMENTS)


def test_an_mtp_that_was_cut_anywhere(tmp_path, mtp_text):
    for end in np.linspace(0, len(mtp_text.rstrip()) - 1, 40).astype(int):
        one_line(load_text(tmp_path / "cut.mtp", mtp_text[:end]), says="cut.mtp")


@pytest.mark.parametrize(
    "key",
    [
        "species_count", "radial_funcs_count", "radial_basis_size", "alpha_index_basic_count",
        "alpha_index_times_count", "alpha_scalar_moments",
    ],
)  # fmt: skip
@pytest.mark.parametrize("number", ["99999999999999999999", "9" * 5000, "-1", "1e9", "\u00b2"])
def test_huge_and_odd_counts_in_an_mtp(tmp_path, mtp_text, key, number):
    text = re.sub(rf"{key} = \d+", f"{key} = {number}", mtp_text)
    assert text != mtp_text
    one_line(load_text(tmp_path / "huge.mtp", text), says="huge.mtp")


@pytest.mark.parametrize("distance", ["1e300", "1e999", "1e5", "0", "-1", "nan"])
def test_distances_that_no_mtp_has(tmp_path, mtp_text, distance):
    text = re.sub(r"max_dist = \S+", f"max_dist = {distance}", mtp_text)
    one_line(load_text(tmp_path / "far.mtp", text), says="far.mtp")


@pytest.fixture(scope="module")
def snap_texts(tmp_path_factory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("snap")
    coefficients = np.ones((2, features_of_element(2, False)))
    model = SnapModel(
        elements=ELEMENTS, radii=(0.5, 0.5), weights=(1.0, 0.8), rcutfac=4.6, twojmax=2, coefficients=coefficients
    )
    write_snap(model, folder / "a.snapcoeff", folder / "a.snapparam")
    return (folder / "a.snapcoeff").read_text(), (folder / "a.snapparam").read_text()


def load_pair(folder: Path, coeff: str, param: str):
    (folder / "a.snapcoeff").write_text(coeff)
    (folder / "a.snapparam").write_text(param)
    return lambda: load_potential(folder / "a.snapcoeff")


def test_a_snap_that_was_cut_anywhere(tmp_path, snap_texts):
    coeff, param = snap_texts
    assert load_pair(tmp_path, coeff, param)().elements == ELEMENTS
    ends = [m.start() for m in re.finditer(r"\n", coeff.rstrip())]
    for end in (0, *ends):
        one_line(load_pair(tmp_path, coeff[:end], param), says="a.snapcoeff")
    for end in range(0, param.index("rcutfac"), 3):
        one_line(load_pair(tmp_path, coeff, param[:end]), HEAError, says="a.snap")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"^2 6$", "2 999999999999999"),
        (r"^2 6$", "999999999999999999 6"),
        (r"^2 6$", "1e300 6"),
        (r"^2 6$", "2 " + "9" * 5000),
        (r"^Nb 0\.5", "Nb 1e300"),
        (r"^Nb 0\.5", "Nb 5000"),
        (r"^Nb 0\.5", "Nb -1"),
        (r"^Nb 0\.5", "Qq 0.5"),
        (r"rcutfac \S+", "rcutfac 1e300"),
        (r"rcutfac \S+", "rcutfac 1e5"),
        (r"rcutfac \S+", "rcutfac 0"),
        (r"rfac0 \S+", "rfac0 1e300"),
        (r"twojmax \S+", "twojmax -2"),
        (r"twojmax \S+", "twojmax 1e999"),
    ],
)
def test_huge_and_odd_numbers_in_a_snap(tmp_path, snap_texts, old, new):
    changed = [re.sub(old, new, text, flags=re.MULTILINE) for text in snap_texts]
    assert changed != list(snap_texts)
    one_line(load_pair(tmp_path, *changed), HEAError)
