"""Every format of an instrument gives the points that were written; damage of any kind gives one clear line."""

import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.errors import HEAError, InputError, UnknownNameError
from hea_sim.records import Pattern
from hea_vision.io import PATTERN_SUFFIXES, pattern_from_arrays, read_pattern, read_patterns, write_pattern

from . import pattern_files as made
from .pattern_files import TIME_S, WHOLE, X, Y


def save(folder, content, name):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def expect(path, match, error=InputError, **options):
    with pytest.raises(error, match=match) as caught:
        read_pattern(path, **options)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500 + len(str(path))


@pytest.mark.parametrize("name", WHOLE)
def test_every_format_gives_the_points_that_were_written(tmp_path, name):
    pattern = read_pattern(save(tmp_path, WHOLE[name], name))
    np.testing.assert_allclose(pattern.two_theta_deg, X, atol=6e-5)  # four decimals, or a 4-byte step
    np.testing.assert_allclose(pattern.intensity, Y, atol=0.06 if name == "esd.gsa" else 1e-3)
    assert len(pattern.sha256) == 64 and pattern.metadata["format"]
    if not (name.endswith((".gsas", ".gsa", ".fxye")) or name == "gsas.raw"):  # GSAS says neither tube nor time
        assert (pattern.radiation, pattern.wavelength_A) == ("CuKa", None)
        assert pattern.metadata["counting_time_s"] == pytest.approx(TIME_S)


def test_counts_are_believed_only_where_the_format_says_so_and_the_numbers_agree(tmp_path):
    silent = {"esd.gsa", "a.fxye"}  # their intensities have errors of their own
    for name, content in WHOLE.items():
        counts = read_pattern(save(tmp_path, content, name)).metadata.get("counts", False)
        assert counts is (name not in silent), name
    smooth = np.round(1000 + 500 * np.cos(X))  # whole numbers without noise were never counted
    for y in (smooth, 5 * Y, Y + 0.5, Y - 400):
        assert "counts" not in read_pattern(save(tmp_path, made.raw3(((X, y),)), "a.raw")).metadata


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (made.gsas(counters=4), "a.gsas"),
        (made.gsas(records="ESD"), "a.gsas"),
        (made.gsas(records="FXYE"), "a.gsas"),
        (made.pdcif(su=20, y_name="_pd_meas_intensity_total"), "a.cif"),
        ("".join(f"{a:.4f} {b:.1f} {np.sqrt(b):.4f}\n" for a, b in zip(X, Y)), "a.xye"),
        ("2theta,counts,esd\n" + "".join(f"{a:.4f},{b:.1f},{np.sqrt(b):.4f}\n" for a, b in zip(X, Y)), "a.csv"),
    ],
)
def test_standard_deviations_are_carried(tmp_path, content, name):
    pattern = read_pattern(save(tmp_path, content, name))
    root = np.sqrt(Y)
    expected = root / 2 if b"4" == content[164:166].strip() else root
    if name == "a.cif":
        expected = np.full(Y.size, 20.0)
    np.testing.assert_allclose(pattern.intensity_std, expected, atol=0.06)


def test_standard_deviations_survive_writing_and_senseless_ones_are_left_out(tmp_path):
    pattern = Pattern(two_theta_deg=X, intensity=Y, intensity_std=np.sqrt(Y))
    again = read_pattern(write_pattern(tmp_path / "a.xy", pattern))
    assert np.array_equal(again.intensity_std, np.sqrt(Y)) and np.array_equal(again.intensity, Y)
    text = "".join(f"{a} {b} 0\n" for a, b in zip(X, Y))
    zero = read_pattern(save(tmp_path, text, "a.xye"))
    assert zero.intensity_std is None and "left out" in zero.metadata["std_note"]
    for bad in (np.zeros(Y.size), np.full(Y.size, np.nan), np.ones(3)):
        with pytest.raises(InputError, match="standard deviations"):
            Pattern(two_theta_deg=X, intensity=Y, intensity_std=bad)


