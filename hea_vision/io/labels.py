"""Label images: TIFF that ImageJ opens at the right scale, with the names of the classes."""

from __future__ import annotations

import functools
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_sim.records import Segmentation
from hea_vision.io._files import checked_path, one_line
from hea_vision.io.label_files import numbers_in, write_planes
from hea_vision.io.lengths import settle_pixel_size, usable
from hea_vision.io.raw_images import Raw, Request, guarded, read_pages

#: Suffixes that `read_labels` takes; `write_labels` writes the first two.
LABEL_SUFFIXES = (".tif", ".tiff", ".png")

_KIND = "hea-toolkit labels"
_INSTANCES = "hea-toolkit instances"
_LARGEST_CLASS, _LARGEST_INSTANCE = 65535, 2**31 - 1


def write_labels(path: str | os.PathLike[str], segmentation: Segmentation) -> Path:
    """Write labels as uint8 or uint16 TIFF, whole or not at all.

    The resolution tags carry the pixel size in microns as ImageJ reads it; the description carries class
    names, model, source and the exact pixel size as JSON.
    """
    return write_label_stack(path, [segmentation])


def write_label_stack(path: str | os.PathLike[str], segmentations: Sequence[Segmentation]) -> Path:
    """Write the labels of the pages of a stack as one TIFF stack; all have one size, pixel size and set of classes."""
    path = _checked_name(path)
    if not segmentations:
        raise InputError(f"{path}: no labels were given; wanted those of at least one page")
    first = segmentations[0]
    planes: list[np.ndarray] = []
    top = 0
    for segmentation in segmentations:
        labels, largest = _checked_labels(path, segmentation)
        same = (first.classes, first.pixel_size_nm) == (segmentation.classes, segmentation.pixel_size_nm)
        if not same or (planes and labels.shape != planes[0].shape):
            raise InputError(
                f"{path}: page {len(planes) + 1} has other classes, another pixel size or another shape than page 1;"
                " write it as its own file"
            )
        planes.append(labels)
        top = max(top, largest)
    size = _checked_size(path, first.pixel_size_nm)
    info: dict[str, Any] = {
        "kind": _KIND,
        "classes": {str(int(k)): str(v) for k, v in first.classes.items()},
        "pixel_size_nm": size,
        "model": first.model,
        "source": first.source,
    }
    if len(planes) > 1:
        info["sources"] = [segmentation.source for segmentation in segmentations]
    return write_planes(path, planes, top, size, info)


def write_instances(
    path: str | os.PathLike[str],
    instances: np.ndarray,
    *,
    pixel_size_nm: float | None = None,
    model: str = "",
    source: str = "",
) -> Path:
    """Write object numbers (rows, columns), 0 for none, up to 2^31 - 1, whole or not at all.

    Up to 65535 objects ImageJ opens the file at its scale; with more it is a plain TIFF of uint32.
    """
    path = _checked_name(path)
    instances = _whole_plane(path, np.asarray(instances), "instances")
    low, top = int(instances.min()), int(instances.max())
    if low < 0 or top > _LARGEST_INSTANCE:
        raise InputError(f"{path}: object numbers run from {low} to {top}; wanted 0 to {_LARGEST_INSTANCE}")
    size = _checked_size(path, pixel_size_nm)
    info = {"kind": _INSTANCES, "pixel_size_nm": size, "model": model, "source": source}
    return write_planes(path, [instances], top, size, info)


def read_instances(path: str | os.PathLike[str]) -> tuple[np.ndarray, float | None]:
    """Read object numbers (rows, columns) and the pixel size in nm from a label image."""
    path = checked_path(path, "label image", LABEL_SUFFIXES)
    raw = _only(path, None)
    return raw.pixels, _exact_size(path, raw)


def read_labels(path: str | os.PathLike[str], *, page: int | None = None) -> Segmentation:
    """Read a label image: one of `write_labels`, or any grey TIFF or PNG whose values are class numbers.

    Where the file names no classes, they are called "class 1", "class 2", ..., and the metadata says so.
    """
    path = checked_path(path, "label image", LABEL_SUFFIXES)
    return _segmentation(path, _only(path, page))


def read_label_stack(path: str | os.PathLike[str]) -> list[Segmentation]:
    """Read every page of a label stack."""
    path = checked_path(path, "label image", LABEL_SUFFIXES)
    return [_segmentation(path, raw) for raw in read_pages(path, _label_pages, Request(every=True))]


