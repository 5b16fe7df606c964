"""The table of structure types: counts, symmetry, distances, densities, and partial order."""

from __future__ import annotations

import pickle
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.crystals import (
    Prototype,
    Site,
    atoms_per_cell,
    build_crystal,
    cell_of,
    expanded_sites,
    prototype,
    prototype_names,
)
from hea_sim.diffraction import structure_factors
from hea_sim.errors import InputError, UnknownNameError

#: Grams per cubic centimetre of one atomic mass unit per cubic Angstrom.
U_PER_A3 = 1.66053907

#: Sites of each sublattice by Pearson symbol and formula of the type (Villars, Pearson's Handbook).
STOICHIOMETRY = {
    "A1": {"M": 4},
    "A2": {"M": 2},
    "A3": {"M": 2},
    "martensite": {"M": 2},
    "C32": {"A": 1, "B": 2},
    "B2": {"A": 1, "B": 1},
    "L1_2": {"A": 1, "B": 3},
    "D0_3": {"A": 4, "B": 12},
    "L2_1": {"M": 8, "A": 4, "B": 4},
    "D0_19": {"A": 2, "B": 6},
    "D0_22": {"A": 2, "B": 6},
    "L1_0": {"A": 1, "B": 1},
    "D0_24": {"A": 4, "B": 12},
    "D0_a": {"A": 2, "B": 6},
    "sigma": {"A": 10, "B": 20},
    "C14": {"A": 4, "B": 8},
    "C15": {"A": 8, "B": 16},
    "C36": {"A": 8, "B": 16},
    "mu": {"A": 18, "B": 21},
    "chi": {"A": 10, "B": 48},
    "A13": {"A": 8, "B": 12},
    "A15": {"A": 6, "B": 2},
    "M23C6": {"M": 92, "X": 24},
    "D0_11": {"M": 12, "X": 4},
    "B1": {"M": 4, "X": 4},
    "B3": {"M": 4, "X": 4},
    "B4": {"M": 2, "X": 2},
    "H1_1": {"M": 24, "X": 32},
    "D5_1": {"M": 12, "X": 18},
    "C4": {"M": 2, "X": 4},
    "C43": {"M": 4, "X": 8},
    "E2_1": {"A": 1, "B": 1, "X": 3},
    "A4": {"M": 8},
    "D2_1": {"M": 1, "X": 6},
}

#: Compound, lattice (a, b, c / A, beta) and density (g/cm3) as handbooks give them (CRC, mineral data).
DENSITIES = [
    ("B2", "NiAl", {"A": "Ni", "B": "Al"}, {"a_A": 2.887}, 5.90),
    ("L1_2", "Ni3Al", {"A": "Al", "B": "Ni"}, {"a_A": 3.572}, 7.50),
    ("D0_3", "Fe3Al", {"A": "Al", "B": "Fe"}, {"a_A": 5.79}, 6.72),
    ("A3", "Zn", "Zn", {"a_A": 2.665, "c_A": 4.947}, 7.13),
    ("C32", "omega Ti", "Ti", {"a_A": 4.60, "c_A": 2.82}, 4.62),
    ("M23C6", "Cr23C6", {"M": "Cr", "X": "C"}, {"a_A": 10.66}, 6.97),
    ("D0_11", "Fe3C", {"M": "Fe", "X": "C"}, {"a_A": 5.089, "b_A": 6.743, "c_A": 4.523}, 7.69),
    ("B1", "TiC", {"M": "Ti", "X": "C"}, {"a_A": 4.328}, 4.93),
    ("B3", "SiC", {"M": "Si", "X": "C"}, {"a_A": 4.3596}, 3.21),
    ("B4", "ZnO", {"M": "Zn", "X": "O"}, {"a_A": 3.2498, "c_A": 5.2066}, 5.67),
    ("H1_1", "Fe3O4", {"M": "Fe", "X": "O"}, {"a_A": 8.396}, 5.20),
    ("D5_1", "Al2O3", {"M": "Al", "X": "O"}, {"a_A": 4.7607, "c_A": 12.9947}, 3.99),
    ("C4", "TiO2", {"M": "Ti", "X": "O"}, {"a_A": 4.5937, "c_A": 2.9587}, 4.25),
    ("C43", "ZrO2", {"M": "Zr", "X": "O"}, {"a_A": 5.1505, "b_A": 5.2116, "c_A": 5.3173, "beta_deg": 99.23}, 5.82),
    ("E2_1", "SrTiO3", {"A": "Sr", "B": "Ti", "X": "O"}, {"a_A": 3.905}, 5.12),
    ("A4", "Si", "Si", {"a_A": 5.431}, 2.329),
    ("D2_1", "LaB6", {"M": "La", "X": "B"}, {"a_A": 4.1568}, 4.72),
]

