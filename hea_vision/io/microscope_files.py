"""Files of electron microscopes, opened by rosettasciio, which also stands behind hyperspy.

The readers are called directly: they are the same ones, and neither a signal object nor hyperspy's settings
folder is needed for one image.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_vision.io._files import one_line
from hea_vision.io.complete_files import check_complete
from hea_vision.io.lengths import nm_per, usable
from hea_vision.io.raw_images import Raw, Request, Sizes, check_size, chosen_pages

#: Options of readers: `lazy` gives the shape without the pixels; of what Velox writes, the pictures alone are taken,
#: since the stream of X-ray events beside them is slow to sort and needs the package `sparse`.
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "digitalmicrograph": {"lazy": True},
    "emd": {"lazy": True, "select_type": "images"},
    "tia": {"lazy": True},
    "hspy": {"lazy": True},
    "bruker": {"lazy": True},
}
_ENERGY_UNITS = {"ev", "kev", "mev"}


@dataclass(frozen=True, kw_only=True)
class _Picture:
    """Point to one picture of a signal: the axes of its rows and columns, and the place along the others."""

    signal: Mapping[str, Any]
    axes: tuple[int, int]
    stack_axis: int | None = None
    place: int = 0


def microscope_pages(path: Path, request: Request, reader: str) -> Iterator[Raw]:
    """Give the wanted pictures in a microscope's file.

    Of several pictures that are no stack the first is given where no page is named, which the metadata then says.
    """
    check_complete(path)
    module = importlib.import_module(f"rsciio.{reader}")
    signals = module.file_reader(str(path), **_OPTIONS.get(reader, {}))
    pictures = [p for signal in signals for p in _pictures(signal)]
    if not pictures:
        raise InputError(_no_picture(path, signals))
    single = [p for p in pictures if p.stack_axis is None]
    metadata: dict[str, Any] = {"format": path.suffix.lower().lstrip(".")}
    if request.page is None and not request.every and single:
        if len(single) > 1:
            titles = [one_line(p.signal.get("metadata", {}).get("General", {}).get("title", ""), 40) for p in single]
            metadata["images_note"] = f"{len(single)} images in the file ({', '.join(titles)}); the first is used"
        pictures, wanted = single[:1], range(1)
    else:
        wanted = chosen_pages(path, len(pictures), request)
    for n in wanted:
        yield _read(path, pictures[n], n, len(pictures), dict(metadata))


def _read(path: Path, picture: _Picture, n: int, count: int, metadata: dict[str, Any]) -> Raw:
    data = picture.signal["data"]
    rows, columns = picture.axes
    check_size(path, (data.shape[rows], data.shape[columns]), data.dtype.itemsize)
    place: list[Any] = [0] * data.ndim
    place[rows] = place[columns] = slice(None)
    if picture.stack_axis is not None:
        place[picture.stack_axis] = picture.place
    part = data[tuple(place)]
    if hasattr(part, "store"):  # piece by piece, so that the pixels are held once
        pixels = np.empty(part.shape, part.dtype)
        part.store(pixels, scheduler="synchronous")
    else:
        pixels = np.asarray(part)
    sizes = _sizes(picture.signal.get("axes", ()), picture.axes, metadata)
    return Raw(pixels=pixels, sizes_nm=sizes, metadata=metadata, page=n + 1, pages=count)


def _pictures(signal: Mapping[str, Any]) -> list[_Picture]:
    """List the pictures of a signal: one, those of a stack, none of a spectrum or a spectrum image."""
    data = signal.get("data")
    if data is None or getattr(data.dtype, "kind", "") not in "buif" or 0 in data.shape:
        return []
    long = [i for i, n in enumerate(data.shape) if n > 1]
    if len(long) == 2:
        return [] if _has_energy(signal, long) else [_Picture(signal=signal, axes=(long[0], long[1]))]
    if len(long) != 3 or _has_energy(signal, long):
        return []
    shown = [i for i in long if not _axis(signal, i).get("navigate", False)]
    rows, columns = shown if len(shown) == 2 else long[1:]
    if len(shown) == 1:  # a spectrum at every place
        return []
    stack = next(i for i in long if i not in (rows, columns))
    return [
        _Picture(signal=signal, axes=(rows, columns), stack_axis=stack, place=k) for k in range(int(data.shape[stack]))
    ]


def _axis(signal: Mapping[str, Any], i: int) -> Mapping[str, Any]:
    axes = signal.get("axes", ())
    return axes[i] if i < len(axes) else {}


def _has_energy(signal: Mapping[str, Any], axes: Sequence[int]) -> bool:
    return any(str(_axis(signal, i).get("units", "")).strip().lower() in _ENERGY_UNITS for i in axes)


def _no_picture(path: Path, signals: Sequence[Mapping[str, Any]]) -> str:
    shapes = ", ".join(str(tuple(np.shape(s.get("data", ())))) for s in signals) or "nothing"
    long = [[i for i, n in enumerate(np.shape(s.get("data", ()))) if n > 1] for s in signals]
    if any(len(axes) == 3 for axes in long):
        return (
            f"{path}: holds {shapes}, a spectrum at every place, wanted one image or a stack; read it as EDS data, or"
            " export the image as .tif"
        )
    return f"{path}: holds {shapes}, wanted one image of rows and columns; export the image as .tif"


def _sizes(axes: Sequence[Mapping[str, Any]], shown: tuple[int, int], metadata: dict[str, Any]) -> Sizes | None:
    """Give the pixel sizes (y, x) in nm of the two axes that are shown."""
    sizes: list[float] = []
    for i in shown:
        axis = axes[i] if i < len(axes) else {}
        unit, scale = nm_per(axis.get("units")), axis.get("scale")
        if unit is None or scale is None or not usable(abs(float(scale)) * unit):
            said = axis.get("units")
            metadata["resolution_note"] = f"the axis unit {one_line(said, 20)!r} is no length; it gives no pixel size"
            return None
        sizes.append(abs(float(scale)) * unit)
    return sizes[0], sizes[1]
