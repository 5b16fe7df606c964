"""From an EDS entry of a campaign to its segregation: which reader, which measurement."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hea_sim.alloy import Composition
from hea_vision.campaign import EdsEntry
from hea_vision.io.composition_tables import LineScan
from hea_vision.io.eds import ElementMaps
from hea_vision.measurement.segregation import Segregation, measure_segregation


def measure_eds(entry: EdsEntry, folder: Path, alloy: Composition) -> Segregation:
    """Read what an entry names, quantify it where that is possible, and measure segregation."""
    name = entry.file + (f" and {len(entry.files) - 1} more" if len(entry.files) > 1 else "")
    return replace(measure_segregation(*_read(entry, folder, alloy)), source=name)


def _read(entry: EdsEntry, folder: Path, alloy: Composition) -> list[LineScan] | list[ElementMaps]:
    from hea_vision.io import read_element_pictures, read_line_scan, read_spectrum_image
    from hea_vision.measurement.composition import quantify

    if entry.lines:
        return [read_line_scan(folder / f, unit=str(entry.unit), step_um=entry.step_um) for f in entry.lines]
    if entry.maps:
        return [read_element_pictures([folder / f for f in entry.maps], pixel_size_nm=entry.pixel_size_nm)]
    maps = read_spectrum_image(folder / entry.file, list(alloy), pixel_size_nm=entry.pixel_size_nm)
    maps = maps.coarse(entry.block_px)
    return [quantify(maps, entry.k_factors) if entry.k_factors else maps]
