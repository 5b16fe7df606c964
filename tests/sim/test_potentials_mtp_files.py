"""Files of mlip-2: what is written is read again, published files equal motep, damage is named."""

import numpy as np
import pytest
from ase.data import atomic_numbers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hea_sim.errors import InputError, MissingFileError
from hea_sim.potentials.checks import check_potential, raise_if_failed
from hea_sim.potentials.contract import SitePotential
from hea_sim.potentials.mtp_files import read_mtp, write_mtp

from .mtp_systems import alloy, potential

ELEMENTS = ("Nb", "Mo", "Ta")
PUBLISHED = [
    ("nbmotaw/quaternary.mtp", ("Nb", "Mo", "Ta", "W"), "bcc", 3.25),
    ("crconi/MTP_TS-f_Cao_20230208.mtp", ("Cr", "Co", "Ni"), "fcc", 3.55),
]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("mtp") / "a.mtp"
    write_mtp(potential(8), path)
    return path


@pytest.mark.parametrize("level", [2, 12])
def test_what_is_written_is_read_again_to_the_last_bit(tmp_path, level):
    model = potential(level)
    write_mtp(model, tmp_path / "a.mtp")
    again = read_mtp(tmp_path / "a.mtp", ELEMENTS)
    for name in ("scaling", "least_distance_A", "cutoff_A"):
        assert getattr(again, name) == getattr(model, name)
    for name in ("radial", "species_eV", "linear_eV"):
        np.testing.assert_array_equal(getattr(again, name), getattr(model, name))
    for name in ("basic", "products", "scalars", "n_moments"):
        np.testing.assert_array_equal(getattr(again.basis, name), getattr(model.basis, name))


def test_the_state_of_a_selection_behind_a_potential_is_left_out(written, tmp_path):
    (tmp_path / "b.mtp").write_bytes(written.read_bytes() + b"#MVS_v1.1\n\xff\xfe\x00")
    np.testing.assert_array_equal(read_mtp(tmp_path / "b.mtp", ELEMENTS).radial, potential(8).radial)


def test_lines_may_end_as_on_windows(written, tmp_path):
    (tmp_path / "b.mtp").write_bytes(written.read_bytes().replace(b"\n", b"\r\n"))
    np.testing.assert_array_equal(read_mtp(tmp_path / "b.mtp", ELEMENTS).radial, potential(8).radial)


@pytest.mark.data
@pytest.mark.parametrize(("file", "species", "structure", "a_A"), PUBLISHED)
def test_published_files_keep_all_laws_and_round_trip(data, tmp_path, file, species, structure, a_A):
    model = read_mtp(data / "potentials" / file, species)
    raise_if_failed(check_potential(SitePotential(name=file, model=model)))
    write_mtp(model, tmp_path / "a.mtp")
    again = read_mtp(tmp_path / "a.mtp", species)
    atoms = alloy(species, 2, a_A, structure)
    one, two = (SitePotential(name="a", model=m).evaluate(atoms) for m in (model, again))
    assert one.energy_eV == two.energy_eV


@pytest.mark.data
@pytest.mark.oracle
@pytest.mark.parametrize(("file", "species", "structure", "a_A"), PUBLISHED)
def test_published_files_equal_motep(data, file, species, structure, a_A):
    pytest.importorskip("motep", reason="motep is not installed (extra `oracle`)")
    from motep.calculator import MTP
    from motep.io.mlip.mtp import read_mtp as read_by_motep

    path = data / "potentials" / file
    oracle = read_by_motep(path)
    oracle.species = [atomic_numbers[element] for element in species]
    model = read_mtp(path, species)
    for seed in range(3):
        atoms = alloy(species, 2, a_A, structure, seed)
        atoms.calc = MTP(oracle, engine="cext")
        for precision, e_eV, f, s in (("float64", 1e-10, 1e-10, 1e-10), ("float32", 1e-5, 1e-4, 1e-5)):
            result = SitePotential(name="mtp", model=model.with_precision(precision)).evaluate(atoms)
            assert result.energy_eV / len(atoms) == pytest.approx(atoms.get_potential_energy() / len(atoms), abs=e_eV)
            np.testing.assert_allclose(result.forces_eV_per_A, atoms.get_forces(), rtol=0, atol=f)
            stress = atoms.get_stress(voigt=False)
            np.testing.assert_allclose(result.stress_eV_per_A3, stress, rtol=0, atol=s)


