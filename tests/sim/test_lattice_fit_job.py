"""`hea fit lattice`: structures on a lattice, settings, whole runs of each family, refusals."""

from __future__ import annotations

import csv
import dataclasses
import json

import numpy as np
import pytest
from ase.io import write

from hea_sim.errors import InputError
from hea_sim.lattice import clusters, low_rank
from hea_sim.lattice.cluster_fit import design_rows
from hea_sim.lattice.fit import FitCell
from hea_sim.lattice.fit_job import FitLatticeJob
from hea_sim.lattice.fit_run import MODEL_FOLDER, fit_lattice
from hea_sim.lattice.label_file import label_in_parts, read_cells, save_cells
from hea_sim.lattice.structures import against_elements, map_structure
from hea_sim.registry.cards import read_arrays, read_card
from hea_sim.settings import check_settings
from hea_vision.cli.app import app
from tests.sim.lattice_systems import SPECIES, parent, random_clusters

METALS = ("Nb", "Mo")


def planted_structures(rng: np.random.Generator, n: int, size=(2, 2, 2)):
    """Make relaxed-looking cells with total energies: a planted cluster expansion above elements of -10 and -11 eV."""
    model = random_clusters("A2", 2, seed=3)
    size_of_order = np.array([0.02, 0.02, 0.02, 0.002, 0.001])  # pairs matter most, as in alloys
    scaled = model.coefficients_eV * size_of_order[model.space.order] / model.space.spread
    model = dataclasses.replace(model, coefficients_eV=scaled)
    sites = 2 * int(np.prod(size))
    pure = [model.energy_eV_per_atom(np.full(sites, s), size) for s in (0, 1)]
    frames = []
    for k in range(n):
        occupation = (
            np.full(sites, k) if k < 2 else rng.permutation(np.arange(sites) < rng.integers(1, sites)).astype(int)
        )
        atoms = model.atoms(occupation, size, 3.2 + 0.1 * occupation.mean())
        excess = model.energy_eV_per_atom(occupation, size) - np.mean([pure[s] for s in occupation])
        energy = sites * excess + np.sum(np.array([-10.0, -11.0])[occupation])
        order = rng.permutation(sites)
        atoms = atoms[order]
        atoms.positions += rng.normal(size=(sites, 3)) * 0.05 + rng.normal(size=3)
        atoms.info["energy"] = float(energy)
        atoms.arrays["forces"] = np.zeros((sites, 3))
        frames.append(atoms)
    return frames, model


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cells")
    frames, _ = planted_structures(np.random.default_rng(0), 70)
    write(folder / "train.xyz", frames[:55], format="extxyz")
    write(folder / "test.xyz", frames[55:], format="extxyz")
    return folder


@pytest.mark.parametrize("name", ["A1", "A2", "A3", "A_h"])
def test_structures_are_mapped_back_whatever_was_done_to_them(name):
    # Atoms in another order, moved, wrapped, shifted as a whole; the cell strained and turned.
    rng, lattice, size, n = np.random.default_rng(1), parent(name), (2, 3, 1), 3
    model = random_clusters(name, n)
    occupation = rng.integers(n, size=lattice.n_sites * 6)
    atoms = model.atoms(occupation, size, 3.0)[rng.permutation(lattice.n_sites * 6)]
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.02 * rng.normal(size=(3, 3))) @ turn, scale_atoms=True)
    atoms.positions += 0.05 * rng.normal(size=atoms.positions.shape) + rng.normal(size=3) * 2
    atoms.wrap()
    found = map_structure(atoms, lattice, SPECIES[:n])
    assert found.cell.size == size and 0 < found.largest_move_a < 0.15
    # the origin is lost: the cell is the same up to a translation, which all correlations are blind to
    rows = [design_rows([FitCell(occupation=o, size=size)], model.space) for o in (occupation, found.cell.occupation)]
    assert np.allclose(*rows, atol=1e-12)


