"""Draw atomic columns as the high-angle annular dark-field detector sees them, with their exact places.

| what | formula | in code |
|---|---|---|
| intensity of a column | sum of Z^n over its atoms (incoherent; doi:10.1038/s41598-018-30941-5) | `intensity` |
| exponent n | about 1.6 to 2, more with a larger inner angle of the detector | `exponent` |
| width of a spot | sigma^2 = (FWHM / 2.355)^2 + u^2, u the rms thermal displacement along an axis | `_sigma_px` |

Dose, scan noise, drift and blur are the instrument's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from hea_sim.errors import InputError
from hea_sim.microscopy.column_kernels import add_peaks
from hea_sim.microscopy.noise_fields import smooth_noise
from hea_sim.microscopy.ranges import checked_px
from hea_sim.microscopy.scenes import Scene, checked_shape
from hea_sim.microscopy.shapes import add_ellipses, empty_distance

if TYPE_CHECKING:
    from ase import Atoms

COLUMN_CLASSES = {0: "background", 1: "column"}
#: Radius of a labelled disc over the distance to the nearest other column.
DISC_RADIUS = 0.3
_FWHM = float(2 * np.sqrt(2 * np.log(2)))


def project_columns(
    atoms: Atoms, axis: Sequence[float] = (0, 0, 1), *, rotation_deg: float = 0.0, tolerance_nm: float = 0.04
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Project atoms along an axis and join those that fall on one another.

    Parameters
    ----------
    atoms
        As they are: no periodic image is added.
    axis
        Direction of the beam in Cartesian coordinates (of a cubic crystal along x, y, z: the zone axis).
    rotation_deg
        Turn about the beam.
    tolerance_nm
        Atoms closer than this in projection belong to one column, also by way of others.

    Returns
    -------
    tuple
        Places (n, 2) y, x in nm: the mean of the atoms of each column; and their atomic numbers, one array a column.
    """
    along = np.asarray(axis, float)
    if along.shape != (3,) or not np.isfinite(along).all() or not np.linalg.norm(along) > 0:
        raise InputError(f"columns: axis {axis}; wanted three numbers that are not all zero")
    if len(atoms) == 0:
        raise InputError("columns: no atoms; wanted at least one")
    if not tolerance_nm > 0:
        raise InputError(f"columns: tolerance_nm is {tolerance_nm}; wanted a positive number")
    flat = 0.1 * atoms.get_positions() @ _plane(along, rotation_deg).T
    pairs = cKDTree(flat).query_pairs(tolerance_nm, output_type="ndarray")
    graph = sparse.coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(flat),) * 2)
    count, member = connected_components(graph, directed=False)
    size = np.bincount(member, minlength=count)
    places = np.stack([np.bincount(member, flat[:, k], minlength=count) / size for k in (0, 1)], 1)
    order = np.argsort(member, kind="stable")
    return places, np.split(atoms.get_atomic_numbers()[order], np.cumsum(size)[:-1])


def _plane(along: np.ndarray, rotation_deg: float) -> np.ndarray:
    """Give the unit vectors (2, 3) of rows and columns, right-handed with the way towards the viewer."""
    along = along / np.linalg.norm(along)
    # The Cartesian axis farthest from the beam, the first of equals, lies along the columns.
    start = np.eye(3)[np.argmin(np.abs(along).round(9))]
    across = start - (start @ along) * along
    across /= np.linalg.norm(across)
    down = np.cross(across, along)
    c, s = np.cos(np.radians(rotation_deg)), np.sin(np.radians(rotation_deg))
    return np.stack([c * down + s * across, c * across - s * down])