@pytest.mark.oracle
def test_what_is_written_is_understood_by_motep(written):
    pytest.importorskip("motep", reason="motep is not installed (extra `oracle`)")
    from motep.calculator import MTP
    from motep.io.mlip.mtp import read_mtp as read_by_motep

    oracle = read_by_motep(written)
    oracle.species = [atomic_numbers[element] for element in ELEMENTS]
    atoms = alloy()
    atoms.calc = MTP(oracle, engine="cext")
    result = SitePotential(name="mtp", model=potential(8)).evaluate(atoms)
    assert result.energy_eV == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
    np.testing.assert_allclose(result.forces_eV_per_A, atoms.get_forces(), rtol=0, atol=1e-9)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part=st.floats(0, 0.999))
def test_a_cut_file_is_refused_in_one_line(written, tmp_path, part):
    whole = written.read_bytes().rstrip()
    (tmp_path / "cut.mtp").write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(InputError, match=r"cut\.mtp") as caught:
        read_mtp(tmp_path / "cut.mtp", ELEMENTS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("species_count = 3", "species_count = 4", "holds 4 species, got 3"),
        ("alpha_scalar_moments = 9", "alpha_scalar_moments = 8", "9 numbers in alpha_moment_mapping, the counts say 8"),
        ("alpha_index_basic_count = 11", "alpha_index_basic_count = 12", "44 numbers in alpha_index_basic"),
        ("alpha_moments_count = 18", "alpha_moments_count = 17", "outside the 17 moments"),
        ("radial_funcs_count = 2", "radial_funcs_count = 3", "in radial_coeffs 0-0, the counts say 24"),
        ("radial_basis_size = 8", "radial_basis_size = eight", "'eight'; wanted a whole number"),
        ("RBChebyshev", "RBShapeev", "radial basis 'RBShapeev'"),
        ("\t\t2-2", "\t\t3-2", "radial coefficients of 3-2, but 3 species"),
        ("\t\t2-2", "\t\t2-1", "no radial coefficients of species 2-2"),
        ("min_dist = 2", "min_dist = 7", "wanted 0 <= least < cutoff"),
        ("species_coeffs = {-9", "species_coeffs = {nan, -9", "'nan' in species_coeffs"),
        ("MTP\n", "MTQ\n", "does not begin with MTP"),
        ("alpha_index_times = ", "alpha_index_time = ", "has no alpha_index_times"),
    ],
)
def test_entries_that_do_not_fit_are_named(written, tmp_path, old, new, says):
    text = written.read_text()
    assert old in text
    (tmp_path / "b.mtp").write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=says) as caught:
        read_mtp(tmp_path / "b.mtp", ELEMENTS)
    assert "\n" not in str(caught.value) and "b.mtp" in str(caught.value)


def test_templates_and_what_is_no_file_are_refused(written, tmp_path):
    lines = written.read_text().splitlines(keepends=True)
    head = [line for line in lines if "=" in line and "coeffs" not in line]
    (tmp_path / "template.mtp").write_text("MTP\n" + "".join(head))
    with pytest.raises(InputError, match="template without coefficients"):
        read_mtp(tmp_path / "template.mtp", ELEMENTS)
    (tmp_path / "pickle.mtp").write_bytes(b"\x80\x04\x95\xff\xfe")
    with pytest.raises(InputError, match="is not text"):
        read_mtp(tmp_path / "pickle.mtp", ELEMENTS)
    with pytest.raises(MissingFileError, match=r"no file .*none\.mtp"):
        read_mtp(tmp_path / "none.mtp", ELEMENTS)
