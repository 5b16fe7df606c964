"""Composition tables: units, dropped rows, errors of correlated means."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.alloy import Composition
from hea_sim.errors import HEAError, InputError, MissingFileError, UnknownNameError
from hea_vision.io import mean_composition, read_composition_table
from hea_vision.io.composition_tables import blocked_error


def save(folder, text, name="line.txt"):
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        '"Ni","Al"\r\n70.0,30.0\r\n70,30\r\n',
        "x (um);Ni;Al\n0;70,0;30,0\n1;70;30\n",
        "Ni\tAl\n70\t30\n70\t30",
        "Ni Wt%, Al Wt%\n70,30\n70,30\n",
        "Ni Wt%,Ni At%,Al Wt%,Al At%\n70,51.8,30,48.2\n70,51.8,30,48.2\n",
        "X,Y,Ni,Al\n1,2,70,30\n1,3,70,30\n",
        "Ni K,Al K,note\n70,30,0\n70,30,1\n",
    ],
)
def test_weight_percent_is_converted(tmp_path, text):
    table = read_composition_table(save(tmp_path, text), unit="wt.%")
    expected = Composition.from_weight({"Ni": 70.0, "Al": 30.0})
    assert table.elements == ("Ni", "Al") and table.atomic_fractions.shape == (2, 2)
    np.testing.assert_allclose(table.atomic_fractions[0], [expected["Ni"], expected["Al"]])
    mean = mean_composition(table)
    assert mean["Al"].value == pytest.approx(100 * expected["Al"]) and mean["Al"].unit == "at.%"
    assert mean["Al"].std == 0 and mean["Al"].n == 2


def test_rows_that_are_no_analysis_are_dropped_and_counted(tmp_path):
    table = read_composition_table(save(tmp_path, "Ni,Al\n0,0\n70,32\n9,9\n-20,120\n50,50\n"), unit="at.%")
    assert table.n_dropped == 3 and table.atomic_fractions.shape == (2, 2)
    np.testing.assert_allclose(table.atomic_fractions.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("Ni,Al\n700,300\n", "sums to 1000"),
        ("Ni,Al\n", "no rows"),
        ("a,b\n1,2\n", "element"),
        ("Ni,Al\n70\n", "2 numbers"),
        ("Ni,Al\n70,x\n", "2 numbers"),
        ("Ni,Ni,Al\n70,1,30\n", "two columns"),
        ("Ni at.%,Al at.%\n70,30\n", "wt.%"),
    ],
)
def test_bad_tables(tmp_path, text, match):
    path = save(tmp_path, text)
    with pytest.raises(InputError, match=match) as caught:
        read_composition_table(path, unit="wt.%")
    assert path.name in str(caught.value) and "\n" not in str(caught.value)


def test_arguments(tmp_path):
    path = save(tmp_path, "Ni,Al\n70,30\n")
    with pytest.raises(UnknownNameError, match=r"at\.%"):
        read_composition_table(path, unit="at%")
    with pytest.raises(TypeError):
        read_composition_table(path)
    with pytest.raises(MissingFileError):
        read_composition_table(tmp_path / "no.csv", unit="at.%")
    one = mean_composition(read_composition_table(path, unit="at.%"))["Ni"]
    assert (one.value, one.std, one.n) == (pytest.approx(70), None, 1)


def test_error_of_white_noise_is_the_plain_one():
    rng = np.random.default_rng(1)
    errors = [blocked_error(rng.normal(size=256))[0] for _ in range(60)]
    assert 1 / 16 < np.mean(errors) < 1.35 / 16


def test_error_of_a_correlated_line_is_larger():
    rng = np.random.default_rng(2)
    rho, n = 0.8, 512
    true = np.sqrt((1 + rho) / (1 - rho) / n)
    means, errors = [], []
    for _ in range(100):
        noise = rng.normal(size=n) * np.sqrt(1 - rho**2)
        series = np.empty(n)
        series[0] = rng.normal()
        for i in range(1, n):
            series[i] = rho * series[i - 1] + noise[i]
        means.append(series.mean())
        errors.append(blocked_error(series)[0])
    assert np.std(means) == pytest.approx(true, rel=0.25)
    assert 0.85 * true < np.mean(errors) < 1.5 * true


@settings(max_examples=100, deadline=None)
@given(data=st.one_of(st.binary(max_size=300), st.text("NiAl,;\t\n0123456789.-%", max_size=200).map(str.encode)))
def test_random_tables_give_only_our_errors(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "random.csv"
    for head in (b"", b"Ni,Al\n"):
        path.write_bytes(head + data)
        try:
            table = read_composition_table(path, unit="at.%")
        except HEAError as error:
            assert "\n" not in str(error)
        else:
            np.testing.assert_allclose(table.atomic_fractions.sum(axis=1), 1)
            mean_composition(table)
