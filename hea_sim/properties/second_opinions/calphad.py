"""Phases of an alloy at equilibrium, from a thermodynamic database (TDB) of the user's, by the package `pycalphad`.

The minimum of the Gibbs energy over all phases of the database that the elements can form, at a temperature and a
pressure. Fractions are of atoms. A phase whose name says that it can order (B2, L1_2) is called by its disordered
lattice where its sublattices hold the same atoms. Nothing is said of how an alloy gets there: as cast it may not.

pycalphad: Otis and Liu, J. Open Res. Softw. 5, 1 (2017), doi:10.5334/jors.140.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.documents import sha256_of
from hea_sim.errors import HEAError, InputError, MissingDependencyError, MissingFileError, one_line_error

#: Share of the atoms from which a phase counts in the labels of an equilibrium; all are listed.
COUNTED_FROM = 0.02
#: Phases with less than this share of the atoms are left out: rounding of the minimisation.
_LEAST_SHARE = 1e-6
#: Largest difference of site fractions between sublattices of a disordered phase.
_DISORDERED_BELOW = 0.01
#: Beginnings and pieces of phase names in use, with structure and the disordered lattice of what can order.
_NAMES: tuple[tuple[str, str, str], ...] = (
    (r"LIQ|IONIC_LIQ", "liquid", ""),
    (r"(BCC_D03|D03)", "D0_3", "A2"),
    (r"(BCC_B2|B2_|B2$|A2_B2|BCC_4SL|BCC2)", "B2", "A2"),
    (r"(FCC_L12|L12|FCC_4SL|FCC4|AL3NI_L12|GAMMA_PRIME)", "L1_2", "A1"),
    (r"(BCC|A2$)", "A2", ""),
    (r"(FCC|A1$)", "A1", ""),
    (r"(HCP|A3$)", "A3", ""),
    (r"(SIGMA|D8_?B)", "sigma", ""),
    (r"(LAVES_)?C14", "C14", ""),
    (r"(LAVES_)?C15", "C15", ""),
    (r"(LAVES_)?C36", "C36", ""),
    (r"(MU_|MU$|D85)", "mu", ""),
    (r"(CHI|ALPHA_MN|CBCC_A12|A12)", "chi", ""),
    (r"(CUB_A13|BETA_MN|A13)", "A13", ""),
    (r"A15", "A15", ""),
    (r"M23C6", "M23C6", ""),
    (r"(NI3TI|D024)", "D0_24", ""),
    (r"D019", "D0_19", ""),
)
_SOLID_SOLUTIONS = {"A1": "FCC", "A2": "BCC", "A3": "HCP"}
#: Databases model MC and M2C carbides and nitrides as fcc and hcp whose interstices are filled: what those are then.
_FILLED = {"A1": "B1", "A3": "L'3"}
_INTERSTITIAL = ("B", "C", "H", "N", "O")
#: Share of interstitial atoms from which a phase is a compound; M2C holds a third, austenite below a tenth.
_FILLED_FROM = 0.2


@dataclass(frozen=True, kw_only=True)
class StablePhase:
    """Hold one phase at equilibrium.

    `name` as the database has it; `structure` by Strukturbericht, "liquid", or "" where the name does not tell it;
    `fraction` of the atoms; `composition` atomic fractions in it; `order_parameter` the largest difference between
    site fractions of one element on like sublattices, 0 without order.
    """

    name: str
    structure: str
    fraction: float
    composition: Mapping[str, float]
    order_parameter: float


@dataclass(frozen=True, kw_only=True)
class PhaseEquilibrium:
    """Hold the phases of one alloy at one temperature, most first.

    `structure` is BCC, FCC, HCP where that solid solution stands alone, else multi; `family` is SS, SS+IM or IM; both
    are None where a liquid counts. `database_sha256` is of the file, "" where none was read.
    """

    formula: str
    temperature_K: float
    phases: tuple[StablePhase, ...]
    structure: str | None
    family: str | None
    database: str
    database_sha256: str
    notes: tuple[str, ...] = ()


def phases_at(
    alloy: Composition | str,
    temperature_K: float,
    tdb: str | os.PathLike[str] | Any,
    *,
    phases: Sequence[str] | None = None,
    pressure_Pa: float = 101325.0,
) -> PhaseEquilibrium:
    """Compute which phases of a database an alloy has at equilibrium.

    Parameters
    ----------
    alloy
        Composition.
    temperature_K
        Above 0; databases hold from 298 K on.
    tdb
        Your database: a TDB file, or a `pycalphad.Database`.
    phases
        Names of the phases that may form; all of the database without it.
    pressure_Pa
        Pressure.

    Raises
    ------
    MissingDependencyError
        Without pycalphad (extra `thermo`).
    MissingFileError, InputError
        Where the file is missing or no TDB, the database lacks an element or a phase, or no minimum is found.
    """
    composition = Composition.parse(alloy)
    if not (temperature_K > 0 and pressure_Pa > 0):
        raise InputError(f"{temperature_K} K, {pressure_Pa} Pa; wanted both above 0")
    database, name, digest = _database(tdb)
    _check_elements(composition, database, name)
    chosen = _phases(database, name, phases)
    found = _minimise(composition, temperature_K, pressure_Pa, database, name, chosen)
    stable = tuple(sorted(found, key=lambda phase: -phase.fraction))
    structure, family = labels_of(stable)
    faint = [phase.name for phase in stable if phase.fraction < COUNTED_FROM]
    notes = ["equilibrium: an alloy as cast or quenched may hold phases of a higher temperature"]
    if faint:
        notes.append(f"{', '.join(faint)}: less than {COUNTED_FROM:.0%} of the atoms, not counted in the labels")
    if unread := [phase.name for phase in stable if not phase.structure]:
        notes.append(f"{', '.join(unread)}: the name does not tell the structure; taken for an intermetallic")
    return PhaseEquilibrium(
        formula=composition.formula,
        temperature_K=temperature_K,
        phases=stable,
        structure=structure,
        family=family,
        database=name,
        database_sha256=digest,
        notes=tuple(notes),
    )


def labels_of(stable: Sequence[StablePhase]) -> tuple[str | None, str | None]:
    """Give structure and family of an assemblage, None for both where a liquid counts."""
    counted = [phase.structure for phase in stable if phase.fraction >= COUNTED_FROM]
    if not counted or "liquid" in counted:
        return None, None
    solid = [structure in _SOLID_SOLUTIONS for structure in counted]
    family = "SS" if all(solid) else "SS+IM" if any(solid) else "IM"
    alone = counted[0] if len(counted) == 1 else ""
    return _SOLID_SOLUTIONS.get(alone, "multi"), family


def structure_of(phase_name: str, *, ordered: bool = True) -> str:
    """Read the structure from a phase's name, of its disordered lattice where it is not `ordered`; "" where unknown.

    >>> structure_of("BCC_B2"), structure_of("BCC_B2", ordered=False), structure_of("SIGMA_D8B"), structure_of("XY")
    ('B2', 'A2', 'sigma', '')
    """
    for pattern, structure, disordered in _NAMES:
        if re.match(pattern, phase_name.upper()):
            return structure if ordered or not disordered else disordered
    return ""


def _pycalphad() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pycalphad
    except ImportError as error:
        raise MissingDependencyError(
            f"pycalphad cannot be loaded ({error}); install the extra: pip install 'hea-toolkit[thermo]'"
        ) from error
    return pycalphad


def _database(tdb: Any) -> tuple[Any, str, str]:
    """Give the database, its name, and the SHA-256 of its file."""
    if not isinstance(tdb, (str, os.PathLike)):
        if not hasattr(tdb, "phases"):
            raise InputError(
                f"database: got {type(tdb).__name__}; wanted the path of a TDB file, or a pycalphad.Database"
            )
        return tdb, "database given by the caller", ""
    path = Path(tdb)
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file; wanted a thermodynamic database (TDB) that holds the elements")
    digest = sha256_of(path)
    return _read(path, digest), path.name, digest


@lru_cache(maxsize=4)
def _read(path: Path, digest: str) -> Any:
    """Read a TDB once; the digest is in the key, so that a changed file is read again."""
    pycalphad = _pycalphad()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            database = pycalphad.Database(str(path))
    except Exception as error:
        raise InputError(f"{path}: cannot be read as a TDB ({one_line_error(error)})") from error
    if not database.phases:
        raise InputError(f"{path}: holds no phases; wanted a thermodynamic database (TDB)")
    return database


def _check_elements(composition: Composition, database: Any, name: str) -> None:
    known = {str(element).capitalize() for element in database.elements} - {"Va", "/-"}
    if missing := [element for element in composition if element not in known]:
        raise InputError(
            f"{name} has no {', '.join(missing)}; it knows {', '.join(sorted(known)) or 'no element'}: take a database"
            f" that holds {', '.join(composition)}"
        )


def _phases(database: Any, name: str, asked: Sequence[str] | None) -> list[str]:
    known = sorted(database.phases)
    if asked is None:
        return known
    if unknown := [phase for phase in asked if phase not in known]:
        raise InputError(f"{name} has no phase {', '.join(unknown)}; it has {', '.join(known)}")
    return list(asked)


def _minimise(
    composition: Composition, temperature_K: float, pressure_Pa: float, database: Any, name: str, phases: list[str]
) -> list[StablePhase]:
    """Minimise the Gibbs energy and read off what is stable."""
    pycalphad = _pycalphad()
    v = pycalphad.variables
    commonest = max(composition, key=lambda element: composition[element])
    conditions = {v.X(e.upper()): x for e, x in composition.items() if e != commonest}
    conditions |= {v.T: temperature_K, v.P: pressure_Pa, v.N: 1}
    components = [*(element.upper() for element in composition), "VA"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = pycalphad.equilibrium(database, components, phases, conditions)
        names = np.atleast_1d(found.Phase.values.squeeze())
        stable = [_read_vertex(found, k, names[k], database, composition) for k in range(len(names)) if names[k]]
    except HEAError:
        raise
    except Exception as error:
        raise InputError(
            f"{name} gives no equilibrium of {composition.formula} at {temperature_K:g} K ({one_line_error(error)});"
            " does it describe these elements together in any phase?"
        ) from error
    stable = [phase for phase in stable if phase.fraction > _LEAST_SHARE]
    if not stable:
        raise InputError(
            f"{name}: no minimum found for {composition.formula} at {temperature_K:g} K; change T a little"
        )
    return stable


def _read_vertex(found: Any, k: int, name: str, database: Any, composition: Composition) -> StablePhase:
    """Read one phase of an equilibrium out of pycalphad's arrays (N, P, T, X..., vertex, component or site)."""
    vertices = found.NP.values.reshape(-1)
    parts = found.X.values.reshape(len(vertices), -1)[k]
    components = [str(component).capitalize() for component in found.component.values]
    sites = found.Y.values.reshape(len(vertices), -1)[k]
    order = _order_parameter(database.phases[name], sites, {element.upper() for element in composition} | {"VA"})
    structure = structure_of(name, ordered=order > _DISORDERED_BELOW)
    held = dict(zip(components, (float(x) for x in parts), strict=True))
    if sum(held.get(element, 0.0) for element in _INTERSTITIAL) > _FILLED_FROM:
        structure = _FILLED.get(structure, structure)
    return StablePhase(
        name=str(name),
        structure=structure,
        fraction=float(vertices[k]),
        composition=held,
        order_parameter=order,
    )


def _order_parameter(phase: Any, site_fractions: np.ndarray, components: set[str]) -> float:
    """Compare sublattices that may hold the same kinds of atoms; 0 where no two may, or all hold the same."""
    alike: dict[tuple[str, ...], list[np.ndarray]] = {}
    start = 0
    for constituents in phase.constituents:
        present = tuple(sorted(c.name for c in constituents if set(c.constituents) <= components))
        alike.setdefault(present, []).append(site_fractions[start : start + len(present)])
        start += len(present)
    spreads = [float(np.ptp(np.array(group), axis=0).max()) for group in alike.values() if len(group) > 1]
    return max(spreads, default=0.0)
