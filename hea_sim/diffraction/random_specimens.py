"""Draw specimens and measurements at random: what a labeller of powder patterns is trained and tested on.

Every number of this file is a choice of what may come along, wide on purpose. Elements: any of 34 metals, in families
that alloy. Phases: none to four of the known structure types with lattices that the volumes of the elements allow.
Measurements: six tubes and synchrotrons, ranges, widths, displacement, texture, coarse grains, background, noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.crystals import Prototype, prototype, prototype_names, site_compositions
from hea_sim.diffraction.families import family_table
from hea_sim.diffraction.radiation import Radiation, radiation
from hea_sim.diffraction.specimen import MeasuredSpecimen, Measurement, SpecimenPhase, measure_specimen
from hea_sim.elements import elemental_volume_A3

#: A phase shows where its strongest free line stands out by so many standard deviations.
SEEN_SIGMA = 5.0
#: Families of metals that meet in one alloy, and how often each is drawn.
ALLOY_FAMILIES: dict[str, tuple[tuple[str, ...], float]] = {
    "3d": (("Co", "Cr", "Fe", "Ni", "Mn", "Cu", "Al", "Ti", "V", "Si", "Mo", "Nb"), 0.36),
    "refractory": (("Nb", "Mo", "Ta", "W", "V", "Ti", "Zr", "Hf", "Cr", "Al", "Re"), 0.30),
    "hexagonal": (("Ti", "Zr", "Hf", "Sc", "Y", "Mg", "Al", "Co", "Re", "Ru", "Os", "Zn"), 0.10),
    "noble": (("Pd", "Pt", "Rh", "Ru", "Ir", "Au", "Ag", "Cu", "Ni", "Co"), 0.10),
    "any": (
        ("Al", "Mg", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Y", "Zr", "Nb", "Mo", "Ru", "Rh", "Pd",
         "Ag", "Hf", "Ta", "W", "Re", "Os", "Ir", "Pt", "Au", "Sn", "La"), 0.14,
    ),
}  # fmt: skip
_MAIN = {
    "3d": {"A1": 0.55, "A2": 0.3, "A3": 0.05},
    "refractory": {"A1": 0.08, "A2": 0.74, "A3": 0.08},
    "hexagonal": {"A1": 0.15, "A2": 0.2, "A3": 0.55},
    "noble": {"A1": 0.75, "A2": 0.07, "A3": 0.1},
    "any": {"A1": 0.38, "A2": 0.32, "A3": 0.2},
}
_ORDERED = {"A1": ("L1_2",), "A2": ("B2", "L2_1", "D0_3"), "A3": ("D0_19",)}
_TUBES = {"CuKa": 0.46, "CoKa": 0.15, "MoKa": 0.1, "CrKa": 0.06, "FeKa": 0.04, "AgKa": 0.03, "CuKa1": 0.05, "": 0.11}


@dataclass(frozen=True, kw_only=True)
class SpecimenSettings:
    """Set what is drawn.

    `n_phases` weights of 0 to 4 metallic or carbide phases in a specimen that is an alloy; `alloy_share` of specimens
    that are one, the rest being ceramics, amorphous or empty; `finest_nm` bounds the sizes of main and minor phases
    from below, `least_share` the volume fraction of minor ones relative to the main phase; `known_lattices_only` keeps
    lattices inside the ranges of their types.
    """

    n_phases: tuple[float, ...] = (0.02, 0.5, 0.33, 0.11, 0.04)
    alloy_share: float = 0.84
    finest_nm: tuple[float, float] = (10.0, 6.0)
    least_share: float = 0.01
    known_lattices_only: bool = False


#: Specimens as a laboratory of bulk alloys sees them, with lattices inside the ranges that are searched.
LABORATORY = SpecimenSettings(finest_nm=(20.0, 15.0), least_share=0.02, known_lattices_only=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class RandomSpecimen:
    """Hold a drawn specimen: its measurement, elements, and whether a metallic phase is there.

    `kind` is "alloy", "ceramic", "amorphous" or "empty".
    """

    measured: MeasuredSpecimen
    composition: Composition
    kind: str

    @property
    def phase_lattices(self) -> list[str]:
        """List the fundamental lattice of every phase, in their order."""
        return [_kind(p).fundamental for p in self.measured.phases]

    def shows(self, index: int) -> bool:
        """Say whether a phase can be seen: its strongest free line stands out, or it is the only one."""
        return len(self.measured.phases) == 1 or self.measured.significance(index) >= SEEN_SIGMA


def draw_specimen(rng: np.random.Generator, settings: SpecimenSettings | None = None) -> RandomSpecimen:
    """Draw one specimen and its measurement.

    >>> drawn = draw_specimen(np.random.default_rng(3))
    >>> len(drawn.phase_lattices) == len(drawn.measured.phases)
    True
    """
    choice = settings or SpecimenSettings()
    composition, family = draw_composition(rng)
    kind, phases = _draw_phases(rng, choice, composition, family)
    measurement = draw_measurement(rng, amorphous=kind in ("amorphous", "empty"))
    measured = measure_specimen(phases, measurement, rng)
    return RandomSpecimen(measured=measured, composition=composition, kind=kind)


def draw_composition(rng: np.random.Generator) -> tuple[Composition, str]:
    """Draw an alloy of one to seven elements; return it with the name of its family."""
    names = list(ALLOY_FAMILIES)
    family = names[int(rng.choice(len(names), p=[ALLOY_FAMILIES[n][1] for n in names]))]
    pool = ALLOY_FAMILIES[family][0]
    n = int(rng.choice([1, 2, 3, 4, 5, 6, 7], p=[0.08, 0.12, 0.17, 0.22, 0.25, 0.11, 0.05]))
    elements = rng.choice(pool, size=n, replace=False)
    # Half of the alloys are near equiatomic.
    shares = rng.dirichlet(np.full(n, 60.0 if rng.random() < 0.5 else 2.0)) + 0.01
    return Composition.parse({str(e): float(x) for e, x in zip(elements, shares)}), family


def _draw_phases(
    rng: np.random.Generator, settings: SpecimenSettings, composition: Composition, family: str
) -> tuple[str, tuple[SpecimenPhase, ...]]:
    if rng.random() > settings.alloy_share:
        return _draw_out_of_scope(rng)
    count = int(rng.choice(len(settings.n_phases), p=np.array(settings.n_phases) / sum(settings.n_phases)))
    if count == 0:
        return _draw_out_of_scope(rng)
    names = _draw_structures(rng, family, count)
    shares = _draw_shares(rng, count, settings.least_share)
    volume = _mean_volume(composition) * float(np.exp(rng.normal(0, 0.02)))
    phases: list[SpecimenPhase] = []
    for name, share in zip(names, shares):
        for _ in range(12):
            phase = _draw_phase(
                rng, name, composition, volume, share, main=not phases, finest_nm=settings.finest_nm[bool(phases)]
            )
            if settings.known_lattices_only and not _lattice_is_known(phase):
                continue
            if all(_told_apart(phase, other) for other in phases):
                phases.append(phase)
                break
    total = sum(p.volume_fraction for p in phases)
    return ("alloy" if phases else "empty"), tuple(_with_share(p, p.volume_fraction / total) for p in phases)


def _draw_structures(rng: np.random.Generator, family: str, count: int) -> list[str]:
    """Draw the structure types: a solid solution or a compound first, then anything an alloy may hold."""
    solutions = _MAIN[family]
    others = [n for n in prototype_names() if prototype(n).role in ("intermetallic", "carbide")]
    others += ["martensite", "C32", *(n for n in ("L1_0", "D0_22") if n not in others)]
    names = list(solutions)
    weights = np.array(list(solutions.values()))
    if rng.random() < 0.88:
        first = str(rng.choice(names, p=weights / weights.sum()))
    else:
        first = str(rng.choice(others))
    out = [first]
    while len(out) < count:
        draw = rng.random()
        if draw < 0.45:
            out.append(str(rng.choice(names, p=weights / weights.sum())) if draw < 0.25 else str(rng.choice(names)))
        elif draw < 0.85:
            out.append(str(rng.choice(others)))
        else:
            out.append(str(rng.choice(["B1", "B1", "D5_1", "H1_1", "C4", "C43", "M23C6"])))
    return [_maybe_ordered(rng, n) for n in out]


def _maybe_ordered(rng: np.random.Generator, name: str) -> str:
    kinds = _ORDERED.get(name)
    if kinds is None or rng.random() > 0.25:
        return name
    return str(rng.choice(kinds, p=np.array([0.7, 0.15, 0.15]) if len(kinds) == 3 else None))


def _draw_shares(rng: np.random.Generator, count: int, least: float = 0.01) -> np.ndarray:
    """Draw volume fractions; minor phases are drawn evenly in the logarithm down to `least`."""
    if count == 1:
        return np.ones(1)
    minor = np.exp(rng.uniform(np.log(least), np.log(0.9), count - 1))
    return np.array([1.0, *minor]) / (1 + minor.sum())


def _draw_phase(
    rng: np.random.Generator,
    name: str,
    composition: Composition,
    volume: float,
    share: float,
    *,
    main: bool,
    finest_nm: float,
) -> SpecimenPhase:
    kind = prototype(name)
    table = family_table(kind)
    own = composition if main and rng.random() < 0.8 else _partitioned(rng, composition)
    if kind.metallic and kind.role != "carbide":
        per_atom = (volume if main else 0.5 * (volume + _mean_volume(own))) * float(
            np.exp(rng.normal(0, 0.02 if kind.role in ("solid solution", "ordered") else 0.035))
        )
        ratio = _draw_ratio(rng, kind)
        unit = table.volume_A3(table.cell(1.0, ratio, kind.b_ratio)) / table.atoms_per_cell
        a = float((per_atom / unit) ** (1 / 3))
    else:
        a = _draw_ceramic_lattice(rng, kind)
        ratio = kind.axial_ratio * float(np.exp(rng.normal(0, 0.006))) if kind.system != "cubic" else 1.0
    cell = table.cell(a, a * ratio, a * kind.b_ratio)
    order = float(rng.uniform(0.3, 1.0)) if kind.role == "ordered" else 1.0
    occupancy = _ordered_occupancy(rng, kind, own, order) if kind.role == "ordered" else site_compositions(kind, own)
    texture = rng.random()
    axis = ((1, 0, 0), (1, 1, 0), (1, 1, 1)) if kind.system == "cubic" else ((0, 0, 1), (1, 0, 0), (1, 1, 0))
    return SpecimenPhase(
        structure=name,
        cell=cell,
        occupancy=occupancy,
        volume_fraction=share,
        size_nm=float(np.exp(rng.uniform(np.log(finest_nm), np.log(500)))),
        microstrain=float(np.abs(rng.normal(0, 0.0018))),
        b_iso_A2=float(rng.uniform(0.2, 1.2)),
        line_scatter=float(rng.choice([rng.uniform(0.0, 0.15), rng.uniform(0.15, 0.6), rng.uniform(0.6, 1.4)],
                                      p=[0.55, 0.33, 0.12])),
        march_axis=axis[int(rng.integers(3))] if texture < 0.4 else None,
        march_r=float(np.exp(rng.normal(0, 0.35))),
    )  # fmt: skip


def _lattice_is_known(phase: SpecimenPhase) -> bool:
    """Say whether a lattice lies inside the range of its fundamental type."""
    kind = _kind(phase)
    low, high = prototype(kind.fundamental).a_range_A
    return low < phase.cell.a_A / kind.fundamental_ratio < high


def _partitioned(rng: np.random.Generator, composition: Composition) -> Composition:
    """Draw the composition of a phase that elements prefer or avoid."""
    return Composition.parse({e: float(x * np.exp(rng.normal(0, 0.7))) for e, x in composition.items()})


def _draw_ratio(rng: np.random.Generator, kind: Prototype) -> float:
    """Draw c/a: near the type's own; A3 also where zinc has it."""
    if kind.system == "cubic":
        return 1.0
    low, high = kind.axial_ratio_range
    if kind.name in ("A3", "D0_19"):
        middle = kind.axial_ratio
        value = rng.normal(middle, 0.022 * middle) if rng.random() < 0.93 else rng.uniform(low, high)
    else:
        value = rng.normal(kind.axial_ratio, 0.008 * kind.axial_ratio)
        value = rng.uniform(low, high) if rng.random() < 0.25 else value
    return float(np.clip(value, low, high))


