"""The engine beside its peers; the comparisons are those of the benchmark, which prints the same figures."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from hea_sim.crystals import prototype_names
from hea_sim.diffraction import powder_lines
from hea_sim.diffraction.electron import electron_form_factor

pytestmark = pytest.mark.oracle
TUBES = ("CuKa1", "CoKa1", "MoKa1", "CrKa1")


@pytest.fixture(scope="module")
def bench(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("xrd_engine", root / "tests" / "benchmarks" / "xrd_engine.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["xrd_engine"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("tube", TUBES)
@pytest.mark.parametrize("case", ["Ni A1", "W A2", "NiAl B2", "FeCr sigma"])
def test_intensities_equal_xrayutilities_with_its_tables(bench: ModuleType, case: str, tube: str) -> None:
    pytest.importorskip("xrayutilities", reason="the extra `oracle` is not installed")
    found = bench.against_xrayutilities(case, tube)
    assert found["lines"] >= 3
    assert found["position_deg"] < 1e-4
    assert found["intensity_percent"] < 0.1


@pytest.mark.parametrize("name", prototype_names())
def test_every_prototype_has_the_lines_of_pymatgen_without_dispersion(bench: ModuleType, name: str) -> None:
    pytest.importorskip("pymatgen.analysis.diffraction.xrd", reason="the extra `oracle` is not installed")
    found = bench.against_pymatgen(bench.decorated(name))
    assert found["lines"] >= 3
    assert found["position_deg"] < 1e-4
    assert found["intensity_percent"] < 3.0


def test_dispersion_is_what_parts_the_engine_from_pymatgen(bench: ModuleType) -> None:
    pytest.importorskip("pymatgen.analysis.diffraction.xrd", reason="the extra `oracle` is not installed")
    crystal = bench.build_crystal("A1", "Ni", a_A=3.524, b_iso_A2=0.0)
    lines = powder_lines(crystal, bench.CU_A, two_theta_range_deg=(20, 150))
    ours, peer = (
        bench.percent_at(lines.two_theta_deg, rows)
        for rows in (
            np.column_stack([lines.two_theta_deg, lines.intensity]),
            bench.pymatgen_lines(crystal, bench.CU_A, (20, 150)),
        )
    )
    at_331 = np.argmax(np.sum(lines.hkl**2, axis=1) == 19)
    assert peer[at_331] - ours[at_331] > 8  # 41.7 beside about 30 per cent


# Hf, Ta and W are left out: f_X behind the peer's terms parts by 2 % from both X-ray tables at hand at s = 0.2 (which
# agree within 0.05 %), and that is 10 % of f_e.
@pytest.mark.parametrize("element", ["Al", "Ti", "Fe", "Ni", "Nb", "Mo"])
def test_electron_form_factors_are_those_of_a_table_made_for_electrons(element: str) -> None:
    xrd = pytest.importorskip("pymatgen.analysis.diffraction.xrd", reason="the extra `oracle` is not installed")
    terms = np.array(xrd.ATOMIC_SCATTERING_PARAMS[element])
    s = np.linspace(0.2, 1.2, 30)
    table = (terms[:, 0] * np.exp(-terms[:, 1] * s[:, None] ** 2)).sum(axis=1)
    assert np.abs(electron_form_factor(element, s) - table).max() < 0.03 * table.max()