# Several scans


MULTI = {
    "v1.raw": lambda scans: made.raw1(scans),
    "unmarked.raw": lambda scans: made.raw1(scans, marks=False),
    "v2.raw": made.raw2,
    "v3.raw": made.raw3,
    "v4.raw": made.raw4,
    "a.uxd": made.uxd,
    "a.xrdml": made.xrdml,
    "a.ras": lambda scans: made.ras(*(made.ras_scan(x, y) for x, y in scans)),
    "a.rasx": lambda scans: made.rasx(*(made.rasx_members(x, y, i=i) for i, (x, y) in enumerate(scans))),
    "a.brml": lambda scans: made.brml(*(made.brml_scan(x, y) for x, y in scans)),
}


@pytest.mark.parametrize("name", MULTI)
def test_repeats_are_summed_and_other_scans_are_asked_for(tmp_path, name):
    repeats = save(tmp_path, MULTI[name](((X, Y), (X, Y[::-1]))), name)
    summed = read_pattern(repeats)
    np.testing.assert_allclose(summed.intensity, Y + Y[::-1])
    assert "2 scans" in summed.metadata["scans_note"]
    assert summed.metadata["counting_time_s"] == pytest.approx(2 * TIME_S)
    both = read_patterns(repeats)
    assert [p.metadata["scan"] for p in both] == [0, 1]
    np.testing.assert_allclose(both[1].intensity, Y[::-1])

    path = save(tmp_path, MULTI[name](((X, Y), (X + 30, Y))), name)
    expect(path, r"2 scans.*0 from 20 to 25.95 deg, 120 points; 1 from 50.*scan=N")
    np.testing.assert_allclose(read_pattern(path, scan=1).two_theta_deg, X + 30, atol=1e-4)
    for wrong in (2, -1, True, 1.0, "1"):
        expect(path, "from 0 to 1", scan=wrong)


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (made.raw3(((X, Y), (X, Y)), chi=(0, 30)), "a.raw", "chi 30"),
        (made.raw4(((X, Y), (X, Y)), chi=(0, 30)), "a.raw", "Chi 30"),
        (made.uxd(((X, Y), (X, Y)), khi=(0, 30)), "a.uxd", "khi 30"),
        (made.xrdml(((X, Y), (X, Y)), phi=(0, 30)), "a.xrdml", "Phi 30"),
        (made.ras(made.ras_scan(), made.ras_scan(phi="30.0")), "a.ras", "Phi 30"),
        (made.rasx(made.rasx_members(), made.rasx_members(i=1, omega="30.0")), "a.rasx", "Omega 30"),
        (made.brml(made.brml_scan(), made.brml_scan(phi=30)), "a.brml", "Phi 30"),
        (made.brml(made.brml_scan(temperature=25), made.brml_scan(temperature=300)), "a.brml", "ActualTemperature 300"),
    ],
)
def test_scans_under_other_conditions_are_no_repeats(tmp_path, content, name, said):
    path = save(tmp_path, content, name)
    expect(path, said)
    assert len(read_patterns(path)) == 2


def test_scans_that_are_no_pattern_are_passed_over(tmp_path):
    path = save(tmp_path, made.raw3(((X[:10], Y[:10]), (X, Y))), "a.raw")
    assert "one of them is a pattern" in read_pattern(path).metadata["scans_note"]
    assert [p.metadata["scan"] for p in read_patterns(path)] == [1]
    expect(path, "at least 50", scan=0)
    expect(save(tmp_path, made.raw3(kind=3), "rock.raw"), "along 2-theta")
    expect(save(tmp_path, made.raw4(scan_type=b"Rocking Curve"), "rock.raw"), "along 2-theta")
    expect(save(tmp_path, made.uxd(drive="THETA"), "a.uxd"), "along 2-theta")
    expect(save(tmp_path, made.ras(made.ras_scan(axis="Omega")), "a.ras"), "along 2-theta")
    expect(save(tmp_path, made.rasx(made.rasx_members(axis="Phi")), "a.rasx"), "along 2-theta")


