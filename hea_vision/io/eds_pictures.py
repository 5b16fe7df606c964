"""Element maps that were exported as pictures, one an element: coloured dots on black.

Brightness says where an element gives more X-rays and where fewer, and no more: every picture has its own scale, dots
saturate, and compression lifts the black, so that a contrast is a lower limit. Dots are larger than a pixel and JPEG
couples pixels within 8 x 8 blocks, so that maps are averaged over blocks on that grid, with a strip of a dot's size
left out between them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers

from hea_sim.errors import InputError
from hea_vision.io._files import checked_path
from hea_vision.io.eds import ElementMaps
from hea_vision.io.raw_images import guarded

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
#: Side of the blocks that JPEG codes by themselves.
_JPEG_PX = 8
#: Smallest side of a block, and that in sizes of a dot.
_BLOCK_PX = 16
_BLOCK_PER_DOT = 3
#: Fewest blocks along a side.
_MIN_BLOCKS = 10
#: A row belongs to a title or a margin where this share of it is white.
_WHITE_SHARE = 0.7
_WHITE = 250
#: Ripples of compression about dots stay below this brightness; it is black where next to nothing lies above it.
_BLACK = 48
_GAP = 16
_GAP_SHARE = 0.005


def read_element_pictures(
    paths: Mapping[str, str | os.PathLike[str]] | Sequence[str | os.PathLike[str]],
    *,
    pixel_size_nm: float | None = None,
) -> ElementMaps:
    """Read pictures of element maps of one field.

    Parameters
    ----------
    paths
        {element: file}, or files whose name ends in the element's symbol ("map1_-_Nb.jpg").
    pixel_size_nm
        Of the pictures, which do not say.

    Returns
    -------
    ElementMaps
        In unit "brightness": not quantified.
    """
    if not isinstance(paths, Mapping):
        paths = {element_of(p): p for p in paths}
    if not paths:
        raise InputError("read_element_pictures: no files given; wanted one picture an element")
    files = [checked_path(p, "picture of an element map", _SUFFIXES) for p in paths.values()]
    pictures = [_brightness(path) for path in files]
    shapes = {p.name: b.shape for p, (b, _) in zip(files, pictures)}
    if len(set(shapes.values())) > 1:
        raise InputError(f"element maps of different sizes: {shapes}; wanted pictures of one field on one grid")
    # A title takes whole JPEG blocks with it, the grid stays.
    top = max(bounds[0] for _, bounds in pictures)
    top = -(-top // _JPEG_PX) * _JPEG_PX
    bottom = min(bounds[1] for _, bounds in pictures)
    values = np.stack([b[top:bottom] for b, _ in pictures], axis=-1)
    dot = max(dot_size_px(values[..., i]) for i in range(values.shape[2])) if min(values.shape[:2]) >= 64 else 1
    block = max(_BLOCK_PX, -(-_BLOCK_PER_DOT * dot // _JPEG_PX) * _JPEG_PX)
    if min(values.shape[:2]) < _MIN_BLOCKS * block:
        raise InputError(
            f"{files[0]}: {values.shape[0]} x {values.shape[1]} px with dots of {dot} px hold fewer than {_MIN_BLOCKS}"
            " independent blocks a side; export larger pictures"
        )
    return ElementMaps(
        elements=tuple(paths),
        values=values,
        unit="brightness",
        pixel_size_nm=pixel_size_nm,
        source=", ".join(str(p) for p in files) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more",
        notes=[f"brightness of pictures, dots of {dot} px: contrasts are lower limits"],
        block_px=block,
        guard_px=dot,
    )


def element_of(path: str | os.PathLike[str]) -> str:
    """Read the element off a file's name: its last word.

    >>> element_of("eds/map1_-_Nb.jpg")
    'Nb'
    """
    words = re.findall(r"[A-Za-z]+", Path(path).stem)
    symbols = {*words[-1:], *(w for w in words[-2:-1] if words[-1] in ("K", "L", "M", "Ka", "La", "Ma"))}
    found = [w for w in reversed(words[-2:]) if w in symbols and atomic_numbers.get(w, 0)]
    if not found:
        raise InputError(f"{path}: its name does not end in an element's symbol; give {{'Nb': file}} instead")
    return found[-1]


def _brightness(path: Path) -> tuple[np.ndarray, tuple[int, int]]:
    """Give the brightest channel of each pixel, and the rows between title and margin."""
    from hea_vision.io.pictures import read_picture
    from hea_vision.io.tiff import read_tiff

    tiff = path.suffix.lower() in (".tif", ".tiff")
    pixels = guarded(path, lambda: read_tiff(path) if tiff else read_picture(path)).pixels
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.dtype.kind not in "uif":
        raise InputError(f"{path}: array of shape {pixels.shape}, wanted a picture; export the map again")
    pixels = pixels[..., :1] if pixels.shape[2] == 2 else pixels[..., :3]
    white = (pixels.min(axis=2) >= _WHITE).mean(axis=1) >= _WHITE_SHARE
    rows = np.flatnonzero(~white)
    if not rows.size or white.all():
        raise InputError(f"{path}: is white all over, wanted bright dots on black; export the map again")
    brightness = pixels.max(axis=2).astype(float)
    inside = brightness[rows[0] : rows[-1] + 1]
    between = ((inside >= _BLACK) & (inside < _BLACK + _GAP)).mean()
    if (inside < _BLACK).mean() > 0.5 and between < _GAP_SHARE:  # dots on black
        brightness[brightness < _BLACK] = 0.0
    return brightness, (int(rows[0]), int(rows[-1]) + 1)


def dot_size_px(picture: np.ndarray) -> int:
    """Measure over how many pixels brightness is shared: where its autocorrelation comes down to a slow part.

    >>> rng = np.random.default_rng(0)
    >>> dot_size_px(rng.random((128, 128))), dot_size_px(np.kron(rng.random((64, 64)), np.ones((3, 3))))
    (1, 3)
    """
    deviation = picture - picture.mean()
    power = np.abs(np.fft.rfft2(deviation)) ** 2
    rho = np.fft.irfft2(power, picture.shape)
    if rho[0, 0] <= 0:
        return 1
    rho = rho / rho[0, 0]
    along = (
        np.maximum(rho[0, : min(64, picture.shape[1] // 2)], 0),
        np.maximum(rho[: min(64, picture.shape[0] // 2), 0], 0),
    )
    size = 1
    for line in along:
        slow = float(np.median(line[len(line) // 2 :]))
        above = np.flatnonzero(line <= slow + 0.05 * (1.0 - slow))
        size = max(size, int(above[0]) if above.size else len(line))
    return size