#: Formula units in the cell (Pearson's Handbook) of compounds whose densities are not in the usual handbooks.
FORMULA_UNITS = [
    ("D0_24", {"A": "Ti", "B": "Ni"}, {"Ni": 3, "Ti": 1}, 4),
    ("D0_a", {"A": "Nb", "B": "Ni"}, {"Ni": 3, "Nb": 1}, 2),
    ("C14", {"A": "Mg", "B": "Zn"}, {"Mg": 1, "Zn": 2}, 4),
    ("C15", {"A": "Mg", "B": "Cu"}, {"Mg": 1, "Cu": 2}, 8),
    ("C36", {"A": "Mg", "B": "Ni"}, {"Mg": 1, "Ni": 2}, 8),
    ("mu", {"A": "W", "B": "Fe"}, {"Fe": 7, "W": 6}, 3),
    ("chi", {"A": "Mo", "B": "Fe12Cr12"}, {"Mo": 5, "Fe": 12, "Cr": 12}, 2),
    ("A15", {"A": "Cr", "B": "Si"}, {"Cr": 3, "Si": 1}, 2),
    ("sigma", "FeCr", {"Fe": 1, "Cr": 1}, 15),
]


def neighbour_distances(name: str) -> dict[tuple[str, str], float]:
    """Find the shortest distance between each pair of sublattices at the typical lattice."""
    positions, labels = expanded_sites(name)
    cell = cell_of(name)
    shifts = np.array(list(product((-1, 0, 1), repeat=3)))
    images = (positions[None] + shifts[:, None]) @ cell
    apart = np.linalg.norm(images[:, None] - (positions @ cell)[None, :, None], axis=-1).min(
        axis=0, where=np.linalg.norm(images[:, None] - (positions @ cell)[None, :, None], axis=-1) > 1e-6, initial=99
    )
    tags = np.array(labels)
    return {
        (s, t): float(apart[np.ix_(tags == s, tags == t)].min())
        for s in prototype(name).sublattices
        for t in prototype(name).sublattices
    }


def test_every_type_has_the_sites_of_its_formula() -> None:
    assert {name: prototype(name).stoichiometry for name in prototype_names()} == STOICHIOMETRY
    assert all(atoms_per_cell(name) == sum(STOICHIOMETRY[name].values()) for name in prototype_names())


@pytest.mark.parametrize("name", prototype_names())
def test_atoms_of_a_typical_lattice_are_as_far_apart_as_atoms_are(name: str) -> None:
    for (one, other), distance in neighbour_distances(name).items():
        light = (one == "X") + (other == "X")
        assert distance > (2.2, 1.8, 1.6)[light]
    # No type leaves a hole: every atom has a neighbour within a bond length.
    assert min(neighbour_distances(name).values()) < 3.0


@pytest.mark.parametrize("name", prototype_names())
def test_a_type_is_whole(name: str) -> None:
    kind = prototype(name)
    assert set(kind.typical) == set(kind.site_preference) == set(kind.sublattices)
    assert kind.a_range_A[0] < kind.a_A < kind.a_range_A[1]
    for value, (low, high), free in (
        (kind.axial_ratio, kind.axial_ratio_range, kind.system != "cubic"),
        (kind.b_ratio, kind.b_ratio_range, kind.system in ("orthorhombic", "monoclinic")),
        (kind.beta_deg, kind.beta_range_deg, kind.system == "monoclinic"),
    ):
        assert low < value < high if free else low == value == high
    assert prototype(kind.fundamental).fundamental == kind.fundamental
    assert pickle.loads(pickle.dumps(kind)) == kind and hash(kind) == hash(prototype(name))