def _segmentation(path: Path, raw: Raw) -> Segmentation:
    info = raw.metadata["info"]
    if info.get("kind") == _INSTANCES:
        raise InputError(f"{path}: holds object numbers, wanted classes; read it with read_instances")
    numbers = guarded(path, functools.partial(numbers_in, raw.pixels))
    named = {int(k): str(v) for k, v in info.get("classes", {}).items()}
    classes = named or {n: "matrix" if n == 0 else f"class {n}" for n in numbers}
    unknown = [n for n in numbers if n not in classes]
    if unknown:
        raise InputError(f"{path}: class {unknown[0]} has no name in the file; write the labels again")
    metadata: dict[str, Any] = {"format": path.suffix.lower().lstrip(".")}
    if not named:
        metadata["classes_note"] = "the file names no classes; they are numbered"
    if raw.pages > 1:
        metadata |= {"page": raw.page, "pages": raw.pages}
    sources = info.get("sources")
    per_page = isinstance(sources, list) and len(sources) == raw.pages
    return Segmentation(
        labels=raw.pixels,
        classes=classes,
        pixel_size_nm=_exact_size(path, raw),
        model=str(info.get("model", "")),
        source=str(sources[raw.page - 1] if per_page else info.get("source", "")),
        metadata=metadata,
    )


def _exact_size(path: Path, raw: Raw) -> float | None:
    """Give the pixel size: the tag is a rounded ratio; the JSON is exact, but believed only where the tag agrees."""
    size, _ = settle_pixel_size(path, raw.sizes_nm, None)
    exact = raw.metadata["info"].get("pixel_size_nm")
    if isinstance(exact, float) and usable(exact) and (size is None or math.isclose(exact, size, rel_tol=1e-3)):
        return exact
    return size


def _checked_name(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if path.suffix.lower() not in LABEL_SUFFIXES[:2]:
        raise InputError(f"{path}: labels are written as TIFF; give a name that ends in .tif")
    return path


def _checked_size(path: Path, size: float | None) -> float | None:
    if size is not None and not usable(size):
        raise InputError(f"{path}: pixel size {size} nm; wanted a positive number of nanometres")
    return None if size is None else float(size)


def _checked_labels(path: Path, segmentation: Segmentation) -> tuple[np.ndarray, int]:
    """Give the labels and the largest of them, after a look at all of them."""
    labels = _whole_plane(path, np.asarray(segmentation.labels), "labels")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high > _LARGEST_CLASS:
        raise InputError(f"{path}: labels run from {low} to {high}; wanted 0 to {_LARGEST_CLASS}: number them anew")
    known = {int(k) for k in segmentation.classes}
    nameless = [n for n in numbers_in(labels) if n not in known]
    if nameless:
        raise InputError(f"{path}: class {nameless[0]} has no name; wanted a name for every class number in the labels")
    return labels, high


def _whole_plane(path: Path, labels: np.ndarray, what: str) -> np.ndarray:
    if labels.ndim != 2 or labels.dtype.kind not in "bui" or labels.size == 0:
        raise InputError(
            f"{path}: {what} of shape {labels.shape} and type {labels.dtype}; wanted a plane of whole numbers"
        )
    return labels.view(np.uint8) if labels.dtype.kind == "b" else labels


def _only(path: Path, page: int | None) -> Raw:
    """Read the one page that is wanted."""
    from hea_vision.io.micrographs import checked_page

    (raw,) = read_pages(path, _label_pages, Request(page=checked_page(page)))
    return raw


def _label_pages(path: Path, request: Request) -> Iterator[Raw]:
    """Read the integers of a label file, with the JSON of `write_labels` where it is there."""
    info: Mapping[str, Any] = {}
    if path.suffix.lower() == ".png":
        from hea_vision.io.pictures import picture_pages

        pages = picture_pages(path, request)
    else:
        from hea_vision.io.tiff import tiff_pages

        pages, info = tiff_pages(path, request, as_numbers=True), _info(path)
    for raw in pages:
        pixels = raw.pixels.astype(np.uint8) if raw.pixels.dtype.kind == "b" else raw.pixels
        if pixels.ndim != 2 or pixels.dtype.kind not in "ui" or pixels.min() < 0:
            raise InputError(
                f"{path}: got {one_line(pixels.dtype)} of shape {pixels.shape}, wanted a class number per pixel;"
                " convert colour masks to class numbers"
            )
        yield Raw(pixels=pixels, sizes_nm=raw.sizes_nm, metadata={"info": info}, page=raw.page, pages=raw.pages)


def _info(path: Path) -> Mapping[str, Any]:
    """Find the JSON that `write_labels` and `write_instances` leave; empty where there is none."""
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        text: Any = (tiff.imagej_metadata or {}).get("Info") if tiff.is_imagej else tiff.pages.first.description
    try:
        info = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return {}
    if not isinstance(info, dict):
        return {}
    if info.get("kind") == _INSTANCES:
        return info
    classes = info.get("classes")
    if info.get("kind") != _KIND or not isinstance(classes, dict) or not all(str(k).isdecimal() for k in classes):
        return {}
    return info