def test_an_ordered_parent_keeps_its_sublattices():
    held = parent("B2").with_species(("Nb", "Mo"), ("Ta",))
    model = random_clusters("A2", 3)
    occupation = np.tile([2, 0], 8)  # Ta on the corners of A2: the second sublattice of B2
    occupation[5] = 1
    found = map_structure(model.atoms(occupation, (2, 2, 2), 3.2), held, SPECIES[:3])
    assert (found.cell.occupation[1::2] == 2).all() and np.isin(found.cell.occupation[::2], (0, 1)).all()


def test_structures_that_are_not_on_the_lattice_are_refused():
    lattice, model = parent("A2"), random_clusters("A2", 2)
    atoms = model.atoms(np.zeros(16, int), (2, 2, 2), 3.2)
    moved = atoms.copy()
    moved.positions[3] += 1.3
    with pytest.raises(InputError, match="do not stand one on each site of A2"):
        map_structure(moved, lattice, METALS)
    with pytest.raises(InputError, match="15 atoms; wanted a multiple of 2"):
        map_structure(atoms[:15], lattice, METALS)
    with pytest.raises(InputError, match="holds Nb; wanted Ta, W alone"):
        map_structure(atoms, lattice, ("Ta", "W"))
    long = atoms.copy()
    long.set_cell(atoms.cell.array * np.array([[1.5], [1.0], [1.0]]), scale_atoms=True)
    with pytest.raises(InputError, match=r"strained by \d+%"):
        map_structure(long, lattice, METALS)


def test_energies_against_the_elements():
    lattice, model = parent("A2"), random_clusters("A2", 2)
    occupations = [np.array([0, 0]), np.array([1, 1]), np.array([0, 1])]
    mapped = [map_structure(model.atoms(o, (1, 1, 1), 3.2), lattice, METALS) for o in occupations]
    cells = against_elements(mapped, [-20.0, -24.0, -22.5], METALS, {})
    assert [cell.energy_eV for cell in cells] == pytest.approx([0.0, 0.0, -0.25])
    with pytest.raises(InputError, match=r"no structure of pure Mo.*element_energies_eV"):
        against_elements([mapped[0], mapped[2]], [-20.0, -22.5], METALS, {})
    given = against_elements([mapped[2]], [-22.5], METALS, {"Nb": -10.0, "Mo": -12.0})
    assert given[0].energy_eV == pytest.approx(-0.25)


@pytest.mark.parametrize("family", ["pairs", "clusters", "low-rank"])
def test_a_run_from_files_writes_all_and_is_given_again(files, tmp_path, family):
    job = check_settings(
        FitLatticeJob,
        {
            "name": "own", "figures": family == "clusters", "family": family, "elements": METALS,
            "train": str(files / "train.xyz"),
            "test": str(files / "test.xyz"), "clusters": {"cutoffs_a": {2: 1.5, 3: 1.1, 4: 1.1}},
            "pairs": {"shells": (1, 2)}, "low_rank": {"ranks": (2,), "penalties": (1e-4,), "sweeps": 4},
        },
    )  # fmt: skip
    made = fit_lattice(job, tmp_path / "out")
    for name in ("run.toml", "audit.json", "cells.csv", "errors.csv", "results.json"):
        assert (tmp_path / "out" / name).is_file(), name
    assert (tmp_path / "out" / "figures" / "parity.png").is_file() == (family == "clusters")
    first = made.errors["test"][0]
    if family == "clusters":  # the planted family: nothing is left, but for digits of the file
        assert first.rmse_meV < 0.01
    with open(tmp_path / "out" / "cells.csv", encoding="utf-8") as stream:
        energies = [float(row["energy_eV_per_atom"]) for row in csv.DictReader(stream) if row["set"] == "test"]
    assert first.n_cells == len(energies) and first.rmse_meV < 1e3 * np.std(energies)
    card, arrays = (read(tmp_path / "out" / MODEL_FOLDER) for read in (read_card, read_arrays))
    assert card.kind == f"lattice-{family}" and card.scores["test_energy_rmse"].value == first.rmse_meV
    if family != "pairs":
        again = {"clusters": clusters, "low-rank": low_rank}[family].load(card, arrays)
        occupation = np.arange(16) % 2
        assert made.model is not None
        assert again.energy_eV_per_atom(occupation, (2, 2, 2)) == pytest.approx(
            made.model.energy_eV_per_atom(occupation, (2, 2, 2)), abs=1e-14
        )
    finished = fit_lattice(job, tmp_path / "out")
    assert finished.model is None and finished.errors["test"][0].rmse_meV == pytest.approx(first.rmse_meV)
    with pytest.raises(InputError, match="holds a run with other settings"):
        fit_lattice(job.model_copy(update={"seed": 5}), tmp_path / "out")