def draw_columns(
    atoms: Atoms,
    rng: np.random.Generator | int,
    *,
    pixel_size_nm: float,
    probe_fwhm_nm: float = 0.08,
    axis: Sequence[float] = (0, 0, 1),
    rotation_deg: float = 0.0,
    shape: tuple[int, int] | None = None,
    exponent: float = 1.7,
    thermal_nm: float = 0.007,
    tails: float = 0.0,
    background: float = 0.1,
    tolerance_nm: float = 0.04,
) -> Scene:
    """Draw atoms in projection.

    Parameters
    ----------
    atoms
        As they are: no periodic image is added.
    rng
        Draws the unevenness of the background; or its seed.
    pixel_size_nm
        Edge of a pixel.
    probe_fwhm_nm
        Full width of the probe at half its height.
    axis, rotation_deg, tolerance_nm
        See `project_columns`.
    shape
        Rows and columns; the middle of the atoms is the middle of the field. None: all columns with room around.
    exponent
        Power n of the atomic number.
    thermal_nm
        Rms thermal displacement along one axis, which widens the spots.
    tails
        Part of the probe's intensity in far tails.
    background
        Grey without columns; the brightest pixel has 0.95.

    Returns
    -------
    Scene
        Classes `COLUMN_CLASSES`; `points` (n, 3) row, column in pixels, and intensity over the mean of all columns.
    """
    if not 0 < pixel_size_nm < 10:
        raise InputError(f"columns: pixel_size_nm is {pixel_size_nm}; wanted a positive number of nm")
    if not (0 < exponent <= 3 and 0 <= thermal_nm < 0.1 and probe_fwhm_nm > 0):
        raise InputError(
            f"columns: exponent {exponent}, thermal_nm {thermal_nm}, probe_fwhm_nm {probe_fwhm_nm};"
            " wanted 0 to 3, 0 to 0.1 and a positive number"
        )
    places, numbers = project_columns(atoms, axis, rotation_deg=rotation_deg, tolerance_nm=tolerance_nm)
    sigma_px = float(np.hypot(probe_fwhm_nm / _FWHM, thermal_nm)) / pixel_size_nm
    intensity = np.array([float((z.astype(float) ** exponent).sum()) for z in numbers])
    flat = places / pixel_size_nm
    low, high = flat.min(0), flat.max(0)
    if shape is None:
        edge = 4 * sigma_px + 4
        room = np.maximum(np.ceil(high - low + 2 * edge).astype(int), 32)
        shape = (int(room[0]), int(room[1]))
    flat = flat - 0.5 * (low + high) + 0.5 * (np.array(shape) - 1)
    return picture_columns(
        rng if isinstance(rng, np.random.Generator) else np.random.default_rng(rng),
        shape,
        np.column_stack([flat, intensity / intensity.mean()]),
        sigma_px=sigma_px,
        tails=tails,
        background=background,
    )


def picture_columns(
    rng: np.random.Generator,
    shape: tuple[int, int],
    points: np.ndarray,
    *,
    sigma_px: float,
    tails: float = 0.0,
    background: float = 0.1,
    unevenness: float = 0.0,
) -> Scene:
    """Draw columns `points` (n, 3): row, column in pixels, intensity; those outside the field add light, not truth.

    `unevenness` is the std of the background over long ways, as of amorphous matter on the specimen.
    """
    shape = checked_shape(shape)
    checked_px(sigma_px, "columns: standard deviation of a spot", 0.4, 200)
    if not (0 <= tails <= 1 and 0 <= background <= 0.9 and 0 <= unevenness <= 1):
        raise InputError(
            f"columns: tails {tails}, background {background}, unevenness {unevenness}; wanted 0 to 1, 0 to 0.9, 0 to 1"
        )
    reach = sigma_px * (14.0 if tails > 0 else 5.0)
    near = ((points[:, :2] > -reach) & (points[:, :2] < np.array(shape) + reach)).all(1)
    points = np.ascontiguousarray(points[near], float)
    light = np.zeros(shape)
    add_peaks(light, points, float(sigma_px), float(tails), float(reach))
    grey = background + (0.95 - background) * light / max(float(light.max()), 1e-12)
    if unevenness > 0:
        grey = grey + unevenness * np.maximum(1 + smooth_noise(rng, shape, 0.5 * min(shape)), 0)
    inside = ((points[:, :2] > -0.5) & (points[:, :2] < np.array(shape) - 0.5)).all(1)
    return Scene(
        reflectance=np.clip(grey, 0, 1).astype(np.float32),
        labels=_discs(shape, points, sigma_px),
        classes=dict(COLUMN_CLASSES),
        points=points[inside],
    )


def _discs(shape: tuple[int, int], points: np.ndarray, sigma_px: float) -> np.ndarray:
    distance = empty_distance(shape)
    if len(points):
        apart = cKDTree(points[:, :2]).query(points[:, :2], k=2)[0][:, 1] if len(points) > 1 else np.array([np.inf])
        # Half the typical distance holds where one column stands alone.
        radius = DISC_RADIUS * np.minimum(apart, 2 * np.median(apart))
        radius = np.where(np.isfinite(radius), radius, 1.5 * sigma_px)
        add_ellipses(distance, np.column_stack([points[:, :2], radius, radius, 0 * radius]), reach_px=1.0)
    return (distance <= 0).astype(np.uint8)


def plain_peaks(shape: tuple[int, int], peaks: np.ndarray, sigma: float, tails: float, reach: float) -> np.ndarray:
    """Give the light of columns at every pixel: the plain twin of the kernel."""
    r, c = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
    w = sigma * np.sqrt(2 * np.log(2)) / np.sqrt(2 ** (2 / 3) - 1)
    out = np.zeros(shape)
    for row, column, volume in peaks:
        d2 = (r - row) ** 2 + (c - column) ** 2
        gauss = np.exp(-d2 / (2 * sigma**2)) / (2 * np.pi * sigma**2)
        out += volume * np.where(d2 <= reach**2, (1 - tails) * gauss + tails * w / (2 * np.pi) * (d2 + w**2) ** -1.5, 0)
    return out
