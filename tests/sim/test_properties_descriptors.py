"""Descriptors of alloys: the compiled pass against scalar formulas, a plain twin, and laws."""

import numpy as np
import pytest
from hea_bench.descriptors.backend import NativeBackend
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.errors import UnknownNameError
from hea_sim.properties.contract import AlloyBatch
from hea_sim.properties.descriptor_kernels import CEILING
from hea_sim.properties.descriptors import (
    descriptor_matrix,
    descriptor_names,
    filled_in,
    list_descriptors,
    missing_tables,
)
from hea_sim.properties.element_tables import PROPERTIES, SUPPLEMENT, TABLES, described_elements, element_table

PEER = {
    "size_mismatch": "delta",
    "mixing_entropy": "smix",
    "omega": "omega",
    "electronegativity_spread": "delta_chi",
    "valence_electrons": "vec",
    "melting_temperature": "melting_temperature",
    "elastic_energy": "h_elastic",
    "excess_entropy": "s_excess",
    "solution_free_energy": "delta_g_ss",
    "king_phi": "phi_king",
    "ye_phi": "phi_ye",
    "singh_lambda": "singh_lambda",
    "wang_gamma": "wang_gamma",
    "mean_electronegativity": "mean_electronegativity",
    "mixing_enthalpy": "mixing_enthalpy",
    "lowest_pair_enthalpy": "delta_g_max",
}
RATIOS = ("omega", "king_phi", "ye_phi", "singh_lambda")
NAMES = descriptor_names()


def column(matrix, name):
    return matrix[:, NAMES.index(name)]


def random_alloys(seed, n=40, least=1):
    rng = np.random.default_rng(seed)
    elements = tuple(sorted(described_elements() - {"Th"}))  # the pair Th-U has no enthalpy
    x = np.zeros((n, len(elements)))
    for row in x:
        held = rng.choice(len(elements), rng.integers(least, 8), replace=False)
        row[held] = rng.dirichlet(np.ones(len(held)))
    return AlloyBatch(elements=elements, fractions=x)


@pytest.mark.parametrize(
    "formula", ["CoCrFeMnNi", "NbMoTaW", "Al0.5CoCrFeNi", "Zr41Ti14Cu12.5Ni10Be22.5", "Mg60Zn35Ca5", "Nb"]
)
def test_as_the_scalar_functions_of_hea_bench(formula):
    batch = AlloyBatch.of([formula])
    theirs = NativeBackend().compute(dict(zip(batch.elements, batch.fractions[0].tolist())))
    ours = descriptor_matrix(batch)
    for name, peer in PEER.items():
        expected = theirs[peer]
        if abs(expected) > CEILING and name in RATIOS:  # a ratio over nothing is infinite there
            expected = np.copysign(CEILING, expected)
        assert column(ours, name)[0] == pytest.approx(expected, rel=1e-9, abs=1e-9), name


