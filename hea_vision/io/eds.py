"""Element maps from spectrum images of X-ray detectors (.hspy, .bcf, .emd ...), opened by hyperspy and exspy.

| file | checked with |
|---|---|
| .hspy | files that the tests write, and exspy's examples |
| .bcf (Bruker Esprit, SEM and TEM) | real files of hyperspy's tests: sums of events, pixel size, elements |
| .emd (Velox; needs `sparse`) | real files of hyperspy's tests: every event against Velox's own export |
| .rpl .spd .pts .elid .h5oina .ipr .dm3 .dm4 | not verified |

Intensities are sums over a window about each element's line, less the background under it, interpolated from windows to
either side. They are counts, no contents: `hea_vision.measurement.quantify` needs factors for those.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers

from hea_sim.errors import InputError, MissingDependencyError, unknown_name
from hea_vision.io._files import checked_path, one_line, quiet
from hea_vision.io.complete_files import check_complete
from hea_vision.io.lengths import nm_per, settle_pixel_size
from hea_vision.io.raw_images import check_size, guarded

#: Suffixes that `read_spectrum_image` takes.
SPECTRUM_SUFFIXES = (".hspy", ".bcf", ".emd", ".rpl", ".spd", ".pts", ".elid", ".h5oina", ".ipr", ".dm4", ".dm3")
#: What the values of element maps may be.
MAP_UNITS = ("at.%", "counts", "brightness")

_USUAL_RESOLUTION_EV = 130.0
_MN_KA_KEV = 5.8987
#: Lines weaker than this part of their family do not count as overlapping.
_WEAK_LINE = 0.05
#: Lines weaker than this part of their family leave a background as it is.
_FAINT_LINE = 0.01
#: Widths of a line within which its background is looked for.
_FARTHEST = 8.0
#: Widths of a line from its centre to the outer edge of its background windows.
_REACH = 2.5


@dataclass(frozen=True, kw_only=True, eq=False)
class ElementMaps:
    """Hold one map an element on a common grid.

    `values` (rows, columns, n_elements) in `unit`: "at.%", "counts" net of background, or "brightness" of pictures.
    NaN marks a pixel without an analysis. `variance` of the same shape is that of counting, None where not known.
    `block_px` and `guard_px` are how `coarse` averages by itself, so that blocks share no noise.
    """

    elements: tuple[str, ...]
    values: np.ndarray
    unit: str
    pixel_size_nm: float | None = None
    variance: np.ndarray | None = None
    lines: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    notes: Sequence[str] = ()
    block_px: int = 1
    guard_px: int = 0

    def __post_init__(self) -> None:
        values = np.asarray(self.values)
        where = f"{self.source}: " if self.source else ""
        if values.ndim != 3 or values.shape[2] != len(self.elements):
            raise InputError(
                f"{where}maps of shape {values.shape}; wanted (rows, columns, {len(self.elements)} elements)"
            )
        if self.unit not in MAP_UNITS:
            raise unknown_name("unit of element maps", self.unit, MAP_UNITS)
        if self.variance is not None and np.shape(self.variance) != values.shape:
            raise InputError(
                f"{where}variance of shape {np.shape(self.variance)}; wanted that of the maps, {values.shape}"
            )

    def coarse(self, block_px: int | None = None, guard_px: int | None = None) -> ElementMaps:
        """Average over square blocks, leaving out strips of `guard_px` between them; counts are summed.

        >>> maps = ElementMaps(elements=("Ti",), values=np.ones((8, 8, 1)), unit="counts", pixel_size_nm=10.0)
        >>> coarse = maps.coarse(4)
        >>> coarse.values.shape, float(coarse.values[0, 0, 0]), coarse.pixel_size_nm
        ((2, 2, 1), 16.0, 40.0)
        """
        block = self.block_px if block_px is None else int(block_px)
        guard = self.guard_px if guard_px is None else int(guard_px)
        if block == 1:
            return self
        rows, columns = (n // block for n in self.values.shape[:2])
        if not 0 <= guard < block or min(rows, columns) < 1:
            raise InputError(
                f"{self.source}: blocks of {block} px less {guard} px in maps of {self.values.shape[:2]} px;"
                " wanted smaller ones"
            )

        def blocks(array: np.ndarray) -> np.ndarray:
            cut = array[: rows * block, : columns * block].reshape(rows, block, columns, block, -1)
            return cut[:, : block - guard, :, : block - guard].swapaxes(1, 2).reshape(rows, columns, -1, array.shape[2])

        values = blocks(np.asarray(self.values, float))
        variance = None if self.variance is None else blocks(self.variance).sum(axis=2)
        if self.unit == "counts":
            merged = values.sum(axis=2)
        else:
            merged = values.mean(axis=2)
            variance = None if variance is None else variance / values.shape[2] ** 2
        return replace(
            self,
            values=merged,
            variance=variance,
            pixel_size_nm=None if self.pixel_size_nm is None else self.pixel_size_nm * block,
            notes=[*self.notes, f"averaged over blocks of {block} px"],
            block_px=1,
            guard_px=0,
        )


def read_spectrum_image(
    path: str | os.PathLike[str],
    elements: Sequence[str] | str,
    *,
    lines: Mapping[str, str] | None = None,
    pixel_size_nm: float | None = None,
) -> ElementMaps:
    """Read a spectrum image and sum each element's line over its window, less the background.

    Parameters
    ----------
    elements
        Symbols, as a list or as an alloy's formula.
    lines
        Line of an element where the usual one is not wanted: {"Ta": "Ta_La"}. Else exspy takes the K, L or M line
        of highest energy that the beam excites well.
    pixel_size_nm
        Where the file does not say.

    Raises
    ------
    MissingDependencyError
        Without hyperspy and exspy (the extra `eds`).
    InputError
        Where the file holds no EDS map, or an element's line lies outside its energies.
    """
    symbols = _symbols(elements)
    path = checked_path(path, "spectrum image", SPECTRUM_SUFFIXES)
    hyperspy = _hyperspy()
    guarded(path, lambda: check_complete(path))
    signal = guarded(path, lambda: _load(hyperspy, path))
    return guarded(path, lambda: _window_sums(path, signal, symbols, dict(lines or {}), pixel_size_nm))


def _symbols(elements: Sequence[str] | str) -> tuple[str, ...]:
    if isinstance(elements, str):
        from hea_sim.alloy import Composition

        elements = list(Composition.parse(elements))
    for symbol in elements:
        if atomic_numbers.get(symbol, 0) == 0:
            raise unknown_name("element", str(symbol), [s for s in atomic_numbers if s != "X"])
    if not elements:
        raise InputError("read_spectrum_image: no elements given; wanted such as ['Ti', 'V']")
    return tuple(elements)


def _hyperspy() -> Any:
    try:
        with quiet():
            import exspy  # noqa: F401 - registers the EDS signals
            import hyperspy.api as hyperspy
    except ImportError as error:
        raise MissingDependencyError(
            f"spectrum images need hyperspy and exspy ({one_line(error)}); pip install 'hea-toolkit[eds]'"
        ) from error
    return hyperspy


def _load(hyperspy: Any, path: Path) -> Any:
    """Open a file without its data, choose the EDS map in it, check its size, then read it."""
    try:
        found = hyperspy.load(str(path), lazy=True)
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: a spectrum image of this kind needs one more package ({one_line(error)}); pip install"
            " 'hea-toolkit[eds]' sparse"
        ) from error
    signals = found if isinstance(found, list) else [found]
    maps = [
        s
        for s in signals
        if s.axes_manager.signal_dimension == 1
        and s.axes_manager.navigation_dimension == 2
        and s.metadata.get_item("Signal.signal_type", "") in ("EDS_SEM", "EDS_TEM")
    ]
    if not maps:
        kinds = ", ".join(f"{s.metadata.get_item('Signal.signal_type', '') or 'image'} {s.data.shape}" for s in signals)
        raise InputError(f"{path}: holds {kinds}; wanted an EDS spectrum image (signal type EDS_SEM or EDS_TEM)")
    check_size(path, maps[0].data.shape)
    maps[0].compute(show_progressbar=False)
    return maps[0]


def _window_sums(
    path: Path, signal: Any, elements: tuple[str, ...], lines: dict[str, str], pixel_size_nm: float | None
) -> ElementMaps:
    """Sum the windows with and without background."""
    for element, line in lines.items():
        if element not in elements or not line.startswith(f"{element}_"):
            raise InputError(f"{path}: line {line!r} of {element!r}; wanted such as {{'Ta': 'Ta_La'}} of {elements}")
    energy = signal.axes_manager.signal_axes[0]
    if str(energy.units) not in ("keV", "eV"):
        raise InputError(f"{path}: the spectrum axis is in {energy.units!r}, wanted keV; calibrate it first")
    found = _chosen_lines(path, signal, elements, lines)
    chosen = [found[e] for e in elements]
    windows, doubts = _background_windows(signal, chosen)
    net = _stacked(signal.get_lines_intensity(chosen, background_windows=windows, only_one=False))
    gross = _stacked(signal.get_lines_intensity(chosen, only_one=False))
    background = np.maximum(gross - net, 0.0)
    sizes = [nm_per(a.units) for a in reversed(signal.axes_manager.navigation_axes)]
    scales = [abs(float(a.scale)) for a in reversed(signal.axes_manager.navigation_axes)]
    known = [s * u if u is not None else None for s, u in zip(scales, sizes)]
    size, words = settle_pixel_size(path, known if None not in known else None, pixel_size_nm)
    return ElementMaps(
        elements=elements,
        values=net,
        unit="counts",
        pixel_size_nm=size,
        # Both background windows together are as wide as the line's: the background's own variance counts once more.
        variance=gross + background,
        lines=found,
        source=str(path),
        notes=[*overlapping_lines(signal, chosen), *doubts, *(v for k, v in words.items() if k.endswith("note"))],
    )


def _background_windows(signal: Any, chosen: Sequence[str]) -> tuple[list[list[float]], list[str]]:
    """Place a window of one line width to either side of each line, moved outwards until it is clear of other lines.

    Returns windows as [left start, left end, right start, right end] in the unit of the axis, and what must be said.
    """
    axis = signal.axes_manager.signal_axes[0]
    per_keV = 1.0 if str(axis.units) == "keV" else 1000.0
    resolution = _resolution_eV(signal)
    others = [
        values["energy (keV)"]
        for element in dict.fromkeys(line.split("_")[0] for line in chosen)
        for values in _table_of(element).values()
        if values["weight"] >= _FAINT_LINE
    ]
    windows, doubts = [], []
    for line in chosen:
        energy = _energy_keV(line)
        width = _width_keV(energy, resolution)
        window: list[float] = []
        for side in (-1.0, 1.0):
            clear = [
                centre
                for centre in energy + side * width * np.arange(_REACH - 0.5, _FARTHEST, 0.25)
                if all(abs(centre - other) > 1.5 * width for other in others)
                and axis.low_value < (centre - width) * per_keV
                and (centre + width) * per_keV < axis.high_value
            ]
            if not clear:
                doubts.append(f"no window of background clear of other lines beside {line}: its background is doubtful")
            centre = clear[0] if clear else energy + side * width * (_REACH - 0.5)
            window += [(centre - 0.5 * width) * per_keV, (centre + 0.5 * width) * per_keV]
        windows.append(window)
    return windows, doubts


def _chosen_lines(path: Path, signal: Any, elements: tuple[str, ...], lines: dict[str, str]) -> dict[str, str]:
    """Choose a line of each element that the spectrum holds: the user's, else exspy's."""
    axis = signal.axes_manager.signal_axes[0]
    try:
        signal.set_elements(list(elements))
        signal.set_lines([lines[e] for e in elements if e in lines], only_one=True)
    except (ValueError, KeyError) as error:
        raise InputError(f"{path}: {one_line(error)}; wanted X-ray lines of {', '.join(elements)}") from error
    found = {str(line).split("_")[0]: str(line) for line in signal.metadata.Sample.xray_lines}
    per_keV = 1.0 if str(axis.units) == "keV" else 1000.0
    low, high = axis.low_value / per_keV, axis.high_value / per_keV
    room = {e: _REACH * _width_keV(_energy_keV(n), _resolution_eV(signal)) for e, n in found.items()}
    held = {e: n for e, n in found.items() if low + room[e] < _energy_keV(n) < high - room[e]}
    if missing := [e for e in elements if e not in held]:
        raise InputError(
            f"{path}: no line of {', '.join(missing)} lies within {axis.low_value:.3g} to {axis.high_value:.3g}"
            f" {axis.units} and is excited by the beam; name another line, or leave the element out"
        )
    return {e: held[e] for e in elements}


def _resolution_eV(signal: Any) -> float:
    kind = "SEM" if signal.metadata.get_item("Signal.signal_type") == "EDS_SEM" else "TEM"
    place = f"Acquisition_instrument.{kind}.Detector.EDS.energy_resolution_MnKa"
    return float(signal.metadata.get_item(place, default=_USUAL_RESOLUTION_EV))


def _width_keV(energy_keV: float, resolution_eV: float) -> float:
    """Compute the width of a line at half height (Fiori and Newbury 1978)."""
    return float(np.sqrt(max(2.5e3 * (energy_keV - _MN_KA_KEV) + resolution_eV**2, 1e3)) / 1e3)


def _energy_keV(line: str) -> float:
    return float(_table_of(line.split("_")[0])[line.split("_")[1]]["energy (keV)"])


def _table_of(element: str) -> Mapping[str, Mapping[str, float]]:
    """Give the lines of an element: {"Ka": {"energy (keV)", "weight"}}."""
    from exspy.material import elements as table

    found: Any = table[element]["Atomic_properties"]["Xray_lines"]
    lines: Mapping[str, Mapping[str, float]] = found.as_dictionary()
    return lines


def _stacked(intensities: Sequence[Any]) -> np.ndarray:
    return np.stack([np.asarray(i.data, float) for i in intensities], axis=-1)


def overlapping_lines(signal: Any, chosen: Sequence[str]) -> list[str]:
    """Name the chosen lines in whose window a line of another element of the specimen lies."""
    resolution_eV = _resolution_eV(signal)
    names = [line.split("_")[0] for line in chosen]
    notes = []
    for line in chosen:
        own, energy = line.split("_")[0], _energy_keV(line)
        reach = 1.2 * _width_keV(energy, resolution_eV)  # windows reach one width to either side
        near = [
            f"{other} {name} ({values['energy (keV)']:.2f} keV)"
            for other in names
            if other != own
            for name, values in _table_of(other).items()
            if values["weight"] >= _WEAK_LINE and abs(values["energy (keV)"] - energy) < reach
        ]
        if near:
            notes.append(f"the window of {line} ({energy:.2f} keV) also holds {', '.join(near)}: not parted")
    return notes
