"""Lay pores and cracks over any scene, with their truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hea_sim.errors import InputError, unknown_name
from hea_sim.microscopy.noise_fields import smooth_noise
from hea_sim.microscopy.ranges import checked, checked_fraction, checked_px
from hea_sim.microscopy.scenes import Scene
from hea_sim.microscopy.shapes import add_ellipses, add_strokes, coverage, empty_distance

#: Round gas pores; pores of uneven outline; shrinkage pores with arms between dendrites.
PORE_KINDS = ("round", "irregular", "shrinkage")
_MOST_PORES = 0.5
#: Radius of the body over that of the circle of equal area: the lobe of an irregular pore adds a quarter of its area.
_BODY_OF_LOBED = 0.9
#: A crack is drawn in straight steps of this length.
_STEP_PX = 5.0
#: Narrowest half width: a crack covers every pixel that its middle line runs through.
_LEAST_HALF_PX = 0.5


def add_pores(
    scene: Scene,
    rng: np.random.Generator,
    *,
    kind: str = "round",
    area_fraction: float = 0.02,
    diameter_px: float = 12.0,
    size_spread: float = 0.4,
    level: float = 0.06,
    glow: float = 0.0,
    rim: float = 0.1,
    where: np.ndarray | None = None,
) -> Scene:
    """Lay pores over a scene.

    Parameters
    ----------
    scene
        Any scene; what a pore covers of its classes and instances is gone.
    rng
        Draws everything.
    kind
        One of `PORE_KINDS`.
    area_fraction
        Of the field (of `where`), met to the nearest pore of few pixels.
    diameter_px, size_spread
        Median diameter of the circle of equal area, and std of its logarithm.
    level, glow
        Grey inside, and std of grey of what shines up from the bottom of large pores.
    rim
        Brightness of the edge on the side of the detector, which emits more secondary electrons.
    where
        Mask (rows, columns) that holds the centres of pores; None: anywhere.
    """
    if kind not in PORE_KINDS:
        raise unknown_name("kind of pore", kind, PORE_KINDS)
    checked_fraction(area_fraction, "pores", _MOST_PORES)
    checked_px(diameter_px, "pores: diameter_px", 1.5)
    _check_levels("pores", size_spread=size_spread, level=level, glow=glow, rim=rim)
    shape = scene.labels.shape
    places = np.argwhere(np.ones(shape, bool) if where is None else where)
    if len(places) == 0:
        return scene
    uneven = 0.0 if kind == "round" else 0.12 * diameter_px
    wobble = uneven * smooth_noise(rng, shape, max(0.7 * diameter_px, 2.0)) if uneven else np.float32(0)
    distance = empty_distance(shape)
    target = missing = area_fraction * len(places)
    mean_area = 0.25 * np.pi * diameter_px**2
    stalled = 0
    while missing > max(2.0, min(0.5 * mean_area, 0.02 * target)) and stalled < 50:
        count = max(1, int(0.5 * missing / (mean_area * np.exp(2 * size_spread**2))))
        size = diameter_px * np.exp(size_spread * rng.standard_normal(count))
        size = np.minimum(size, np.sqrt(4 * missing / np.pi))
        centres = places[rng.integers(0, len(places), count)] + rng.uniform(-0.5, 0.5, (count, 2))
        _draw_pores(rng, distance, kind, centres, 0.5 * size)
        left = target - int((distance + wobble <= 0).sum())
        stalled = stalled + 1 if left > 0.99 * missing else 0
        missing = left
    return _covered(scene, rng, distance + wobble, "pore", 2, level=level, glow=glow, rim=rim)


def _draw_pores(
    rng: np.random.Generator, distance: np.ndarray, kind: str, centres: np.ndarray, radius: np.ndarray
) -> None:
    count = len(radius)
    reach = 4.0 + 0.5 * float(radius.max())
    angle = rng.uniform(0, np.pi, count)
    if kind == "shrinkage":
        strokes = []
        for centre, r in zip(centres, radius, strict=True):
            for turn in rng.uniform(0, 2 * np.pi) + 2 * np.pi / 4 * np.arange(4) + rng.normal(0, 0.3, 4):
                length = r * rng.uniform(0.8, 2.4)
                strokes.append([*centre, 0.55 * r, *(centre + length * np.array([np.sin(turn), np.cos(turn)])), 0.3])
        add_strokes(distance, np.array(strokes), reach_px=reach)
        return
    if kind == "irregular":
        radius = radius * _BODY_OF_LOBED
    aspect = rng.uniform(1.0, 1.25 if kind == "round" else 2.2, count)
    add_ellipses(
        distance, np.column_stack([centres, radius * np.sqrt(aspect), radius / np.sqrt(aspect), angle]), reach_px=reach
    )
    if kind == "irregular":
        # Lobes that merge with the body.
        offset = 0.8 * radius[:, None] * rng.standard_normal((count, 2))
        lobe = radius * rng.uniform(0.4, 0.8, count)
        add_ellipses(distance, np.column_stack([centres + offset, lobe, lobe, angle]), reach_px=reach)


def add_cracks(
    scene: Scene,
    rng: np.random.Generator,
    *,
    count: int = 2,
    length_px: float = 200.0,
    width_px: float = 2.5,
    wander_deg: float = 15.0,
    branches: float = 1.0,
    direction_deg: float | None = None,
    level: float = 0.08,
    rim: float = 0.0,
    where: np.ndarray | None = None,
) -> Scene:
    """Lay cracks over a scene; a pore that is crossed stays a pore.

    Parameters
    ----------
    scene
        Any scene; what a crack covers of its classes and instances is gone.
    rng
        Draws everything.
    count
        Number of cracks, without side branches.
    length_px, width_px
        Median length, and opening at mid-length; the opening falls as an ellipse to a pixel at the tips.
    wander_deg
        Std of the change of direction in every 5 px.
    branches
        Mean number of side branches on 200 px of crack.
    direction_deg
        Mean direction, from the columns towards the rows; None: any.
    level, rim
        Grey inside; brightness of the edge on the side of the detector.
    where
        Mask (rows, columns) that holds the middles of cracks; None: anywhere.
    """
    if not 0 <= count <= 10_000:
        raise InputError(f"cracks: count is {count}; wanted a number from 0 to 10000")
    checked_px(length_px, "cracks: length_px", 2 * _STEP_PX)
    checked_px(width_px, "cracks: width_px", 2 * _LEAST_HALF_PX, 100)
    if not (0 <= wander_deg <= 60 and 0 <= branches <= 50):
        raise InputError(
            f"cracks: wander {wander_deg} degrees, {branches} branches; wanted 0 to 60 degrees and 0 to 50 branches"
        )
    _check_levels("cracks", level=level, rim=rim)
    shape = scene.labels.shape
    places = np.argwhere(np.ones(shape, bool) if where is None else where)
    strokes: list[np.ndarray] = []
    for _ in range(count if len(places) else 0):
        length = length_px * np.exp(0.4 * rng.standard_normal())
        angle = rng.uniform(0, 2 * np.pi)
        if direction_deg is not None:
            angle = np.radians(direction_deg + 180 * rng.integers(2) + 12 * rng.standard_normal())
        middle = places[rng.integers(len(places))]
        start = middle - 0.5 * length * np.array([np.sin(angle), np.cos(angle)])
        path, turns = _walk(rng, start, angle, length, wander_deg)
        strokes.append(_opened(rng, path, width_px))
        for _ in range(rng.poisson(branches * length / 200)):
            k = int(rng.integers(len(turns)))
            off = turns[k] + rng.choice([-1, 1]) * np.radians(rng.uniform(20, 70))
            branch, _ = _walk(rng, path[k], off, max(length * rng.uniform(0.08, 0.35), 2 * _STEP_PX), wander_deg)
            strokes.append(_opened(rng, branch, 0.6 * width_px, rooted=True))
    if not strokes:
        return scene
    distance = empty_distance(shape)
    add_strokes(distance, np.concatenate(strokes))
    return _covered(scene, rng, distance, "crack", 3, level=level, rim=rim, spared="pore")


def _walk(
    rng: np.random.Generator, start: np.ndarray, angle: float, length: float, wander_deg: float
) -> tuple[np.ndarray, np.ndarray]:
    """Give the corners (n + 1, 2) and directions (n,) of a path that wanders about a mean direction."""
    steps = max(2, int(length / _STEP_PX))
    turns = np.empty(steps)
    off = 0.0
    for k, kick in enumerate(np.radians(wander_deg) * rng.standard_normal(steps)):
        off = 0.8 * off + kick
        turns[k] = angle + off
    moves = _STEP_PX * np.stack([np.sin(turns), np.cos(turns)], 1)
    return np.concatenate([start[None], start + np.cumsum(moves, 0)]), turns


def _opened(rng: np.random.Generator, path: np.ndarray, width_px: float, *, rooted: bool = False) -> np.ndarray:
    """Give the strokes (n, 6) of a path with an elliptical opening; a rooted one is open at its start."""
    along = np.linspace(0 if rooted else -1, 1, len(path))
    half = 0.5 * width_px * np.sqrt(1 - along**2) * np.clip(1 + 0.25 * rng.standard_normal(len(path)), 0.3, 2)
    half = np.maximum(half, _LEAST_HALF_PX)
    return np.column_stack([path[:-1], half[:-1], path[1:], half[1:]])


def _check_levels(what: str, **values: float) -> None:
    for name, value in values.items():
        checked(value, f"{what}: {name}", 0, 1)


def _covered(
    scene: Scene,
    rng: np.random.Generator,
    distance: np.ndarray,
    name: str,
    number: int,
    *,
    level: float,
    glow: float = 0.0,
    rim: float = 0.0,
    spared: str = "",
) -> Scene:
    """Cover a scene where `distance` is negative, under the class `name`; pixels of the class `spared` stay."""
    numbers = {text: k for k, text in scene.classes.items()}
    if name not in numbers:
        numbers[name] = number if number not in scene.classes else max(scene.classes) + 1
    part = coverage(distance)
    inside = distance <= 0
    if spared in numbers:
        kept = scene.labels == numbers[spared]
        inside &= ~kept
        part = np.where(kept, 0, part)
    grey = np.array(scene.reflectance, np.float32)
    if rim > 0:
        grey += rim * _lit_edge(rng, part)
    bottom = np.full(grey.shape, level, np.float32)
    if glow > 0:
        # The bottom is seen where the pore is wide: away from its edge.
        bottom += glow * np.abs(smooth_noise(rng, grey.shape, 14.0)) * np.clip(-distance / 6.0, 0, 1)
    grey += part * (bottom - grey)
    labels = np.where(inside, np.uint8(numbers[name]), scene.labels)
    instances = None if scene.instances is None else np.where(inside, np.int32(0), scene.instances)
    classes = {**scene.classes, numbers[name]: name}
    return replace(
        scene,
        reflectance=np.clip(grey, 0, 1).astype(np.float32),
        labels=labels,
        instances=instances,
        classes=dict(sorted(classes.items())),
    )


def _lit_edge(rng: np.random.Generator, part: np.ndarray) -> np.ndarray:
    """Give what lies just beyond one side of covered places, 0 to 1."""
    dr, dc = ((2, 0), (-2, 0), (0, 2), (0, -2), (1, 1))[rng.integers(5)]
    padded = np.pad(part, 2)
    rows, columns = part.shape
    lit = padded[2 - dr : 2 - dr + rows, 2 - dc : 2 - dc + columns]
    return np.clip(lit - part, 0, 1)