def _draw_ceramic_lattice(rng: np.random.Generator, kind: Prototype) -> float:
    low, high = kind.a_range_A
    value = rng.normal(kind.a_A, 0.02 * kind.a_A) if rng.random() < 0.7 else rng.uniform(low, high)
    return float(np.clip(value, low, high))


def _ordered_occupancy(
    rng: np.random.Generator, kind: Prototype, composition: Composition, order: float
) -> dict[str, Composition]:
    """Sort the elements at random onto the sublattices of an ordered alloy, as far as `order` goes.

    Elements fill the sublattices one after the other, so that each keeps the number of sites it has.
    """
    table = family_table(kind)
    sites = dict(zip(table.sublattices, table.sites / table.sites.sum()))
    left = {e: composition[e] for e in rng.permutation(list(composition))}
    out = {}
    for label, room in sites.items():
        filled: dict[str, float] = {}
        need = float(room)
        for element in list(left):
            take = min(need, left[element])
            if take > 1e-12:
                filled[element] = take
                left[element] -= take
                need -= take
        mixed = {e: (1 - order) * composition[e] + order * filled.get(e, 0.0) / float(room) for e in composition}
        out[label] = Composition.parse({e: x for e, x in mixed.items() if x > 1e-9})
    return out


def _told_apart(one: SpecimenPhase, other: SpecimenPhase) -> bool:
    """Say whether two phases are different: of one lattice, they differ by 0.6 % at least."""
    first, second = _kind(one), _kind(other)
    if first.fundamental != second.fundamental:
        return True
    scale = first.fundamental_ratio / second.fundamental_ratio
    return abs(np.log(one.cell.a_A / other.cell.a_A / scale)) > 0.006