def test_leaked_test_cells_are_told_and_left_out(files, tmp_path):
    job = check_settings(
        FitLatticeJob,
        {
            "elements": METALS,
            "figures": False,
            "train": str(files / "train.xyz"),
            "test": [str(files / "train.xyz"), str(files / "test.xyz")],
        },
    )
    made = fit_lattice(job, tmp_path)
    assert set(range(55)) <= set(made.audit.leaked) and made.audit.n_test == 70
    assert made.errors["test"][0].n_cells == 70 - len(made.audit.leaked)


def test_labelling_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    calls = []

    def label(cells, species, potential, **options):
        calls.append(len(cells))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return [dataclasses.replace(cell, energy_eV=1.0, volume_A3=10.0) for cell in cells]

    monkeypatch.setattr("hea_sim.lattice.label_file.label_cells", label)
    cells = [FitCell(occupation=np.array([k % 2, 1]), size=(1, 1, 1), group="g") for k in range(40)]
    path = tmp_path / "labels.npz"
    with pytest.raises(KeyboardInterrupt):
        label_in_parts(path, cells, METALS, None)
    assert np.isfinite([cell.energy_eV for cell in read_cells(path)]).sum() == calls[0]
    done = label_in_parts(path, cells, METALS, None)
    assert sum(calls) - calls[1] == 40 and all(cell.group == "g" for cell in done)
    with pytest.raises(InputError, match="labels of other cells"):
        label_in_parts(path, cells[1:], METALS, None)
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="no file of labelled cells"):
        read_cells(path)


def test_cells_survive_their_file(tmp_path):
    cells = [
        FitCell(occupation=np.array([0, 1]), size=(1, 1, 1), group="a", energy_eV=0.5, volume_A3=9.0),
        FitCell(occupation=np.zeros(16, np.int8), size=(2, 2, 2), group="b"),
    ]
    save_cells(tmp_path / "c.npz", cells)
    again = read_cells(tmp_path / "c.npz")
    assert [c.size for c in again] == [(1, 1, 1), (2, 2, 2)] and [c.group for c in again] == ["a", "b"]
    assert again[0].energy_eV == 0.5 and np.isnan(again[1].energy_eV) and len(again[1].occupation) == 16


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({}, "give either train"),
        ({"train": "a.xyz", "potential": "nbmotaw-snap"}, "give either train"),
        ({"train": "a.xyz", "elements": ("Nb", "Nb")}, "different chemical symbols"),
        ({"train": "a.xyz", "elements": ("Nb", "Xx")}, "different chemical symbols"),
        ({"train": "a.xyz", "name": "No Name"}, "wanted small letters"),
        ({"train": "a.xyz", "famly": "pairs"}, "did you mean 'family'"),
        ({"train": "a.xyz", "family": "pairs", "lattice": "A3"}, "wanted A1 or A2"),
        ({"potential": "nbmotaw-snap", "test": "a.xyz"}, "cells.test_share"),
        ({"potential": "nbmotaw-snap", "cells": {"temperatures_K": (0.0, 1.0)}}, "a lower and an upper end"),
        ({"potential": "nbmotaw-snap", "cells": {"random": 0, "annealed": 0}}, "numbers above 0"),
    ],
)
def test_wrong_settings_say_what_is_wanted(change, text):
    with pytest.raises(InputError, match=text):
        check_settings(FitLatticeJob, {"elements": METALS, **change})


