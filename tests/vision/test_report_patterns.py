"""The picture and the page of a pattern: what they show is what the call says."""

from __future__ import annotations

import html
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import hea_vision as hv
from hea_sim.documents import to_jsonable
from hea_sim.errors import InputError
from hea_sim.records import Estimate, PatternCall
from hea_vision.batch import BatchResult
from hea_vision.report import pattern_figure, save_figure
from hea_vision.report.batch import render_patterns
from hea_vision.report.sections import pattern_section

from .patterns import mixture


@pytest.fixture(scope="module")
def call() -> PatternCall:
    pattern = mixture({"A1": ("Fe", 3.60, 0.3), "A2": ("Fe", 2.87, 0.7)})
    foreign = 900 * np.exp(-(((pattern.two_theta_deg - 57.0) / 0.12) ** 2))
    pattern = replace(pattern, intensity=np.round(pattern.intensity + foreign), source="scans/two_$phases.xy")
    return hv.classify_pattern(pattern, elements="Fe", model="matcher")


@pytest.fixture(scope="module")
def full(call: PatternCall) -> PatternCall:
    """Give the call with every number that a phase can have."""

    def share(value: float) -> Estimate:
        return Estimate(value=value, low=value - 0.05, high=value + 0.04, level=0.9)

    size = Estimate(value=61.8, low=46.2, high=math.inf, level=0.9, unit="nm")
    strain = Estimate(value=0.00097, low=0.0, high=0.0014, level=0.9)
    phases = [
        replace(p, volume_fraction=share(0.2 + 0.4 * i), size_nm=size, microstrain=strain, texture=f"fibre {i}")
        for i, p in enumerate(call.phases)
    ]
    return replace(call, phases=phases, assemblages=[{"phases": ["A1", "A2"], "probability": 0.75}])


def _texts(figure: Figure) -> list[str]:
    from matplotlib.text import Text

    return [t.get_text() for t in figure.findobj(Text) if t.get_text()]


def test_the_picture_shows_the_curves_as_they_are(call: PatternCall) -> None:
    figure = pattern_figure(call, scale="linear")
    numbers, main, ticks, difference = figure.axes
    lines = {line.get_label(): line for line in main.lines}
    for name in ("measured", "background", "fitted"):
        assert np.array_equal(lines[name].get_ydata(), call.curves[name])
    shown = difference.lines[-1].get_ydata()
    assert np.allclose(shown, call.curves["measured"] - call.curves["fitted"])
    marks = [np.array([s[0, 0] for s in c.get_segments()]) for c in ticks.collections]
    keys = [
        key
        for name in (p.name for p in call.phases)
        for key in call.curves
        if key.startswith("ticks") and key.endswith(name)
    ]
    assert len(marks) == 2 and all(np.array_equal(m, call.curves[k]) for m, k in zip(marks, keys))
    assert (
        main.get_xlim() == difference.get_xlim() == (call.curves["two_theta_deg"][0], call.curves["two_theta_deg"][-1])
    )


def test_the_square_root_scale_is_one(call: PatternCall) -> None:
    figure = pattern_figure(call)
    main, difference = figure.axes[1], figure.axes[3]
    transform = main.get_yaxis().get_transform()
    assert np.allclose(transform.transform([0.0, 4.0, 900.0]), [0, 2, 30])
    assert "square-root" in main.get_ylabel()
    roots = np.sqrt(call.curves["measured"]) - np.sqrt(call.curves["fitted"])
    assert np.allclose(difference.lines[-1].get_ydata(), roots)
    low, high = main.get_ylim()
    assert low <= call.curves["measured"].min() and high > call.curves["measured"].max()
    with pytest.raises(InputError, match="'sqrt' or 'linear'"):
        pattern_figure(call, scale="log")  # type: ignore[arg-type]


def test_the_picture_carries_the_numbers(call: PatternCall) -> None:
    texts = _texts(pattern_figure(call))
    for phase in call.phases:
        assert phase.name in texts and phase.explained_fraction is not None
        assert f"{100 * phase.explained_fraction:.1f} %" in texts
        lattice = phase.lattice_A["a"]
        written = next(t for t in texts if t.startswith("a = ") and abs(_number(t) - lattice.value) < 1e-3)
        assert abs(_number(written) - lattice.value) < (lattice.std or 0)
    assert [t for t in texts if t.endswith(" Å") and abs(_number(t) - call.unexplained_lines[0]["d_A"]) < 1e-3]
    assert any("CuKa" in t and "1.5406" in t for t in texts)
    assert r"two_\$phases.xy" in texts


def _number(text: str) -> float:
    found = re.search(r"\d+\.\d+", text)
    assert found is not None
    return float(found[0])


def test_a_refused_pattern_has_no_weights(call: PatternCall) -> None:
    refused = replace(call, in_scope=False, reason="too much <stays> unexplained")
    texts = _texts(pattern_figure(refused))
    assert any("refused; candidates: " in t for t in texts)
    weights = [f"{100 * p.weight_fraction.value:.1f} (" for p in call.phases if p.weight_fraction]
    assert weights and not any(t.startswith(w) for t in texts for w in weights)
    bare = replace(
        refused, phases=(), curves={k: v for k, v in call.curves.items() if k.split()[0] not in ("ticks", "phase")}
    )
    assert pattern_figure(bare).axes[1].lines