def _kind(phase: SpecimenPhase) -> Prototype:
    return phase.structure if isinstance(phase.structure, Prototype) else prototype(phase.structure)


def _with_share(phase: SpecimenPhase, share: float) -> SpecimenPhase:
    return SpecimenPhase(**{**phase.__dict__, "volume_fraction": share})


def _mean_volume(composition: Composition) -> float:
    return sum(x * elemental_volume_A3(e).value for e, x in composition.items())


def _draw_out_of_scope(rng: np.random.Generator) -> tuple[str, tuple[SpecimenPhase, ...]]:
    """Draw ceramics only, an amorphous specimen, or nothing."""
    draw = rng.random()
    if draw > 0.75:
        return ("amorphous" if draw < 0.95 else "empty"), ()
    names = [n for n in prototype_names() if prototype(n).role in ("ceramic", "standard")]
    count = int(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1]))
    phases = []
    for name, share in zip(rng.choice(names, size=count, replace=False), _draw_shares(rng, count)):
        metals, _ = draw_composition(rng)
        phases.append(_draw_phase(rng, str(name), metals, 12.0, float(share), main=False, finest_nm=6.0))
    return "ceramic", tuple(phases)


def draw_measurement(rng: np.random.Generator, *, amorphous: bool = False) -> Measurement:
    """Draw a diffractometer, its state, and a scan."""
    source = _draw_radiation(rng)
    wavelength = source.wavelength_A
    low = 2 * np.degrees(np.arcsin(min(wavelength / (2 * rng.uniform(2.15, 4.5)), 0.6)))
    high = 2 * np.degrees(np.arcsin(min(wavelength / (2 * rng.uniform(0.72, 1.25)), 0.95)))
    high = min(high, 150.0)
    points = int(np.exp(rng.uniform(np.log(1200), np.log(7000))))
    step = max((high - low) / points, 0.002)
    x = np.arange(low, high, step)
    widths = (0.03, 0.30) if rng.random() < 0.9 else (0.3, 0.7)
    fwhm = float(np.exp(rng.uniform(*np.log(widths)))) * min(1.0, (wavelength / 1.54) ** 0.7)
    if not source.is_tube:
        fwhm *= 0.4
    fwhm = max(fwhm, 2.2 * step)
    u, v = fwhm**2 * rng.uniform(0, 1.2), -(fwhm**2) * rng.uniform(0, 0.5)
    background = _draw_background(rng, x, amorphous=amorphous)
    hot = 0.0 if rng.random() < 0.65 else 1.0
    flat = rng.random() < 0.5
    return Measurement(
        radiation=source,
        two_theta_deg=x,
        caglioti_deg2=(u, v, fwhm**2),
        eta=float(rng.uniform(0.1, 0.9)),
        zero_deg=float(rng.normal(0, 0.012)),
        displacement_mm=float(np.clip(rng.normal(0, 0.1), -0.3, 0.3)) if source.is_tube else 0.0,
        radius_mm=float(rng.choice([150.0, 185.0, 217.5, 240.0, 280.0])),
        peak_counts=float(np.exp(rng.uniform(np.log(250), np.log(6e4)))),
        background=background,
        parasitic={"K-beta": hot * float(rng.uniform(0.002, 0.03)), "W L-alpha": hot * float(rng.uniform(0, 0.012))},
        foreign_lines=_draw_foreign_lines(rng, x),
        gain=1.0 if flat else float(np.exp(rng.uniform(np.log(0.1), np.log(1.5)))),
        smoothing_points=0.0 if flat or rng.random() < 0.5 else float(rng.uniform(0.5, 2.0)),
    )