# Details of formats


def test_radiation_is_what_the_file_says(tmp_path):
    cases = [
        (made.raw2(anode=b"CO"), "a.raw", "CoKa", None),
        (made.raw3(ratio=0.0), "a.raw", None, 1.5406),
        (made.raw3(anode=b""), "a.raw", "CuKa", None),
        (made.raw4(anode=b"Mo"), "a.raw", "MoKa", None),
        (made.ras(made.ras_scan(wave="Ka1")), "a.ras", None, 1.5406),
        (made.rasx(made.rasx_members(wave="Ka1")), "a.rasx", None, 1.5406),
        (made.brml(made.brml_scan(anode="Cr")), "a.brml", "CrKa", None),
        (made.gsas(title="wavelength: 0.41328 A"), "a.gsas", None, 0.41328),
        (made.gsas(), "a.gsas", None, None),
    ]
    for content, name, radiation, wavelength in cases:
        pattern = read_pattern(save(tmp_path, content, name))
        assert (pattern.radiation, pattern.wavelength_A) == (radiation, wavelength), name
    over = read_pattern(save(tmp_path, made.raw3(), "a.raw"), radiation="CoKa")
    assert over.radiation == "CoKa" and "CuKa" in over.metadata["radiation_note"]


def test_bruker_records_wider_than_a_float_and_extra_headers(tmp_path):
    for content in (made.raw3(stride=12, extra=40), made.raw4(stride=8), made.raw2(header=100)):
        np.testing.assert_allclose(read_pattern(save(tmp_path, content, "a.raw")).intensity, Y)


def test_brml_without_views_and_with_an_absorber(tmp_path):
    old = read_pattern(save(tmp_path, made.brml(made.brml_scan(views=False)), "a.brml"))
    np.testing.assert_allclose(old.intensity, Y)
    weak = read_pattern(save(tmp_path, made.brml(made.brml_scan(absorption=8.3)), "a.brml"))
    np.testing.assert_allclose(weak.intensity, Y)  # the file's numbers are corrected already
    assert "counts" not in weak.metadata and "absorber" in weak.metadata["attenuation_note"]


def test_ras_attenuation_comments_and_missing_end_mark(tmp_path):
    weak = read_pattern(save(tmp_path, made.ras(made.ras_scan(attenuation=10.0)), "a.ras"))
    np.testing.assert_allclose(weak.intensity, 10 * Y)
    assert "counts" not in weak.metadata
    whole = save(tmp_path, made.ras(made.ras_scan(end=False), end=False), "a.ras")
    np.testing.assert_allclose(read_pattern(whole).intensity, Y)
    expect(save(tmp_path, whole.read_bytes()[:-60], "a.ras"), "ends within a scan")


def test_uxd_without_listed_angles(tmp_path):
    pattern = read_pattern(save(tmp_path, made.uxd(mark="_COUNTS"), "a.uxd"))
    np.testing.assert_allclose(pattern.two_theta_deg, X, atol=1e-5)
    assert read_pattern(save(tmp_path, made.uxd(mark="_CPS"), "a.uxd")).metadata["unit"] == "cps"


def test_gsas_times_of_flight_and_odd_titles(tmp_path):
    expect(save(tmp_path, made.gsas(binning="SLOG", records="FXYE"), "a.gsa"), "time-of-flight")
    expect(save(tmp_path, made.gsas(n=200), "a.gsa"), "120 points of 200")
    odd = made.gsas().replace(b"SPECIMEN", b"\x82X\x00\x1d\x80\x00oo")
    np.testing.assert_allclose(read_pattern(save(tmp_path, odd, "a.gsas")).intensity, Y)


