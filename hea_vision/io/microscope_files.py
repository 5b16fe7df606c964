"""Files of electron microscopes, opened by rosettasciio, which also stands behind hyperspy.

The readers are called directly: they are the same ones, and neither a signal object nor hyperspy's settings
folder is needed for one image.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_vision.io._files import one_line
from hea_vision.io.lengths import nm_per
from hea_vision.io.micrographs import Raw, check_size

#: Readers that take `lazy=True` and then give the shape without the pixels.
_LAZY = {"digitalmicrograph", "emd", "tia", "hspy", "mrc", "bruker"}


def read_microscope_file(path: Path, reader: str) -> Raw:
    """Read the image in a microscope's file; the first of several, which the metadata then says."""
    module = importlib.import_module(f"rsciio.{reader}")
    options = {"lazy": True} if reader in _LAZY else {}
    signals = module.file_reader(str(path), **options)
    images = [signal for signal in signals if _is_image(signal)]
    if not images:
        shapes = ", ".join(str(tuple(np.shape(s.get("data", ())))) for s in signals) or "nothing"
        raise InputError(f"{path}: holds {shapes}, wanted one image of rows and columns; export the image as .tif")
    signal = images[0]
    data = signal["data"]
    check_size(path, tuple(data.shape), data.dtype.itemsize)
    pixels = np.squeeze(np.asarray(data.compute() if hasattr(data, "compute") else data))
    metadata: dict[str, Any] = {"format": path.suffix.lower().lstrip(".")}
    if len(images) > 1:
        titles = [one_line(s.get("metadata", {}).get("General", {}).get("title", ""), 40) for s in images]
        metadata["images_note"] = f"{len(images)} images in the file ({', '.join(titles)}); the first is used"
    return Raw(pixels=pixels, sizes_nm=_sizes(signal.get("axes", ()), metadata), metadata=metadata)


def _is_image(signal: Mapping[str, Any]) -> bool:
    """Tell whether a signal is one picture, be it wrapped in axes of length one."""
    data = signal.get("data")
    if data is None or getattr(data.dtype, "kind", "") not in "buif":
        return False
    return sum(n > 1 for n in data.shape) == 2


def _sizes(axes: Sequence[Mapping[str, Any]], metadata: dict[str, Any]) -> tuple[float | None, float | None] | None:
    """Give the pixel sizes (y, x) in nm of the two long axes."""
    long = [axis for axis in axes if int(axis.get("size", 0)) > 1]
    if len(long) != 2:
        return None
    sizes: list[float | None] = []
    for axis in long:
        unit = nm_per(axis.get("units"))
        scale = axis.get("scale")
        if unit is None or scale is None:
            said = axis.get("units")
            metadata["resolution_note"] = f"the axis unit {one_line(said, 20)!r} is no length; it gives no pixel size"
            return None
        sizes.append(abs(float(scale)) * unit)
    return sizes[0], sizes[1]