def _draw_radiation(rng: np.random.Generator) -> Radiation:
    name = str(rng.choice(list(_TUBES), p=list(_TUBES.values())))
    return radiation(name) if name else radiation(float(np.round(np.exp(rng.uniform(np.log(0.25), np.log(1.6))), 5)))


def _draw_background(rng: np.random.Generator, x: np.ndarray, *, amorphous: bool) -> np.ndarray:
    """Draw a smooth background relative to the strongest line: falling air scatter, fluorescence, humps."""
    u = (x - x[0]) / (x[-1] - x[0])
    level = float(np.exp(rng.uniform(np.log(0.005), np.log(0.6))))
    if rng.random() < 0.15:
        level *= 4  # fluorescence, as of Co and Fe under Cu radiation
    shape = 1 + rng.uniform(0, 2) * np.exp(-u * rng.uniform(3, 20))
    shape = shape + rng.normal(0, 0.25) * u + rng.normal(0, 0.2) * u**2
    out = level * np.maximum(shape, 0.05)
    humps = int(rng.integers(1, 3)) if amorphous else int(rng.random() < 0.12)
    for _ in range(humps):
        height = float(rng.uniform(0.3, 3.0)) * (level if not amorphous else max(level, 0.3))
        out = out + height * np.exp(-0.5 * ((u - rng.uniform(0.1, 0.6)) / rng.uniform(0.03, 0.09)) ** 2)
    return out


def _draw_foreign_lines(rng: np.random.Generator, x: np.ndarray) -> tuple[tuple[float, float], ...]:
    if rng.random() > 0.15:
        return ()
    n = int(rng.integers(1, 4))
    return tuple(
        (float(rng.uniform(x[0], x[-1])), float(np.exp(rng.uniform(np.log(0.002), np.log(0.03))))) for _ in range(n)
    )
