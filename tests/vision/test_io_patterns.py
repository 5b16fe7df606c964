"""Patterns: contracts, known answers, bad input, round trips."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.errors import HEAError, InputError, MissingFileError, UnknownNameError
from hea_sim.records import Pattern
from hea_vision.io import PATTERN_SUFFIXES, read_pattern, write_pattern
from hea_vision.io.columns import find_splitter

X = np.arange(20.0, 90.0, 0.5)
Y = 100 + 50 * np.cos(X) ** 2


def rows(x=X, y=Y, sep=" "):
    return "".join(f"{a:.4f}{sep}{b:.3f}\n" for a, b in zip(x, y))


def save(folder, text, name="scan.xy"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


def xrdml(body=None, *, ratio="0.5000", anode="Cu", first="1.5405980", scans=1, extra="", axis="Gonio"):
    n = len(X)
    body = body or (
        f'<positions axis="2Theta" unit="deg"><startPosition>{X[0]}</startPosition>'
        f"<endPosition>{X[-1]}</endPosition></positions>"
        f'<counts unit="counts">{" ".join(f"{v:.0f}" for v in Y)}</counts>{extra}'
    )
    assert n == len(Y)
    scan = f'<scan scanAxis="{axis}" status="Completed"><dataPoints>{body}</dataPoints></scan>'
    return (
        '\ufeff<?xml version="1.0"?><xrdMeasurements xmlns="http://www.xrdml.com/XRDMeasurement/2.1">'
        '<xrdMeasurement><usedWavelength intended="K-Alpha 1">'
        f'<kAlpha1 unit="Angstrom">{first}</kAlpha1><ratioKAlpha2KAlpha1>{ratio}</ratioKAlpha2KAlpha1>'
        f"</usedWavelength><xRayTube><anodeMaterial>{anode}</anodeMaterial></xRayTube>{scan * scans}"
        "</xrdMeasurement></xrdMeasurements>"
    )


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (rows(), "a.xy"),
        (rows(sep="\t").replace("\n", "\t1.0\r\n"), "a.xye"),
        ("# 2Theta,Counts\n" + rows(sep=", "), "a.csv"),
        ("Angle;Intensity\n" + rows(sep=";").replace(".", ","), "a.csv"),
        (
            "no,2theta (deg),counts\n" + "".join(f"{i},{a},{b}\n" for i, (a, b) in enumerate(zip(X, Y))),
            "a.csv",
        ),
        ("Intensity,2Theta\n" + "".join(f"{b},{a}\n" for a, b in zip(X, Y)), "a.csv"),
        (rows(sep="  ").replace(".", ","), "a.txt"),
        ("\n\n! comment\n" + rows() + "\n\x1a", "a.dat"),
        (rows().encode("utf-16"), "a.txt"),
        (xrdml(), "a.xrdml"),
    ],
)
def test_every_layout_gives_the_same_points(tmp_path, text, name):
    pattern = read_pattern(save(tmp_path, text, name))
    np.testing.assert_allclose(pattern.two_theta_deg, X, atol=1e-4)
    np.testing.assert_allclose(pattern.intensity, Y, atol=0.51 if name.endswith("xrdml") else 1e-3)
    assert len(pattern.sha256) == 64 and pattern.source.endswith(name)


@pytest.mark.parametrize(
    ("head", "radiation", "wavelength"),
    [
        ('\'Id: "" Operator: "Bruker" Anode: "Co" Scantype: "TwoTheta"', "CoKa", None),
        ("# radiation: MoKa", "MoKa", None),
        ("Anode material,Cu", "CuKa", None),
        ("K-Alpha1 wavelength,1.5405980", "CuKa", None),
        ("# wavelength: 0.41328 A", None, 0.41328),
        ("_WL1=1.788970", "CoKa", None),
        ("# Copper mould, cast", None, None),
        ("", None, None),
    ],
)
def test_the_files_own_statement_counts_and_nothing_is_invented(tmp_path, head, radiation, wavelength):
    pattern = read_pattern(save(tmp_path, head + "\n" + rows()))
    assert (pattern.radiation, pattern.wavelength_A) == (radiation, wavelength)
    assert ("radiation_from" in pattern.metadata) == bool(radiation or wavelength)


def test_the_users_word_wins_and_is_noted(tmp_path):
    path = save(tmp_path, 'Anode: "Co"\n' + rows())
    assert "radiation_note" not in read_pattern(path, radiation="CoKa").metadata
    pattern = read_pattern(path, radiation="Cu")
    assert pattern.radiation == "CuKa" and "CoKa" in pattern.metadata["radiation_note"]
    pattern = read_pattern(path, wavelength_A=0.5)
    assert (pattern.radiation, pattern.wavelength_A) == (None, 0.5) and pattern.metadata["radiation_note"]


def test_wrong_radiation_arguments(tmp_path):
    path = save(tmp_path, rows())
    with pytest.raises(UnknownNameError, match="CuKa"):
        read_pattern(path, radiation="CuKb")
    with pytest.raises(InputError, match="one of the two"):
        read_pattern(path, radiation="CuKa", wavelength_A=1.5)
    for bad in (0.0, -1.0, float("nan"), 1540.0):
        with pytest.raises(InputError, match="wavelength"):
            read_pattern(path, wavelength_A=bad)


def test_xrdml_details(tmp_path):
    two = read_pattern(save(tmp_path, xrdml(scans=2), "a.xrdml"))
    one = read_pattern(save(tmp_path, xrdml(), "a.xrdml"))
    assert "2 scans" in two.metadata["scans_note"] and two.radiation == "CuKa"
    np.testing.assert_array_equal(two.intensity, 2 * one.intensity)  # repeats are summed
    single = read_pattern(save(tmp_path, xrdml(ratio="0"), "a.xrdml"))
    assert (single.radiation, single.wavelength_A) == (None, 1.540598)
    factors = " ".join(["1"] * 10 + ["20"] * (len(X) - 10))
    extra = f"<beamAttenuationFactors>{factors}</beamAttenuationFactors>"
    weak = read_pattern(save(tmp_path, xrdml(extra=extra), "a.xrdml"))
    np.testing.assert_allclose(weak.intensity[10:], 20 * one.intensity[10:])
    np.testing.assert_allclose(weak.intensity[:10], one.intensity[:10])


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE x [<!ENTITY a "b">]>' + xrdml()[22:],
        '<?xml version="1.0"?><!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>',
        "<svg/>",
        "plain text",
        xrdml()[:-400],
        xrdml("<counts>1 2 3</counts>"),
        xrdml('<positions axis="2Theta"><startPosition>x</startPosition></positions><counts>1 2</counts>'),
        xrdml(extra="<beamAttenuationFactors>1 2</beamAttenuationFactors>"),
        "<a>" * 100_000,
    ],
)
def test_bad_xrdml(tmp_path, text):
    expect_one_line(save(tmp_path, text, "bad.xrdml"))


def expect_one_line(path, match=None, error=InputError):
    with pytest.raises(error, match=match) as caught:
        read_pattern(path)
    message = str(caught.value)
    assert path.name in message and "\n" not in message and len(message) < 400 + len(str(path))
    return message


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (rows(Y + 1e-3 * X, X), "swapped"),
        (rows(X[[3, 1, 2, *range(4, len(X))]], [*Y[3:], 1.0]), "jump"),
        (rows(np.r_[X, X], np.r_[Y, Y]), "several scans"),
        (rows(np.repeat(X, 2), np.repeat(Y, 2) + np.tile([0, 5], len(X))), "repeated"),
        (rows(y=np.where(X == 30, np.nan, Y)), "not a finite"),
        (rows(y=np.where(X == 30, np.inf, Y)), "not a finite"),
        (rows(X[:20], Y[:20]), "at least 50"),
        (rows(y=-Y), "above zero"),
        (rows(X + 200), "between 0 and 180"),
        (rows(np.radians(X), Y), "multiply by 57"),
        (rows() + "broken row\n", "line 141"),
        ("Q,Intensity\n" + rows(X / 10, Y, ","), "2-theta"),
        ("only words here\n" * 5, "no row of two numbers"),
        (b"\x00\x01\x02" * 500, "binary"),
        (bytes(range(256)) * 20, "binary"),
        (b"", "empty"),
        ("\n\n", "no row"),
    ],
)
def test_bad_text_names_file_and_mend(tmp_path, text, match):
    expect_one_line(save(tmp_path, text), match)


def test_descending_scans_are_turned_round(tmp_path):
    pattern = read_pattern(save(tmp_path, rows(X[::-1], Y[::-1])))
    np.testing.assert_allclose(pattern.two_theta_deg, X, atol=1e-4)
    np.testing.assert_allclose(pattern.intensity, Y, atol=1e-3)
    assert "turned round" in pattern.metadata["order_note"]


def test_paths(tmp_path):
    expect_one_line(tmp_path / "none.xy", "does not exist", MissingFileError)
    message = expect_one_line(save(tmp_path, rows(), "a.zzz"), "suffix")
    assert all(suffix in message for suffix in PATTERN_SUFFIXES)
    expect_one_line(tmp_path, "folder")
    with pytest.raises(InputError):
        read_pattern("a\0b.xy")


def test_absurd_size_is_refused(tmp_path):
    path = tmp_path / "big.xy"
    with open(path, "wb") as stream:
        stream.truncate(65 * 2**20)
    expect_one_line(path, "too large")


def test_write_needs_its_suffix(tmp_path):
    with pytest.raises(InputError, match=r"\.xy"):
        write_pattern(tmp_path / "a.csv", Pattern(two_theta_deg=X, intensity=Y))


@settings(max_examples=25, deadline=None)
@given(
    start=st.floats(0, 60),
    step=st.floats(0.07, 1.0),
    values=st.lists(st.floats(0, 1e7), min_size=60, max_size=80).filter(any),
    source=st.sampled_from(["CuKa", "CoKa", "AgKa", 0.41, 1.540598, None]),
)
def test_round_trip_is_exact(tmp_path_factory, start, step, values, source):
    x = start + step * np.arange(len(values))
    named = {"radiation": source} if isinstance(source, str) else {"wavelength_A": source}
    pattern = Pattern(two_theta_deg=x, intensity=np.array(values), source="a\nb: Anode Fe", **named)
    path = write_pattern(tmp_path_factory.mktemp("rt") / "a.xy", pattern)
    again = read_pattern(path)
    assert np.array_equal(again.two_theta_deg, x) and np.array_equal(again.intensity, values)
    assert again.wavelength_A == pattern.wavelength_A
    assert again.radiation == pattern.radiation


@settings(max_examples=120, deadline=None)
@given(data=st.binary(max_size=600), suffix=st.sampled_from(PATTERN_SUFFIXES))
def test_random_bytes_give_only_our_errors(tmp_path_factory, data, suffix):
    path = save(tmp_path_factory.getbasetemp(), data, f"random{suffix}")
    with pytest.raises(HEAError):
        read_pattern(path)


@settings(max_examples=120, deadline=None)
@given(
    text=st.lists(st.text("0123456789.,;-+e \t#'nafi\"", max_size=14), min_size=45, max_size=70),
    suffix=st.sampled_from(PATTERN_SUFFIXES),
)
def test_random_tables_give_a_pattern_or_our_errors(tmp_path_factory, text, suffix):
    path = save(tmp_path_factory.getbasetemp(), "\n".join(text), f"table{suffix}")
    try:
        pattern = read_pattern(path)
    except HEAError as error:
        assert "\n" not in str(error)
    else:
        assert np.all(np.diff(pattern.two_theta_deg) > 0)


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(1, 2000), junk=st.binary(max_size=20))
def test_damaged_xrdml_gives_a_pattern_or_our_errors(tmp_path_factory, cut, junk):
    raw = xrdml().encode()
    path = save(tmp_path_factory.getbasetemp(), raw[:cut] + junk + raw[cut + len(junk) :], "damaged.xrdml")
    try:
        read_pattern(path)
    except HEAError as error:
        assert "\n" not in str(error)


def test_splitter_refuses_words_and_underscores():
    assert find_splitter("1_000 2") is None and find_splitter("abc def") is None
    assert find_splitter("10.0\t5\t6")("1\t2\t3") == [1.0, 2.0, 3.0]