def test_pdcif_axes_and_gaps(tmp_path):
    d = made.ALPHA1 / (2 * np.sin(np.radians(X / 2)))
    for x, name in (
        (4 * np.pi * np.sin(np.radians(X / 2)) / made.ALPHA1, "_pd_proc_recip_len_Q"),
        (d, "_pd_proc_d_spacing"),
    ):
        lines = made.pdcif(x, x_name=name).decode()
        pattern = read_pattern(save(tmp_path, lines, "a.cif"), wavelength_A=made.ALPHA1)
        np.testing.assert_allclose(pattern.two_theta_deg, X, atol=2e-3)  # four decimals of q or d
    gap = made.pdcif().replace(f"{X[5]:.4f}  {Y[5]:.0f}".encode(), f"{X[5]:.4f}  .".encode())
    pattern = read_pattern(save(tmp_path, gap, "a.cif"))
    assert pattern.two_theta_deg.size == X.size - 1 and "1 of 120" in pattern.metadata["rows_note"]
    neutrons = made.pdcif().replace(b"x-ray", b"neutron")
    assert read_pattern(save(tmp_path, neutrons, "a.cif")).metadata["probe"] == "neutron"
    expect(
        save(tmp_path, "data_NaCl\n_cell_length_a 5.64\nloop_\n_atom_site_label\nNa1\nCl1\n", "a.cif"),
        "no powder profile",
    )
    expect(save(tmp_path, made.pdcif(x_name="", n=60), "a.cif"), "cut short")


# Abscissae


@pytest.mark.parametrize(
    ("header", "axis", "factor"),
    [
        ("# q_A^-1 I", None, 1.0),
        ("Q (1/Å),Intensity", None, 1.0),
        ("# q_nm^-1  I  sigma", None, 10.0),
        ("q;counts", "q_per_nm", 10.0),
        ("", "q_per_A", 1.0),
    ],
)
def test_q_becomes_two_theta_with_a_wavelength_that_is_asked_for(tmp_path, header, axis, factor):
    q = factor * np.linspace(1.0, 6.0, 200)
    sep = "," if "," in header else ";" if ";" in header else " "
    third = f"{sep}2.0" if "sigma" in header else ""
    rows = "".join(f"{float(a)!r}{sep}{5 + np.sin(a):.4f}{third}\n" for a in q)
    path = save(tmp_path, f"{header}\n{rows}", "a.csv" if sep != " " else "a.dat")
    expect(path, "wavelength", axis=axis)
    pattern = read_pattern(path, wavelength_A=0.5, axis=axis)
    np.testing.assert_allclose(4 * np.pi / 0.5 * np.sin(np.radians(pattern.two_theta_deg / 2)), q / factor, rtol=1e-12)
    assert "0.5 A" in pattern.metadata["axis_note"] and (pattern.intensity_std is not None) == bool(third)
    tube = read_pattern(path, radiation="MoKa", axis=axis)
    assert tube.radiation == "MoKa" and "0.7093" in tube.metadata["axis_note"]
    expect(path, "cannot be reached", wavelength_A=4.9, axis=axis)


def test_axis_is_named_rightly_or_refused(tmp_path):
    rows = "".join(f"{a} {b}\n" for a, b in zip(np.linspace(1, 6, 100), Y))
    expect(save(tmp_path, "Q,Intensity\n" + rows.replace(" ", ","), "a.csv"), "axis='q_per_A'")
    expect(save(tmp_path, rows, "a.xy"), "two_theta_deg", UnknownNameError, axis="q")
    d = read_pattern(save(tmp_path, rows, "a.xy"), axis="d_A", wavelength_A=0.5)
    assert d.two_theta_deg[0] == pytest.approx(2 * np.degrees(np.arcsin(0.5 / 12)))


# Arrays in memory


