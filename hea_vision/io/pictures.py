"""Pictures: PNG, JPEG and BMP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_vision.io.lengths import from_density
from hea_vision.io.raw_images import Raw, Request, check_size, chosen_pages

_FORMATS = ("PNG", "JPEG", "BMP", "MPO")


def read_picture(path: Path) -> Raw:
    """Read the one picture of a file."""
    return next(picture_pages(path, Request()))


def picture_pages(path: Path, request: Request) -> Iterator[Raw]:
    """Give the wanted pictures of a file; its header is checked before its pixels are unpacked."""
    import imageio.v3 as iio
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=_FORMATS) as header:
            size, frames, info = header.size, int(getattr(header, "n_frames", 1)), dict(header.info)
            mode = "RGB" if header.mode in ("CMYK", "YCbCr", "LAB") else None
            depth = len(header.getbands()) * (4 if header.mode in ("I", "F") else 2 if header.mode == "I;16" else 1)
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: is no PNG, JPEG or BMP picture; export it again as one of these") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: the header claims a picture too large to unpack; save it as .tif") from error
    check_size(path, (size[1], size[0]), depth)
    metadata: dict[str, Any] = {"format": path.suffix.lower().lstrip(".")}
    sizes = None
    if isinstance(dpi := info.get("dpi"), tuple) and len(dpi) == 2:
        found, note = from_density(float(dpi[0]), float(dpi[1]), 2.54e7)
        sizes = (found[1], found[0]) if found else None
        metadata["pixel_size_tag"] = "resolution"
        if note:
            metadata["resolution_note"] = note
    for n in chosen_pages(path, frames, request):
        pixels = np.asarray(iio.imread(path, plugin="pillow", index=n, mode=mode))
        yield Raw(pixels=pixels, sizes_nm=sizes, metadata=metadata, page=n + 1, pages=frames)