def test_files_are_the_same_each_time(call: PatternCall, tmp_path: Path) -> None:
    for suffix, start in (("png", b"\x89PNG"), ("pdf", b"%PDF")):
        written = [save_figure(pattern_figure(call), tmp_path / f"{n}.{suffix}").read_bytes() for n in "ab"]
        assert written[0] == written[1] and written[0].startswith(start)
    with pytest.raises(InputError, match=r"\.png or \.pdf"):
        save_figure(pattern_figure(call), tmp_path / "a.bmp")


def _page(calls: list[PatternCall], out: Path) -> str:
    rows: list[dict[str, Any]] = []
    for number, call in enumerate(calls):
        save_figure(pattern_figure(call), out / f"figures/{number}.png", dpi=60)
        rows.append({**json.loads(json.dumps(to_jsonable(call))), "figure": f"figures/{number}.png"})
    return html.unescape(render_patterns(BatchResult(results=rows), out))


def test_the_page_holds_the_numbers(full: PatternCall, tmp_path: Path) -> None:
    page = _page([full], tmp_path)
    assert page.count('src="data:image/png;base64,') == 1 and "http" not in page
    for i, phase in enumerate(full.phases):
        assert phase.weight_fraction is not None and phase.explained_fraction is not None
        w = phase.weight_fraction
        assert w.low is not None and w.high is not None
        assert f"{100 * w.value:.1f} ({100 * w.low:.1f} to {100 * w.high:.1f})" in page
        assert f"{100 * phase.explained_fraction:.1f} %" in page and f"fibre {i}" in page
        value = 20 + 40 * i
        assert f"{value} ({value - 5}.0 to {value + 4}.0)" in page
    assert "62 (above 46) nm" in page and "0.97 (0 to 1.4)" in page
    assert "A1 + A2" in page and "0.750" in page and "others, or nothing known" in page and "0.250" in page
    line = full.unexplained_lines[0]
    assert f"{line['d_A']:.4f} Å" in page and f"{line['two_theta_deg']:.2f}°" in page
    for entry in line["explained_by"]:  # type: ignore[attr-defined]
        assert f"{entry['structure']} (a = {entry['a_A']:.3f} Å)" in page
    for test in full.order:
        assert str(test["reason"])[1:] in page
    assert " | ".join(" + ".join(s) for s in full.prediction_sets) in page


def test_a_refusal_stands_in_full_and_is_escaped(call: PatternCall, tmp_path: Path) -> None:
    reason = "52 % <b>stay</b> unexplained: " + "a structure that is not known here, " * 5
    refused = replace(call, in_scope=False, reason=reason, input="odd <name>.xy")
    save_figure(pattern_figure(refused), tmp_path / "figures/0.png", dpi=60)
    row = {**to_jsonable(refused), "figure": "figures/0.png"}
    page = render_patterns(BatchResult(results=[row], failures=[{"input": "b.xy", "error": "<empty>"}]), tmp_path)
    assert html.escape(reason, quote=False) in page and "<b>stay</b>" not in page
    assert "odd &lt;name&gt;.xy" in page and "&lt;empty&gt;" in page
    assert "<th>wt%</th>" not in page and "<th>candidate</th>" in page


def test_sections_bear_what_is_missing(call: PatternCall) -> None:
    bare = replace(
        call, phases=(), traces=(), assemblages=(), prediction_sets=(), order=(), unexplained_lines=(), notes=()
    )
    section = pattern_section(to_jsonable(bare))
    assert section["phases"] == [] and section["sets"] == "" and section["assemblages"] == []
    many = replace(call, unexplained_lines=[{"two_theta_deg": 20.0, "d_A": 4.4, "area_percent": 5.0}] * 30)
    section = pattern_section(to_jsonable(many))
    assert len(section["lines"]) + section["more_lines"] == 30 and section["lines"][0]["explained_by"] == "–"


def test_long_lattices_and_names_have_room(call: PatternCall) -> None:
    lattice = {axis: Estimate(value=5.15, std=0.0012, unit="A") for axis in "abc"}
    lattice["beta"] = Estimate(value=99.23, std=0.02, unit="degree")
    main = replace(call.phases[0], lattice_A=lattice)
    figure = pattern_figure(replace(call, phases=[main, *call.phases[1:]]))
    figure.draw_without_rendering()
    texts = [t for t in figure.axes[0].texts if t.get_text()]
    written = " ".join(t.get_text() for t in texts)
    assert "c = 5.1500(12) Å," in written and "β = 99.23(2)°" in written
    boxes = [t.get_window_extent() for t in texts]
    for i, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[i + 1 :]), texts[i].get_text()
        assert one.x1 <= figure.bbox.x1


def test_two_phases_of_one_type_keep_their_own_numbers() -> None:
    pattern = mixture({"A2": ("Fe", 2.87, 0.7)})
    other = mixture({"A2": ("Fe", 2.94, 0.3)}, background=0.0)
    both = replace(pattern, intensity=pattern.intensity + 0.3 * other.intensity)
    call = hv.classify_pattern(both, structures=["A2"], model="matcher")
    assert [p.name for p in call.phases] == ["A2", "A2"]
    figure = pattern_figure(call)
    texts = [t.get_text() for t in figure.axes[0].texts if t.get_text().startswith("a = ")]
    first_line = [c.get_segments()[0][0, 0] for c in figure.axes[2].collections]
    for text, angle in zip(texts, first_line):
        d = call.wavelength_A / (2 * np.sin(np.radians(angle / 2)))
        assert d * math.sqrt(2) == pytest.approx(_number(text), rel=3e-3)