def test_arrays_of_any_kind_make_the_same_pattern():
    pandas = pytest.importorskip("pandas")

    expected = Pattern(two_theta_deg=X, intensity=Y)
    for x, y in (
        (X, Y),
        (X.tolist(), Y.tolist()),
        (pandas.Series(X), pandas.Series(Y.astype(int))),
        (X[::-1], Y[::-1]),
    ):
        got = pattern_from_arrays(x, y, radiation="Co", std=np.sqrt(np.asarray(y, float)))
        assert np.array_equal(got.two_theta_deg, expected.two_theta_deg) and np.array_equal(got.intensity, Y)
        assert got.radiation == "CoKa" and got.source == "memory" and np.array_equal(got.intensity_std, np.sqrt(Y))
        assert "counts" not in got.metadata


@pytest.mark.parametrize(
    ("x", "y", "match"),
    [
        (X[[1, 0, *range(2, X.size)]], Y, "jump"),
        (np.repeat(X, 2), np.repeat(Y, 2) + np.tile([0, 1], Y.size), "repeated"),
        (np.where(X == X[3], np.nan, X), Y, "angle of point 4"),
        (X, np.where(X == X[3], np.inf, Y), "intensity of point 4"),
        (np.radians(X), Y, "multiply by 57"),
        (X[:20], Y[:20], "at least 50"),
        (X, Y[:-1], "one length"),
        (X, -Y, "above zero"),
        (["a"] * 60, range(60), "no plain numbers"),
        ([[1, 2], [3]], [1, 2], "no plain numbers"),
        (np.ones((60, 2)), Y, "shape"),
        (5.0, Y, "shape"),
        (X + 1j, Y, "no plain numbers"),
    ],
)
def test_senseless_arrays(x, y, match):
    with pytest.raises(InputError, match=match) as caught:
        pattern_from_arrays(x, y, source="memory")
    assert "memory" in str(caught.value)


# Damage


def try_to_read(path):
    for read in (read_pattern, read_patterns):
        try:
            read(path)
        except HEAError as error:
            assert "\n" not in str(error) and len(str(error)) < 500 + len(str(path))


@pytest.mark.parametrize("name", WHOLE)
def test_files_cut_short_anywhere_are_refused_or_still_whole(tmp_path, name):
    content = WHOLE[name]
    lengths = range(1, len(content)) if len(content) < 3000 else [*range(1, 400), *range(400, len(content), 13)]
    path, binary = tmp_path / name, name.startswith("v") or name.endswith(("brml", "rasx", "xrdml"))
    for length in lengths:
        path.write_bytes(content[:length])
        try:
            pattern = read_pattern(path)
        except HEAError as error:
            assert "\n" not in str(error)
        else:  # only formats whose rows tell no count can be shorter unnoticed
            assert not binary and np.array_equal(pattern.intensity[:-1], Y[: pattern.intensity.size - 1])


@settings(max_examples=250, deadline=None)
@given(
    name=st.sampled_from(sorted(WHOLE)),
    edits=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=6),
    head_only=st.booleans(),
)
def test_flipped_bytes_give_a_pattern_or_our_errors(tmp_path_factory, name, edits, head_only):
    content = bytearray(WHOLE[name])
    for place, value in edits:
        content[int(place * min(len(content), 300 if head_only else len(content)))] = value
    try_to_read(save(tmp_path_factory.getbasetemp(), bytes(content), f"flipped_{name}"))


@settings(max_examples=200, deadline=None)
@given(
    head=st.sampled_from(
        [b"RAW ", b"RAW2", b"RAW1.01\0", b"RAW4.00\0", b"BANK 1 ", b"PK\x03\x04", b"*RAS_", b"data_a\nloop_ "]
    ),
    body=st.binary(max_size=1500),
    suffix=st.sampled_from((*PATTERN_SUFFIXES, ".cif")),
)
def test_random_content_behind_a_true_mark(tmp_path_factory, head, body, suffix):
    try_to_read(save(tmp_path_factory.getbasetemp(), head + body, f"marked{suffix}"))