@pytest.mark.parametrize("name", ["B2", "L1_2", "D0_3", "L2_1", "D0_19"])
def test_without_order_the_fundamental_lattice_is_left(name: str) -> None:
    kind = prototype(name)
    parent = prototype(kind.fundamental)
    a = kind.a_A / kind.fundamental_ratio
    volumes = [
        build_crystal(k, "Fe", a_A=x, c_A=kind.a_A * kind.axial_ratio).volume_A3 / atoms_per_cell(k)
        for k, x in ((kind, kind.a_A), (parent, a))
    ]
    assert volumes[0] == pytest.approx(volumes[1], rel=1e-9)


@pytest.mark.parametrize(("name", "compound", "occupancy", "lattice", "density"), DENSITIES, ids=lambda v: str(v)[:8])
def test_densities_of_known_compounds(
    name: str, compound: str, occupancy: dict[str, str] | str, lattice: dict[str, float], density: float
) -> None:
    crystal = build_crystal(name, occupancy, **lattice)  # type: ignore[arg-type]
    assert crystal.mass_u / crystal.volume_A3 * U_PER_A3 == pytest.approx(density, rel=0.03), compound


@pytest.mark.parametrize(("name", "occupancy", "formula", "units"), FORMULA_UNITS, ids=lambda v: str(v)[:8])
def test_cells_hold_whole_formula_units(
    name: str, occupancy: dict[str, str] | str, formula: dict[str, int], units: int
) -> None:
    crystal = build_crystal(name, occupancy)
    held = dict(zip(crystal.species, crystal.occupancy.sum(axis=0)))
    assert held == pytest.approx({e: units * n for e, n in formula.items()})


@settings(deadline=None)  # the first call reads the scattering tables
@given(st.floats(0, 1))
def test_partial_order_scales_superlattice_lines_by_its_square(order: float) -> None:
    for name, superlattice, fundamental in (
        ("B2", [1, 0, 0], [1, 1, 0]),
        ("L1_2", [1, 0, 0], [1, 1, 1]),
        ("L1_0", [0, 0, 1], [1, 0, 1]),
        ("D0_22", [1, 0, 1], [1, 1, 2]),
        ("D0_3", [1, 1, 1], [2, 2, 0]),
    ):
        kind = prototype(name)
        full, part = (build_crystal(name, kind.typical, order_parameter=s) for s in (1.0, order))
        hkl = np.array([superlattice, fundamental])
        ordered, partly = (np.abs(structure_factors(c, hkl, 1.5406)) ** 2 for c in (full, part))
        assert partly[0] == pytest.approx(order**2 * ordered[0], rel=1e-9, abs=1e-7)
        assert partly[1] == pytest.approx(ordered[1], rel=1e-9)
        assert part.mass_u == pytest.approx(full.mass_u)


@pytest.mark.parametrize("name", prototype_names())
def test_without_order_metals_are_mixed_and_light_elements_stay(name: str) -> None:
    kind = prototype(name)
    full, none = (build_crystal(name, kind.typical, order_parameter=s) for s in (1.0, 0.0))
    light = np.array([label == "X" for label in expanded_sites(name)[1]])
    assert np.allclose(none.occupancy[light], full.occupancy[light])
    assert np.allclose(none.occupancy[~light], full.occupancy[~light].mean(axis=0))


def test_cells_have_the_parameters_that_were_asked_for() -> None:
    cell = cell_of("C43", 5.1, 5.2, 5.3, 99.0)
    assert np.allclose(np.linalg.norm(cell, axis=1), (5.1, 5.2, 5.3))
    cosine = cell[0] @ cell[2] / (5.1 * 5.3)
    assert np.degrees(np.arccos(cosine)) == pytest.approx(99.0) and cell[0] @ cell[1] == cell[1] @ cell[2] == 0
    assert np.allclose(cell_of("D0_11", 5.089, 6.743, 4.523), np.diag([5.089, 6.743, 4.523]))
    assert np.allclose(cell_of("B2", 2.9, b_A=4.0, c_A=5.0), 2.9 * np.eye(3))  # a cubic cell has one parameter
    hexagonal = cell_of("D0_19", 5.0, c_A=4.0)
    assert hexagonal[0] @ hexagonal[1] == pytest.approx(-12.5)