def test_known_values_of_the_field():
    alloys = descriptor_matrix(AlloyBatch.of(["CoCrFeMnNi", "NbMoTaW"]))
    assert column(alloys, "size_mismatch")[0] == pytest.approx(3.16, abs=0.005)
    assert column(alloys, "valence_electrons").tolist() == pytest.approx([8.0, 5.5])
    assert column(alloys, "mixing_entropy").tolist() == pytest.approx([8.314 * np.log(5), 8.314 * np.log(4)])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_statistics_as_the_plain_twin(seed):
    batch = random_alloys(seed)
    values, pairs = element_table().rows_of(batch.elements)
    x = batch.fractions
    ours = descriptor_matrix(batch)
    mean = x @ values
    deviation = np.sqrt(np.einsum("ne,nek->nk", x, (values[None] - mean[:, None]) ** 2))
    held = np.where((x > 0)[..., None], values[None], np.nan)
    spread = np.nanmax(held, 1) - np.nanmin(held, 1)
    for k, name in enumerate(PROPERTIES):
        if f"mean_{name}" in NAMES:
            np.testing.assert_allclose(column(ours, f"mean_{name}"), mean[:, k], rtol=1e-10, atol=1e-12)
        if f"deviation_{name}" in NAMES:
            np.testing.assert_allclose(column(ours, f"deviation_{name}"), deviation[:, k], rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(column(ours, f"range_{name}"), spread[:, k], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(
        column(ours, "mixing_enthalpy"), 2 * np.einsum("ni,ij,nj->n", x, pairs, x), rtol=1e-9, atol=1e-9
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_laws(seed):
    batch = random_alloys(seed, least=2)
    ours = descriptor_matrix(batch)
    assert np.isfinite(ours).all()
    n = column(ours, "n_elements")
    entropy = column(ours, "mixing_entropy")
    assert ((entropy > 0) & (entropy <= 8.314 * np.log(n) + 1e-9)).all()
    for name in ("size_mismatch", "elastic_energy", "shear_mismatch", "electronegativity_spread"):
        assert (column(ours, name) >= 0).all()
    assert (column(ours, "wang_gamma") >= 1 - 1e-12).all()
    low, high = column(ours, "lowest_pair_enthalpy"), column(ours, "highest_pair_enthalpy")
    assert (low <= high + 1e-12).all()
    # a weighted mean of pairs lies between their extremes
    pairs = 1 - (batch.fractions**2).sum(1)
    mean = column(ours, "mixing_enthalpy") / (2 * pairs)
    assert ((mean >= low - 1e-9) & (mean <= high + 1e-9)).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31))
def test_neither_order_nor_absent_elements_matter(seed):
    batch = random_alloys(seed, n=6)
    order = np.random.default_rng(seed).permutation(len(batch.elements))
    shuffled = AlloyBatch(elements=tuple(batch.elements[k] for k in order), fractions=batch.fractions[:, order])
    np.testing.assert_allclose(descriptor_matrix(batch), descriptor_matrix(shuffled), rtol=1e-9, atol=1e-9)
    used = [k for k in range(len(order)) if batch.fractions[:, k].any()]
    narrow = AlloyBatch(elements=tuple(batch.elements[k] for k in used), fractions=batch.fractions[:, used])
    np.testing.assert_allclose(descriptor_matrix(batch), descriptor_matrix(narrow), rtol=1e-12)


def test_pure_elements_have_no_spread():
    elements = tuple(sorted(described_elements()))
    pure = descriptor_matrix(AlloyBatch(elements=elements, fractions=np.eye(len(elements))))
    for name in NAMES:
        if name.startswith(("deviation_", "range_")) or name in ("size_mismatch", "mixing_enthalpy", "mixing_entropy"):
            np.testing.assert_allclose(column(pure, name), 0, atol=1e-9)
    assert np.isfinite(pure).all()


def test_unknown_elements_give_a_reason_and_nan():
    batch = AlloyBatch.of(["NbMoTaW", "NbMoTaTe", "NbMoHe"])
    ours = descriptor_matrix(batch)
    assert np.isfinite(ours[0]).all()
    for row in (1, 2):
        for name in ("size_mismatch", "mixing_enthalpy", "omega", "wang_gamma", "mean_bulk_modulus", "range_radius"):
            assert np.isnan(column(ours, name)[row]), name
        assert np.isfinite(column(ours, "mixing_entropy")[row])
    assert column(ours, "fraction_Te").tolist() == [0, 0.25, 0]
    assert missing_tables(batch)[0] == "" and "Te" in missing_tables(batch)[1] and "He" in missing_tables(batch)[2]
    assert filled_in(["B", "Fe"]) == ("B",)
    assert missing_tables(AlloyBatch.of(["ThU", "FeU"])) == [
        "no enthalpy of mixing for Th-U: the table of pairs lacks it", "",
    ]  # fmt: skip


def test_groups_and_blocks(monkeypatch):
    batch = random_alloys(3, n=7)
    whole = descriptor_matrix(batch)
    assert whole.shape == (7, len(NAMES)) and len(set(NAMES)) == len(NAMES)
    for group in ("rules", "pairs", "elements", "fractions"):
        part = [k for k, d in enumerate(list_descriptors()) if d.group == group]
        np.testing.assert_array_equal(descriptor_matrix(batch, groups=[group]), whole[:, part])
    monkeypatch.setattr("hea_sim.properties.descriptors._BLOCK", 3)
    np.testing.assert_array_equal(descriptor_matrix(batch), whole)
    single = descriptor_matrix(batch, dtype=np.float32)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, whole, rtol=1e-6)
    assert descriptor_matrix(AlloyBatch(elements=("Al",), fractions=np.zeros((0, 1)))).shape == (0, len(NAMES))
    with pytest.raises(UnknownNameError, match="did you mean 'rules'"):
        descriptor_names(["rule"])


def test_every_descriptor_names_its_tables():
    for descriptor in list_descriptors():
        assert descriptor.unit and set(descriptor.tables) <= set(TABLES)
        if descriptor.group in ("pairs", "elements"):
            assert descriptor.tables


@pytest.mark.oracle
def test_filled_in_elements_against_pymatgen():
    pymatgen = pytest.importorskip("pymatgen.core")
    for symbol, (negativity, _) in SUPPLEMENT.items():
        theirs = pymatgen.Element(symbol).X
        if symbol not in ("Eu", "Pm"):  # pymatgen has none for these
            assert negativity == pytest.approx(theirs, abs=0.011), symbol


@pytest.mark.oracle
def test_group_and_period_against_pymatgen():
    pymatgen = pytest.importorskip("pymatgen.core")
    table = element_table()
    names = list(PROPERTIES)
    for symbol, row in zip(table.elements, table.values):
        theirs = pymatgen.Element(symbol)
        assert row[names.index("period")] == theirs.row, symbol
        assert row[names.index("group")] == theirs.group, symbol
        assert row[names.index("mass")] == pytest.approx(float(theirs.atomic_mass), rel=2e-3), symbol


def test_radius_of_close_packed_spheres_is_the_metallic_one():
    table = element_table()
    volume, radius = table.values[:, list(PROPERTIES).index("molar_volume")], table.values[:, 0]
    derived = (volume / (4 * 2**0.5 * 6.02214076e-7)) ** (1 / 3)
    metals = [
        k for k, e in enumerate(table.elements) if e in ("Al", "Ni", "Cu", "Ag", "Au", "Pd", "Pt", "Ir", "Mg", "Co")
    ]
    np.testing.assert_allclose(derived[metals], radius[metals], rtol=0.015)
