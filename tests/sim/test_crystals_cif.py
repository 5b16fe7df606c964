"""Structures come out of a CIF whole: shared sites, vacancies, primitive cells, and clear errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hea_sim.crystals import (
    Crystal,
    build_crystal,
    crystal_from_cif,
    expanded_sites,
    prototype,
    prototype_from_cif,
    prototype_names,
    site_compositions,
)
from hea_sim.diffraction import powder_lines
from hea_sim.errors import InputError, MissingFileError

#: A solid solution with two elements on one site and a third of the other site empty, in a cell with operations.
SHARED = """data_shared
_cell_length_a 4.20(1)
_cell_length_b 4.20
_cell_length_c 4.20
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P m -3 m'
loop_
_symmetry_equiv_pos_as_xyz
'x,y,z'
'z,x,y'
'y,z,x'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
_atom_site_U_iso_or_equiv
Fe1 Fe3+ 0 0 0 0.7 0.01
Cr1 Cr3+ 0 0 0 0.3 0.01
O1 O2- 0 0.5 0.5 0.6667(3) 0.01
"""


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    path = tmp_path / "shared.cif"
    path.write_text(SHARED)
    return path


def as_atoms(crystal: Crystal) -> Atoms:
    symbols = [crystal.species[i] for i in crystal.occupancy.argmax(axis=1)]
    return Atoms(symbols, cell=crystal.cell_A, scaled_positions=crystal.positions, pbc=True)


def same_lines(one: Crystal, other: Crystal) -> bool:
    """Say whether two descriptions of a structure diffract alike."""
    first, second = (powder_lines(c, "MoKa", two_theta_range_deg=(5, 40)) for c in (one, other))
    return (
        len(first.d_A) == len(second.d_A)
        and np.allclose(first.d_A, second.d_A, rtol=1e-4)
        # per cell, so that a cell of another size gives the same
        and np.allclose(first.intensity / first.intensity.max(), second.intensity / second.intensity.max(), atol=1e-3)
    )


def test_shared_and_partly_filled_sites_are_kept(shared: Path) -> None:
    crystal = crystal_from_cif(shared)
    assert crystal.species == ("Fe", "Cr", "O") and len(crystal.positions) == 4
    assert crystal.occupancy[0].tolist() == [0.7, 0.3, 0.0]
    assert crystal.occupancy[1:].sum(axis=1) == pytest.approx([0.6667] * 3)
    assert crystal.b_iso_A2 == pytest.approx(8 * np.pi**2 * 0.01)
    kind = prototype_from_cif(shared, name="ours", lattice_freedom=0.1)
    assert (kind.name, kind.system, kind.space_group, kind.metallic) == ("ours", "cubic", 221, False)
    assert kind.a_range_A == pytest.approx((3.78, 4.62)) and kind.filling == pytest.approx({"X": 0.6667})
    rebuilt = build_crystal(kind, site_compositions(kind, None), b_iso_A2=crystal.b_iso_A2)
    assert rebuilt.mass_u == pytest.approx(crystal.mass_u) and same_lines(rebuilt, crystal)


@pytest.mark.parametrize("name", prototype_names())
def test_a_cif_written_by_ase_gives_the_structure_back(name: str, tmp_path: Path) -> None:
    wanted = build_crystal(name, {"A": "Ni", "B": "Al", "M": "Fe", "X": "C"})
    write(tmp_path / "x.cif", as_atoms(wanted))
    assert same_lines(crystal_from_cif(tmp_path / "x.cif"), wanted)
    kind = prototype_from_cif(tmp_path / "x.cif")
    rank = ("cubic", "hexagonal", "tetragonal", "orthorhombic", "monoclinic")
    assert rank.index(kind.system) <= rank.index(prototype(name).system)
    assert same_lines(build_crystal(kind, kind.typical), wanted)


@pytest.mark.parametrize(
    ("atoms", "system", "count", "a"),
    [
        (bulk("Cu", "fcc", a=3.61), "cubic", 4, 3.61),
        (bulk("W", "bcc", a=3.165), "cubic", 2, 3.165),
        (bulk("Ti", "hcp", a=2.95, c=4.68), "hexagonal", 2, 2.95),
        (bulk("Sn", "bct", a=3.2, c=3.5), "tetragonal", 4, 3.2),
        (bulk("Bi", "rhombohedral", a=4.75, alpha=57.2), "hexagonal", 6, 2 * 4.75 * np.sin(np.radians(28.6))),
        (Atoms("Fe", cell=[2.8, 3.1, 3.5, 90, 90, 100], pbc=True), "monoclinic", 1, None),
        (Atoms("Fe", cell=[3.5, 2.8, 2.8, 90, 90, 90], pbc=True), "tetragonal", 1, 2.8),
        (Atoms("Fe", cell=[2.8, 4.5, 2.8, 90, 120, 90], pbc=True), "hexagonal", 1, 2.8),
        (Atoms("Fe", cell=[2.8, 2.8, 4.5, 90, 90, 75], pbc=True), "orthorhombic", 2, None),
    ],
    ids=["fcc", "bcc", "hcp", "bct", "rhombohedral", "unique axis c", "unique axis a", "unique axis b", "base-centred"],
)
def test_primitive_cells_become_conventional(
    atoms: Atoms, system: str, count: int, a: float | None, tmp_path: Path
) -> None:
    write(tmp_path / "x.cif", atoms)
    kind = prototype_from_cif(tmp_path / "x.cif")
    assert kind.system == system and len(expanded_sites(kind)[0]) == count
    assert a is None or kind.a_A == pytest.approx(a, abs=2e-4)
    assert same_lines(build_crystal(kind, kind.typical), Crystal.from_atoms(atoms))


def test_a_type_from_a_file_keeps_its_own_composition(shared: Path) -> None:
    from hea_sim.alloy import Composition

    kind = prototype_from_cif(shared)
    assert site_compositions(kind, Composition.parse("NbMoTaW")) == site_compositions(kind, None)


def test_symmetry_follows_from_the_group_where_no_operations_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "x.cif"
    plain = SHARED.replace("'x,y,z'\n'z,x,y'\n'y,z,x'\n", "").replace("loop_\n_symmetry_equiv_pos_as_xyz\n", "")
    path.write_text(plain)
    assert len(crystal_from_cif(path).positions) == 4
    path.write_text(plain.replace("'P m -3 m'", "'F d -3 m'"))
    with pytest.raises(InputError, match="group 227 has two settings"):
        crystal_from_cif(path)
    path.write_text(plain.replace("'P m -3 m'", "'P 9 9 9'"))
    with pytest.raises(InputError, match="space group 'P 9 9 9' is not known"):
        crystal_from_cif(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("_cell_length_a 4.20(1)", "", "none with _cell_length_a"),
        ("_cell_length_a 4.20(1)", "_cell_length_a ?", "wanted lengths above 0"),
        ("_cell_length_c 4.20", "_cell_length_c -4", "wanted lengths above 0"),
        ("_cell_angle_gamma 90", "_cell_angle_gamma 240", "angles between 0 and 180"),
        ("0 0 0 0.7 0.01", "0 0 ? 0.7 0.01", "wanted numbers for every atom"),
        ("0 0 0 0.7 0.01", "0 0 0 0.9 0.01", "filled to 1.200; wanted at most 1"),
        ("0 0 0 0.7 0.01", "0 0 0 -1 0.01", "wanted a number >= 0"),
        ("Cr1 Cr3+", "Q1 Q3+", "atom 'Q3[+]' names no element"),
        ("'y,z,x'", "'y,z,import'", "operation 3 does not map the lattice"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(shared: Path, old: str, new: str, message: str) -> None:
    assert old in SHARED
    shared.write_text(SHARED.replace(old, new, 1))
    with pytest.raises(InputError, match=message) as caught:
        crystal_from_cif(shared)
    assert str(shared) in str(caught.value) and "\n" not in str(caught.value)


def test_triclinic_lattices_and_missing_files_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "x.cif", Atoms("Fe", cell=[3.0, 3.7, 4.6, 81, 97, 104], pbc=True))
    assert crystal_from_cif(tmp_path / "x.cif").species == ("Fe",)
    with pytest.raises(InputError, match="is triclinic; wanted a monoclinic or more symmetric"):
        prototype_from_cif(tmp_path / "x.cif")
    with pytest.raises(MissingFileError, match=r"none\.cif: no such file"):
        prototype_from_cif(tmp_path / "none.cif")
    with pytest.raises(InputError, match=r"lattice_freedom 1\.5; wanted a share"):
        prototype_from_cif(tmp_path / "x.cif", lattice_freedom=1.5)


def crystal_or_refusal(path: Path) -> None:
    try:
        crystal = crystal_from_cif(path)
        kind = prototype_from_cif(path)
    except InputError as error:
        assert str(path) in str(error)
    else:
        assert crystal.volume_A3 > 0 and np.isfinite(crystal.positions).all()
        assert (crystal.occupancy.sum(axis=1) <= 1 + 1e-9).all() and kind.a_A > 0


FUZZ = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(st.one_of(st.text(max_size=300), st.binary(max_size=300)))
def test_any_content_is_read_or_refused(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "x.cif"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    crystal_or_refusal(path)


@FUZZ
@given(st.integers(0, len(SHARED)), st.integers(0, 40), st.text("0123456789.-+'\"_;#loop\n ?x,yz/()", max_size=12))
def test_cut_and_damaged_files_are_read_or_refused(tmp_path: Path, start: int, length: int, patch: str) -> None:
    path = tmp_path / "x.cif"
    path.write_text(SHARED[:start])
    crystal_or_refusal(path)
    path.write_text(SHARED[:start] + patch + SHARED[start + length :])
    crystal_or_refusal(path)


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["A1", "L1_2", "sigma", "mu", "M23C6", "D0_11", "C43", "H1_1", "D5_1", "B4"])
@pytest.mark.parametrize("symprec", [None, 1e-3])
def test_a_cif_written_by_pymatgen_gives_the_structure_back(name: str, symprec: float | None, tmp_path: Path) -> None:
    cif = pytest.importorskip("pymatgen.io.cif", reason="the extra `oracle` is not installed")
    from pymatgen.core import Lattice, Structure

    wanted = build_crystal(name, {"A": "Ni0.75Fe0.25", "B": "Al", "M": "Fe0.5Cr0.5", "X": "C"})
    shares = [{e: float(x) for e, x in zip(wanted.species, row) if x > 0} for row in wanted.occupancy]
    structure = Structure(Lattice(wanted.cell_A), shares, wanted.positions)
    cif.CifWriter(structure, symprec=symprec).write_file(tmp_path / "x.cif")
    assert same_lines(crystal_from_cif(tmp_path / "x.cif"), wanted)
    kind = prototype_from_cif(tmp_path / "x.cif")
    assert kind.system == prototype(name).system
    assert same_lines(build_crystal(kind, kind.typical), wanted)


@pytest.mark.data
def test_the_starting_models_of_a_refinement(data: Path) -> None:
    austenite = crystal_from_cif(data / "xrd/steel_d8/austenite-Duplex.cif")
    assert dict(zip(austenite.species, austenite.occupancy[0])) == {
        "Fe": 0.703, "Cr": 0.207, "Mn": 0.05, "Ni": 0.027, "Si": 0.008, "Cu": 0.003, "C": 0.001,
    }  # fmt: skip
    # The density that GSAS-II wrote into the file belongs to the volume there, which is of an earlier lattice.
    assert austenite.mass_u / 46.812 * 1.66053907 == pytest.approx(7.783, rel=2e-3)
    kind = prototype_from_cif(data / "xrd/steel_d8/ferrite-PureFe.cif")
    assert (kind.system, kind.space_group, kind.a_A, kind.stoichiometry) == ("cubic", 229, 2.89217, {"M": 2})