def test_a_type_of_ones_own_is_used_like_those_of_the_table() -> None:
    own = Prototype(
        name="ours",
        space_group=221,
        system="cubic",
        sites=(Site(sublattice="A", position=(0, 0, 0)), Site(sublattice="B", position=(0.5, 0.5, 0.5))),
        a_A=2.9,
        a_range_A=(2.8, 3.0),
        fundamental="ours",
        filling={"B": 0.9},
    )
    crystal = build_crystal(own, {"A": "Ni", "B": "Al"})
    assert crystal.name == "ours" and crystal.occupancy.sum(axis=1).tolist() == [1.0, 0.9]
    assert atoms_per_cell(own) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: build_crystal("B2", "Fe", order_parameter=1.1), "order parameter 1.1; wanted a number from 0"),
        (lambda: build_crystal("B2", {"A": "Fe"}), "no composition was given for B"),
        (lambda: build_crystal("C43", "Fe", beta_deg=180.0), "an angle between 0 and 180"),
        (lambda: build_crystal("A1", "Fe", a_A=float("nan")), "wanted positive numbers"),
        (lambda: cell_of("A3", 2.9, c_A=-1.0), "wanted positive numbers"),
    ],
)
def test_what_cannot_be_built_is_refused(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=message):
        call()
    with pytest.raises(UnknownNameError, match="did you mean 'sigma'"):
        prototype("sigmaa")


@pytest.mark.oracle
@pytest.mark.parametrize("name", prototype_names())
def test_spglib_finds_the_space_group_of_every_type(name: str) -> None:
    spglib = pytest.importorskip("spglib", reason="the extra `oracle` is not installed")
    kind = prototype(name)
    positions, labels = expanded_sites(name)
    numbers = [kind.sublattices.index(label) + 1 for label in labels]
    found = spglib.get_spacegroup((cell_of(name), positions, numbers), symprec=1e-3)
    assert found.endswith(f"({kind.space_group})")


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("name", "tag"),
    [(n, n) for n in ("B2", "L1_2", "D0_3", "L2_1", "D0_19", "D0_22", "L1_0", "D0_a", "C14", "C15", "A13", "A15")]
    + [(n, n) for n in ("C32", "D0_11", "B1", "B3", "B4", "D5_1", "C4", "C43", "E2_1", "A4", "D2_1")]
    + [("sigma", "A_b"), ("mu", "D8_5"), ("chi", "A12"), ("M23C6", "D8_4"), ("H1_1", "H1_1")],
)
def test_types_are_those_of_an_independent_encyclopedia(name: str, tag: str) -> None:
    prototypes = pytest.importorskip("pymatgen.analysis.prototypes", reason="the extra `oracle` is not installed")
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.core import Lattice, Structure

    entry = next(e for e in prototypes.AFLOW_PROTOTYPE_LIBRARY if e["tags"]["strukturbericht"] == tag)
    peer = entry["snl"].structure.get_reduced_structure()
    # Types of one element there, or with two kinds of metal, are compared as bare lattices; sigma is that of beta U.
    bare = name in ("sigma", "chi", "A13", "H1_1")
    kind = prototype(name)
    positions, labels = expanded_sites(name)
    symbols = ["Fe"] * len(labels) if bare else [{"A": "Ni", "B": "Al", "M": "Fe", "X": "C"}[s] for s in labels]
    c_A = 1.083 * kind.a_A if name == "C32" else None  # the encyclopedia's example is AlB2, not omega Ti
    ours = Structure(Lattice(cell_of(name, c_A=c_A)), symbols, positions)
    if bare:
        peer.replace_species({str(e): "Fe" for e in peer.composition.elements})
    matcher = StructureMatcher(ltol=0.12, stol=0.12, angle_tol=3)
    assert matcher.fit_anonymous(ours, peer)
    assert len(ours.get_primitive_structure()) == len(peer.get_primitive_structure())