@settings(max_examples=60, deadline=None)
@given(content=st.text("_;'\"# \nloop_data_pd12.()e-", max_size=400))
def test_random_cif_text(tmp_path_factory, content):
    try_to_read(save(tmp_path_factory.getbasetemp(), "data_x\n" + content, "random.cif"))


def test_absurd_counts_in_headers_allocate_nothing(tmp_path):
    huge = 2**32 - 1
    v1, v4 = bytearray(made.raw1()), bytearray(made.raw4())
    struct.pack_into("<I", v1, 4, huge)
    at = v4.index(b"Locked") - 32
    struct.pack_into("<I", v4, at + 88, huge)
    many = bytearray(made.raw3())
    struct.pack_into("<I", many, 12, huge)
    for content in (v1, v4, made.raw3(n=huge)):
        expect(save(tmp_path, bytes(content), "a.raw"), "cut short")
    expect(save(tmp_path, bytes(many), "a.raw"), "at most 5000")
    expect(save(tmp_path, made.gsas(n=10**8), "a.gsa"), "cut short")


def test_archives_that_lie(tmp_path):
    bomb = made.zipped({**made.rasx_members(), "Data0/Profile0.txt": bytes(65 * 2**20)})
    assert len(bomb) < 2**20
    expect(save(tmp_path, bomb, "a.rasx"), "unpacks to over 64 MB")
    members = made.rasx_members()
    expect(save(tmp_path, made.zipped(dict(list(members.items())[:1])), "a.rasx"), "is missing")
    expect(save(tmp_path, made.zipped({"a.txt": "x"}), "a.rasx"), "no Data/Profile")
    expect(save(tmp_path, made.zipped({"a.txt": "x"}), "a.brml"), "no RawData")
    expect(save(tmp_path, made.zipped(members, compression=zipfile.ZIP_LZMA), "a.rasx"), "unusual way")
    expect(save(tmp_path, b"PK\x01\x02" * 30_000, "a.brml"), "over 20000 members")
    expect(save(tmp_path, made.rasx()[:-30], "a.rasx"), "no complete archive")
    wrong = bytearray(made.rasx())
    wrong[60:90] = bytes(30)
    expect(save(tmp_path, bytes(wrong), "a.rasx"), "archive")


def test_xml_entities_inside_archives_are_refused(tmp_path):
    laughs = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
    conditions = made.rasx_members()
    name = "Data0/MesurementConditions0.xml"
    conditions[name] = f"<?xml version='1.0'?>{laughs}<x>&b;</x>"
    expect(save(tmp_path, made.zipped(conditions), "a.rasx"), "document type")
    outside = "<?xml version='1.0'?><!DOCTYPE x SYSTEM 'file:///etc/hostname'><RawData/>"
    expect(save(tmp_path, made.zipped({"Experiment0/RawData0.xml": outside}), "a.brml"), "document type")


def test_raw_of_somebody_else_is_named(tmp_path):
    expect(save(tmp_path, b"FI\0\0" + bytes(500), "a.raw"), "Bruker")
    expect(save(tmp_path, b"RAW5.00" + bytes(500), "a.raw"), "Bruker")
    expect(save(tmp_path, b"RAW1.99" + bytes(500), "a.raw"), "version 1 to 4")


@pytest.mark.oracle
@pytest.mark.parametrize("name", WHOLE)
def test_geddes_reads_the_same_points(tmp_path, name):
    geddes = pytest.importorskip("geddes")
    path = save(tmp_path, WHOLE[name], name)
    try:
        peer = geddes.read(str(path))
    except (OSError, ValueError) as error:
        pytest.skip(f"geddes does not take this layout: {error}")
    pattern = read_pattern(path)
    np.testing.assert_allclose(np.asarray(peer.x), pattern.two_theta_deg, rtol=0, atol=1e-9)
    np.testing.assert_allclose(np.asarray(peer.y), pattern.intensity, rtol=0, atol=1e-9)
