"""Labelled structures: what is read, and what is refused with its place."""

import gzip
import lzma

import numpy as np
import pytest

from hea_sim.errors import InputError, MissingFileError
from hea_sim.potentials.fitting import read_structures
from tests.pair_functions import cells, known_model, labelled, write_extxyz

HEADER = 'Lattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3:forces:R:3 energy=-3.5'
ATOM = "Ni 0.0 0.1 0.2 0.3 0.4 0.5"


def _write(path, header=HEADER, atoms=(ATOM,), count=None):
    path.write_text("\n".join([str(count or len(atoms)), header, *atoms]) + "\n")
    return path


def test_what_is_written_is_read(tmp_path):
    wanted = labelled(known_model(), cells(5), groups=("a", "b"))
    write_extxyz(tmp_path / "set.xyz", wanted)
    found = read_structures(tmp_path / "set.xyz")
    assert [s.group for s in found] == ["a", "b", "a", "b", "a"] and [s.index for s in found] == [0, 1, 2, 3, 4]
    for a, b in zip(wanted, found, strict=True):
        assert b.energy_eV == pytest.approx(a.energy_eV, abs=1e-11)
        assert np.allclose(b.forces_eV_per_A, a.forces_eV_per_A, atol=1e-11)
        assert np.allclose(b.stress_eV_per_A3, a.stress_eV_per_A3, atol=1e-13)
        assert np.allclose(b.atoms.positions, a.atoms.positions) and np.allclose(b.atoms.cell, a.atoms.cell)
        assert b.atoms.get_chemical_symbols() == a.atoms.get_chemical_symbols() and b.atoms.pbc.all()


def test_ase_writes_what_is_read(tmp_path):
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write

    (wanted,) = labelled(known_model(), cells(1))
    atoms = wanted.atoms.copy()
    atoms.calc = SinglePointCalculator(
        atoms, energy=wanted.energy_eV, forces=wanted.forces_eV_per_A, stress=wanted.stress_eV_per_A3
    )
    write(tmp_path / "ase.extxyz", atoms)
    (found,) = read_structures(tmp_path / "ase.extxyz")
    assert found.energy_eV == pytest.approx(wanted.energy_eV, abs=1e-7)
    assert np.allclose(found.stress_eV_per_A3, wanted.stress_eV_per_A3, atol=1e-7)
    assert np.allclose(found.forces_eV_per_A, wanted.forces_eV_per_A, atol=1e-7)


@pytest.mark.parametrize(("suffix", "opener"), [(".xz", lzma.open), (".gz", gzip.open)])
def test_compressed_files(tmp_path, suffix, opener):
    text = _write(tmp_path / "a.xyz").read_bytes()
    with opener(tmp_path / f"a.xyz{suffix}", "wb") as stream:
        stream.write(text)
    assert read_structures(tmp_path / f"a.xyz{suffix}")[0].energy_eV == -3.5


def test_a_virial_becomes_a_stress_of_the_other_sign(tmp_path):
    path = _write(tmp_path / "a.xyz", HEADER + ' virial="64 3 0 3 0 0 0 0 -6.4"')
    assert np.allclose(read_structures(path)[0].stress_eV_per_A3, [-1, 0, 0.1, 0, 0, -3 / 64])


def test_the_order_of_six_numbers_is_that_of_ase(tmp_path):
    path = _write(tmp_path / "a.xyz", HEADER + ' stress="1 2 3 4 5 6"')
    assert read_structures(path)[0].stress_eV_per_A3.tolist() == [1, 2, 3, 4, 5, 6]


def test_other_names_by_key(tmp_path):
    header = 'Lattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3:f:R:3 E=-1 config_type=slab'
    found = read_structures(_write(tmp_path / "a.xyz", header), energy_key="E", forces_key="f")
    assert (found[0].energy_eV, found[0].group, found[0].stress_eV_per_A3) == (-1, "slab", None)


@pytest.mark.parametrize(
    ("header", "atoms", "count", "says"),
    [
        (HEADER.replace("energy=-3.5", "E=1"), [ATOM], None, "energy_key"),
        (HEADER.replace(":forces:R:3", ":f:R:3"), [ATOM], None, "forces_key"),
        (HEADER.replace("energy=-3.5", "energy=nan"), [ATOM], None, "finite"),
        (HEADER.replace("energy=-3.5", "energy_Ha=1 energy=2"), [ATOM], None, "energy_Ha"),
        (HEADER + " units=Hartree", [ATOM], None, "Hartree"),
        (HEADER, [ATOM], 2, "cut short"),
        (HEADER, [ATOM.replace("0.5", "")], None, "columns"),
        (HEADER, [ATOM.replace("Ni", "Xx")], None, "Xx"),
        (HEADER, [ATOM.replace("0.2", "inf")], None, "finite"),
        (HEADER, [ATOM.replace("0.2", "abc")], None, "no number"),
        (HEADER.replace("Lattice", "Cell") + ' pbc="T T T"', [ATOM], None, "Lattice"),
        (HEADER + ' stress="1 2 3"', [ATOM], None, "6 or 9"),
        (HEADER + ' stress="1 2 3 4 5 6 7 8 9"', [ATOM], None, "symmetric"),
        ("plain comment", [ATOM], None, "Properties"),
    ],
)
def test_faults_are_named_with_their_place(tmp_path, header, atoms, count, says):
    with pytest.raises(InputError) as told:
        read_structures(_write(tmp_path / "a.xyz", header, atoms, count))
    assert says in str(told.value) and "frame 0" in str(told.value) and "\n" not in str(told.value)


def test_files_that_are_none(tmp_path):
    with pytest.raises(MissingFileError):
        read_structures(tmp_path / "none.xyz")
    (tmp_path / "a.cif").write_text("data_")
    with pytest.raises(InputError, match="extxyz"):
        read_structures(tmp_path / "a.cif")
    (tmp_path / "a.xyz.xz").write_text("no archive")
    with pytest.raises(InputError, match="whole"):
        read_structures(tmp_path / "a.xyz.xz")
    (tmp_path / "a.xyz").write_text("\n\n")
    with pytest.raises(InputError, match="no frames"):
        read_structures(tmp_path / "a.xyz")
