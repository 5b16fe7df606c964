"""Small virtual micrographs on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from hea_sim.microscopy import virtual_micrograph


def write_picture(
    path: Path, seed: int, *, shape: tuple[int, int] = (96, 128), pixel_size_nm: float | None = 50.0
) -> None:
    """Write a virtual micrograph with a dark second phase and a pore, as 8-bit TIFF."""
    drawn = virtual_micrograph(
        modality="sem",
        shape=shape,
        pixel_size_nm=50.0,
        seed=seed,
        second_phase_area_fraction=0.1,
        second_phase_contrast=-0.35,
        precipitate_diameter_px=9.0,
        pore_area_fraction=0.01,
        channelling_contrast=0.0,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.clip(255 * drawn.image, 0, 255).astype(np.uint8)
    scale: dict[str, Any] = {}
    if pixel_size_nm is not None:
        scale = {"resolution": (1000 / pixel_size_nm,) * 2, "metadata": {"unit": "micron"}}
    tifffile.imwrite(path, image, imagej=True, **scale)
