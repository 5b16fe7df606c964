"""Decide whether a micrograph holds two populations of grey levels, and where to cut between them.

Otsu's threshold cuts any image in two, pure noise as well. Here a cut is only a proposal; it is made on the even
rows of the image and judged on the odd rows, whose noise it has not seen:

1. *held-out contrast*: the odd rows show the difference that the even rows promised. Noise does not repeat.
2. *sharpness*: the difference is there within a few pixels of the boundary. Shading and contamination fail.
3. *level spread*: each side has one level over the whole field, narrow against the difference between the sides.
   Grains under channelling contrast have sharp boundaries but a continuum of levels, and fail.
4. *repeats*: the difference has the same sign all over the field: t over the cells of a grid.
5. *pieces*: the dispersed side comes in several pieces. One bright grain is no population.
6. *two normal components* describe the smoothed levels better than one by the Bayesian information criterion, with
   the number of independent pixels in the place of the number of pixels. Asked of the pixels on plateaus (the fifth
   with the smallest gradient), where rims and blurred edges do not fill the valley, or of all pixels. In correlated
   normal noise the gradient says nothing of the level, so plateaus look like the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.measure import label

from hea_vision.measurement.correlation import correlation_area_px

#: Gaussian smoothing lengths that are tried, in pixels, least first.
SCALES_PX = (1.0, 2.0, 4.0)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Hold what a cut must reach; the numbers were set on the training and validation images."""

    held_out: float = 0.7
    sharpness: float = 0.55
    level_separation: float = 3.2
    t: float = 6.0
    contrast_to_noise: float = 3.0
    min_area_fraction: float = 0.003
    pieces: float = 4.0


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Hold a proposed cut and what the held-out rows say of it.

    `threshold` and `contrast` are grey levels of the flattened image; `reason` is empty where the cut stands.
    """

    kind: str
    sigma_px: float
    threshold: float
    contrast: float
    area_fraction_dark: float
    held_out: float
    sharpness: float
    level_separation: float
    t: float
    contrast_to_noise: float
    pieces: float
    bic_gain: float
    reason: str = ""

    @property
    def stands(self) -> bool:
        """Say whether the cut passed every limit."""
        return not self.reason

    def as_dict(self) -> dict[str, object]:
        """Give the plain numbers."""
        return asdict(self)


def find_cut(flat: np.ndarray, mask: np.ndarray, std: float, limits: Limits) -> tuple[Cut | None, list[Cut]]:
    """Find the best cut that stands, and list all that were tried.

    `flat` is the shading-corrected image, `mask` the pixels that may vote, `std` the pixel noise. The least smoothing
    at which any cut stands is taken; there, the cut with the highest contrast against the spread inside its sides.
    """
    tried: list[Cut] = []
    for sigma in SCALES_PX:
        here = []
        smooth = _smooth_rows(flat[0::2], mask[0::2], sigma)
        for kind, threshold in _proposals(smooth[mask[0::2]], limits):
            here.append(_judge(flat, mask, smooth, kind, sigma, threshold, std, limits))
        tried += here
        standing = [cut for cut in here if cut.stands]
        if standing:
            return max(standing, key=lambda cut: cut.contrast_to_noise), tried
    return None, tried


def _smooth_rows(rows: np.ndarray, mask: np.ndarray, sigma: float) -> np.ndarray:
    # Rows of one parity are two pixels apart, so half the length down the image.
    weight = ndimage.gaussian_filter(mask.astype(float), (sigma / 2, sigma))
    return ndimage.gaussian_filter(np.where(mask, rows, 0.0), (sigma / 2, sigma)) / np.maximum(weight, 1e-6)


def _proposals(grey: np.ndarray, limits: Limits) -> Iterator[tuple[str, float]]:
    if grey.size < 500 or np.ptp(grey) == 0:
        return
    middle = float(np.median(grey))
    spread = 1.4826 * float(np.median(np.abs(grey - middle)))
    if spread == 0:
        spread = float(grey.std())
    yield "otsu", float(threshold_otsu(np.clip(grey, middle - 6 * spread, middle + 6 * spread)))
    # A minority of a few per cent does not move Otsu's threshold: propose the cut of each tail as well.
    for kind, sign in (("dark tail", -1.0), ("bright tail", 1.0)):
        tail = grey[sign * (grey - middle) > 4.0 * spread]
        if tail.size >= limits.min_area_fraction * grey.size:
            yield kind, 0.5 * (middle + float(np.median(tail)))


def _judge(
    flat: np.ndarray,
    mask: np.ndarray,
    smooth: np.ndarray,
    kind: str,
    sigma: float,
    threshold: float,
    std: float,
    limits: Limits,
) -> Cut:
    n = flat[1::2].shape[0]
    smooth, voters = smooth[:n], mask[0::2][:n] & mask[1::2]
    unseen, dark = flat[1::2], smooth < threshold
    inside = ndimage.distance_transform_edt(dark, sampling=(2, 1))
    depth = inside - ndimage.distance_transform_edt(~dark, sampling=(2, 1))
    bright_core, dark_core = voters & (depth < -1.0), voters & (depth > 1.0)
    share = float(dark[voters].mean())
    promised = _difference(smooth, voters & ~dark, voters & dark)
    full = _difference(unseen, bright_core, dark_core)
    reach = 2.0 + 2.0 * sigma
    near = _difference(unseen, bright_core & (depth > -reach - 2), dark_core & (depth < reach + 2))
    separation, t = _over_cells(unseen, bright_core, dark_core)
    left = np.sqrt(np.mean([np.var(smooth[m]) if m.any() else 0.0 for m in (voters & dark, voters & ~dark)]))
    numbers = {
        "contrast": full,
        "held_out": full / promised if promised > 0 else 0.0,
        "sharpness": near / full if full > 0 else 0.0,
        "level_separation": separation,
        "t": t,
        "contrast_to_noise": full / max(std / (2 * np.sqrt(np.pi) * sigma), left / 3, 1e-12),
    }
    numbers["pieces"] = _pieces(dark & voters, ~dark & voters)
    numbers = {name: float(value) for name, value in numbers.items()}
    gain = _bic_gain(smooth, voters, sigma)
    reason = _why_not(numbers, min(share, 1 - share), gain, limits)
    return Cut(
        kind=kind,
        sigma_px=sigma,
        threshold=threshold,
        area_fraction_dark=share,
        bic_gain=gain,
        reason=reason,
        **numbers,
    )


def _why_not(numbers: dict[str, float], minority: float, gain: float, limits: Limits) -> str:
    if minority < limits.min_area_fraction:
        return f"the smaller side holds {minority:.2%} of the field, below {limits.min_area_fraction:.2%}"
    for name in ("held_out", "sharpness", "level_separation", "t", "contrast_to_noise", "pieces"):
        wanted = getattr(limits, name)
        if not numbers[name] >= wanted:
            return f"{name.replace('_', ' ')} {numbers[name]:.2g}, wanted {wanted:g}"
    if gain <= 0:
        return f"one component describes the levels as well as two (BIC gain {gain:.2g})"
    return ""


def _pieces(dark: np.ndarray, bright: np.ndarray) -> float:
    """Count the pieces of the dispersed side, large ones above all: (sum of areas)^2 over the sum of squares."""
    best = (np.inf, 0.0)
    for side in (dark, bright):
        area = np.bincount(label(side, connectivity=1).ravel())[1:].astype(float)
        area = area[area >= 6]
        if area.size:
            best = min(best, (float(area.max()), float(area.sum() ** 2 / (area**2).sum())))
    return best[1]


def _difference(grey: np.ndarray, bright: np.ndarray, dark: np.ndarray) -> float:
    if bright.sum() < 30 or dark.sum() < 30:
        return 0.0
    return float(grey[bright].mean() - grey[dark].mean())


def _over_cells(grey: np.ndarray, bright: np.ndarray, dark: np.ndarray) -> tuple[float, float]:
    """Compare the sides cell by cell: difference over spread of levels, and t of the paired differences."""
    rows, columns = grey.shape
    cell = max(16, min(48, columns // 8))
    cells = (np.arange(rows) // (cell // 2))[:, None] * (columns // cell + 1) + (np.arange(columns) // cell)[None]
    n_cells = int(cells.max()) + 1
    means = []
    for side in (bright, dark):
        count = np.bincount(cells[side], minlength=n_cells)
        total = np.bincount(cells[side], weights=grey[side], minlength=n_cells)
        means.append(np.where(count >= 20, total / np.maximum(count, 1), np.nan))
    paired = (means[0] - means[1])[np.isfinite(means[0] - means[1])]
    if paired.size < 4:
        return 0.0, 0.0
    spreads = [1.4826 * np.nanmedian(np.abs(m - np.nanmedian(m))) for m in means]
    separation = (np.nanmedian(means[0]) - np.nanmedian(means[1])) / max(float(np.hypot(*spreads) / np.sqrt(2)), 1e-9)
    t = paired.mean() / max(float(paired.std(ddof=1)) / np.sqrt(paired.size), 1e-9)
    return float(separation), float(t)


def _bic_gain(smooth: np.ndarray, voters: np.ndarray, sigma: float) -> float:
    """Compute the gain of two normal components over one, in BIC units (positive: two)."""
    length = 1.5 * sigma
    plateau = ndimage.gaussian_filter(smooth, (length / 2, length))
    slope = ndimage.gaussian_gradient_magnitude(plateau, (0.5, 1.0))
    flat = voters & (slope <= np.quantile(slope[voters], 0.2))
    # Every second row is here, so the kernel covers half as many of these pixels.
    kernel_area = max(1.0, 2.0 * np.pi * (length**2 + sigma**2))
    on_plateaus = _gain(plateau[flat], flat.sum() / kernel_area)
    level = smooth[voters].mean()
    area = correlation_area_px(np.where(voters, smooth - level, 0.0))
    return max(on_plateaus, _gain(smooth[voters], voters.sum() / area))


def _gain(grey: np.ndarray, n: float) -> float:
    if grey.size < 100 or np.ptp(grey) == 0:
        return -np.inf
    low, high = np.quantile(grey, [0.003, 0.997])
    weights, edges = np.histogram(np.clip(grey, low, high), 200)
    x = 0.5 * (edges[1:] + edges[:-1])
    w = weights / weights.sum()
    mean, var = float(w @ x), float(w @ (x - w @ x) ** 2) + 1e-12
    one = -0.5 * np.log(2 * np.pi * var) - 0.5
    best = max(_two_components(x, w, mean + s * np.sqrt(var)) for s in (-2.0, 0.0, 2.0))
    return float(2.0 * n * (best - one) - 3.0 * np.log(max(n, 2.0)))


def _two_components(x: np.ndarray, w: np.ndarray, start: float) -> float:
    floor = ((x[-1] - x[0]) / 60.0) ** 2
    take = (x > start).astype(float)
    score = -np.inf
    for _ in range(60):
        density = np.zeros((2, x.size))
        for k, part in enumerate((w * take, w * (1 - take))):
            p = max(float(part.sum()), 1e-9)
            m = float(part @ x) / p
            v = max(float(part @ (x - m) ** 2) / p, floor)
            density[k] = p * np.exp(-0.5 * (x - m) ** 2 / v) / np.sqrt(2 * np.pi * v)
        total = density.sum(0) + 1e-300
        take, old, score = density[0] / total, score, float(w @ np.log(total))
        if score - old < 1e-7:
            break
    return score