def test_the_command_fits_and_prints_its_results(files, tmp_path):
    from typer.testing import CliRunner

    config = tmp_path / "job.toml"
    config.write_text(
        f'elements = ["Nb", "Mo"]\nfigures = false\ntrain = "{files / "train.xyz"}"\ntest = "{files / "test.xyz"}"\n'
        "[clusters]\ncutoffs_a = { 2 = 1.5, 3 = 1.1 }\n"
    )
    run = CliRunner().invoke(app, ["fit", "lattice", str(config), "--out", str(tmp_path / "out"), "--json"])
    assert run.exit_code == 0, run.output
    row = json.loads(run.stdout)["results"][0]
    assert row["kind"] == "lattice-clusters" and row["fit"]["rank"] <= row["fit"]["n_functions"]
    assert {"out of fold", "test"} == set(row["errors"])


def test_cells_are_drawn_and_labelled_by_a_potential(tmp_path, monkeypatch):
    _, model = planted_structures(np.random.default_rng(0), 2)
    pure = [model.energy_eV_per_atom(np.full(2, s), (1, 1, 1)) for s in (0, 1)]
    asked = []

    def label(cells, species, potential, **options):
        asked.extend(cells)
        assert options["relax"] == "volume" and potential == "the potential called teacher"
        labelled = []
        for cell in cells:
            excess = model.energy_eV_per_atom(cell.occupation, cell.size) - np.mean([pure[s] for s in cell.occupation])
            labelled.append(dataclasses.replace(cell, energy_eV=float(excess), volume_A3=16.0 + cell.occupation.mean()))
        return labelled

    monkeypatch.setattr("hea_sim.lattice.label_file.label_cells", label)
    monkeypatch.setattr("hea_sim.potentials.load_potential", lambda name: f"the potential called {name}")
    cells = {"size": (2, 2, 2), "random": 40, "annealed": 10, "relax": "volume", "test_share": 0.3}
    settings = {"elements": METALS, "potential": "teacher", "cells": cells, "figures": False}
    job = check_settings(FitLatticeJob, {**settings, "clusters": {"cutoffs_a": {2: 1.5, 3: 1.1, 4: 1.1}}})
    made = fit_lattice(job, tmp_path)
    # 2 elements, B2, B32 and twice D0_3, and what was asked for; nothing was labelled twice
    assert len(asked) == 2 + 1 + 1 + 2 + 50 == made.audit.n_train + made.audit.n_test
    annealed = [cell.energy_eV for cell in read_cells(tmp_path / "work" / "annealed.npz")]
    drawn = [c.energy_eV for c in read_cells(tmp_path / "work" / "random.npz") if c.group == "random"]
    assert np.mean(annealed) < np.mean(drawn)
    assert made.errors["test"][0].rmse_meV < 0.1


def test_an_annealer_must_know_the_elements(tmp_path, monkeypatch):
    monkeypatch.setattr("hea_sim.potentials.load_potential", lambda name: name)
    monkeypatch.setattr(
        "hea_sim.lattice.label_file.label_cells",
        lambda cells, *a, **o: [dataclasses.replace(cell, energy_eV=0.0, volume_A3=16.0) for cell in cells],
    )
    cells = {"size": (2, 2, 2), "random": 5, "annealed": 1, "annealer": "nbmotaw-pairs"}
    job = check_settings(FitLatticeJob, {"elements": ("Al", "Mo"), "potential": "teacher", "cells": cells})
    with pytest.raises(InputError, match="knows Nb, Mo, Ta, W; wanted Al, Mo"):
        fit_lattice(job, tmp_path)
