"""Embedded-atom potentials of 16 metals and their alloys: Zhou, Johnson and Wadley 2004.

Parameters and forms: Phys. Rev. B 69, 144113, doi:10.1103/PhysRevB.69.144113. They were fitted to the pure metals;
between unlike metals the pair energy follows from both by a rule, so alloys are a baseline, not a fit.

| symbol | here | form |
|---|---|---|
| f(r) | `density` | f_e exp(-beta (r/r_e - 1)) / (1 + (r/r_e - lambda)^20) |
| phi_aa(r) | `pair_energy_eV` | A exp(-alpha (r/r_e - 1)) / (1 + (r/r_e - kappa)^20) - B f(r) / f_e |
| phi_ab(r) | `pair_energy_eV` | (f_b / f_a phi_aa + f_a / f_b phi_bb) / 2 |
| F(rho) | `embedding_energy_eV` | cubic in rho/rho_n - 1 below rho_n, in rho/rho_e - 1 up to 1.15 rho_e, F_e (1 - ln x^eta) x^eta with x = rho/rho_s above |

rho_n is 0.85 rho_e; for Pt 0.25 rho_e, the only value at which its two cubics meet. f and phi have no end of their
own, and the authors' tables cut them at sqrt(5) r_e, exactly where the fifth shell of an fcc crystal stands, so that
its atoms drop in and out. Here both fade over the last `taper_A` before that.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hea_sim.errors import InputError, unknown_name
from hea_sim.potentials.contract import SitePotential
from hea_sim.potentials.eam import EAMModel, EAMTables, ElementHeader

#: Distances below this are taken as this, in A: nothing was fitted there.
LEAST_R_A = 0.5


@dataclass(frozen=True, kw_only=True)
class ZhouMetal:
    """Hold the parameters of one metal; `inner_eV` and `outer_eV` are the cubics of F, lowest power first."""

    lattice: str
    r_e_A: float
    f_e: float
    rho_e: float
    rho_s: float
    alpha: float
    beta: float
    A_eV: float
    B_eV: float
    kappa: float
    lambda_: float
    inner_eV: tuple[float, float, float, float]
    outer_eV: tuple[float, float, float, float]
    eta: float
    F_e_eV: float
    rho_n_share: float = 0.85

    @property
    def a_A(self) -> float:
        """Lattice parameter of the crystal whose nearest neighbours are r_e apart; a of the hexagonal metals is r_e."""
        return self.r_e_A * {"fcc": np.sqrt(2), "bcc": 2 / np.sqrt(3), "hcp": 1.0}[self.lattice]


# fmt: off
#: lattice, r_e, f_e, rho_e, rho_s, alpha, beta, A, B, kappa, lambda, F_n0 ... F_n3, F_0 ... F_3, eta, F_e
_TABLE: dict[str, tuple[str, tuple[float, ...]]] = {
    "Cu": ("fcc", (2.556162, 1.554485, 21.175871, 21.175395, 8.127620, 4.334731, 0.396620, 0.548085, 0.308782, 0.756515,
                   -2.170269, -0.263788, 1.088878, -0.817603, -2.19, 0, 0.561830, -2.100595, 0.310490, -2.186568)),
    "Ag": ("fcc", (2.891814, 1.106232, 14.604100, 14.604144, 9.132010, 4.870405, 0.277758, 0.419611, 0.339710, 0.750758,
                   -1.729364, -0.255882, 0.912050, -0.561432, -1.75, 0, 0.744561, -1.150650, 0.783924, -1.748423)),
    "Au": ("fcc", (2.885034, 1.529021, 19.991632, 19.991509, 9.516052, 5.075228, 0.229762, 0.356666, 0.356570, 0.748798,
                   -2.937772, -0.500288, 1.601954, -0.835530, -2.98, 0, 1.706587, -1.134778, 1.021095, -2.978815)),
    "Ni": ("fcc", (2.488746, 2.007018, 27.562015, 27.562031, 8.383453, 4.471175, 0.429046, 0.633531, 0.443599, 0.820658,
                   -2.693513, -0.076445, 0.241442, -2.375626, -2.70, 0, 0.265390, -0.152856, 0.445470, -2.7)),
    "Pd": ("fcc", (2.750897, 1.595417, 21.335246, 21.940073, 8.697397, 4.638612, 0.406763, 0.598880, 0.397263, 0.754799,
                   -2.321006, -0.473983, 1.615343, -0.231681, -2.36, 0, 1.481742, -1.675615, 1.130000, -2.352753)),
    "Pt": ("fcc", (2.771916, 2.336509, 33.367564, 35.205357, 7.105782, 3.789750, 0.556398, 0.696037, 0.385255, 0.770510,
                   -1.455568, -2.149952, 0.528491, 1.222875, -4.17, 0, 3.010561, -2.420128, 1.450000, -4.145597)),
    "Al": ("fcc", (2.863924, 1.403115, 20.418205, 23.195740, 6.613165, 3.527021, 0.314873, 0.365551, 0.379846, 0.759692,
                   -2.807602, -0.301435, 1.258562, -1.247604, -2.83, 0, 0.622245, -2.488244, 0.785902, -2.824528)),
    "Pb": ("fcc", (3.499723, 0.647872, 8.450154, 8.450063, 9.121799, 5.212457, 0.161219, 0.236884, 0.250805, 0.764955,
                   -1.422370, -0.210107, 0.682886, -0.529378, -1.44, 0, 0.702726, -0.538766, 0.935380, -1.439436)),
    "Fe": ("bcc", (2.481987, 1.885957, 20.041463, 20.041463, 9.818270, 5.236411, 0.392811, 0.646243, 0.170306, 0.340613,
                   -2.534992, -0.059605, 0.193065, -2.282322, -2.54, 0, 0.200269, -0.148770, 0.391750, -2.539945)),
    "Mo": ("bcc", (2.728100, 2.723710, 29.354065, 29.354065, 8.393531, 4.476550, 0.708787, 1.120373, 0.137640, 0.275280,
                   -3.692913, -0.178812, 0.380450, -3.133650, -3.71, 0, 0.875874, 0.776222, 0.790879, -3.712093)),
    "Ta": ("bcc", (2.860082, 3.086341, 33.787168, 33.787168, 8.489528, 4.527748, 0.611679, 1.032101, 0.176977, 0.353954,
                   -5.103845, -0.405524, 1.112997, -3.585325, -5.14, 0, 1.640098, 0.221375, 0.848843, -5.141526)),
    "W": ("bcc", (2.740840, 3.487340, 37.234847, 37.234847, 8.900114, 4.746728, 0.882435, 1.394592, 0.139209, 0.278417,
                  -4.946281, -0.148818, 0.365057, -4.432406, -4.96, 0, 0.661935, 0.348147, 0.582714, -4.961306)),
    "Mg": ("hcp", (3.196291, 0.544323, 7.132600, 7.132600, 10.228708, 5.455311, 0.137518, 0.225930, 0.5, 1.0,
                   -0.896473, -0.044291, 0.162232, -0.689950, -0.90, 0, 0.122838, -0.226010, 0.431425, -0.899702)),
    "Co": ("hcp", (2.505979, 1.975299, 27.206789, 27.206789, 8.679625, 4.629134, 0.421378, 0.640107, 0.5, 1.0,
                   -2.541799, -0.219415, 0.733381, -1.589003, -2.56, 0, 0.705845, -0.687140, 0.694608, -2.559307)),
    "Ti": ("hcp", (2.933872, 1.863200, 25.565138, 25.565138, 8.775431, 4.680230, 0.373601, 0.570968, 0.5, 1.0,
                   -3.203773, -0.198262, 0.683779, -2.321732, -3.22, 0, 0.608587, -0.750710, 0.558572, -3.219176)),
    "Zr": ("hcp", (3.199978, 2.230909, 30.879991, 30.879991, 8.559190, 4.564902, 0.424667, 0.640054, 0.5, 1.0,
                   -4.485793, -0.293129, 0.990148, -3.202516, -4.51, 0, 0.928602, -0.981870, 0.597133, -4.509025)),
}
# fmt: on


def _metal(element: str) -> ZhouMetal:
    lattice, v = _TABLE[element]
    return ZhouMetal(
        lattice=lattice,
        r_e_A=v[0],
        f_e=v[1],
        rho_e=v[2],
        rho_s=v[3],
        alpha=v[4],
        beta=v[5],
        A_eV=v[6],
        B_eV=v[7],
        kappa=v[8],
        lambda_=v[9],
        inner_eV=(v[10], v[11], v[12], v[13]),
        outer_eV=(v[14], v[15], v[16], v[17]),
        eta=v[18],
        F_e_eV=v[19],
        rho_n_share=0.25 if element == "Pt" else 0.85,
    )


#: The metals by symbol.
METALS: dict[str, ZhouMetal] = {element: _metal(element) for element in _TABLE}


def density(metal: ZhouMetal, r_A: np.ndarray) -> np.ndarray:
    """Give the electron density that an atom spreads at distances r."""
    x = np.asarray(r_A, float) / metal.r_e_A
    return metal.f_e * np.exp(-metal.beta * (x - 1)) / (1 + (x - metal.lambda_) ** 20)


def pair_energy_eV(a: ZhouMetal, b: ZhouMetal, r_A: np.ndarray) -> np.ndarray:
    """Give the pair energy of two atoms of one metal or of two."""
    of_a = _own_pair_energy(a, r_A)
    if a == b:
        return of_a
    share = density(b, r_A) / density(a, r_A)
    return 0.5 * (share * of_a + _own_pair_energy(b, r_A) / share)


def _own_pair_energy(metal: ZhouMetal, r_A: np.ndarray) -> np.ndarray:
    x = np.asarray(r_A, float) / metal.r_e_A
    repulsion = metal.A_eV * np.exp(-metal.alpha * (x - 1)) / (1 + (x - metal.kappa) ** 20)
    return repulsion - metal.B_eV / metal.f_e * density(metal, r_A)


def embedding_energy_eV(metal: ZhouMetal, rho: np.ndarray) -> np.ndarray:
    """Give the energy of an atom in an electron density."""
    rho = np.asarray(rho, float)
    rho_n = metal.rho_n_share * metal.rho_e
    inner = np.polynomial.polynomial.polyval(rho / rho_n - 1, metal.inner_eV)
    middle = np.polynomial.polynomial.polyval(rho / metal.rho_e - 1, metal.outer_eV)
    x = (np.maximum(rho, rho_n) / metal.rho_s) ** metal.eta
    dense = metal.F_e_eV * (1 - np.log(x)) * x
    return np.where(rho < rho_n, inner, np.where(rho < 1.15 * metal.rho_e, middle, dense))


def zhou_tables(elements: Sequence[str], *, taper_A: float = 0.5, knots: int = 2000) -> EAMTables:
    """Tabulate the functions of some of the metals, on the grid of the tables that the authors give out.

    The cutoff is sqrt(5) times the largest r_e; densities reach to the larger of 100, 2 rho_e and what lies at
    `LEAST_R_A`. A taper of 0 gives the authors' tables, with their step at the cutoff. Raises UnknownNameError for
    another element.
    """
    from ase.data import atomic_masses, atomic_numbers

    elements = tuple(elements)
    for element in elements:
        if element not in METALS:
            raise unknown_name("metal of Zhou, Johnson and Wadley 2004", element, METALS)
    if not elements or len(set(elements)) < len(elements) or knots < 5:
        raise InputError(f"elements {elements}, {knots} knots; wanted elements, each once, and at least 5 knots")
    if not 0 <= taper_A <= 1:
        raise InputError(f"taper of {taper_A} A; wanted 0 (a step at the cutoff) to 1 A")
    metals = [METALS[element] for element in elements]
    cutoff = float(np.sqrt(5) * max(metal.r_e_A for metal in metals))
    r = np.linspace(0, cutoff, knots)
    kept = np.maximum(r, LEAST_R_A)
    fading = _fading(r, cutoff, taper_A)
    densities = fading * np.array([density(metal, kept) for metal in metals])
    rho = np.linspace(0, max(100.0, densities.max(), *(2 * metal.rho_e for metal in metals)), knots)
    return EAMTables(
        elements=elements,
        cutoff_A=cutoff,
        r_step_A=r[1],
        rho_step=rho[1],
        embedding_eV=np.array([embedding_energy_eV(metal, rho) for metal in metals]),
        density=densities,
        pair_eV_A=fading * _pairs(metals, kept),
        headers={
            element: ElementHeader(
                mass_u=float(atomic_masses[atomic_numbers[element]]), a_A=float(metal.a_A), lattice=metal.lattice
            )
            for element, metal in zip(elements, metals, strict=True)
        },
        comment="Zhou, Johnson, Wadley, Phys. Rev. B 69, 144113 (2004), doi:10.1103/PhysRevB.69.144113",
    )


def _fading(r_A: np.ndarray, cutoff_A: float, taper_A: float) -> np.ndarray:
    """Give 1 up to the taper, then fall to 0 at the cutoff with two continuous derivatives."""
    if taper_A == 0:
        return np.ones_like(r_A)
    t = np.clip(1 - (cutoff_A - r_A) / taper_A, 0, 1)
    return 1 - t**3 * (10 - 15 * t + 6 * t**2)


def _pairs(metals: Sequence[ZhouMetal], r_A: np.ndarray) -> np.ndarray:
    """Give r phi of each pair (metals, metals, knots), to the last bit the same both ways round."""
    n = len(metals)
    pairs = np.empty((n, n, len(r_A)))
    for a in range(n):
        for b in range(a + 1):
            pairs[a, b] = pairs[b, a] = r_A * pair_energy_eV(metals[a], metals[b], r_A)
    return pairs


def zhou_eam(elements: Sequence[str], *, taper_A: float = 0.5, knots: int = 2000) -> SitePotential:
    """Make the embedded-atom potential of some of the 16 metals: Ag Al Au Co Cu Fe Mg Mo Ni Pb Pd Pt Ta Ti W Zr.

    Energies are against free atoms. With a taper of 0 energies equal those of the authors' tables, which end with a
    step at the cutoff: below 4e-6 eV a pair for cubic metals, 4e-5 eV for hexagonal ones.

    >>> zhou_eam(["Ni", "Cu"]).elements
    ('Ni', 'Cu')
    """
    tables = zhou_tables(elements, taper_A=taper_A, knots=knots)
    return SitePotential(
        name=f"zhou-2004 {' '.join(tables.elements)}",
        model=EAMModel(tables=tables),
        notes=(
            tables.comment,
            "fitted to the pure metals; pairs of unlike metals follow a rule: a baseline for alloys",
        ),
    )
