"""Label images: TIFF that ImageJ opens at the right scale, with the names of the classes."""

from __future__ import annotations

import io
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.documents import write_atomic
from hea_sim.errors import InputError
from hea_sim.records import Segmentation
from hea_vision.io._files import checked_path, one_line
from hea_vision.io.lengths import settle_pixel_size, usable
from hea_vision.io.micrographs import Raw, guarded

#: Suffixes that `read_labels` takes; `write_labels` writes the first two.
LABEL_SUFFIXES = (".tif", ".tiff", ".png")

_KIND = "hea-toolkit labels"


def write_labels(path: str | os.PathLike[str], segmentation: Segmentation) -> Path:
    """Write labels as uint8 or uint16 TIFF, whole or not at all.

    The resolution tags carry the pixel size in microns as ImageJ reads it; the description carries class
    names, model, source and the exact pixel size as JSON.
    """
    import tifffile

    path = Path(path)
    if path.suffix.lower() not in LABEL_SUFFIXES[:2]:
        raise InputError(f"{path}: labels are written as TIFF; give a name that ends in .tif")
    labels = _checked_labels(path, segmentation)
    size = segmentation.pixel_size_nm
    if size is not None and not usable(size):
        raise InputError(f"{path}: pixel size {size} nm; wanted a positive number of nanometres")
    info = {
        "kind": _KIND,
        "classes": {str(int(k)): str(v) for k, v in segmentation.classes.items()},
        "pixel_size_nm": size,
        "model": segmentation.model,
        "source": segmentation.source,
    }
    stream = io.BytesIO()
    scale: dict[str, Any] = {}
    metadata: dict[str, Any] = {"axes": "YX", "Info": json.dumps(info)}
    if size is not None:
        scale["resolution"] = (1000 / size, 1000 / size)
        metadata["unit"] = "micron"
    tifffile.imwrite(stream, labels, imagej=True, metadata=metadata, **scale)
    return write_atomic(path, stream.getvalue())


def read_labels(path: str | os.PathLike[str]) -> Segmentation:
    """Read a label image: one of `write_labels`, or any grey TIFF or PNG whose values are class numbers.

    Where the file names no classes, they are called "class 1", "class 2", ..., and the metadata says so.
    """
    path = checked_path(path, "label image", LABEL_SUFFIXES)
    raw = guarded(path, _read_raw)
    info = raw.metadata.get("info") or {}
    size, _ = settle_pixel_size(path, raw.sizes_nm, None)
    exact = info.get("pixel_size_nm")
    # The tag is a rounded ratio; the JSON is exact, but believed only where the tag agrees.
    if isinstance(exact, float) and usable(exact) and (size is None or math.isclose(exact, size, rel_tol=1e-3)):
        size = exact
    numbers = [int(n) for n in np.unique(raw.pixels)]
    named = {int(k): str(v) for k, v in info.get("classes", {}).items()}
    classes = named or {n: "matrix" if n == 0 else f"class {n}" for n in numbers}
    unknown = [n for n in numbers if n not in classes]
    if unknown:
        raise InputError(f"{path}: class {unknown[0]} has no name in the file; write the labels again")
    metadata = {"format": path.suffix.lower().lstrip(".")}
    if not named:
        metadata["classes_note"] = "the file names no classes; they are numbered"
    return Segmentation(
        labels=raw.pixels,
        classes=classes,
        pixel_size_nm=size,
        model=str(info.get("model", "")),
        source=str(info.get("source", "")),
        metadata=metadata,
    )


def _checked_labels(path: Path, segmentation: Segmentation) -> np.ndarray:
    """Give the labels in the smallest type that holds them."""
    labels = np.asarray(segmentation.labels)
    if labels.ndim != 2 or labels.dtype.kind not in "bui" or labels.size == 0:
        raise InputError(
            f"{path}: labels of shape {labels.shape} and type {labels.dtype}; wanted a plane of whole numbers"
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high > 65535:
        raise InputError(f"{path}: labels run from {low} to {high}; wanted 0 to 65535: number them anew")
    nameless = sorted(set(np.unique(labels).tolist()) - {int(k) for k in segmentation.classes})
    if nameless:
        raise InputError(f"{path}: class {nameless[0]} has no name; wanted a name for every class number in the labels")
    return labels.astype(np.uint8 if high < 256 else np.uint16)


def _read_raw(path: Path) -> Raw:
    """Read the integers of a label file, with the JSON of `write_labels` where it is there."""
    if path.suffix.lower() == ".png":
        from hea_vision.io.pictures import read_picture

        raw, info = read_picture(path), None
    else:
        from hea_vision.io.tiff import read_tiff

        raw, info = read_tiff(path, as_numbers=True), _info(path)
    pixels = raw.pixels.astype(np.uint8) if raw.pixels.dtype.kind == "b" else raw.pixels
    if pixels.ndim != 2 or pixels.dtype.kind not in "ui" or pixels.min() < 0:
        raise InputError(
            f"{path}: got {one_line(pixels.dtype)} of shape {pixels.shape}, wanted a class number per pixel;"
            " convert colour masks to class numbers"
        )
    return Raw(pixels=pixels, sizes_nm=raw.sizes_nm, metadata={"info": info})


def _info(path: Path) -> dict[str, Any] | None:
    """Find the JSON that `write_labels` leaves."""
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        text = (tiff.imagej_metadata or {}).get("Info") if tiff.is_imagej else None
    try:
        info = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return None
    if not isinstance(info, dict) or info.get("kind") != _KIND or not isinstance(info.get("classes"), dict):
        return None
    if not all(str(key).isdecimal() for key in info["classes"]):
        return None
    return info
