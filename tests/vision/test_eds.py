"""EDS files: line scans with positions, pictures of element maps, spectrum images (extra `eds`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, maximum_filter

from hea_sim.alloy import Composition
from hea_sim.errors import InputError, MissingDependencyError, UnknownNameError
from hea_vision.io import ElementMaps, read_element_pictures, read_line_scan, read_spectrum_image
from hea_vision.io.eds_pictures import element_of
from hea_vision.measurement import measure_segregation, quantify

COLOURS = {"Ti": (0, 255, 0), "V": (123, 0, 255), "Nb": (0, 0, 255), "Ta": (0, 255, 255)}


def table(folder: Path, text: str, name: str = "scan1.txt") -> Path:
    path = folder / name
    path.write_text(text, encoding="latin-1")
    return path


def test_line_scan_in_weight_percent_is_converted(tmp_path: Path) -> None:
    path = table(tmp_path, '"Ni","Al"\r\n' + "70,30\r\n" * 20)
    scan = read_line_scan(path, unit="wt.%")
    expected = Composition.from_weight({"Ni": 70.0, "Al": 30.0})
    np.testing.assert_allclose(scan.values, 100 * np.tile([expected["Ni"], expected["Al"]], (20, 1)))
    assert scan.unit == "at.%" and scan.step_um is None and scan.positions_um is None
    assert any("step_um" in note for note in scan.notes)
    same = read_line_scan(path, unit="at.%", step_um=0.25)
    np.testing.assert_allclose(same.values[0], [70, 30])
    assert same.positions_um is not None
    np.testing.assert_allclose(same.positions_um, 0.25 * np.arange(20))


@pytest.mark.parametrize(
    ("head", "rows", "step"),
    [
        ("Distance (um),Ni,Al", "{x:.2f},70,30", 0.5),
        ("Position [nm];Ni;Al", "{x:.2f};70;30", 0.0005),
        ("x (mm)\tNi\tAl", "{x:.2f}\t70\t30", 500.0),
    ],
)
def test_positions_in_the_table(tmp_path: Path, head: str, rows: str, step: float) -> None:
    text = "\n".join([head, *(rows.format(x=0.5 * i) for i in range(16))])
    assert read_line_scan(table(tmp_path, text), unit="at.%").step_um == pytest.approx(step)
    uneven = text.replace("3.50", "3.90")
    with pytest.raises(InputError, match="equally spaced"):
        read_line_scan(table(tmp_path, uneven), unit="at.%")


def test_positions_beside_the_table(tmp_path: Path) -> None:
    table(tmp_path, "Image\r\n64 Resolution\r\nPixel Size 0.401 µm\r\n", "scan1info.txt")
    for name in ("scan1.txt", "scan1-wt.txt"):
        scan = read_line_scan(table(tmp_path, "Ni,Al\n" + "70,30\n" * 16, name), unit="at.%")
        assert scan.step_um == pytest.approx(0.401) and any("scan1info.txt" in n for n in scan.notes)


def test_counts_and_rows_without_an_analysis(tmp_path: Path) -> None:
    scan = read_line_scan(table(tmp_path, "Ti,Ta\n487,375\n600,290\n"), unit="counts")
    assert scan.unit == "counts" and scan.values.tolist() == [[487, 375], [600, 290]]
    holed = read_line_scan(table(tmp_path, "Ti,Ta\n50,50\n3,2\n40,60\n"), unit="at.%")
    assert holed.n_dropped == 1 and np.isnan(holed.values[1]).all() and np.isfinite(holed.values[[0, 2]]).all()
    with pytest.raises(UnknownNameError, match="counts"):
        read_line_scan(tmp_path / "scan1.txt", unit="percent")
    with pytest.raises(InputError, match="sums to 90-110"):
        read_line_scan(table(tmp_path, "Ti,Ta\n487,375\n"), unit="at.%")
    with pytest.raises(InputError, match="positive"):
        read_line_scan(table(tmp_path, "Ti,Ta\n50,50\n"), unit="at.%", step_um=-1)


def draw_pictures(
    rng: np.random.Generator, folder: Path, *, dot: int = 1, amplitude: float = 0.0, quality: int = 95
) -> tuple[dict[str, Path], np.ndarray]:
    """Draw dot maps with a white title and save them as JPEG; Ta goes against Ti and V."""
    shape = (312, 416)
    field = gaussian_filter(rng.standard_normal(shape), 36, mode="wrap")
    field *= amplitude / field.std()
    paths = {}
    for element, sign in zip(COLOURS, (1.0, 1.0, 0.0, -1.0)):
        dots = rng.random(shape) < 0.08 / dot**2 * np.clip(1 + sign * field, 0, None)
        dots = maximum_filter(dots, size=dot) if dot > 1 else dots
        picture = np.zeros((30 + shape[0], shape[1], 3), np.uint8)
        picture[:30] = 255
        picture[30:][dots] = COLOURS[element]
        paths[element] = folder / f"map_-_{element}.jpg"
        Image.fromarray(picture).save(paths[element], quality=quality, subsampling=0)
    return paths, field


def test_pictures_show_sign_and_size_of_segregation(tmp_path: Path) -> None:
    paths, field = draw_pictures(np.random.default_rng(1), tmp_path, amplitude=0.3)
    maps = read_element_pictures(list(paths.values()), pixel_size_nm=100.0)
    assert maps.elements == tuple(COLOURS) and maps.unit == "brightness"
    assert maps.values.shape == (310, 416, 4)  # the title goes with the JPEG block that it ends in
    found = measure_segregation(maps)
    assert not found.quantified and any("not quantified" in note for note in found.notes)
    assert found.pair("Ti", "V").measured.low > 0.8  # type: ignore[union-attr,operator]
    assert found.pair("Ta", "Ti").measured.high < -0.8  # type: ignore[union-attr,operator]
    assert found.amplitude["Nb"].low == 0
    a = found.amplitude["Ti"]
    drawn = ElementMaps(elements=("Ti",), values=1 + field[2:, :, None], unit="brightness")
    blocks = drawn.coarse(maps.block_px, maps.guard_px).values
    assert a.low <= blocks.std() / blocks.mean() <= a.high and a.unit == "of the mean"


@pytest.mark.parametrize("dot", [1, 4])
def test_pictures_without_segregation_show_none(tmp_path: Path, dot: int) -> None:
    rng = np.random.default_rng(2)
    above, claims = [], 0
    for _ in range(6):
        maps = read_element_pictures(draw_pictures(rng, tmp_path, dot=dot)[0])
        assert maps.guard_px >= dot and maps.block_px % 8 == 0
        found = measure_segregation(maps)
        above += [a.low > 0 for a in found.amplitude.values()]
        claims += any(p.finding in ("together", "apart") for p in found.pairs)
    assert np.mean(above) <= 0.1 and claims <= 1


def test_pictures_must_fit_together(tmp_path: Path) -> None:
    paths, _ = draw_pictures(np.random.default_rng(3), tmp_path)
    Image.fromarray(np.zeros((300, 300, 3), np.uint8)).save(tmp_path / "map_-_Mo.png")
    with pytest.raises(InputError, match="different sizes"):
        read_element_pictures([*paths.values(), tmp_path / "map_-_Mo.png"])
    with pytest.raises(InputError, match="element's symbol"):
        element_of("map_-_SEM.jpg")
    Image.fromarray(np.full((300, 300, 3), 255, np.uint8)).save(tmp_path / "map_-_Ta.png")
    with pytest.raises(InputError, match="white all over"):
        read_element_pictures([tmp_path / "map_-_Ta.png"])
    with pytest.raises(InputError, match="larger pictures"):
        read_element_pictures([tmp_path / "map_-_Mo.png"]).coarse(2)
        Image.fromarray(np.zeros((60, 60, 3), np.uint8)).save(tmp_path / "map_-_W.png")
        read_element_pictures([tmp_path / "map_-_W.png"])


def test_coarse_maps_keep_counts_and_leave_strips_out() -> None:
    rng = np.random.default_rng(4)
    values = rng.poisson(5.0, (24, 32, 2)).astype(float)
    maps = ElementMaps(elements=("Ti", "V"), values=values, unit="counts", variance=values, pixel_size_nm=10.0)
    coarse = maps.coarse(8)
    assert coarse.values.shape == (3, 4, 2) and coarse.values.sum() == values.sum() and coarse.pixel_size_nm == 80.0
    assert coarse.variance is not None and coarse.variance.sum() == values.sum()
    strips = maps.coarse(8, 2)
    np.testing.assert_allclose(strips.values[0, 0], values[:6, :6].sum(axis=(0, 1)))
    with pytest.raises(InputError, match="smaller"):
        maps.coarse(30)
    with pytest.raises(InputError, match="2 elements"):
        ElementMaps(elements=("Ti", "V"), values=values[..., :1], unit="counts")


def test_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    (tmp_path / "map.bcf").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "exspy", None)
    with pytest.raises(MissingDependencyError, match=r"hea-toolkit\[eds\]"):
        read_spectrum_image(tmp_path / "map.bcf", "NbTa")


def save_spectrum_image(path: Path, shares: np.ndarray, elements: tuple[str, ...], kind: str = "EDS_TEM") -> object:
    """Save a spectrum image (rows, columns) whose K lines hold 3000 counts times `shares`, with a background."""
    hyperspy = pytest.importorskip("hyperspy.api", reason="needs the extra `eds`")
    pytest.importorskip("exspy", reason="needs the extra `eds`")
    from exspy.material import elements as lines_of

    energy = 0.01 * np.arange(1024)
    spectrum = np.zeros((*shares.shape[:2], 1024)) + 3.0 * np.exp(-energy / 8)
    for i, element in enumerate(elements):
        lines = lines_of[element]["Atomic_properties"]["Xray_lines"]
        for name in ("Ka", "Kb"):
            centre = lines[name]["energy (keV)"]
            sigma = np.sqrt(2500 * (centre - 5.8987) + 130**2) / 2355
            peak = np.exp(-0.5 * ((energy - centre) / sigma) ** 2) * 0.01 / (sigma * np.sqrt(2 * np.pi))
            spectrum += 3000 * lines[name]["weight"] * shares[..., i, None] * peak
    signal = hyperspy.signals.Signal1D(np.random.default_rng(5).poisson(spectrum).astype("uint32"))
    signal.set_signal_type(kind)
    signal.axes_manager[-1].scale, signal.axes_manager[-1].units = 0.01, "keV"
    for axis in signal.axes_manager.navigation_axes:
        axis.scale, axis.units = 0.5, "µm"
    signal.set_microscope_parameters(beam_energy=200 if kind == "EDS_TEM" else 30, energy_resolution_MnKa=130)
    signal.save(str(path), overwrite=True)
    return signal


@pytest.fixture(scope="module")
def spectrum_image(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, object]:
    shares = np.full((12, 16, 2), 0.5)
    shares[:, 8:] = (0.75, 0.25)
    path = tmp_path_factory.mktemp("eds") / "si.hspy"
    return path, save_spectrum_image(path, shares, ("Fe", "Ni"))


def test_spectrum_image_gives_counts_with_their_variance(spectrum_image: tuple[Path, object]) -> None:
    maps = read_spectrum_image(spectrum_image[0], "FeNi")
    assert maps.unit == "counts" and maps.pixel_size_nm == pytest.approx(500.0)
    assert maps.lines == {"Fe": "Fe_Ka", "Ni": "Ni_Ka"} and maps.values.shape == (12, 16, 2)
    # A window of one width to either side holds 98 % of a line; Fe Kb must not count as background of Ni Ka.
    np.testing.assert_allclose(maps.values[:, :8].mean(axis=(0, 1)), 0.98 * 1500, rtol=0.02)
    assert maps.variance is not None
    scatter = maps.values[:, :8].var(axis=(0, 1), ddof=1)
    np.testing.assert_allclose(scatter, maps.variance[:, :8].mean(axis=(0, 1)), rtol=0.4)


def test_cliff_lorimer_equals_exspy(spectrum_image: tuple[Path, object]) -> None:
    path, signal = spectrum_image
    maps = read_spectrum_image(path, "FeNi")
    at_percent = quantify(maps, {"Fe": 1.2, "Ni": 1.0})
    signal.set_elements(["Fe", "Ni"])  # type: ignore[attr-defined]
    signal.set_lines(["Fe_Ka", "Ni_Ka"])  # type: ignore[attr-defined]
    intensities = signal.get_lines_intensity()  # type: ignore[attr-defined]
    for i, intensity in enumerate(intensities):
        intensity.data = maps.values[..., i]
    theirs = signal.quantification(  # type: ignore[attr-defined]
        intensities, "CL", factors=[1.2, 1.0], composition_units="atomic", show_progressbar=False
    )
    np.testing.assert_allclose(at_percent.values, np.stack([t.data for t in theirs], axis=-1), rtol=1e-9)
    np.testing.assert_allclose(at_percent.values.sum(axis=-1), 100)
    assert at_percent.variance is not None
    scatter = at_percent.values[:, :8].var(axis=(0, 1), ddof=1)
    np.testing.assert_allclose(scatter, at_percent.variance[:, :8].mean(axis=(0, 1)), rtol=0.4)


def test_overlaps_are_said_and_bad_requests_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiv.hspy"
    save_spectrum_image(path, np.full((2, 2, 2), 0.5), ("Ti", "V"), "EDS_SEM")
    maps = read_spectrum_image(path, ["Ti", "V"])
    assert any("V_Ka" in note and "Ti Kb" in note for note in maps.notes)
    with pytest.raises(InputError, match="not a valid line"):
        read_spectrum_image(path, ["Ti"], lines={"Ti": "Ti_Q"})
    with pytest.raises(InputError, match="no line of H"):
        read_spectrum_image(path, ["H"])
    with pytest.raises(UnknownNameError, match="Xx"):
        read_spectrum_image(path, ["Xx"])
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"tiv\.hspy"):
        read_spectrum_image(path, ["Ti"])
