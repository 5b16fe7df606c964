"""Draw the specimens of the classifier benchmark: alloys as a laboratory meets them, and what is none.

Weights of structures, shares and scans are choices of this file alone; the compositions are drawn as in training, and
lattices follow from the same volumes of the elements that a labeller may use. A specimen is drawn again where its main
phase has no free line above 5 sigma, or two phases of one lattice differ by less than 0.6 % in a: nobody could tell.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from xrd_rendering import Background, Rendered, RenderedPhase, Scan, render

from hea_sim.alloy import Composition
from hea_sim.crystals import Crystal, Prototype, build_crystal, cell_of, prototype, prototype_names, site_compositions
from hea_sim.crystals.prototypes import atoms_per_cell
from hea_sim.diffraction.profile import ThompsonCoxHastings
from hea_sim.diffraction.radiation import Radiation, radiation
from hea_sim.diffraction.random_specimens import draw_composition
from hea_sim.elements import elemental_volume_A3
from hea_vision.xrd.network import STRUCTURES

#: What counts as visible.
DETECTABLE_SIGMA = 5.0
_SOLUTIONS = ("A1", "A2", "A3")
_SOLUTION_WEIGHTS = {  # by family of elements
    "3d": (0.62, 0.35, 0.03),
    "refractory": (0.05, 0.90, 0.05),
    "hexagonal": (0.10, 0.25, 0.65),
    "noble": (0.85, 0.05, 0.10),
    "any": (0.45, 0.40, 0.15),
}
_COMPOUNDS = tuple(n for n in STRUCTURES if prototype(n).metallic and n not in _SOLUTIONS)
_COMPOUND_SHARE = 0.14
_PAIRS = {
    ("A1", "A2"): 0.22, ("A1", "A1"): 0.09, ("A2", "A2"): 0.09, ("A1", "A3"): 0.03, ("A2", "A3"): 0.03,
    ("A1", "sigma"): 0.06, ("A2", "sigma"): 0.06, ("A1", "C14"): 0.05, ("A2", "C14"): 0.06, ("A1", "C15"): 0.03,
    ("A2", "C15"): 0.05, ("A1", "mu"): 0.03, ("A2", "mu"): 0.02, ("A1", "B1"): 0.04, ("A2", "B1"): 0.05,
    ("A1", "M23C6"): 0.03, ("A1", "D5_1"): 0.02, ("A2", "D5_1"): 0.01, ("A1", "H1_1"): 0.02, ("A2", "H1_1"): 0.01,
}  # fmt: skip
_THIRD = {"A1": 0.15, "A2": 0.2, "A3": 0.05, "sigma": 0.15, "C14": 0.12, "C15": 0.05, "mu": 0.05, "B1": 0.1,
          "M23C6": 0.05, "D5_1": 0.05, "H1_1": 0.03}  # fmt: skip
_COUNT_WEIGHTS = (0.45, 0.40, 0.15)
_ORDERED_SHARE, _ORDERED = 0.15, {"A1": "L1_2", "A2": "B2", "A3": "D0_19"}
#: Axial ratios at which a type has the lines of a solid solution; drawn ones stay away by the margin.
_DEGENERATE_RATIO = {"L1_0": 2**0.5, "D0_22": 2.0, "martensite": 1.0}
_DEGENERATE_MARGIN = 0.015
_NEAREST_LOG_A = 0.006
#: Alloys to try on drawn structures before other structures are drawn.
_TRIES = 60
_CARBIDE_A_A = {"B1": (4.10, 4.70), "M23C6": (10.55, 10.95)}
_SOURCES = {"CuKa": 0.50, "CoKa": 0.20, "MoKa": 0.12, "CrKa": 0.08, "synchrotron": 0.10}
_WRONG = (("CoKa", "CuKa"), ("CuKa", "CoKa"), ("MoKa", "CuKa"), ("CrKa", "CuKa"), ("CuKa", "MoKa"), ("CoKa", "MoKa"))
_OUTSIDE = {"ceramic": 0.4, "amorphous": 0.2, "unknown structure": 0.2, "wrong wavelength": 0.2}


@dataclass(frozen=True, kw_only=True, eq=False)
class Specimen:
    """Hold a drawn specimen: measurement, elements, kind, its lattices, and how far each stands out of the noise."""

    rendered: Rendered
    composition: Composition
    kind: str
    lattices: tuple[str, ...]
    fractions: tuple[float, ...]
    significance: tuple[float, ...]

    @property
    def visible(self) -> list[str]:
        """List the lattices of phases whose strongest free line exceeds 5 sigma: the truth."""
        return sorted(n for n, s in zip(self.lattices, self.significance) if s > DETECTABLE_SIGMA)


def draw_alloy(seed: tuple[int, ...]) -> Specimen:
    """Draw an alloy of one to three phases whose main phase can be seen."""
    rng = np.random.default_rng(seed)
    while True:
        composition, phases = _draw_phases(rng)
        rendered = render(phases, draw_scan(rng), rng, name="simulated alloy")
        significance = tuple(rendered.significance(i) for i in range(len(phases)))
        if significance[0] > DETECTABLE_SIGMA:
            return _specimen(rendered, composition, "alloy", phases, significance)


def draw_outside(seed: tuple[int, ...]) -> Specimen:
    """Draw a pattern that has to be refused."""
    rng = np.random.default_rng(seed)
    composition, _ = draw_composition(rng)
    kind = str(rng.choice(list(_OUTSIDE), p=list(_OUTSIDE.values())))
    if kind == "wrong wavelength":
        return _wrongly_declared(rng)
    if kind == "amorphous":
        return _specimen(render((), _amorphous_scan(rng), rng, name=kind), composition, kind, [], ())
    if kind == "ceramic":
        phases = _draw_ceramics(rng, composition)
    else:
        phases = [_with_grains(rng, "unknown", _random_crystal(rng, composition), 1.0)]
    rendered = render(phases, draw_scan(rng), rng, name=kind)
    return _specimen(rendered, composition, kind, phases, tuple(rendered.significance(i) for i in range(len(phases))))


def _specimen(
    rendered: Rendered,
    composition: Composition,
    kind: str,
    phases: list[RenderedPhase],
    significance: tuple[float, ...],
) -> Specimen:
    return Specimen(
        rendered=rendered,
        composition=composition,
        kind=kind,
        lattices=tuple(p.lattice for p in phases),
        fractions=tuple(p.volume_fraction for p in phases),
        significance=significance,
    )


def _wrongly_declared(rng: np.random.Generator) -> Specimen:
    """Measure an alloy with one tube and say it was another."""
    measured, declared = _WRONG[int(rng.integers(len(_WRONG)))]
    composition, phases = _draw_phases(rng)
    rendered = render(phases, draw_scan(rng, measured), rng, name="wrong wavelength")
    told = replace(rendered, pattern=replace(rendered.pattern, radiation=declared))
    significance = tuple(rendered.significance(i) for i in range(len(phases)))
    return _specimen(told, composition, "wrong wavelength", phases, significance)


def _draw_phases(rng: np.random.Generator) -> tuple[Composition, list[RenderedPhase]]:
    """Draw structures for a family of elements, then alloys of it until their volumes fit those structures."""
    while True:
        _, family = draw_composition(rng)
        names = _draw_names(rng, family)
        for _ in range(_TRIES):
            composition, other = draw_composition(rng)
            phases = _fill(rng, names, composition) if other == family else None
            if phases is not None:
                return composition, phases


def _fill(rng: np.random.Generator, names: list[str], composition: Composition) -> list[RenderedPhase] | None:
    """Put an alloy on structures, the main one first; None where its volume does not fit one, or two are alike."""
    phases: list[RenderedPhase] = []
    for name, share in zip(names, _draw_fractions(rng, len(names))):
        own = composition if not phases else _partitioned(rng, composition)
        crystal = _draw_crystal(rng, name, own)
        if crystal is None or any(_alike(name, crystal, p) for p in phases):
            return None
        phases.append(_with_grains(rng, prototype(name).fundamental, crystal, share))
    return phases


def _draw_names(rng: np.random.Generator, family: str) -> list[str]:
    count = int(rng.choice(3, p=_COUNT_WEIGHTS)) + 1
    weights = _SOLUTION_WEIGHTS[family]
    if count == 1:
        compound = rng.random() < _COMPOUND_SHARE
        return [str(rng.choice(_COMPOUNDS)) if compound else str(rng.choice(_SOLUTIONS, p=weights))]
    matrix = str(rng.choice(_SOLUTIONS[:2], p=np.array(weights[:2]) / sum(weights[:2])))
    pairs = {pair: w for pair, w in _PAIRS.items() if matrix in pair}
    chosen = list(pairs)[int(rng.choice(len(pairs), p=np.array(list(pairs.values())) / sum(pairs.values())))]
    names = [matrix, chosen[0] if chosen[1] == matrix else chosen[1]]
    if count == 3:
        left = {n: w for n, w in _THIRD.items() if n not in names}
        names.append(str(rng.choice(list(left), p=np.array(list(left.values())) / sum(left.values()))))
    return names


def _draw_fractions(rng: np.random.Generator, count: int) -> list[float]:
    """Draw volume fractions; those of minor phases evenly in the logarithm from 0.02 to 0.5."""
    while True:
        minor = np.exp(rng.uniform(np.log(0.02), np.log(0.5), count - 1))
        if minor.sum() <= 0.6:
            return [float(1 - minor.sum()), *minor.tolist()]


def _partitioned(rng: np.random.Generator, composition: Composition) -> Composition:
    return Composition.parse({e: float(x * np.exp(rng.normal(0, 0.6))) for e, x in composition.items()})


def _draw_crystal(rng: np.random.Generator, name: str, composition: Composition) -> Crystal | None:
    """Put an alloy on a structure type; None where its volume lies outside what the type has."""
    if name in _ORDERED and len(composition) > 1 and rng.random() < _ORDERED_SHARE:
        name = _ORDERED[name]
    kind = prototype(name)
    ratio = _draw_ratio(rng, kind)
    if name in _CARBIDE_A_A:
        a = float(rng.uniform(*_CARBIDE_A_A[name]))
    elif not kind.metallic or kind.role == "carbide":
        a = float(np.clip(rng.normal(kind.a_A, 0.012 * kind.a_A), *kind.a_range_A))
    else:
        unit = float(np.linalg.det(cell_of(kind, 1.0, kind.b_ratio, ratio))) / atoms_per_cell(name)
        mean = sum(x * elemental_volume_A3(e).value for e, x in composition.items())
        a = float((mean * np.exp(rng.normal(0, 0.02)) / unit) ** (1 / 3))
    if not kind.a_range_A[0] <= a <= kind.a_range_A[1]:
        return None
    return build_crystal(
        kind,
        site_compositions(kind, composition),
        a_A=a,
        b_A=a * kind.b_ratio,
        c_A=a * ratio,
        b_iso_A2=float(rng.uniform(0.2, 1.0)),
        order_parameter=float(rng.uniform(0.3, 1.0)) if kind.role == "ordered" else 1.0,
    )


def _draw_ratio(rng: np.random.Generator, kind: Prototype) -> float:
    if kind.system == "cubic":
        return 1.0
    low, high = kind.axial_ratio_range
    same = _DEGENERATE_RATIO.get(kind.name)
    while True:
        ratio = float(rng.uniform(low, high) if same else rng.normal(kind.axial_ratio, 0.008 * kind.axial_ratio))
        if low <= ratio <= high and (same is None or abs(np.log(ratio / same)) > _DEGENERATE_MARGIN):
            return ratio


def _alike(name: str, crystal: Crystal, other: RenderedPhase) -> bool:
    """Say whether a crystal has the lattice of a phase that is already there, within what anybody could resolve."""
    if prototype(name).fundamental != other.lattice:
        return False
    volumes = [c.volume_A3 / len(c.positions) for c in (crystal, other.crystal)]
    return bool(abs(np.log(volumes[0] / volumes[1])) / 3 < _NEAREST_LOG_A)


def _with_grains(rng: np.random.Generator, lattice: str, crystal: Crystal, share: float) -> RenderedPhase:
    axes = ((0, 0, 1), (1, 1, 0), (1, 1, 1))
    textured = rng.random() < 0.4
    return RenderedPhase(
        lattice=lattice,
        crystal=crystal,
        volume_fraction=share,
        size_nm=float(np.exp(rng.uniform(np.log(20), np.log(300)))),
        microstrain=float(rng.uniform(0, 0.003)),
        line_scatter=float(rng.uniform(0, 0.4)),
        march_axis=axes[int(rng.integers(3))] if textured else None,
        march_r=float(np.exp(rng.normal(0, 0.3))),
    )


def draw_scan(rng: np.random.Generator, name: str | None = None, *, low_d_A: float | None = None) -> Scan:
    """Draw a diffractometer and a scan; `low_d_A` is the largest spacing in it."""
    source = _draw_source(rng, name)
    wavelength = source.wavelength_A
    first = low_d_A or float(rng.uniform(2.6, 4.5))
    low, high = (_angle(wavelength, d) for d in (first, float(rng.uniform(0.80, 1.10))))
    high = min(high, 145.0)
    scale = float(np.clip(wavelength / 1.54, 0.35, 1.3)) * (0.3 if not source.is_tube else 1.0)
    width = float(np.exp(rng.uniform(np.log(0.04), np.log(0.11)))) * scale
    angles = np.arange(low, high, max(width * float(rng.uniform(0.15, 0.3)), 0.004))
    tube = source.is_tube
    shape = ThompsonCoxHastings(
        u_deg2=width**2 * float(rng.uniform(0, 0.6)),
        v_deg2=-(width**2) * float(rng.uniform(0, 0.4)),
        w_deg2=width**2,
        x_deg=width * float(rng.uniform(0.05, 0.4)),
        y_deg=width * float(rng.uniform(0, 0.3)),
        zero_deg=float(rng.normal(0, 0.01)) * scale,
        displacement_mm=float(np.clip(rng.normal(0, 0.07), -0.2, 0.2)) if tube else 0.0,
        goniometer_radius_mm=float(rng.choice([145.0, 173.0, 200.0, 225.0, 300.0])),
        axial_half_angle_deg=float(rng.uniform(1.0, 4.0)) if tube else 0.0,
    )
    peak = float(np.exp(rng.uniform(np.log(300), np.log(30_000))))
    return Scan(
        source=source,
        two_theta_deg=angles,
        shape=shape,
        background=_draw_background(rng, low, high),
        peak_counts=peak,
        monochromator=0.8 if rng.random() < 0.2 else 1.0,
    )


def _draw_source(rng: np.random.Generator, name: str | None) -> Radiation:
    chosen = name or str(rng.choice(list(_SOURCES), p=list(_SOURCES.values())))
    if chosen == "synchrotron":
        return radiation(float(np.round(rng.uniform(0.4, 1.0), 4)))
    tube = radiation(chosen)
    if rng.random() < 0.25:  # a filter that lets some K-beta through
        return replace(tube, lines=(*tube.lines, (tube.parasitic_A[0][1], float(rng.uniform(0.003, 0.015)))))
    return tube


def _angle(wavelength_A: float, d_A: float) -> float:
    return float(2 * np.degrees(np.arcsin(min(wavelength_A / (2 * d_A), 0.96))))


def _draw_background(rng: np.random.Generator, low: float, high: float) -> Background:
    level = float(np.exp(rng.uniform(np.log(0.01), np.log(0.3))))
    hump = (level * float(rng.uniform(0.2, 1.0)), float(rng.uniform(low, (low + high) / 2)), (high - low) * 0.2)
    return Background(
        constant=level,
        inverse=level * low * float(rng.uniform(0, 1.5)),
        step=level * float(rng.uniform(0, 0.5)) if rng.random() < 0.3 else 0.0,
        step_deg=float(rng.uniform(low, high)),
        step_width_deg=(high - low) * float(rng.uniform(0.02, 0.06)),
        humps=(hump,) if rng.random() < 0.3 else (),
    )


def _amorphous_scan(rng: np.random.Generator) -> Scan:
    """Draw a scan of a glass: its first maximum near d = 2.0 to 3.6 A, a weaker second at 1.65 times its angle."""
    scan = draw_scan(rng)
    place = _angle(scan.source.wavelength_A, float(rng.uniform(2.0, 3.6)))
    width = place * float(rng.uniform(0.12, 0.22))
    height = float(rng.uniform(0.3, 1.5))
    humps = ((height, place, width), (height * float(rng.uniform(0.1, 0.35)), 1.65 * place, 1.5 * width))
    return replace(scan, background=replace(scan.background, humps=humps))


def _draw_ceramics(rng: np.random.Generator, composition: Composition) -> list[RenderedPhase]:
    names = [n for n in prototype_names() if prototype(n).role in ("ceramic", "standard")]
    count = int(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1]))
    phases = []
    for name, share in zip(rng.choice(names, size=count, replace=False), _draw_fractions(rng, count)):
        kind = prototype(str(name))
        a = float(np.clip(rng.normal(kind.a_A, 0.012 * kind.a_A), *kind.a_range_A))
        occupancy = site_compositions(kind, composition if rng.random() < 0.5 else None)
        crystal = build_crystal(kind, occupancy, a_A=a, b_A=a * kind.b_ratio, c_A=a * _draw_ratio(rng, kind))
        phases.append(_with_grains(rng, kind.fundamental, crystal, share))
    return phases


def _random_crystal(rng: np.random.Generator, composition: Composition) -> Crystal:
    """Draw a triclinic cell that no type has, with one atom for every 15 cubic Angstrom."""
    edges = rng.uniform(3.8, 6.8, 3)
    angles = np.radians(rng.uniform(76, 104, 3))
    cell = np.zeros((3, 3))
    cell[0, 0] = edges[0]
    cell[1, :2] = edges[1] * np.array([np.cos(angles[2]), np.sin(angles[2])])
    x, y = np.cos(angles[1]), (np.cos(angles[0]) - np.cos(angles[1]) * np.cos(angles[2])) / np.sin(angles[2])
    cell[2] = edges[2] * np.array([x, y, np.sqrt(1 - x**2 - y**2)])
    count = max(2, round(float(np.linalg.det(cell)) / 15))
    species = tuple(composition)
    chosen = rng.choice(len(species), size=count, p=[composition[e] for e in species])
    return Crystal(
        name="unknown",
        cell_A=cell,
        positions=rng.random((count, 3)),
        species=species,
        occupancy=np.eye(len(species))[chosen],
        b_iso_A2=0.5,
    )
