from __future__ import annotations

import numpy as np
import pytest

from hea_sim.alloy import Composition
from hea_sim.crystals import build_crystal, prototype, prototype_names
from hea_sim.diffraction import powder_lines
from hea_sim.diffraction.families import Cell, family_table, reciprocal_metric
from hea_sim.diffraction.radiation import radiation

MO = radiation("MoKa").wavelength_A


@pytest.mark.parametrize("name", prototype_names())
def test_families_give_the_intensities_of_the_full_sum(name: str) -> None:
    """The quadratic form over sublattices equals summing |F|^2 reflection by reflection."""
    table = family_table(name)
    occupancy = {s: Composition.parse(prototype(name).typical[s]) for s in table.sublattices}
    lines = powder_lines(build_crystal(name, occupancy), "MoKa", two_theta_range_deg=(3, 55))
    inverse_d = table.inverse_d(table.cell())
    f_squared = table.f_squared(occupancy, inverse_d / 2, MO)
    whole = lines.f_squared * lines.multiplicity
    for d in lines.d_A:  # lines that nearly coincide are compared together
        mine = f_squared[np.abs(inverse_d * d - 1) < 1e-4].sum()
        wanted = whole[np.abs(lines.d_A / d - 1) < 1e-4].sum()
        assert mine == pytest.approx(wanted, rel=1e-6, abs=1e-4 * whole.max())


@pytest.mark.parametrize("name", ["A1", "A3", "sigma", "D0_11", "C43"])
def test_spacings_follow_the_cell(name: str) -> None:
    table = family_table(name)
    cell = table.cell()
    assert np.allclose(table.inverse_d(cell.scaled(1.02)) * 1.02, table.inverse_d(cell))
    assert table.volume_A3(cell.scaled(1.02)) == pytest.approx(1.02**3 * table.volume_A3(cell))


def test_a_monoclinic_metric_at_right_angle_is_orthorhombic() -> None:
    cell = Cell(a_A=3.0, b_A=4.0, c_A=5.0, beta_deg=90.0)
    monoclinic, orthorhombic = reciprocal_metric("monoclinic", cell), reciprocal_metric("orthorhombic", cell)
    assert monoclinic[:3] == pytest.approx(orthorhombic) and monoclinic[3] == pytest.approx(0.0, abs=1e-12)


def test_superlattice_families_vanish_without_contrast() -> None:
    table = family_table("B2")
    inverse_d = table.inverse_d(table.cell())
    same = dict.fromkeys(table.sublattices, Composition.parse("NiAl"))
    odd = table.hkl.sum(axis=1) % 2 == 1
    f_squared = table.f_squared(same, inverse_d / 2, 1.54)
    assert odd.any() and f_squared[odd].max() < 1e-9 * f_squared.max()
