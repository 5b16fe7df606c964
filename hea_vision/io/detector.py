"""Detector images: azimuthal integration to a powder pattern with the calibration of a .poni file, by pyFAI.

pyFAI: J. Kieffer et al., J. Synchrotron Rad. 32 (2025) 328; the file format is its own. It is the extra `detector`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from hea_sim.documents import sha256_of
from hea_sim.errors import HEAError, InputError, MissingDependencyError
from hea_sim.records import Pattern
from hea_vision.io._files import checked_path, decode_text, one_line, quiet, read_bytes
from hea_vision.io._scans import Reading, Scan
from hea_vision.io.patterns import DETECTOR_SUFFIXES
from hea_vision.io.radiation import Source, line_of, said_by_user, settle

_T = TypeVar("_T")

_MAX_PIXELS = 100_000_000
_MAX_PONI_BYTES = 2**20
_MAX_POINTS = 100_000
_MIN_PIXELS = 32
#: Sizes that the text headers of CBF, EDF and ADSC images declare.
_DECLARED = re.compile(
    rb"(?:X-Binary-Number-of-Elements:|X-Binary-Size(?:-Fastest|-Second)?-?Dimension:|Dim_[12]\s*=|SIZE[12]=)\s*(\d+)"
)


def integrate_image(
    path: str | os.PathLike[str],
    calibration: str | os.PathLike[str] | None,
    *,
    radiation: str | None = None,
    wavelength_A: float | None = None,
    n_points: int | None = None,
    polarization_factor: float | None = None,
) -> Pattern:
    """Integrate a detector image over the azimuth into intensity against 2-theta.

    `calibration` is a .poni file; its wavelength counts unless the user names another. Solid angle is corrected,
    polarisation where a factor from -1 to 1 is given (0 for a tube, about 0.99 for a synchrotron). Pixels that are
    masked, negative or not finite are left out. `n_points` bins, else about one per pixel of radius.
    `intensity_std` follows from Poisson's law on the pixels' counts.

    Raises InputError for an image without calibration or one that does not fit it, MissingDependencyError without
    pyFAI.
    """
    user = said_by_user(radiation, wavelength_A)
    path = checked_path(path, "detector image", DETECTOR_SUFFIXES)
    if calibration is None:
        raise InputError(
            f"{path}: is a detector image without calibration, wanted a .poni file of the same detector place;"
            ' give calibration="x.poni" (made with pyFAI-calib2)'
        )
    if n_points is not None and not 50 <= n_points <= _MAX_POINTS:
        raise InputError(f"n_points {n_points}; wanted a whole number from 50 to {_MAX_POINTS}")
    if polarization_factor is not None and not -1 <= polarization_factor <= 1:
        raise InputError(f"polarization_factor {polarization_factor}; wanted a number from -1 to 1")
    pyfai = _pyfai()
    poni = checked_path(calibration, "calibration", (".poni",))
    integrator = _guarded(poni, "calibration", lambda: _calibration(pyfai, poni))
    image = _guarded(path, "detector image", lambda: _image(path))
    said = settle(_source(integrator), user)
    if said.radiation is None and said.wavelength_A is None:
        raise InputError(f"{poni}: says no wavelength; give wavelength_A=... or radiation=...")
    scan = _guarded(path, "detector image", lambda: _integrated(path, integrator, image, n_points, polarization_factor))
    metadata = {**scan.metadata, "calibration": str(poni), "calibration_sha256": sha256_of(poni)}
    if polarization_factor is not None:
        metadata["polarization_factor"] = float(polarization_factor)
    reading = Reading(where=str(path), sha256=sha256_of(path), user=user)
    return reading.pattern(Scan(x=scan.x, y=scan.y, std=scan.std, source=_source(integrator), metadata=metadata))


def _pyfai() -> Any:
    try:
        with quiet():
            import pyFAI
    except ImportError as error:
        raise MissingDependencyError(
            "detector images are integrated by pyFAI, which is not installed; pip install 'hea-toolkit[detector]'"
        ) from error
    return pyFAI


def _guarded(path: Path, what: str, work: Callable[[], _T]) -> _T:
    """Turn whatever the libraries throw at a damaged file into one InputError."""
    try:
        with quiet():
            return work()
    except HEAError:
        raise
    except Exception as error:
        raise InputError(f"{path}: is no readable {what} ({one_line(error, 100)}); copy or export it again") from error


def _calibration(pyfai: Any, poni: Path) -> Any:
    text = decode_text(poni, read_bytes(poni, _MAX_PONI_BYTES))
    if not re.search(r"^Distance\s*:", text, re.MULTILINE) or not re.search(r"^Poni1\s*:", text, re.MULTILINE):
        raise InputError(f"{poni}: names no Distance and Poni1, wanted a calibration of pyFAI; save it again")
    integrator = pyfai.load(str(poni))
    if not (np.isfinite(integrator.dist) and integrator.dist > 0):
        raise InputError(f"{poni}: the detector stands at {integrator.dist} m, wanted a distance above zero")
    return integrator


def _source(integrator: Any) -> Source:
    """Give the radiation of the calibration: a tube's line stands for its doublet, as in every other file."""
    if not integrator.wavelength:
        return Source()
    wavelength = float(integrator.wavelength) * 1e10
    notes = {"radiation_from": f"wavelength {wavelength:.6g} A of the calibration"}
    if name := line_of(wavelength):
        return Source(radiation=name, notes=notes)
    return Source(wavelength_A=wavelength, notes=notes) if 0.05 < wavelength < 5 else Source()


