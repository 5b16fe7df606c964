"""Files of SNAP: every digit kept, old ones read, faults told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.errors import InputError, MissingFileError, UnknownNameError
from hea_sim.potentials.contract import SitePotential
from hea_sim.potentials.snap import SnapModel, features_of_element
from hea_sim.potentials.snap_files import read_snap, write_snap


def random_model(twojmax: int, quadratic: bool, seed: int) -> SnapModel:
    rng = np.random.default_rng(seed)
    return SnapModel(
        elements=("Ta", "Nb", "Mo", "W"),
        radii=(0.489, 0.511, 0.5, 0.47),
        weights=(0.8, 0.7, -0.5, 1 / 3),
        rcutfac=4.6,
        twojmax=twojmax,
        coefficients=rng.normal(size=(4, features_of_element(twojmax, quadratic))) * 10.0 ** rng.integers(-20, 20),
        quadraticflag=quadratic,
    )


@given(
    twojmax=st.integers(0, 5),
    quadratic=st.booleans(),
    flags=st.tuples(*[st.booleans()] * 4),
    numbers=st.tuples(st.floats(3, 8), st.floats(0.5, 1), st.floats(0, 1)),
    seed=st.integers(0, 1000),
)
@settings(max_examples=25, deadline=None)
def test_files_keep_every_digit(tmp_path_factory, twojmax, quadratic, flags, numbers, seed):
    folder = tmp_path_factory.mktemp("snap")
    model = replace(
        random_model(twojmax, quadratic, seed),
        rcutfac=numbers[0], rfac0=numbers[1], rmin0=numbers[2],
        switchflag=flags[0], bzeroflag=flags[1], bnormflag=flags[2], wselfallflag=flags[3],
    )  # fmt: skip
    write_snap(model, folder / "x.snapcoeff", folder / "x.snapparam", comment="made in a test\nsecond line")
    again = read_snap(folder / "x.snapcoeff", folder / "x.snapparam")
    for key in vars(model):
        if key != "coefficients" and not key.startswith("_"):
            assert getattr(again, key) == getattr(model, key), key
    assert (again.coefficients == model.coefficients).all()
    assert "diagonalstyle" not in (folder / "x.snapparam").read_text()
    some = read_snap(folder / "x.snapcoeff", folder / "x.snapparam", elements=["W", "Nb"])
    assert some.elements == ("W", "Nb") and some.radii == (0.47, 0.511)
    assert (some.coefficients == model.coefficients[[3, 1]]).all()


COEFF = "# DATE: 2020-01-01 UNITS: metal\n\n1 3\nW 0.5 1.0 # tungsten\n-1.5\n2e-1\n\n0.25\n"
PARAM = "# settings\nrcutfac 4.0\ntwojmax 1 # small\nquadraticflag 0\nchunksize 100\ndiagonalstyle 3\nchemflag 0\n"


def written(folder: Path, coeff: str = COEFF, param: str = PARAM) -> tuple[Path, Path]:
    (folder / "w.snapcoeff").write_text(coeff)
    (folder / "w.snapparam").write_text(param)
    return folder / "w.snapcoeff", folder / "w.snapparam"


def test_comments_old_keywords_and_units_of_files(tmp_path):
    model = read_snap(*written(tmp_path))
    assert (model.elements, model.cutoff_A, model.bzeroflag) == (("W",), 4.0, True)
    assert model.coefficients.tolist() == [[-1.5, 0.2, 0.25]]
    real = read_snap(*written(tmp_path, COEFF.replace("metal", "real")))
    # 1 kcal/mol = 4184 J / N_A; e = 1.602176634e-19 C
    np.testing.assert_allclose(
        real.coefficients, model.coefficients * 4184 / 6.02214076e23 / 1.602176634e-19, rtol=1e-9
    )


@pytest.mark.parametrize(
    ("coeff", "param", "told"),
    [
        (COEFF.replace("0.25\n", ""), PARAM, "w.snapcoeff: 3 lines after the first; wanted 4"),
        (COEFF.replace("1 3", "1 4"), PARAM, "4 coefficients an element; wanted 3 for a linear one of twojmax 1"),
        (COEFF.replace("2e-1", "x"), PARAM, "w.snapcoeff, line 6: coefficient 'x'; wanted a finite number"),
        (COEFF.replace("2e-1", "nan"), PARAM, "line 6: coefficient 'nan'"),
        (COEFF.replace("W 0.5 1.0", "W 0.5"), PARAM, "line 4: 'W 0.5'; wanted element, radius and weight"),
        (COEFF.replace("1 3", "1"), PARAM, "is this a .snapcoeff file?"),
        (COEFF.replace("metal", "lj"), PARAM, "units lj; wanted metal (eV, A) or real"),
        (COEFF.replace("0.5 1.0", "-0.5 1.0"), PARAM, "wanted positive numbers"),
        ("", PARAM, "says nothing"),
        (COEFF, PARAM.replace("rcutfac", "rcutfax"), "did you mean 'rcutfac'?"),
        (COEFF, PARAM.replace("twojmax 1 # small", ""), "no twojmax; wanted a line 'twojmax VALUE'"),
        (COEFF, PARAM.replace("quadraticflag 0", "quadraticflag 2"), "quadraticflag 2; wanted 0 or 1"),
        (COEFF, PARAM.replace("quadraticflag 0", "quadraticflag 1"), "wanted 6 for a quadratic one"),
        (COEFF, PARAM.replace("chemflag 0", "chemflag 1"), "the explicit multi-element form, is not computed here"),
        (COEFF, PARAM + "switchinnerflag 1\nsinner 1.0\n", "the inner switching function, is not computed here"),
        (COEFF, PARAM.replace("diagonalstyle 3", "diagonalstyle 1"), "only 3 is known"),
        (COEFF, PARAM.replace("twojmax 1", "twojmax 1.5"), "line 3: twojmax '1.5'; wanted a whole number"),
        (COEFF, PARAM.replace("rcutfac 4.0", "rcutfac"), "line 2: 'rcutfac'; wanted a setting and its value"),
    ],
)
def test_faults_of_files_are_told_in_one_line(tmp_path, coeff, param, told):
    with pytest.raises(InputError) as fault:
        read_snap(*written(tmp_path, coeff, param))
    assert told in str(fault.value) and "\n" not in str(fault.value)


def test_missing_files_and_elements_are_named(tmp_path):
    coeff, param = written(tmp_path)
    with pytest.raises(MissingFileError, match=r"no file .*none\.snapcoeff"):
        read_snap(tmp_path / "none.snapcoeff", param)
    with pytest.raises(UnknownNameError, match=r"unknown element in w\.snapcoeff 'Mo'.*Known: W"):
        read_snap(coeff, param, elements=["Mo"])
    potential = SitePotential(name="w", model=read_snap(coeff, param))
    with pytest.raises(InputError, match="no Mo in this potential, which knows W"):
        potential.evaluate(bulk("Mo"))
