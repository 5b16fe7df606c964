"""Pictures: PNG, JPEG and BMP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_vision.io.lengths import from_density
from hea_vision.io.micrographs import Raw, check_size

_FORMATS = ("PNG", "JPEG", "BMP")


def read_picture(path: Path) -> Raw:
    """Read one picture; its header is checked before its pixels are unpacked."""
    import imageio.v3 as iio
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=_FORMATS) as header:
            size, frames, info = header.size, int(getattr(header, "n_frames", 1)), dict(header.info)
            mode = "RGB" if header.mode in ("CMYK", "YCbCr", "LAB") else None
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: is no PNG, JPEG or BMP picture; export it again as one of these") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: the header claims a picture too large to unpack; save it as .tif") from error
    check_size(path, (size[1], size[0]))
    if frames > 1:
        raise InputError(f"{path}: holds {frames} pictures, wanted one; save the wanted one as its own file")
    pixels = np.asarray(iio.imread(path, plugin="pillow", index=0, mode=mode))
    metadata: dict[str, Any] = {"format": path.suffix.lower().lstrip(".")}
    sizes = None
    if isinstance(dpi := info.get("dpi"), tuple) and len(dpi) == 2:
        found, note = from_density(float(dpi[0]), float(dpi[1]), 2.54e7)
        sizes = (found[1], found[0]) if found else None
        if note:
            metadata["resolution_note"] = note
    return Raw(pixels=pixels, sizes_nm=sizes, metadata=metadata)