def _image(path: Path) -> np.ndarray:
    """Read the pixels (rows, columns) of one image, after a look at the size that it declares."""
    suffix = path.suffix.lower()
    if suffix in (".tif", ".tiff"):
        from hea_vision.io.tiff import read_tiff

        pixels = read_tiff(path, as_numbers=True).pixels
    elif suffix == ".npy":
        pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    else:
        import fabio

        with open(path, "rb") as stream:
            declared = [int(size[:12]) for size in _DECLARED.findall(stream.read(2**16))]
        if max(declared, default=0) > _MAX_PIXELS or np.prod(declared[:2], dtype=float) > _MAX_PIXELS**1.5:
            raise InputError(f"{path}: declares {max(declared)} pixels in a row, at most {_MAX_PIXELS} are read")
        with fabio.open(str(path)) as image:
            pixels = np.asarray(image.data)
    if pixels.ndim != 2 or min(pixels.shape) < _MIN_PIXELS or pixels.size > _MAX_PIXELS:
        raise InputError(f"{path}: has pixels of shape {pixels.shape}, wanted one grey image of at least 32 x 32")
    if pixels.dtype.kind not in "iufb":
        raise InputError(f"{path}: holds {pixels.dtype} pixels, wanted plain numbers; save it again")
    return np.asarray(pixels, float)


def _integrated(
    path: Path, integrator: Any, image: np.ndarray, n_points: int | None, polarization_factor: float | None
) -> Scan:
    wanted = integrator.detector.shape or integrator.detector.max_shape
    if wanted is not None and tuple(wanted) != image.shape:
        raise InputError(
            f"{path}: has {image.shape[0]} x {image.shape[1]} pixels, the calibration is for {wanted[0]} x {wanted[1]};"
            " give the calibration of this detector"
        )
    mask = ~np.isfinite(image) | (image < 0)
    detector_mask = integrator.detector.mask
    if detector_mask is not None and detector_mask.shape == image.shape:
        mask |= detector_mask.astype(bool)
    if mask.all():
        raise InputError(f"{path}: no pixel is usable (all masked, negative or not finite); give the raw image")
    result = integrator.integrate1d(
        np.where(mask, 0.0, image),
        n_points or _radial_pixels(integrator, image.shape),
        unit="2th_deg",
        mask=mask,
        error_model="poisson",
        polarization_factor=polarization_factor,
        correctSolidAngle=True,
        method=("bbox", "csr", "cython"),
    )
    filled = np.asarray(result.count) > 0
    x, y = (np.asarray(values, float)[filled] for values in (result.radial, result.intensity))
    std = np.asarray(result.sigma, float)[filled]
    metadata = {"format": f"image {path.suffix.lower().lstrip('.')}", "pixels_left_out": int(mask.sum())}
    return Scan(x=x, y=y, std=std, metadata=metadata)


def _radial_pixels(integrator: Any, shape: tuple[int, ...]) -> int:
    """Count the pixels along the longest radius on the image, the number of bins that keeps its resolution."""
    radius = integrator.array_from_unit(shape, typ="center", unit="r_mm")
    pixel_mm = 1e3 * min(integrator.detector.pixel1, integrator.detector.pixel2)
    return int(np.clip(np.ptp(radius) / pixel_mm, 50, _MAX_POINTS))
