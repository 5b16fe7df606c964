"""A user's own table: what is read, what is mended and noted, what is refused."""

import numpy as np
import pytest

from hea_sim.errors import HEAError, InputError, MissingFileError, UnknownNameError
from hea_sim.properties.alloy_text import read_alloy
from hea_sim.properties.tables import user_table
from hea_sim.properties.tables.user_files import Columns, read_user_table


@pytest.fixture
def written(tmp_path):
    def write(text, name="alloys.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


GOOD = "formula,phase,doi,made\nCoCrFeMnNi,FCC,a,as cast\nNbMoTaW,BCC,b,\nAl20Co20Cr20Fe20Ni20,BCC,a,powder\n"


def test_classes(written):
    table = user_table(written(GOOD), target="phase", paper="doi", processing="made")
    assert table.classes == ("BCC", "FCC") and table.codes.tolist() == [1, 0, 0]
    assert table.processing.tolist() == ["cast", "other", "powder"]
    assert table.family.tolist() == ["Co-Cr-Fe-Mn-Ni", "Mo-Nb-Ta-W", "Al-Co-Cr-Fe-Ni"]
    assert table.paper_group.tolist() == [0, 1, 0] and len(set(table.cluster)) == 3
    np.testing.assert_allclose(table.fractions.sum(1), 1)
    assert len(table.batch()) == 3


def test_numbers_in_element_columns_are_normalised_and_noted(written):
    path = written("Nb;Mo;Ta;hardness_HV;T\n50;40;;400;300\n50;50;0;420;600\n20;20;60;;300\n")
    table = user_table(path, target="hardness_HV", temperature_K="T")
    assert table.unit == "HV" and table.value.tolist() == [400, 420] and table.temperature_K.tolist() == [300, 600]
    assert table.fractions[0].tolist() == pytest.approx([4 / 9, 5 / 9])
    assert any("normalised to 100" in note for note in table.notes)
    assert any("1 lines without 'hardness_HV'" in note for note in table.notes)


@pytest.mark.parametrize(
    "text, options, words",
    [
        ("", {"target": "phase"}, "empty; wanted a header"),
        ("formula,phase\n", {"target": "phase"}, "a header and no lines"),
        ("formula,phase\nNbMo,\n", {"target": "phase"}, "no line with a composition"),
        ("formula,phase\nNbMo,BCC\nNbTa,BCC\n", {"target": "phase"}, "one class only \\('BCC'\\)"),
        ("formula,phase\nNbMo,BCC\nNbQq,FCC\n", {"target": "phase"}, "line 3: .*'Qq' is no element"),
        ("formula,phase\nNbMoNb2,BCC\nNbTa,FCC\n", {"target": "phase"}, "line 2: .*Nb stands there more than once"),
        ("formula,phase\nNb,BCC\nNbTa,FCC\n", {"target": "phase"}, "line 2: .*one element alone"),
        ("Nb,Mo,phase\n-1,2,BCC\n1,1,FCC\n", {"target": "phase"}, "amount of Nb is -1"),
        ("what,phase\nNbMo,BCC\n", {"target": "phase"}, "no column of compositions among what, phase"),
        ("formula,HV\nNbMo,soft\nNbTa,300\n", {"target": "HV", "unit": "HV"}, "'HV' is 'soft'; wanted a number"),
        ("formula,h\nNbMo,3.4\nNbTa,4.1\n", {"target": "h", "unit": "HV"}, "median is 3.75.*no HV: is it GPa"),
        ("formula,h\nNbMo,3400\nNbTa,4100\n", {"target": "h", "unit": "HV"}, "is it MPa"),
        ("formula,ys_MPa\nNbMo,1.2\nNbTa,0.9\n", {"target": "ys_MPa"}, "no MPa: is it GPa"),
        ("formula,h\nNbMo,-300\nNbTa,400\n", {"target": "h", "unit": "HV"}, "below zero"),
        (
            "formula,ys_MPa,T\nNbMo,900,25\nNbTa,300,1000\n",
            {"target": "ys_MPa", "temperature_K": "T"},
            "degrees Celsius",
        ),
        ("formula,YS\n" + "".join(f"NbMo{k},{900 + k}\n" for k in range(1, 12)), {"target": "YS"}, "no unit is known"),
        ("formula,YS\nNbMo,900.5\nNbTa,800\n", {"target": "YS"}, "no unit is known"),
        ("formula,formula,phase\nNbMo,NbTa,BCC\nNbW,NbV,FCC\n", {"target": "phase"}, "more than one column"),
        ("formula,ys_MPa,T\nNbMo,900,RT\n", {"target": "ys_MPa", "temperature_K": "T"}, "line 2: 'T' is 'RT'"),
    ],
)
def test_what_is_refused(written, text, options, words):
    with pytest.raises(InputError, match=words) as caught:
        user_table(written(text), **options)
    assert "\n" not in str(caught.value)


def test_a_column_of_row_numbers_is_no_nobelium(written):
    table = user_table(written("No,Nb,Mo,phase\n1,50,50,BCC\n2,40,60,multi\n"), target="phase")
    assert table.elements == ("Mo", "Nb") and table.fractions[0].tolist() == [0.5, 0.5]


def test_the_target_is_no_element_of_the_alloy(written):
    table = user_table(written("Nb,Mo,V\n50,50,BCC\n40,60,multi\n"), target="V")
    assert table.elements == ("Mo", "Nb")


def test_numbered_classes_are_classes(written):
    table = user_table(written("formula,phase\nNbMo,0\nNbTa,1\nNbW,2\n"), target="phase")
    assert table.classes == ("0", "1", "2") and table.value is None


def test_lines_are_those_of_the_file(written):
    read = read_user_table(
        written('formula,"what\nphase"\nNbMo,BCC\n\n\nNbQq,BCC\nNbTa,FCC\n'), Columns(target="what\nphase")
    )
    assert read.lines.tolist() == [3, 7] and read.unreadable[0].startswith("line 6: ")


def test_unknown_columns_and_units_name_the_nearest(written, tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'phase'"):
        user_table(written(GOOD), target="phases")
    with pytest.raises(UnknownNameError, match="unknown unit 'Hv'"):
        user_table(written(GOOD), target="phase", unit="Hv")
    with pytest.raises(MissingFileError, match="no such file"):
        user_table(tmp_path / "none.csv", target="phase")
    binary = tmp_path / "x.csv"
    binary.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(HEAError, match="UTF-8"):
        user_table(binary, target="phase")


def test_many_bad_lines_are_counted(written):
    path = written("formula,phase\n" + "NbQq,BCC\n" * 9 + "NbTa,FCC\n")
    with pytest.raises(InputError, match=r"line 2.*line 3.*line 4.*and 6 lines more"):
        user_table(path, target="phase")


@pytest.mark.parametrize(
    "text, note",
    [
        ("Al0.5CoCrFeNi", ()),
        ("Al20Co20Cr20Fe20Ni20", ()),
        ("Al10Co80", ("the amounts sum to 90; read as per cent and normalised to 100",)),
        ({"Al": 0.2, "Co": 0.7}, ("the amounts sum to 0.9; read as fractions and normalised to 1",)),
        ("AlCo", ()),
        ("Al33.3Co33.3Ni33.3", ()),
    ],
)
def test_sums_that_miss_are_noted(text, note):
    alloy, said = read_alloy(text)
    assert said == note and sum(alloy.values()) == pytest.approx(1)
